"""Small pages put together: what is compressed stays so, and every reader has it as one page."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from app.errors import InvalidTablePropertyError
from app.lake.compact.copying.footers import MAGIC
from app.lake.compact.merging.bins import merge_bin
from app.lake.compact.merging.pages import Page, read_pages
from app.lake.compact.rewriting.writer_options import JOINED_FRAMES
from app.lake.parquet.fields import ColumnFields, FileFields
from app.lake.parquet.row_groups import read_row_group, write_row_group
from app.lake.parquet.thrift import read_list, write_list, write_struct
from app.lake.parquet.wire import STRUCT
from tests.unit.lake.compact.merges import tasks_for
from tests.unit.lake.compact.parquet_files import READERS, footer_fields, written
from tests.unit.lake.compact.rewriting import terms
from tests.unit.lake.compact.test_rewriting_files import path_of, with_set
from tests.unit.lake.local_tables import as_lake_table, create_table

FILES, ROWS = 12, 500
SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "price", DoubleType()),
    NestedField(3, "name", StringType()),
)


def rows_from(first: int, count: int = ROWS) -> pa.Table:
    numbers = range(first, first + count)
    columns = [list(numbers), [number / 7 for number in numbers], [f"name {number}" for number in numbers]]
    return pa.table(columns, schema=schema_to_pyarrow(SCHEMA))


def merged_of(
    catalog: SqlCatalog, files: list[pa.Table], properties: dict[str, str], *, with_crc: list[bool] | None = None
) -> Path:
    """The one file that files of these rows are merged into."""
    codec = properties.get("write.parquet.compression-codec", "zstd")
    table = with_set(create_table(catalog, SCHEMA), {JOINED_FRAMES: "true"} | properties)
    folder = path_of(f"{table.location()}/data")
    folder.mkdir(parents=True)
    how = {"compression": "NONE" if codec == "uncompressed" else codec, "store_schema": False}
    checked = with_crc or [False] * len(files)
    paths = [
        written(folder / f"{number}.parquet", rows, write_page_checksum=has_crc, **how)
        for number, (rows, has_crc) in enumerate(zip(files, checked, strict=True))
    ]
    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())
    return path_of(made.file_path)


def pages_of(path: Path) -> list[list[Page]]:
    """Of each column of the only row group."""
    content, found = path.read_bytes(), []
    group = pq.read_metadata(path).row_group(0)
    for place in range(group.num_columns):
        column = group.column(place)
        assert column.dictionary_page_offset is None
        start = column.data_page_offset
        found.append(read_pages(content, start, start + column.total_compressed_size))
        assert sum(page.values for page in found[-1]) == column.num_values
        # As it says itself: headers, and what is in pages.
        uncompressed = sum(page.body - page.start + page.uncompressed_bytes for page in found[-1])
        assert uncompressed == column.total_uncompressed_size
    return found


@pytest.mark.parametrize(
    ("codec", "expected"),
    [
        ("zstd", [2_000] * 3),
        ("uncompressed", [2_000] * 3),
        # Of these the one behind the other is not the compressed form of both, or not for all readers.
        ("snappy", [ROWS] * FILES),
        ("gzip", [ROWS] * FILES),
        ("brotli", [ROWS] * FILES),
        ("lz4", [ROWS] * FILES),
    ],
)
def test_pages_have_as_many_rows_as_they_may(catalog: SqlCatalog, codec: str, expected: list[int]) -> None:
    files = [rows_from(ROWS * number) for number in range(FILES)]

    path = merged_of(catalog, files, {"write.parquet.compression-codec": codec, "write.parquet.page-row-limit": "2000"})

    assert [[page.values for page in pages] for pages in pages_of(path)] == [expected] * 3
    for name, read in READERS.items():
        assert read(path).to_pydict() == pa.concat_tables(files).to_pydict(), name


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({JOINED_FRAMES: "false"}, [ROWS] * FILES),
        ({JOINED_FRAMES: "TRUE"}, [FILES * ROWS]),
        # Where nothing is compressed there is nothing that a reader would have to know.
        ({JOINED_FRAMES: "false", "write.parquet.compression-codec": "uncompressed"}, [FILES * ROWS]),
    ],
)
def test_frames_of_zstd_share_a_page_where_the_table_says_so(
    catalog: SqlCatalog, properties: dict[str, str], expected: list[int]
) -> None:
    files = [rows_from(ROWS * number) for number in range(FILES)]

    path = merged_of(catalog, files, properties)

    assert [[page.values for page in pages] for pages in pages_of(path)] == [expected] * 3


def test_a_table_that_does_not_say_whether_is_refused(catalog: SqlCatalog) -> None:
    with pytest.raises(InvalidTablePropertyError, match=f"{JOINED_FRAMES}.*true or false is needed"):
        merged_of(catalog, [rows_from(0), rows_from(ROWS)], {JOINED_FRAMES: "yes"})


def test_pages_have_as_many_bytes_as_they_may(catalog: SqlCatalog) -> None:
    # Of eight bytes a value, where it is a number
    files = [rows_from(ROWS * number) for number in range(FILES)]

    path = merged_of(catalog, files, {"write.parquet.page-size-bytes": str(8 * 1_200)})

    numbers, prices, names = pages_of(path)
    assert [page.values for page in numbers] == [page.values for page in prices] == [2 * ROWS] * (FILES // 2)
    # A text and its length: fewer of them.
    assert all(page.uncompressed_bytes <= 8 * 1_200 or page.values == ROWS for page in names)
    assert READERS["duckdb"](path).to_pydict() == pa.concat_tables(files).to_pydict()


def test_what_stays_as_it_is_keeps_its_place_among_what_is_put_together(catalog: SqlCatalog) -> None:
    # Given files of which two in the middle were written without dictionaries, and one after them is large
    files = [rows_from(0), rows_from(500), rows_from(1_000), rows_from(1_500, 3_000), rows_from(4_500)]
    table = with_set(create_table(catalog, SCHEMA), {JOINED_FRAMES: "true"})
    folder = path_of(f"{table.location()}/data")
    folder.mkdir(parents=True)
    paths = [
        written(folder / f"{number}.parquet", rows, compression="zstd", store_schema=False, use_dictionary=number != 2)
        for number, rows in enumerate(files)
    ]

    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())

    path = path_of(made.file_path)
    assert [[page.values for page in pages] for pages in pages_of(path)] == [[1_000, 500, 3_500]] * 3
    for name, read in READERS.items():
        assert read(path).to_pydict() == pa.concat_tables(files).to_pydict(), name


@pytest.mark.parametrize("codec", ["zstd", "uncompressed"])
@pytest.mark.parametrize(("with_crc", "has_crc"), [([True] * 3, True), ([True, False, True], False)])
def test_checksums_are_those_of_what_was_put_together(
    catalog: SqlCatalog, codec: str, with_crc: list[bool], has_crc: bool
) -> None:
    files = [rows_from(ROWS * number) for number in range(3)]

    path = merged_of(catalog, files, {"write.parquet.compression-codec": codec}, with_crc=with_crc)

    told = [[(page.values, page.crc is not None) for page in pages] for pages in pages_of(path)]
    assert told == [[(3 * ROWS, has_crc)]] * 3
    checked = pq.read_table(path, page_checksum_verification=True)
    assert checked.to_pydict() == pa.concat_tables(files).to_pydict()
    if has_crc:
        # And they are checked: one byte of values is another one.
        content = bytearray(path.read_bytes())
        content[pages_of(path)[0][0].end - 1] ^= 1
        path.write_bytes(content)
        with pytest.raises(OSError, match="CRC"):
            pq.read_table(path, columns=["id"], page_checksum_verification=True)


def test_texts_are_put_together_where_it_is_told_how_long_they_are(catalog: SqlCatalog) -> None:
    # Given files of which every other one does not say how many bytes its texts have, as older writers' do not
    table = with_set(create_table(catalog, SCHEMA), {JOINED_FRAMES: "true"})
    folder = path_of(f"{table.location()}/data")
    folder.mkdir(parents=True)
    files = [rows_from(ROWS * number) for number in range(4)]
    paths = [
        written(folder / f"{number}.parquet", rows, compression="zstd", store_schema=False)
        for number, rows in enumerate(files)
    ]
    for path in paths[1:3]:
        without_size_statistics(path)

    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())

    path = path_of(made.file_path)
    numbers, prices, names = ([page.values for page in pages] for pages in pages_of(path))
    assert numbers == prices == [4 * ROWS]
    assert names == [ROWS] * 4
    for name, read in READERS.items():
        assert read(path).to_pydict() == pa.concat_tables(files).to_pydict(), name


def without_size_statistics(path: Path) -> None:
    """Have a file say nothing of the sizes of its values."""
    content, fields = path.read_bytes(), footer_fields(path)
    (raw,) = read_list(fields[FileFields.ROW_GROUPS])[1]
    group = read_row_group(raw)
    for chunk in group.chunks:
        chunk.column.pop(ColumnFields.SIZE_STATISTICS, None)
    assert write_row_group(group) != raw
    end = write_struct(fields | {FileFields.ROW_GROUPS: write_list(STRUCT, [write_row_group(group)])})
    body = content[: -8 - int.from_bytes(content[-8:-4], "little")]
    path.write_bytes(b"".join([body, end, len(end).to_bytes(4, "little"), MAGIC]))
