"""Parquet files that Spark and pyiceberg wrote, merged page by page; and what Spark reads of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.snapshots import Operation

from app.lake.compact.merging.bins import merge_bin
from app.lake.compact.merging.pages import Page, read_pages
from tests.integration.spark.conftest import SharedLake
from tests.unit.lake.compact.parquet_files import READERS, rows_of
from tests.unit.lake.compact.rewriting import rewrite, terms
from tests.unit.lake.local_tables import as_lake_table
from tests.unit.lake.row_diff.made_snapshots import commit_files

# What a file says is the same whatever catalog names it.
pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("lake", ["sql"], indirect=True),
]

FILES = 3
ROWS = 3_000
CREATE = """CREATE TABLE {t} (id BIGINT NOT NULL, small INT, name STRING, kind STRING, ratio DOUBLE, single FLOAT,
    tiny DECIMAL(9, 2), amount DECIMAL(12, 2), large DECIMAL(30, 4), day DATE, at TIMESTAMP, local TIMESTAMP_NTZ,
    flag BOOLEAN, raw BINARY, tags ARRAY<STRUCT<k: STRING, v: INT>>, attributes MAP<STRING, BIGINT>,
    place STRUCT<city: STRING, zip: BIGINT>) USING iceberg TBLPROPERTIES (
    'format-version'='2', 'write.parquet.page-row-limit'='7000', 'stratigraph.compaction.join-zstd-frames'='true')"""
FILL = """INSERT INTO {{t}} SELECT /*+ COALESCE(1) */ id, CAST(id AS INT), IF(id % 7 = 0, NULL, concat('name ', id)),
    concat('kind ', id % 5), IF(id % 11 = 0, double('NaN'), id / 7), CAST(id AS FLOAT), CAST(id % 50 AS DECIMAL(9, 2)),
    CAST(id / 100 AS DECIMAL(12, 2)), CAST(-id AS DECIMAL(30, 4)), date_add(DATE '2020-01-01', CAST(id % 5000 AS INT)),
    timestamp_seconds(1771149600 + id), CAST(timestamp_seconds(1771149600 + id) AS TIMESTAMP_NTZ), id % 3 = 0,
    CAST(CAST(id AS STRING) AS BINARY),
    IF(id % 5 = 0, NULL, array(struct(CAST(id AS STRING), CAST(id AS INT)), NULL)), map('id', id, 'none', NULL),
    IF(id % 6 = 0, NULL, struct(concat('city ', id), id)) FROM range({first}, {end})"""
# None that NaN meets: Spark has it greater than all numbers, and Iceberg's bounds leave it out.
CONDITIONS = (
    "id = 11345",
    "id IN (10001, 21777, 99999)",
    "name = 'name 20009'",
    "kind = 'kind 3' AND id % 100 = 3",
    "ratio > 3000.5 AND NOT isnan(ratio)",
    "tiny = 7 AND id > 22000",
    "amount < 0.5",
    "large <= -22998",
    "at >= TIMESTAMP '2026-02-15 15:40:00' AND id % 100 = 1",
    "place.zip = 20011",
    "true",
)
COLUMNS = (
    "id, small, name, kind, ratio, single, tiny, amount, large, day, at, local, flag, raw, tags, attributes, place"
)


def of_spark(lake: SharedLake) -> Table:
    for number in range(FILES):
        lake.sql(FILL.format(first=10_000 * number, end=10_000 * number + ROWS))
    return lake.foreign.load_table(str(lake.name))


def of_pyiceberg(lake: SharedLake) -> Table:
    """The rows of Spark's files, in files that pyiceberg writes: with dictionaries of values that come once."""
    table = of_spark(lake)
    parts = [pq.read_table(on_disk(file.file_path)) for file in in_order(table)]
    table.delete()
    for part in parts:
        table.append(part.cast(schema_to_pyarrow(table.schema(), include_field_ids=False)))
    return lake.foreign.load_table(str(lake.name))


def in_order(table: Table) -> list[DataFile]:
    return sorted((task.file for task in table.scan().plan_files()), key=lambda file: file.lower_bounds[1])


def on_disk(location: str) -> Path:
    return Path(urlsplit(location).path)


@contextmanager
def vectorised(lake: SharedLake, is_on: bool) -> Iterator[None]:
    """Read with Iceberg's and with Spark's own reader in the one way or in the other."""
    text = str(is_on).lower()
    lake.sql(f"ALTER TABLE {{t}} SET TBLPROPERTIES ('read.parquet.vectorization.enabled'='{text}')")
    names = ("spark.sql.parquet.enableVectorizedReader", "spark.sql.parquet.enableNestedColumnVectorizedReader")
    with configured(lake, dict.fromkeys(names, text)):
        yield


@contextmanager
def configured(lake: SharedLake, settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: lake.spark.conf.get(name) for name in settings}
    for name, value in settings.items():
        lake.spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            lake.spark.conf.set(name, value)


def answers(lake: SharedLake) -> list[list[str]]:
    """Of all columns, and of those that Iceberg's vectorised reader reads: it leaves nested ones to the other.

    Sorted here, because Spark runs three jobs for it.
    """
    plain = COLUMNS.removesuffix(", tags, attributes, place")
    return [
        [repr(row) for row in by_id(lake.sql(f"SELECT {columns} FROM {{t}} WHERE {where}"))]
        for columns in (COLUMNS, plain)
        for where in CONDITIONS
    ]


def by_id(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: row[0])


def first_column(path: Path) -> list[Page]:
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start = column.data_page_offset
    return read_pages(path.read_bytes(), start, start + column.total_compressed_size)


@pytest.mark.parametrize("write", [of_spark, of_pyiceberg])
def test_a_table_says_the_same_with_its_files_merged(lake: SharedLake, write: Any) -> None:
    # Given what Spark answers of files as they were written
    lake.sql(CREATE)
    table = write(lake)
    files = in_order(table)
    before = answers(lake)
    assert all(before)
    expected = {
        name: rows_of(pa.concat_tables([read(on_disk(file.file_path)) for file in files], promote_options="permissive"))
        for name, read in READERS.items()
    }
    (rewritten,) = rewrite(table, [FileScanTask(file) for file in files])

    # When they are one file of one row group in the next snapshot
    (made,) = merge_bin(as_lake_table(table), [FileScanTask(file) for file in files], terms())
    path = on_disk(made.file_path)
    metadata = pq.ParquetFile(path).metadata
    assert (metadata.num_row_groups, metadata.num_rows) == (1, FILES * ROWS)
    assert "PLAIN" in metadata.row_group(0).column(0).encodings
    assert not metadata.row_group(0).column(0).has_dictionary_page
    if write is of_pyiceberg:
        # Two of the files share a page, which is two frames of zstd.
        assert metadata.row_group(0).column(0).compression == "ZSTD"
        assert [page.values for page in first_column(path)] == [2 * ROWS, ROWS]
    commit_files(table, Operation.REPLACE, remove=files, add=[made])

    # Then Spark answers the same, through Iceberg's reader and through its own, vectorised or not
    assert lake.sql("SELECT count(*), max(file_path) FROM {t}.files") == [(1, made.file_path)]
    for is_on in (True, False):
        with vectorised(lake, is_on):
            assert answers(lake) == before, is_on
            # Its own goes by batches where it makes Java of queries, and nowhere else.
            with configured(lake, {"spark.sql.codegen.wholeStage": str(is_on).lower()}):
                own = lake.spark.read.parquet(made.file_path).select(*COLUMNS.split(", "))
                assert ("Batched: true" in own._jdf.queryExecution().executedPlan().toString()) is is_on
                for where, rows in zip(CONDITIONS, before, strict=False):
                    found = by_id(map(tuple, own.where(where).collect()))
                    assert [repr(row) for row in found] == rows, (is_on, where)
    # And so do the other readers, and the manifest says what it says of rewritten rows
    for name, read in READERS.items():
        assert rows_of(read(path)) == expected[name], name
    for name in ("record_count", "value_counts", "null_value_counts", "lower_bounds", "upper_bounds"):
        assert getattr(made, name) == getattr(rewritten, name), name
