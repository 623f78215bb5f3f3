"""Columns of several files, decoded as if of one: opening each takes as long as decoding one of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile

from app.lake.compact.copying.errors import BrokenParquetError
from app.lake.compact.copying.footers import MAGIC, Footer
from app.lake.compact.merging.errors import UnmergeableError
from app.lake.compact.merging.files import in_memory, moved
from app.lake.deleted_positions import naming_file
from app.lake.parquet.fields import ChunkFields, ColumnFields, RowGroupFields
from app.lake.parquet.row_groups import Chunk, RowGroup, find_int, write_row_group
from app.lake.parquet.thrift import Struct, of_int
from app.lake.parquet.wire import I64

# Of a column that is decoded, at a time.
_BATCH_ROWS = 65_536
_OPTIONAL_PAGES = frozenset({ColumnFields.DICTIONARY_PAGE_OFFSET, ColumnFields.INDEX_PAGE_OFFSET})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A data file that is merged, whole and in memory."""

    file: DataFile
    content: bytes
    footer: Footer

    @property
    def location(self) -> str:
        """Where it is."""
        return self.file.file_path


def decoded(
    sources: Sequence[SourceFile], places: Sequence[int], like: Footer, schema: pa.Schema, most_bytes: int
) -> pa.Table:
    """The rows of all files, of the columns at these places alone and in this schema.

    `like` is the footer of a file that has just these columns. Costs about 70 µs a row group, and decoding.

    Raises:
        UnmergeableError: they are of other types, or take more than `most_bytes`.
        OSError: one is broken; its name is in the message.
    """
    batches: list[pa.RecordBatch] = []
    left = most_bytes
    joined = pa.BufferReader(_joined(sources, places, like))
    with pq.ParquetFile(joined, page_checksum_verification=True) as file:
        group = 0
        for source in sources:
            rows = 0
            of_source = range(group, group + len(source.footer.decoded))
            for batch in _read(file, of_source, source.location):
                rows += batch.num_rows
                if (left := left - batch.nbytes) < 0:
                    raise UnmergeableError(f"{schema.names[0]} takes more than {most_bytes} bytes, decoded")
                batches.append(batch)
            if rows != source.footer.rows:
                # Where nothing is beside it, Arrow says nothing of a column that it finds too short.
                reason = f"{rows} of {source.footer.rows} rows of {schema.names[0]} can be read"
                raise BrokenParquetError(source.location, reason)
            group = of_source.stop
    try:
        # All at once: for each file that takes half as long as decoding it.
        return pa.Table.from_batches(batches).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        where = f"{sources[0].location} and those after it"
        raise UnmergeableError(f"{where} have other types than the table: {error}") from error


def _joined(sources: Sequence[SourceFile], places: Sequence[int], like: Footer) -> pa.Buffer:
    parts: list[memoryview] = []
    groups: list[bytes] = []
    position = len(MAGIC)
    for source in sources:
        content = memoryview(source.content)
        for group in source.footer.decoded:
            chunks = []
            with naming_file(source.location):
                for chunk in (group.chunks[place] for place in places):
                    start, end = chunk.start, chunk.end
                    parts.append(content[start:end])
                    column = moved(_without_absent(chunk.column), position - start)
                    chunks.append(Chunk({ChunkFields.FILE_OFFSET: of_int(I64, 0)}, column))
                    position += end - start
            fields = {
                RowGroupFields.TOTAL_BYTE_SIZE: of_int(I64, 0),
                RowGroupFields.NUM_ROWS: of_int(I64, group.rows),
            }
            groups.append(write_row_group(RowGroup(fields, chunks)))
    rows = sum(source.footer.rows for source in sources)
    footer = replace(like, rows=rows, created_by=sources[0].footer.created_by)
    return pa.py_buffer(in_memory(parts, footer, groups))


def _without_absent(column: Struct) -> Struct:
    """The metadata of a chunk without the places of pages that are not there, of which some writers say 0."""
    return {
        field_id: value
        for field_id, value in column.items()
        if field_id not in _OPTIONAL_PAGES or find_int(column, field_id) != 0
    }


def _read(file: pq.ParquetFile, groups: Sequence[int], location: str) -> Iterator[pa.RecordBatch]:
    batches = file.iter_batches(_BATCH_ROWS, row_groups=groups, use_threads=False)
    while True:
        with naming_file(location):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
