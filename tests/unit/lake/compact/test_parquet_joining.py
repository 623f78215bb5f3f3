"""Files that several writers made, joined, as several readers have them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import datafusion
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.lake.compact.copying.errors import JoinStoppedError
from app.lake.compact.copying.footers import read_footer
from app.lake.compact.copying.joinable import find_obstacle
from app.lake.compact.copying.joining import join_files
from app.lake.parquet.fields import ColumnFields, FileFields, RowGroupFields
from app.lake.parquet.row_groups import find_int, read_row_group, write_row_group
from app.lake.parquet.thrift import of_int, read_list, write_list
from app.lake.parquet.wire import I16, I64, STRUCT
from tests.unit.lake.compact.parquet_files import (
    IO,
    READERS,
    chunks_of,
    filter_with_arrow,
    footer_fields,
    join,
    never,
    parts_of,
    read_with_arrow,
    read_with_datafusion,
    rows_of,
    statistics_of,
    with_footer,
    written,
)

ROWS = 1_500
PLACE = pa.struct([("city", pa.string()), ("zip", pa.list_(pa.int64()))])
PAGES = {"write_page_index": True, "max_rows_per_page": 100, "row_group_size": 700}


def rows(first: int, count: int = ROWS) -> pa.Table:
    numbers = range(first, first + count)
    moment = dt.datetime(2026, 2, 15, tzinfo=dt.UTC)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "small": pa.array([n % 7 if n % 5 else None for n in numbers], pa.int32()),
            "name": pa.array([f"name {n % 311}" if n % 3 else None for n in numbers], pa.string()),
            "ratio": pa.array([float("nan") if n % 11 == 0 else n / 7 for n in numbers], pa.float64()),
            "single": pa.array([-0.0 if n % 2 else n / 3 for n in numbers], pa.float32()),
            "amount": pa.array([Decimal(n) / 100 for n in numbers], pa.decimal128(12, 2)),
            "day": pa.array([dt.date(2020, 1, 1) + dt.timedelta(n % 5000) for n in numbers], pa.date32()),
            "at": pa.array([moment + dt.timedelta(seconds=n) for n in numbers], pa.timestamp("us", "UTC")),
            "flag": pa.array([n % 2 == 0 for n in numbers], pa.bool_()),
            "raw": pa.array([bytes([n % 256]) * (n % 4) for n in numbers], pa.binary()),
            "tags": pa.array([[f"t{n % 5}", None] * (n % 3) or None for n in numbers], pa.list_(pa.string())),
            "place": pa.array([{"city": f"c{n % 9}", "zip": [n]} for n in numbers], PLACE),
        }
    )


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("as pyarrow does", {}),
        ("zstd", {"compression": "zstd"}),
        ("uncompressed", {"compression": "none", "row_group_size": 500}),
        ("no dictionaries", {"use_dictionary": False}),
        ("pages of version 2", {"data_page_version": "2.0", "write_page_checksum": True}),
        ("page indexes", PAGES),
        ("page indexes of version 2", {**PAGES, "data_page_version": "2.0", "compression": "zstd"}),
        ("byte stream split", {"use_dictionary": False, "use_byte_stream_split": ["ratio", "single"], **PAGES}),
        ("bloom filters", {"bloom_filter_options": {"id": {"ndv": 500}, "name": {"ndv": 300}}, **PAGES}),
        ("no statistics", {"write_statistics": False}),
        ("no arrow schema", {"store_schema": False, "version": "1.0"}),
        ("delta encodings", {"use_dictionary": False, "column_encoding": {"id": "DELTA_BINARY_PACKED"}}),
    ],
)
def test_files_of_pyarrow_are_joined(case: str, options: dict[str, Any], tmp_path: Path) -> None:
    # Given files of several sizes, one of them without rows
    sizes = (ROWS, 0, 1, 900)
    paths = [
        written(tmp_path / f"{number}.parquet", rows(10_000 * number, size), **options)
        for number, size in enumerate(sizes)
    ]

    # When they are joined
    joined = join(paths, tmp_path / "joined.parquet")

    # Then what they are is told as it is
    found = pq.ParquetFile(tmp_path / "joined.parquet", page_checksum_verification=True)
    assert (joined.rows, joined.row_groups) == (sum(sizes), found.metadata.num_row_groups)
    assert joined.size_bytes == (tmp_path / "joined.parquet").stat().st_size
    assert joined.split_offsets == tuple(
        min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
        for column in (found.metadata.row_group(n).column(0) for n in range(joined.row_groups))
    )
    assert found.schema_arrow.equals(pq.read_schema(paths[0]), check_metadata=True)
    # And nothing of any column chunk has changed, and each reader has the rows in their order
    with_rows = [path for path, size in zip(paths, sizes, strict=True) if size]
    assert parts_of(tmp_path / "joined.parquet") == [part for path in with_rows for part in parts_of(path)]
    assert statistics_of(tmp_path / "joined.parquet") == [part for path in with_rows for part in statistics_of(path)]
    for name, read in READERS.items():
        alone = pa.concat_tables([read(path) for path in with_rows])
        assert rows_of(read(tmp_path / "joined.parquet")) == rows_of(alone), name
    assert rows_of(found.read()) == rows_of(read_with_arrow(tmp_path / "joined.parquet"))


@pytest.mark.parametrize("where", ["id = 10450", "id >= 20850", "name = 'name 7'", "day < '2021-03-01'", "small = 3"])
def test_filters_that_skip_pages_find_what_a_scan_finds(where: str, tmp_path: Path) -> None:
    # Given joined files with page indexes and Bloom filters
    options = {**PAGES, "bloom_filter_options": {"id": {"ndv": 500}, "name": {"ndv": 300}}}
    paths = [written(tmp_path / f"{number}.parquet", rows(10_000 * number), **options) for number in range(3)]
    join(paths, tmp_path / "joined.parquet")

    # When they are read with a filter
    answers = {name: read(tmp_path / "joined.parquet", where) for name, read in READERS.items() if name != "pyarrow"}
    if "day" not in where:
        answers["pyarrow"] = filter_with_arrow(tmp_path / "joined.parquet", where)

    # Then each reader finds the rows that are in one of them
    for name, answer in answers.items():
        expected = pa.concat_tables([READERS[name](path) for path in paths])
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("rows", expected)
            ids = [row[0] for row in connection.execute(f"SELECT id FROM rows WHERE {where} ORDER BY id").fetchall()]
        assert sorted(answer.column("id").to_pylist()) == ids, name
        assert ids


def test_bloom_filters_and_page_indexes_of_duckdb_are_joined(tmp_path: Path) -> None:
    # Given files of DuckDB, which has Bloom filters where there are dictionaries
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.parquet")
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT i AS id, 'name ' || (i % 100 + {1000 * number}) AS name, [i, NULL] AS list "
                f"FROM range({5000 * number}, {5000 * number + 5000}) t(i)) TO '{paths[-1]}' "
                "(FORMAT parquet, ROW_GROUP_SIZE 2048, COMPRESSION zstd)"
            )
    joined = tmp_path / "joined.parquet"
    assert join(paths, joined).rows == 15_000

    # Then the filters are where they were, as seen from their column chunks
    assert parts_of(joined) == [part for path in paths for part in parts_of(path)]
    assert any(part["bloom filter"] for part in parts_of(joined))
    probe = duckdb.sql(f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{joined}', 'name', 'name 1005')")
    excluded = [row[0] for row in probe.fetchall()]
    groups = [pq.ParquetFile(path).num_row_groups for path in paths]
    assert excluded == [True] * groups[0] + [False] * groups[1] + [True] * groups[2]
    for name, read in READERS.items():
        assert rows_of(read(joined)) == rows_of(pa.concat_tables([read(path) for path in paths])), name
        assert read(joined, "name = 'name 1005'").num_rows == 50, name


def test_what_was_joined_is_joined_again(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{number}.parquet", rows(3000 * number), **PAGES) for number in range(4)]
    join(paths[:2], tmp_path / "a.parquet")
    join(paths[2:], tmp_path / "b.parquet")

    join([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "twice.parquet")
    join(paths, tmp_path / "once.parquet")

    assert (tmp_path / "twice.parquet").read_bytes() == (tmp_path / "once.parquet").read_bytes()


def test_rows_in_order_in_each_file_are_not_said_to_be_in_order_in_all(tmp_path: Path) -> None:
    # Given two sorted files that say so, the later rows first
    options = {"sorting_columns": [pq.SortingColumn(0)], "row_group_size": 500}
    paths = [
        written(tmp_path / f"{first}.parquet", pa.table({"id": range(first, first + 1000)}), **options)
        for first in (1000, 0)
    ]
    assert pq.ParquetFile(paths[0]).metadata.row_group(0).sorting_columns

    # When they are joined
    joined = tmp_path / "joined.parquet"
    join(paths, joined)

    # Then a reader that takes this for the order of a whole file sorts them
    context = datafusion.SessionContext()
    context.register_parquet("joined", str(joined))
    answer = [
        row for batch in context.sql("SELECT id FROM joined ORDER BY id").collect() for row in batch["id"].to_pylist()
    ]
    assert answer == list(range(2000))
    assert not pq.ParquetFile(joined).metadata.row_group(0).sorting_columns
    # And one file alone stays as it was
    join(paths[:1], tmp_path / "alone.parquet")
    assert pq.ParquetFile(tmp_path / "alone.parquet").metadata.row_group(1).sorting_columns


def test_notes_that_are_not_the_same_in_all_files_are_dropped_and_told(tmp_path: Path) -> None:
    tables = [rows(0, 10).replace_schema_metadata({"team": "ledger", "batch": str(n)}) for n in range(2)]
    paths = [written(tmp_path / f"{n}.parquet", table) for n, table in enumerate(tables)]

    joined = join(paths, tmp_path / "joined.parquet")

    assert joined.dropped_keys == ("ARROW:schema", "batch")
    assert pq.read_metadata(tmp_path / "joined.parquet").metadata == {b"team": b"ledger"}
    assert pq.read_metadata(tmp_path / "joined.parquet").created_by == pq.read_metadata(paths[0]).created_by


def test_writers_are_named_where_there_are_several(tmp_path: Path) -> None:
    # Given files of one schema by two writers, joined with one more
    paths = [written(tmp_path / f"{n}.parquet", rows(n, 10), store_schema=False) for n in range(3)]
    content = paths[1].read_bytes()
    name = pq.read_metadata(paths[0]).created_by.encode()
    other = b"parquet-rs version 99.0.0".ljust(len(name))
    paths[1].write_bytes(content.replace(name, other))
    join(paths[:2], tmp_path / "first.parquet")
    join([tmp_path / "first.parquet", paths[2]], tmp_path / "second.parquet")

    # Then the file is ours, and tells of them
    for joined in ("first", "second"):
        found = pq.read_metadata(tmp_path / f"{joined}.parquet")
        assert found.created_by.startswith("stratigraph version ")
        assert found.metadata == {b"original.created.by": name + b"\n" + other}


def test_what_no_row_group_points_at_is_left_behind(tmp_path: Path) -> None:
    # Given a file with page indexes, and one of two row groups with much between them
    first = written(tmp_path / "a.parquet", rows(0), **PAGES)
    second = written(tmp_path / "b.parquet", rows(0), row_group_size=1000)
    fields = footer_fields(second)
    raws = read_list(fields[FileFields.ROW_GROUPS])[1]
    groups = [read_row_group(raw) for raw in raws]
    start = groups[1].chunks[0].start
    for chunk in groups[1].chunks:
        for field_id in (ColumnFields.DATA_PAGE_OFFSET, ColumnFields.DICTIONARY_PAGE_OFFSET):
            if offset := find_int(chunk.column, field_id):
                chunk.column[field_id] = of_int(I64, offset + 100_000)
    fields[FileFields.ROW_GROUPS] = write_list(STRUCT, [write_row_group(group) for group in groups])
    content = second.read_bytes()
    second.write_bytes(content[:start] + b"x" * 100_000 + content[start:])
    with_footer(second, fields)

    # When they are joined
    joined = join([first, second], tmp_path / "joined.parquet")

    # Then the new file has its data in one piece, and its indexes, and nothing else
    footer = read_footer(IO, str(tmp_path / "joined.parquet"))
    (data,), (column_indexes,), (offset_indexes,) = footer.data, footer.column_indexes, footer.offset_indexes
    assert data == (4, column_indexes[0])
    assert sum(chunk.end - chunk.start for chunk in chunks_of(tmp_path / "joined.parquet")) == data[1] - data[0]
    assert column_indexes[1] == offset_indexes[0]
    assert joined.size_bytes - offset_indexes[1] == footer.metadata_bytes - (offset_indexes[1] - offset_indexes[0]) + 8
    assert read_with_arrow(tmp_path / "joined.parquet").num_rows == 2 * ROWS


@pytest.mark.parametrize("asked", range(4))
def test_who_is_told_to_stop_leaves_nothing(asked: int, tmp_path: Path) -> None:
    # Given files, for each of which it is asked twice: when it is planned, and when it is copied
    paths = [written(tmp_path / f"{n}.parquet", rows(0)) for n in range(2)]
    footers = [read_footer(IO, str(path)) for path in paths]
    answers = iter([*[False] * asked, True])

    with pytest.raises(JoinStoppedError):
        join_files(IO, footers, str(tmp_path / "joined.parquet"), lambda: next(answers))

    assert list(answers) == []
    assert not (tmp_path / "joined.parquet").exists()


def test_files_without_any_rows_make_one_without_rows(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{n}.parquet", rows(0, 0)) for n in range(2)]

    joined = join(paths, tmp_path / "joined.parquet")

    assert (joined.rows, joined.row_groups, joined.split_offsets) == (0, 0, ())
    for read in READERS.values():
        assert read(tmp_path / "joined.parquet").num_rows == 0


@pytest.mark.parametrize(("case", "with_ordinals", "expected"), [("all", 2, list(range(6))), ("some", 1, [None] * 6)])
def test_ordinals_count_on_through_the_file_or_are_not_there(
    case: str, with_ordinals: int, expected: list[int | None], tmp_path: Path
) -> None:
    # Given files whose row groups are numbered, as Spark's are, or not all of them
    paths = [written(tmp_path / f"{n}.parquet", rows(0), row_group_size=500) for n in range(2)]
    for path in paths[:with_ordinals]:
        fields = footer_fields(path)
        groups = [read_row_group(raw) for raw in read_list(fields[FileFields.ROW_GROUPS])[1]]
        for number, group in enumerate(groups):
            group.fields[RowGroupFields.ORDINAL] = of_int(I16, number)
        fields[FileFields.ROW_GROUPS] = write_list(STRUCT, [write_row_group(group) for group in groups])
        with_footer(path, fields)

    # When they are joined
    joined = tmp_path / "joined.parquet"
    join(paths, joined)

    # Then all row groups have one or none has, as parquet-rs asks for
    groups = [read_row_group(raw) for raw in read_list(footer_fields(joined)[FileFields.ROW_GROUPS])[1]]
    assert [find_int(group.fields, RowGroupFields.ORDINAL) for group in groups] == expected, case
    assert read_with_datafusion(joined).num_rows == 2 * ROWS


def test_files_that_cannot_be_joined_are_not(tmp_path: Path) -> None:
    paths = [written(tmp_path / "a.parquet", rows(0)), written(tmp_path / "b.parquet", rows(0).drop(["id"]))]
    footers = [read_footer(IO, str(path)) for path in paths]

    with pytest.raises(ValueError, match="different schemas"):
        join_files(IO, footers, str(tmp_path / "joined.parquet"), never)
    with pytest.raises(ValueError, match="no files"):
        join_files(IO, [], str(tmp_path / "joined.parquet"), never)
    assert find_obstacle(footers) is not None
    assert not (tmp_path / "joined.parquet").exists()
    assert footer_fields(paths[0])
