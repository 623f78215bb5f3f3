"""Parquet files to be joined, and what several readers make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datafusion
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

from app.lake.compact.copying.data_files import JoinedDataFile
from app.lake.compact.copying.footers import MAGIC, TRAILER_BYTES, read_footer
from app.lake.compact.copying.joining import JoinedFile, join_files
from app.lake.compact.copying.survey import COLUMN_INDEX, OFFSET_INDEX, index_span
from app.lake.parquet.fields import BloomFilterFields, ColumnFields, FileFields
from app.lake.parquet.row_groups import Chunk, find_int, get_int, read_row_group
from app.lake.parquet.thrift import Struct, read_list, read_struct, write_struct

IO = PyArrowFileIO()
_COMPRESSED_PAGE_SIZE = 3


def never() -> bool:
    """Do not stop."""
    return False


def join(paths: Sequence[Path], destination: Path) -> JoinedFile:
    return join_files(IO, [read_footer(IO, str(path)) for path in paths], str(destination), never)


def as_data_file(made: JoinedDataFile, like: DataFile) -> DataFile:
    """What a manifest says of a joined file."""
    file, metrics = made.file, made.metrics
    found = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=file.location,
        file_format=FileFormat.PARQUET,
        partition=like.partition,
        record_count=file.rows,
        file_size_in_bytes=file.size_bytes,
        column_sizes=metrics.column_sizes,
        value_counts=metrics.value_counts,
        null_value_counts=metrics.null_value_counts,
        nan_value_counts=metrics.nan_value_counts,
        lower_bounds=metrics.lower_bounds,
        upper_bounds=metrics.upper_bounds,
        split_offsets=list(file.split_offsets),
    )
    found.spec_id = like.spec_id
    return found


def written(path: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, path, **options)
    return path


def read_with_arrow(path: Path, where: str | None = None) -> pa.Table:
    return pq.read_table(path) if where is None else read_with_arrow(path).filter(_expression(where))


def filter_with_arrow(path: Path, where: str) -> pa.Table:
    """With statistics of row groups."""
    return pq.read_table(path, filters=_expression(where))


def read_with_duckdb(path: Path, where: str | None = None) -> pa.Table:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        condition = "" if where is None else f"WHERE {where}"
        return connection.sql(f"FROM read_parquet('{path}') {condition}").to_arrow_table()


def read_with_datafusion(path: Path, where: str | None = None) -> pa.Table:
    """With parquet-rs, which skips pages by page indexes and row groups by Bloom filters."""
    config = datafusion.SessionConfig(
        {
            "datafusion.execution.target_partitions": "1",
            "datafusion.execution.parquet.pushdown_filters": "true",
            "datafusion.execution.parquet.enable_page_index": "true",
            "datafusion.execution.parquet.bloom_filter_on_read": "true",
        }
    )
    context = datafusion.SessionContext(config)
    context.register_parquet("joined", str(path))
    condition = "" if where is None else f"WHERE {where}"
    answer = context.sql(f"SELECT * FROM joined {condition}")
    return pa.Table.from_batches(answer.collect(), schema=answer.schema())


READERS: dict[str, Callable[..., pa.Table]] = {
    "pyarrow": read_with_arrow,
    "duckdb": read_with_duckdb,
    "datafusion": read_with_datafusion,
}


def rows_of(table: pa.Table) -> list[str]:
    """Rows as texts, in which NaN is NaN and -0.0 is not 0.0."""
    return [repr(list(row.values())) for row in table.to_pylist()]


def _expression(where: str) -> Any:
    column, operator, value = where.split(" ", 2)
    field, literal = pa.compute.field(column), eval(value)
    return {"=": field == literal, "<": field < literal, ">=": field >= literal}[operator]


def footer_fields(path: Path) -> Struct:
    """FileMetaData as it is in the file."""
    content = path.read_bytes()
    length = int.from_bytes(content[-TRAILER_BYTES:-4], "little")
    return read_struct(content[-TRAILER_BYTES - length : -TRAILER_BYTES])[0]


def with_footer(path: Path, fields: Struct, magic: bytes = MAGIC) -> Path:
    """The file with another footer."""
    content = path.read_bytes()
    length = int.from_bytes(content[-TRAILER_BYTES:-4], "little")
    raw = write_struct(fields)
    path.write_bytes(content[: -TRAILER_BYTES - length] + raw + len(raw).to_bytes(4, "little") + magic)
    return path


def chunks_of(path: Path) -> list[Chunk]:
    """All column chunks of a file."""
    groups = read_list(footer_fields(path)[FileFields.ROW_GROUPS])[1]
    return [chunk for group in groups for chunk in read_row_group(group).chunks]


def parts_of(path: Path) -> list[dict[str, bytes | list[bytes] | None]]:
    """Of each column chunk of a file: its bytes, column index, Bloom filter and pages, as its pointers lead to them.

    Pages are found by the offset index, which has to lead to headers that say how long a page is.
    """
    content = path.read_bytes()
    return [
        {
            "chunk": content[chunk.start : chunk.end],
            "column index": _slice(content, index_span(chunk, COLUMN_INDEX)),
            "bloom filter": _bloom_filter(content, chunk),
            "pages": _pages(content, chunk),
        }
        for chunk in chunks_of(path)
    ]


def statistics_of(path: Path) -> list[dict[int, bytes]]:
    """Of each column chunk, all that its metadata says but for positions, as it is in the file."""
    moved = {
        ColumnFields.DATA_PAGE_OFFSET,
        ColumnFields.INDEX_PAGE_OFFSET,
        ColumnFields.DICTIONARY_PAGE_OFFSET,
        ColumnFields.BLOOM_FILTER_OFFSET,
    }
    return [
        {field_id: raw for field_id, (_, raw) in chunk.column.items() if field_id not in moved}
        for chunk in chunks_of(path)
    ]


def _slice(content: bytes, span: tuple[int, int] | None) -> bytes | None:
    return None if span is None else content[span[0] : span[1]]


def _pages(content: bytes, chunk: Chunk) -> list[bytes] | None:
    span = index_span(chunk, OFFSET_INDEX)
    if span is None:
        return None
    pages = []
    index, end = read_struct(content, span[0])
    assert end == span[1]
    for location in read_list(index[1])[1]:
        fields, _ = read_struct(location)
        offset, size = get_int(fields, 1), get_int(fields, 2)
        header, header_end = read_struct(content, offset)
        assert header_end - offset + get_int(header, _COMPRESSED_PAGE_SIZE) == size
        assert chunk.start <= offset < offset + size <= chunk.end
        pages.append(content[offset : offset + size])
    return pages


def _bloom_filter(content: bytes, chunk: Chunk) -> bytes | None:
    offset = find_int(chunk.column, ColumnFields.BLOOM_FILTER_OFFSET)
    if offset is None:
        return None
    header, end = read_struct(content, offset)
    return content[offset : end + get_int(header, BloomFilterFields.NUM_BYTES)]
