"""Rows between Spark and us: Spark judges what we read, and we read what only Spark can write."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from app.bootstrap import Services, build_sample_lake, open_services
from app.domain.names import DatasetName
from app.errors import UnsupportedTableError
from app.lake.sample.tables import SAMPLE_TABLES
from app.settings import Settings
from tests.contract.reading import read, read_ids
from tests.integration.equality_deletes import commit_equality_delete
from tests.integration.spark.conftest import SharedLake
from tests.servers.spark import add_catalog, sql_catalog_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.anyio, pytest.mark.spark]

CREATE = """CREATE TABLE {t} (id BIGINT, price FLOAT, tags ARRAY<STRUCT<k: STRING, v: INT>>, day DATE) USING iceberg
    PARTITIONED BY (months(day))
    TBLPROPERTIES ('format-version'='2', 'write.delete.mode'='merge-on-read', 'write.update.mode'='merge-on-read')"""
FILL = """INSERT INTO {t} SELECT id, CAST(id / 4 AS FLOAT),
    IF(id % 5 = 0, NULL, array(struct(CAST(id AS STRING), CAST(id AS INT)))),
    date_add(DATE '2026-01-01', CAST(id AS INT))
    FROM range(0, 100)"""


def plain(value: Any, *, by: str) -> Any:
    """A value of Spark's or of Arrow's as one that can be hashed and compared: all that is nested is a tuple."""
    if isinstance(value, dict):
        # Spark's dictionaries are maps, which are lists of pairs to Arrow, whose own are structs.
        value = value.items() if by == "spark" else value.values()
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray)):
        return tuple(plain(part, by=by) for part in value)
    if isinstance(value, dt.datetime):
        # Spark's are naive, in the session's zone, which is UTC.
        return value.replace(tzinfo=None)
    return value


def judged(lake: SharedLake, condition: str = "true", at: str = "") -> list[int]:
    return [row[0] for row in lake.sql(f"SELECT id FROM {{t}} {at} WHERE {condition} ORDER BY id")]


async def test_merge_on_read_deletes_hide_the_same_rows(lake: SharedLake, services: Services) -> None:
    lake.sql(CREATE)
    lake.sql(FILL)
    before = lake.head()
    lake.sql("DELETE FROM {t} WHERE id % 7 = 0")
    lake.sql("UPDATE {t} SET price = -1 WHERE id BETWEEN 30 AND 40")
    (deletes,) = lake.sql("SELECT count(*) FROM {t}.delete_files")
    assert deletes[0] > 0

    assert await read_ids(services, lake.name) == judged(lake)
    assert await read_ids(services, lake.name, row_filter="price = -1") == judged(lake, "price = -1")
    assert await read_ids(services, lake.name, row_filter="day < '2026-02-03'") == judged(
        lake, "day < DATE '2026-02-03'"
    )
    assert await read_ids(services, lake.name, str(before)) == list(range(100))


async def test_sparks_schema_and_partition_evolution_is_read_the_same(lake: SharedLake, services: Services) -> None:
    lake.sql(CREATE)
    lake.sql(FILL)
    before = lake.head()
    lake.sql("ALTER TABLE {t} RENAME COLUMN price TO amount")
    lake.sql("ALTER TABLE {t} ALTER COLUMN amount TYPE DOUBLE")
    lake.sql("ALTER TABLE {t} ADD COLUMN note STRING")
    lake.sql("ALTER TABLE {t} DROP PARTITION FIELD months(day)")
    lake.sql("ALTER TABLE {t} ADD PARTITION FIELD bucket(4, id)")
    lake.sql("INSERT INTO {t} VALUES (100, 0.1, NULL, DATE '2026-07-01', 'new')")

    now = await read(services, lake.name)
    expected = lake.sql("SELECT id, amount, note FROM {t} ORDER BY id")
    assert sorted(zip(*(now.column(name).to_pylist() for name in ("id", "amount", "note")), strict=True)) == expected
    assert now.column_names == ["id", "amount", "tags", "day", "note"]
    assert (await read(services, lake.name, str(before))).column_names == ["id", "price", "tags", "day"]
    assert await read_ids(services, lake.name, row_filter="amount > 20.5 or note is not null") == judged(
        lake, "amount > 20.5 OR note IS NOT NULL"
    )
    # Nulls of nested types are nulls, not empty.
    tags = dict(zip(now.column("id").to_pylist(), now.column("tags").to_pylist(), strict=True))
    assert tags[0] is None
    assert tags[1] == [{"k": "1", "v": 1}]


async def test_every_type_that_both_know_has_the_same_values(lake: SharedLake, services: Services) -> None:
    lake.sql(
        """CREATE TABLE {t} USING iceberg AS SELECT 1L AS id, CAST('-0.0' AS DOUBLE) AS d, CAST('NaN' AS FLOAT) AS f,
        CAST('12345678901234567890.123456789012345678' AS DECIMAL(38, 18)) AS n, X'00FF' AS b, true AS yes,
        TIMESTAMP '2026-02-15 10:00:00.123456' AS ts, TIMESTAMP_NTZ '1969-12-31 23:59:59.999999' AS ntz,
        map('k', struct(1 AS x, CAST(NULL AS STRING) AS y)) AS m"""
    )

    (row,) = (await read(services, lake.name)).to_pylist()

    assert str(row["d"]) == "-0.0"
    assert row["f"] != row["f"]
    assert row["n"] == Decimal("12345678901234567890.123456789012345678")
    assert (row["b"], row["yes"]) == (b"\x00\xff", True)
    assert row["ts"].isoformat() == "2026-02-15T10:00:00.123456+00:00"
    assert row["ntz"].isoformat() == "1969-12-31T23:59:59.999999"
    assert dict(row["m"]) == {"k": {"x": 1, "y": None}}


async def test_equality_deletes_that_spark_applies_are_refused_by_us(lake: SharedLake, services: Services) -> None:
    lake.sql("CREATE TABLE {t} (id BIGINT, name STRING) USING iceberg TBLPROPERTIES ('format-version'='2')")
    lake.sql("INSERT INTO {t} VALUES (1, 'a'), (2, 'b')")
    before = lake.head()
    table = lake.foreign.load_table(str(lake.name))
    commit_equality_delete(lake.foreign, table, pa.table({"id": pa.array([2], pa.int64())}))

    assert judged(lake) == [1]
    with pytest.raises(UnsupportedTableError):
        await read(services, lake.name)
    assert await read_ids(services, lake.name, str(before)) == [1, 2]


async def test_spark_reads_every_version_of_the_sample_lake_as_we_do(
    spark: SparkSession, database_url: str, tmp_path: Path
) -> None:
    # given the sample lake, whose position deletes and `replace` snapshots are written by ourselves
    settings = Settings(home=tmp_path / "home", database_url=database_url)
    settings.warehouse.mkdir(parents=True)
    async with open_services(settings) as services:
        await build_sample_lake(services, 0.001, lambda step: None)
        # The name is part of the key in the catalog's tables, and one session of Spark knows it once.
        other = spark.newSession()
        catalog = "stratigraph"
        own = sql_catalog_settings(database_url, settings.warehouse.as_uri())
        add_catalog(other, catalog, own)

        # when both read every snapshot, then they read the same
        compared = 0
        for sample in SAMPLE_TABLES:
            name = DatasetName.parse(sample.dataset)
            table = await services.datasets.load(name)
            for snapshot_id in table.state.history.snapshots:
                ours = await read(services, name, str(snapshot_id))
                frame = other.sql(f"SELECT * FROM {catalog}.{name} VERSION AS OF {snapshot_id}")
                assert frame.columns == ours.column_names, (name, snapshot_id)
                theirs = Counter(plain(row, by="spark") for row in frame.collect())
                assert Counter(plain(row, by="arrow") for row in ours.to_pylist()) == theirs, (name, snapshot_id)
                compared += 1
    assert compared >= 6 * len(SAMPLE_TABLES)
