"""Compaction by Spark, judged by the engine that is here and by what both read before and after."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pyarrow as pa
import pytest

from app.bootstrap import Services, open_services
from app.domain.changes import ChangeState
from app.domain.compaction.policy import CompactionPolicy
from app.domain.names import DatasetName
from tests.integration.compaction.tables import changes_of
from tests.integration.equality_deletes import commit_equality_delete
from tests.integration.spark_connect.compacting import (
    COMMAND,
    FILES,
    ROWS,
    ask,
    compact,
    files_of,
    fill,
    rows_here,
    rows_in_spark,
    sql_name,
)
from tests.integration.spark_connect.conftest import SparkLake

pytestmark = [pytest.mark.anyio, pytest.mark.spark]


@pytest.fixture
async def services(lake: SparkLake) -> AsyncIterator[Services]:
    async with open_services(lake.settings.model_copy(update={"spark_remote": lake.url})) as opened:
        yield opened


@pytest.mark.parametrize(
    ("parts", "is_sorted", "deleted"),
    [
        pytest.param(1, False, None, id="small files"),
        pytest.param(3, False, None, id="partitioned"),
        pytest.param(1, True, None, id="sorted"),
        pytest.param(1, False, "id % 7 = 0", id="position deletes"),
        pytest.param(3, False, "id % 7 = 0", id="position deletes in partitions"),
    ],
)
async def test_both_engines_make_the_same_of_a_table(
    services: Services, lake: SparkLake, parts: int, is_sorted: bool, deleted: str | None
) -> None:
    # Given two tables with the same rows in the same files
    for engine in ("local", "spark"):
        fill(lake, engine, parts=parts, is_sorted=is_sorted, engine=engine)
        if deleted is not None:
            ask(lake, f"DELETE FROM {sql_name(lake, engine)} WHERE {deleted}")
    rows = rows_here(lake, "local")
    assert sum(files_of(lake, "spark").values()) > FILES * parts - (deleted is None)

    told = await compact(services, lake, "local", "spark")

    assert {name: entry["engine"] for name, entry in told.items()} == {"local": "local", "spark": "spark"}
    assert [entry["error"] for entry in told.values()] == [None, None]
    for name in told:
        assert rows_here(lake, name) == rows_in_spark(lake, name) == rows
    assert files_of(lake, "spark") == files_of(lake, "local")
    assert sum(files_of(lake, "spark").values()) == parts
    # And the reports differ in what made the files alone
    here, there = told["local"], told["spark"]
    for field in ("plan", "files_before", "files_after", "dropped_delete_files", "is_partial", "warnings"):
        assert there[field] == here[field], field  # type: ignore[literal-required]
    bins = [
        sorted((each["partition"], each["files"], each["files_after"]) for each in entry["bins"])
        for entry in (here, there)
    ]
    assert bins[0] == bins[1]
    assert {(each["way"], each["why"]) for each in there["bins"]} == {("rewrite", "Spark copies no files")}
    # And there is nothing left to do
    again = await compact(services, lake, "local", "spark")
    assert [entry["run_id"] for entry in again.values()] == [None, None]


async def test_files_of_a_sorted_table_are_sorted(services: Services, lake: SparkLake) -> None:
    fill(lake, "sorted", is_sorted=True, engine="spark")
    await compact(services, lake, "sorted")

    (file,) = lake.catalog.load_table(lake.name("sorted")).inspect.files().to_pylist()
    ids = [row[0] for row in ask(lake, f"SELECT id FROM parquet.`{file['file_path']}`")]

    assert ids == sorted(range(FILES * ROWS), reverse=True)


async def test_the_record_tells_who_compacted_why_and_what(services: Services, lake: SparkLake) -> None:
    table = fill(lake, "recorded", engine="spark")
    base_id = table.refresh().metadata.current_snapshot_id

    told = (await compact(services, lake, "recorded"))["recorded"]

    (change,) = await changes_of(services, table)
    assert (change.actor, change.reason, change.state) == (COMMAND.actor, COMMAND.reason, ChangeState.DONE)
    assert str(change.change_id) == told["run_id"]
    assert change.details == {
        "engine": "spark",
        "baseSnapshotId": str(base_id),
        "snapshotIds": told["snapshot_ids"],
        "filesBefore": str(FILES),
        "filesAfter": "1",
        "bytesBefore": str(sum(each["bytes"] for each in told["bins"])),
        "bytesAfter": str(sum(each["bytes_after"] for each in told["bins"])),
    }
    assert told["snapshot_id"] == str(lake.catalog.load_table(lake.name("recorded")).metadata.current_snapshot_id)
    assert told["storage"] is not None


async def test_rows_keep_their_lineage(services: Services, lake: SparkLake) -> None:
    # Given a table of version 3, some of whose rows are deleted by vectors
    name = sql_name(lake, "third")
    ask(
        lake,
        f"CREATE TABLE {name} (id BIGINT, name STRING) USING iceberg "
        "TBLPROPERTIES ('format-version'='3', 'write.delete.mode'='merge-on-read')",
        *(
            f"INSERT INTO {name} SELECT /*+ REPARTITION(1) */ id + {10 * n}, 'n{n}' FROM range(10)"
            for n in range(FILES)
        ),
        f"DELETE FROM {name} WHERE id % 5 = 0 AND id < 60",
    )
    before = rows_in_spark(lake, "third", "*, _row_id, _last_updated_sequence_number")
    dry = (await compact(services, lake, "third", is_dry_run=True))["third"]
    assert (dry["engine"], dry["files_before"], dry["files_after"]) == ("spark", FILES, 1)

    sentences = await services.compaction_planning.explain(
        DatasetName(namespace=lake.namespace, name="third"), CompactionPolicy()
    )
    assert any(sentence.startswith("It cannot be compacted here: format version 3") for sentence in sentences)

    told = (await compact(services, lake, "third"))["third"]

    assert (told["engine"], told["error"], told["is_partial"]) == ("spark", None, False)
    assert (told["files_before"], told["files_after"], told["dropped_delete_files"]) == (FILES, 1, 1)
    assert rows_in_spark(lake, "third", "*, _row_id, _last_updated_sequence_number") == before
    assert rows_here(lake, "third") == [row[:2] for row in before]
    assert [change.actor for change in await changes_of(services, lake.catalog.load_table(lake.name("third")))] == [
        COMMAND.actor
    ]


async def test_rows_deleted_by_value_stay_deleted(services: Services, lake: SparkLake) -> None:
    table = fill(lake, "by_value")
    commit_equality_delete(lake.catalog, table, pa.table({"id": pa.array([1, 25, 239], pa.int64())}))
    before = rows_in_spark(lake, "by_value")
    assert len(before) == FILES * ROWS - 3

    told = (await compact(services, lake, "by_value"))["by_value"]

    assert (told["engine"], told["error"], told["is_partial"]) == ("spark", None, False)
    assert told["plan"] is not None
    assert (told["plan"]["delete_files"], told["files_before"], told["files_after"]) == (1, FILES, 1)
    # Also by us, who could not read the table before
    assert rows_in_spark(lake, "by_value") == rows_here(lake, "by_value") == before
    assert sum(files_of(lake, "by_value").values()) == 1


async def test_what_would_rewrite_much_goes_to_spark(services: Services, lake: SparkLake) -> None:
    fill(lake, "large")
    assert (await compact(services, lake, "large", is_dry_run=True))["large"]["engine"] == "local"
    small = lake.settings.model_copy(update={"spark_remote": lake.url, "compaction_spark_bytes": 1000})

    async with open_services(small) as eager:
        told = (await compact(eager, lake, "large"))["large"]

    assert (told["engine"], told["files_after"]) == ("spark", 1)


async def test_all_files_are_written_anew_where_that_is_asked(services: Services, lake: SparkLake) -> None:
    fill(lake, "anew", engine="spark")
    await compact(services, lake, "anew")
    (before,) = lake.catalog.load_table(lake.name("anew")).inspect.files()["file_path"].to_pylist()

    told = (await compact(services, lake, "anew", policy=CompactionPolicy(rewrite_all=True)))["anew"]

    (after,) = lake.catalog.load_table(lake.name("anew")).inspect.files()["file_path"].to_pylist()
    assert after != before
    assert (told["files_before"], told["files_after"], told["is_partial"]) == (1, 1, False)


async def test_names_are_names_whatever_is_in_them(services: Services, lake: SparkLake) -> None:
    odd = "it's a `table` \\', 1); --"
    fill(lake, odd, engine="spark")
    rows = rows_here(lake, odd)

    told = (await compact(services, lake, odd))[odd]

    assert (told["error"], told["files_after"]) == (None, 1)
    assert rows_here(lake, odd) == rows


async def test_how_far_spark_is_is_told_while_it_works(services: Services, lake: SparkLake) -> None:
    # Given a table of so many partitions that Spark is at it for a while
    parts, name = 60, sql_name(lake, "long")
    insert = f"INSERT INTO {name} SELECT id, CAST(id % {parts} AS INT), 'x' FROM range({2 * parts})"
    ask(
        lake,
        f"CREATE TABLE {name} (id BIGINT, part INT, name STRING) USING iceberg PARTITIONED BY (part) "
        "TBLPROPERTIES ('stratigraph.compaction.engine'='spark')",
        insert,
        insert,
    )
    reports: list[tuple[float, str]] = []

    told = (await compact(services, lake, "long", report=lambda *report: reports.append(report)))["long"]

    assert (told["error"], told["files_after"]) == (None, parts)
    working = [(fraction, message) for fraction, message in reports if "in Spark" in message]
    assert {message for _, message in working} == {working[0][1]}
    assert re.search(r"long: 120 files, 60 bins in Spark since \d{4}-\d\d-\d\d \d\d:\d\d UTC$", working[0][1])
    # And how much of it is done grows
    fractions = [fraction for fraction, _ in working]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.05
    assert len({fraction for fraction in fractions if 0.05 < fraction < 0.95}) >= 2
    assert fractions[-1] > 0.9
