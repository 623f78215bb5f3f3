"""A row group of all rows of several files: pages as they are, and where they cannot be, columns encoded anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import MetricModeTypes
from pyiceberg.manifest import DataFile

from app.lake.compact.copying.errors import BrokenParquetError
from app.lake.compact.copying.footers import MAGIC, Footer, notes_of, read_open_footer
from app.lake.compact.copying.joinable import find_obstacle
from app.lake.compact.copying.key_values import merge_key_values
from app.lake.compact.copying.survey import Span
from app.lake.compact.merging.codecs import CODEC_IDS
from app.lake.compact.merging.columns import ColumnShape, MergedChunk, SourceChunk, merge_chunks
from app.lake.compact.merging.errors import UnmergeableError
from app.lake.compact.merging.schemas import is_same_schema, parquet_leaves, with_required
from app.lake.compact.merging.statistics import are_exact, key_of
from app.lake.compact.rewriting.dictionaries import with_dictionaries
from app.lake.compact.rewriting.layout import FileLayout
from app.lake.compact.rewriting.leaves import Leaf
from app.lake.compact.rewriting.metrics import FileMetrics
from app.lake.compact.rewriting.row_groups import Bytes, EncodedGroup, encode_columns
from app.lake.deleted_positions import naming_file
from app.lake.parquet.fields import ChunkFields, ColumnFields, FileFields, RowGroupFields
from app.lake.parquet.row_groups import Chunk, RowGroup, find_int, get_int, read_row_group, write_row_group
from app.lake.parquet.thrift import Struct, of_bytes, of_int, to_bytes, write_list, write_struct
from app.lake.parquet.wire import I32, I64, STRUCT

# Of a column that is decoded, at a time.
_BATCH_ROWS = 65_536
_MERGED = "merged row groups"
_OFFSETS = (
    ColumnFields.DATA_PAGE_OFFSET,
    ColumnFields.DICTIONARY_PAGE_OFFSET,
    ColumnFields.INDEX_PAGE_OFFSET,
)
_DROPPED = (ColumnFields.BLOOM_FILTER_OFFSET, ColumnFields.BLOOM_FILTER_LENGTH)


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


@dataclass(frozen=True, kw_only=True)
class Merging:
    """What all row groups of a bin have in common; `written` is the footer of a file that is written in the layout.

    Of the columns `with_nans` manifests say how many values are NaN. A field that is encoded anew takes `decoded_bytes`
    at most in each row group, and a batch of rows.
    """

    layout: FileLayout
    with_nans: Collection[int]
    written: Footer
    decoded_bytes: int

    @classmethod
    def to(cls, layout: FileLayout, with_nans: Collection[int], like: Footer, decoded_bytes: int) -> Merging:
        """Row groups of files of this layout, in which columns are required that are so in the first of the sources."""
        with naming_file(like.location):
            layout = replace(layout, arrow_schema=with_required(layout.arrow_schema, like))
        _, footer = encode_columns(layout.arrow_schema.empty_table(), layout, [])
        return cls(layout=layout, with_nans=with_nans, written=footer, decoded_bytes=decoded_bytes)

    @cached_property
    def shapes(self) -> Sequence[ColumnShape]:
        """What the chunks of each column have to be like."""
        codec = CODEC_IDS[self.layout.options.arguments["compression"]]
        return [
            ColumnShape(
                codec=codec,
                key=key_of(leaf.kind, parquet.physical),
                deepest=parquet.deepest,
                is_repeated=parquet.is_repeated,
            )
            for leaf, parquet in zip(self.layout.columns, parquet_leaves(self.written), strict=True)
        ]

    def source(self, file: DataFile, content: bytes) -> SourceFile:
        """A file of which these are all bytes.

        Raises:
            UnmergeableError: it cannot be merged.
            BrokenParquetError: it is broken, or is not what the manifest says of it.
        """
        location = file.file_path
        with naming_file(location), pa.BufferReader(content) as stream:
            footer = read_open_footer(stream, location, len(content), keeps_decoded=True)
            if footer.rows != file.record_count:
                reason = f"it has {footer.rows} rows, and its manifest says {file.record_count}"
                raise BrokenParquetError(location, reason)
            obstacle, is_same = find_obstacle([footer]), is_same_schema(footer, self.written)
        if obstacle is not None:
            raise UnmergeableError(str(obstacle))
        if not is_same:
            raise UnmergeableError(f"{location} has another schema than the table has now")
        if footer.without_statistics:
            raise UnmergeableError(f"{location} has columns without least and greatest values")
        if max(footer.fields) > FileFields.LAST:
            raise UnmergeableError(f"{location} has fields in its footer that are not known")
        return SourceFile(file=file, content=content, footer=footer)

    def group(self, sources: Sequence[SourceFile]) -> EncodedGroup:
        """The row group that has the rows of these files, one behind the other.

        Raises:
            UnmergeableError: they cannot be merged.
            OSError: one is broken; its name is in the message.
        """
        columns: list[tuple[Struct, Sequence[Bytes]] | None] = []
        for place, shape in enumerate(self.shapes):
            merged = self._merged(sources, place, shape)
            columns.append(None if merged is None else (merged.column, merged.parts))
        anew = self._encoded(sources, [place for place, found in enumerate(columns) if found is None])
        whole = [anew.get(place, found) for place, found in enumerate(columns)]
        known = [found for found in whole if found is not None]
        for leaf, (column, _) in zip(self.layout.columns, known, strict=True):
            if not self._tells_enough(leaf, column):
                # As where a text is longer than Arrow writes them.
                where = f"{leaf.path} of {sources[0].location} and those after it"
                raise UnmergeableError(f"{where} would have no least and greatest values")
        return self._assembled(sources, known, has_own=bool(anew))

    def _tells_enough(self, leaf: Leaf, column: Struct) -> bool:
        """Whether a chunk tells its least and greatest value: readers take those of other row groups for the file's."""
        if Chunk({}, column).has_statistics() is False:
            return False
        return self.layout.modes[leaf.field_id].type is not MetricModeTypes.FULL or are_exact(column)

    def _merged(self, sources: Sequence[SourceFile], place: int, shape: ColumnShape) -> MergedChunk | None:
        chunks = [
            SourceChunk(source.location, source.content, group.chunks[place], group.rows)
            for source in sources
            for group in source.footer.decoded
        ]
        merged = merge_chunks(chunks, shape)
        if merged is None or not self._tells_enough(self.layout.columns[place], merged.column):
            # Spark tells NaN for the greatest number, which is none; others cut off what is long.
            return None
        return merged

    def _encoded(
        self, sources: Sequence[SourceFile], places: Sequence[int]
    ) -> Mapping[int, tuple[Struct, Sequence[Bytes]]]:
        """The chunks of these columns, decoded and encoded."""
        fields = sorted({self.layout.columns[place].field_place for place in places})
        found: dict[int, tuple[Struct, Sequence[Bytes]]] = {}
        # Field by field: of many columns, decoded, one is a small part.
        for field in fields:
            part = self.layout.of_fields([field])
            rows = self._decoded(sources, part.arrow_schema)
            content, footer = encode_columns(rows, part, with_dictionaries(rows, part.columns))
            (raw,) = footer.row_groups
            whole = [place for place, leaf in enumerate(self.layout.columns) if leaf.field_place == field]
            for place, chunk in zip(whole, read_row_group(raw).chunks, strict=True):
                parts = [content.slice(chunk.start, chunk.end - chunk.start)]
                found[place] = (_moved(chunk.column, -chunk.start), parts)
        return found

    def _decoded(self, sources: Sequence[SourceFile], schema: pa.Schema) -> pa.Table:
        """The rows of all files, of the columns of this schema alone and in it."""
        batches: list[pa.Table] = []
        left = self.decoded_bytes
        for source in sources:
            rows = 0
            for batch in _read(source, schema):
                rows += batch.num_rows
                if (left := left - batch.nbytes) < 0:
                    raise UnmergeableError(f"{schema.names[0]} takes more than {self.decoded_bytes} bytes, decoded")
                batches.append(batch)
            if rows != source.footer.rows:
                # Where nothing is beside it, Arrow says nothing of a column that it finds too short.
                reason = f"{rows} of {source.footer.rows} rows of {schema.names[0]} can be read"
                raise BrokenParquetError(source.location, reason)
        return pa.concat_tables(batches)

    def _assembled(
        self, sources: Sequence[SourceFile], columns: Sequence[tuple[Struct, Sequence[Bytes]]], *, has_own: bool
    ) -> EncodedGroup:
        start = position = len(MAGIC)
        chunks: list[Chunk] = []
        parts: list[Bytes] = []
        for column, some in columns:
            size = get_int(column, ColumnFields.TOTAL_COMPRESSED_SIZE)
            chunks.append(Chunk({ChunkFields.FILE_OFFSET: of_int(I64, 0)}, _moved(column, position)))
            parts += some
            position += size
        rows = sum(source.footer.rows for source in sources)
        uncompressed = sum(get_int(column, ColumnFields.TOTAL_UNCOMPRESSED_SIZE) for column, _ in columns)
        group = RowGroup(
            {
                RowGroupFields.TOTAL_BYTE_SIZE: of_int(I64, uncompressed),
                RowGroupFields.NUM_ROWS: of_int(I64, rows),
                RowGroupFields.FILE_OFFSET: of_int(I64, start),
                RowGroupFields.TOTAL_COMPRESSED_SIZE: of_int(I64, position - start),
            },
            chunks,
        )
        footer = self._footer(sources, write_row_group(group), rows, (start, position), has_own=has_own)
        metrics = FileMetrics(self.layout.columns, self.layout.modes)
        metrics.read(_as_read(footer))
        for source in sources:
            nans = source.file.nan_value_counts or {}
            metrics.count_nans({field_id: nans[field_id] for field_id in self.with_nans})
        return EncodedGroup(parts=parts, footer=footer, chunks=len(chunks), metrics=metrics)

    def _footer(
        self, sources: Sequence[SourceFile], row_group: bytes, rows: int, data: Span, *, has_own: bool
    ) -> Footer:
        """That of a file with this row group alone, which says of its writers what theirs say; `has_own`: and ours."""
        told = [source.footer for source in sources]
        if has_own:
            told.append(replace(self.written, notes=told[0].notes))
        said = merge_key_values(told).fields
        return Footer(
            location=_MERGED,
            size_bytes=data[1],
            fields=self.written.fields,
            rows=rows,
            version=max(footer.version for footer in told),
            created_by=to_bytes(said[FileFields.CREATED_BY]),
            notes=notes_of(said),
            row_groups=(row_group,),
            row_group_bytes=data[1] - data[0],
            data=(data,),
        )


def _as_read(footer: Footer) -> pq.FileMetaData:
    """The footer as Arrow has it, of a file of which there is nothing else."""
    said: Struct = footer.fields | {
        FileFields.VERSION: of_int(I32, footer.version),
        FileFields.NUM_ROWS: of_int(I64, footer.rows),
        FileFields.ROW_GROUPS: write_list(STRUCT, list(footer.row_groups)),
    }
    if footer.created_by is not None:
        said[FileFields.CREATED_BY] = of_bytes(footer.created_by)
    raw = write_struct(said)
    return pq.read_metadata(pa.BufferReader(b"".join([MAGIC, raw, len(raw).to_bytes(4, "little"), MAGIC])))


def _read(source: SourceFile, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a file, of the columns of this schema alone and in it."""
    with naming_file(source.location):
        file = pq.ParquetFile(pa.BufferReader(source.content))
    with file:
        batches = file.iter_batches(_BATCH_ROWS, columns=schema.names, use_threads=False)
        while True:
            with naming_file(source.location):
                batch = next(batches, None)
            if batch is None:
                return
            try:
                yield pa.Table.from_batches([batch]).cast(schema)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
                raise UnmergeableError(f"{source.location} has other types than the table: {error}") from error


def _moved(column: Struct, by: int) -> Struct:
    """The metadata of a chunk that comes to lie so many bytes further on, without its Bloom filter."""
    moved = {field_id: value for field_id, value in column.items() if field_id not in _DROPPED}
    for field_id in _OFFSETS:
        if (offset := find_int(column, field_id)) is not None:
            moved[field_id] = of_int(I64, offset + by)
    return moved
