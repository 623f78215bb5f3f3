"""Parquet files that Spark wrote, with page indexes and Bloom filters, joined; and what Spark reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from app.lake.compact.copying.data_files import JoinedDataFile, join_data_files
from app.lake.compact.copying.footers import read_footer
from app.lake.compact.copying.joinable import find_obstacle
from app.lake.parquet.fields import ColumnFields, FileFields
from app.lake.parquet.row_groups import read_row_group, write_row_group
from app.lake.parquet.thrift import read_list, write_list
from app.lake.parquet.wire import STRUCT
from tests.integration.spark.conftest import SharedLake
from tests.unit.lake.compact.parquet_files import (
    READERS,
    as_data_file,
    filter_with_arrow,
    footer_fields,
    join,
    never,
    parts_of,
    rows_of,
    statistics_of,
    with_footer,
    written,
)
from tests.unit.lake.row_diff.made_snapshots import commit_files

# What a file says is the same whatever catalog names it.
pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("lake", ["sql"], indirect=True),
]

FILES = 3
ROWS = 4_000
CREATE = """CREATE TABLE {t} (id BIGINT NOT NULL, name STRING, ratio DOUBLE, amount DECIMAL(12, 2), day DATE,
    at TIMESTAMP, tags ARRAY<STRUCT<k: STRING, v: INT>>, attributes MAP<STRING, BIGINT>) USING iceberg
    TBLPROPERTIES ('format-version'='2', 'write.parquet.page-row-limit'='100',
    'write.parquet.row-group-size-bytes'='40000', 'write.parquet.row-group-check-min-record-count'='100',
    'write.parquet.row-group-check-max-record-count'='500',
    'write.parquet.bloom-filter-enabled.column.id'='true', 'write.parquet.bloom-filter-max-bytes'='4096',
    'write.parquet.bloom-filter-enabled.column.name'='true')"""
FILL = """INSERT INTO {{t}} SELECT /*+ COALESCE(1) */ id, IF(id % 7 = 0, NULL, concat('name ', id * 7919 % 1000)),
    IF(id % 11 = 0, double('NaN'), id / 7), CAST(id / 100 AS DECIMAL(12, 2)),
    date_add(DATE '2020-01-01', CAST(id % 5000 AS INT)), timestamp_seconds(1771149600 + id),
    IF(id % 5 = 0, NULL, array(struct(CAST(id AS STRING), CAST(id AS INT)), NULL)), map('id', id, 'none', NULL)
    FROM range({first}, {end})"""
# None that NaN meets: Spark has it greater than all numbers, and Iceberg's bounds leave it out.
CONDITIONS = (
    "id = 12345",
    "id IN (10001, 21777, 99999)",
    "name = 'name 7'",
    "ratio > 3000.5 AND NOT isnan(ratio)",
    "at >= TIMESTAMP '2026-02-15 15:40:00' AND id % 100 = 1",
)
COLUMNS = "id, name, ratio, amount, day, at, tags, attributes"


def filled(lake: SharedLake) -> tuple[Table, list[DataFile]]:
    """A table of a few files of several row groups each, in the order in which they were written."""
    lake.sql(CREATE)
    for number in range(FILES):
        lake.sql(FILL.format(first=10_000 * number, end=10_000 * number + ROWS))
    table = lake.foreign.load_table(str(lake.name))
    files = [task.file for task in table.scan().plan_files()]
    return table, sorted(files, key=lambda file: file.lower_bounds[1])


def joined(table: Table, files: Sequence[DataFile], destination: str) -> JoinedDataFile:
    footers = [read_footer(table.io, file.file_path, file.file_size_in_bytes) for file in files]
    assert find_obstacle(footers) is None
    schemas = list(table.metadata.schemas)
    return join_data_files(table.io, files, footers, destination, schemas=schemas, is_stopped=never)


def on_disk(location: str) -> Path:
    return Path(urlsplit(location).path)


def test_a_table_of_spark_says_the_same_with_its_files_joined(lake: SharedLake) -> None:
    # Given what Spark answers of its own files
    table, files = filled(lake)
    questions = [f"SELECT {COLUMNS} FROM {{t}} WHERE {where} ORDER BY id" for where in (*CONDITIONS, "true")]
    before = [[repr(row) for row in lake.sql(question)] for question in questions]
    assert all(before)

    # When they are one file in the next snapshot
    made = joined(table, files, f"{table.location()}/data/joined.parquet")
    commit_files(table, Operation.REPLACE, remove=files, add=[as_data_file(made, files[0])])

    # Then it answers the same, through Iceberg's reader and through its own, which skips pages
    assert lake.sql("SELECT count(*), max(file_path) FROM {t}.files") == [(1, made.file.location)]
    assert [[repr(row) for row in lake.sql(question)] for question in questions] == before
    own = lake.spark.read.parquet(made.file.location).select(*COLUMNS.split(", "))
    for where, rows in zip((*CONDITIONS, "true"), before, strict=True):
        assert [repr(tuple(row)) for row in own.where(where).orderBy("id").collect()] == rows, where
    # And what a manifest says of the file is what Spark would have said
    lake.sql("CALL {c}.system.rewrite_data_files(table => '{n}', options => map('rewrite-all', 'true'))")
    table.refresh()
    (rewritten,) = [task.file for task in table.scan().plan_files()]
    for name in ("value_counts", "null_value_counts", "nan_value_counts", "lower_bounds", "upper_bounds"):
        assert getattr(made.metrics, name) == getattr(rewritten, name), name


def test_page_indexes_and_bloom_filters_of_spark_come_along(lake: SharedLake, tmp_path: Path) -> None:
    table, files = filled(lake)
    paths = [on_disk(file.file_path) for file in files]
    made = joined(table, files, f"{tmp_path.as_uri()}/joined.parquet")
    path = tmp_path / "joined.parquet"

    # Then all of them are there, and each is what it was
    parts = parts_of(path)
    assert parts == [part for one in paths for part in parts_of(one)]
    # parquet-java makes no column index of pages with NaN.
    assert sum(part["column index"] is not None for part in parts) > len(parts) / 2
    assert all(part["pages"] for part in parts)
    assert max(len(part["pages"] or ()) for part in parts) > 2
    assert sum(part["bloom filter"] is not None for part in parts) == 2 * made.file.row_groups
    assert statistics_of(path) == [part for one in paths for part in statistics_of(one)]
    assert made.file.row_groups > FILES
    # And the other readers have the same rows, also where they skip
    for name, read in READERS.items():
        expected = pa.concat_tables([read(one) for one in paths])
        assert rows_of(read(path)) == rows_of(expected), name
        for where in ("id = 12345", "name = 'name 7'", "id >= 21777"):
            alone = pa.concat_tables([read(one, where) for one in paths])
            assert alone.num_rows
            assert rows_of(read(path, where)) == rows_of(alone), (name, where)
    assert rows_of(filter_with_arrow(path, "name = 'name 7'")) == rows_of(
        pa.concat_tables([filter_with_arrow(one, "name = 'name 7'") for one in paths])
    )
    # And filters whose length is not told, as before parquet-java 1.14, are copied whole
    for number, one in enumerate(paths):
        (tmp_path / f"{number}.parquet").write_bytes(one.read_bytes())
        without_lengths(tmp_path / f"{number}.parquet")
    join([tmp_path / f"{number}.parquet" for number in range(FILES)], tmp_path / "again.parquet")
    assert parts_of(tmp_path / "again.parquet") == parts


def without_lengths(path: Path) -> None:
    fields = footer_fields(path)
    groups = [read_row_group(raw) for raw in read_list(fields[FileFields.ROW_GROUPS])[1]]
    for chunk in (chunk for group in groups for chunk in group.chunks):
        chunk.column.pop(ColumnFields.BLOOM_FILTER_LENGTH, None)
    fields[FileFields.ROW_GROUPS] = write_list(STRUCT, [write_row_group(group) for group in groups])
    with_footer(path, fields)


def test_spark_reads_what_pyarrow_wrote_and_was_joined(lake: SharedLake, tmp_path: Path) -> None:
    # Given files of pyarrow of many kinds, page indexes and Bloom filters among them
    kinds: list[dict[str, Any]] = [
        {"compression": "zstd", "data_page_version": "2.0", "max_rows_per_page": 50, "write_page_index": True},
        {"compression": "snappy", "use_dictionary": False, "row_group_size": 300},
        {"compression": "gzip", "bloom_filter_options": {"id": {"ndv": 1000}}, "write_page_index": True},
    ]
    paths = []
    for number, how in enumerate(kinds):
        ids = range(number * 1000, number * 1000 + 1000)
        columns = {"id": ids, "name": [f"n{i % 31}" if i % 3 else None for i in ids], "l": [[i, None] for i in ids]}
        paths.append(written(tmp_path / f"{number}.parquet", pa.table(columns), **how))
    join(paths, tmp_path / "joined.parquet")

    frame = lake.spark.read.parquet(f"{tmp_path}/joined.parquet")
    expected = pq.read_table(tmp_path / "joined.parquet").to_pylist()
    for where, keep in (
        ("true", lambda row: True),
        ("id = 1500", lambda row: row["id"] == 1500),
        ("id >= 2750", lambda row: row["id"] >= 2750),
        ("name = 'n7'", lambda row: row["name"] == "n7"),
    ):
        rows = [row.asDict() for row in frame.where(where).orderBy("id").collect()]
        assert rows == [row for row in expected if keep(row)], where
