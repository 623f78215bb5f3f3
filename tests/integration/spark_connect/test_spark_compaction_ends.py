"""How a compaction by Spark ends otherwise than it was to: stopped, refused, away, or with its process dead."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from pyiceberg.table import Table

from app.bootstrap import Services, open_services
from app.domain.changes import ChangeState
from app.domain.compaction.policy import CompactionPolicy
from app.domain.names import DatasetName
from app.errors import BackendUnavailableError, InvalidSettingError, UnsupportedTableError
from app.lake.compact.spark import SparkCheck
from app.lake.spark.session import SparkStoppedError
from app.services.compaction.sweeps import Limits
from tests.integration.compaction.tables import changes_of
from tests.integration.format_v3 import upgrade_to_v3
from tests.integration.spark_connect.compacting import (
    COMMAND,
    FILES,
    ROWS,
    ask,
    compact,
    files_of,
    fill,
    rows_here,
    sql_name,
)
from tests.integration.spark_connect.conftest import SparkLake
from tests.servers.spark_connect import Pausing
from tests.unit.lake.local_tables import append

pytestmark = [pytest.mark.anyio, pytest.mark.spark]

PARTS = 150


@asynccontextmanager
async def opened(lake: SparkLake, **settings: Any) -> AsyncIterator[Services]:
    async with open_services(lake.settings.model_copy(update={"spark_remote": lake.url, **settings})) as services:
        yield services


async def open_runs(services: Services, table_uuid: UUID) -> int:
    return len(await services.compaction_sweeps._compaction._changes.list_open_compactions(table_uuid))


def lose_a_file_of_part_0(table: Table) -> None:
    files = table.refresh().inspect.files().to_pylist()
    lost = next(file["file_path"] for file in files if file["partition"]["part"] == 0)
    Path(urlsplit(lost).path).unlink()


async def test_files_that_spark_failed_to_rewrite_are_told_with_what_it_did(lake: SparkLake) -> None:
    # Given a partition of which a file is gone
    lose_a_file_of_part_0(fill(lake, "gone", parts=2, engine="spark"))

    async with opened(lake) as services:
        told = (await compact(services, lake, "gone"))["gone"]

    # Then it is an error, although Spark answers, and the other partition is done
    assert told["error"] is not None
    assert told["error"]["code"] == BackendUnavailableError.code
    assert f"{FILES} data files could not be rewritten" in str(told["error"]["message"])
    assert told["is_partial"]
    assert [(each["partition"], each["files"], each["files_after"]) for each in told["bins"]] == [("part=1", FILES, 1)]


async def test_a_run_that_is_cancelled_stops_spark_and_the_next_one_finishes(lake: SparkLake) -> None:
    # Given a table of so many partitions that Spark is at it for a while
    name = sql_name(lake, "stopped")
    insert = f"INSERT INTO {name} SELECT id, CAST(id % {PARTS} AS INT), 'x' FROM range({2 * PARTS})"
    ask(
        lake,
        f"CREATE TABLE {name} (id BIGINT, part INT, name STRING) USING iceberg PARTITIONED BY (part) "
        "TBLPROPERTIES ('stratigraph.compaction.engine'='spark')",
        insert,
        insert,
    )
    rows = rows_here(lake, "stopped")
    table = lake.catalog.load_table(lake.name("stopped"))
    async with opened(lake) as services:
        claimed = asyncio.Event()
        changes = services.compaction_sweeps._compaction._changes
        intend = changes.intend

        async def then_tell(*arguments: Any) -> None:
            await intend(*arguments)
            claimed.set()

        changes.intend = then_tell  # type: ignore[method-assign]
        running = asyncio.create_task(compact(services, lake, "stopped"))
        await claimed.wait()

        # When it is cancelled
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        # Then much is left to do, no row is lost, and what was done is recorded or found by the next run
        left = sum(files_of(lake, "stopped").values())
        assert left > PARTS
        assert rows_here(lake, "stopped") == rows
        told = (await compact(services, lake, "stopped"))["stopped"]
        assert (told["error"], told["files_after"]) == (None, PARTS)
        assert rows_here(lake, "stopped") == rows
        assert await open_runs(services, table.metadata.table_uuid) == 0
        made = [each for each in table.refresh().metadata.snapshots if each.summary.operation.value == "replace"]
        recorded = [number for change in await changes_of(services, table) for number in change.details["snapshotIds"]]
        assert sorted(recorded) == sorted(str(snapshot.snapshot_id) for snapshot in made)


async def test_what_spark_left_to_others_is_done_by_the_next_run_that_is_due(
    lake: SparkLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a table of many partitions, of which Spark commits a few at a time
    table = fill(lake, "contended", parts=ROWS, engine="spark")
    moved: list[float] = []

    def delete_after_the_first_commit(fraction: float, message: str) -> None:
        # And somebody who takes a file out of each of them once it has done some, so that it cannot commit the others
        if "in Spark" in message and fraction > 0.05 and not moved:
            # Held meanwhile: on a slow machine it would be done before a delete that has to begin again each time.
            with Pausing(lake.url) as spark:
                spark.pause()
                while table.refresh().metadata.current_snapshot().summary.operation.value != "replace":
                    spark.resume()
                    time.sleep(0.02)
                    spark.pause()
                table.delete(f"id < {ROWS}")
            moved.append(fraction)

    due = Limits(is_due_only=True)
    async with opened(lake) as services:
        with monkeypatch.context() as patch:
            patch.setattr("app.lake.compact.spark_statements._COMMIT_BYTES", 1)
            told = (await compact(services, lake, "contended", report=delete_after_the_first_commit))["contended"]

        # Then it is told what is left
        assert (told["error"], told["is_partial"]) == (None, True)
        assert 0 < len(told["bins"]) < ROWS
        (warning,) = told["warnings"]
        assert re.fullmatch(r"Spark left \d+ bins to be done; the next run takes them on", warning)
        # And that is what is due
        rest = (await compact(services, lake, "contended", limits=due))["contended"]
        assert (rest["skipped"], rest["error"], rest["files_after"]) == (None, None, ROWS)
        # But nothing is after that
        again = (await compact(services, lake, "contended", limits=due))["contended"]
        assert str(again["skipped"]).startswith("it is compacted weekly, and was on ")


async def test_what_others_write_while_spark_works_is_not_left_by_it(lake: SparkLake) -> None:
    # Given others who write as many small files again before Spark is done
    table = fill(lake, "written", engine="spark")
    written: list[int] = []

    def write(fraction: float, message: str) -> None:
        if "in Spark" in message and not written:
            for number in range(FILES):
                append(table, [{"id": 1000 + number, "part": 0, "name": "new"}])
                written.append(number)

    async with opened(lake) as services:
        told = (await compact(services, lake, "written", report=write))["written"]
        assert len(written) == FILES
        assert (told["error"], told["is_partial"], told["warnings"]) == (None, False, [])
        again = (await compact(services, lake, "written", limits=Limits(is_due_only=True)))["written"]
        assert str(again["skipped"]).startswith("it is compacted weekly, and was on ")


async def test_a_catalog_that_spark_has_not_is_told_by_its_setting(lake: SparkLake) -> None:
    table = fill(lake, "lost", engine="spark")
    async with opened(lake, spark_catalog="elsewhere") as services:
        told = (await compact(services, lake, "lost"))["lost"]

        assert told["error"] is not None
        assert told["error"]["code"] == InvalidSettingError.code
        assert told["error"]["setting"] == "STRATIGRAPH_SPARK_CATALOG"
        assert "'elsewhere' of that Spark has no table" in str(told["error"]["message"])
        assert "\n" not in str(told["error"]["message"])
        # And nothing was begun
        assert await open_runs(services, table.metadata.table_uuid) == 0
    assert sum(files_of(lake, "lost").values()) == FILES


async def test_another_table_of_the_same_name_is_left_alone(lake: SparkLake) -> None:
    fill(lake, "ours")
    fill(lake, "theirs")
    async with opened(lake) as services:
        planned = await services.compaction_planning.plan(
            DatasetName(namespace=lake.namespace, name="ours"), CompactionPolicy()
        )
        other = await services.lake.load(DatasetName(namespace=lake.namespace, name="theirs"))
    with pytest.raises(InvalidSettingError, match=r"another table of the name .*theirs"):
        SparkCheck(replace(planned, table=other), lake.address).run()
    assert (SparkCheck(planned, lake.address).run() or "").startswith("local-")


async def test_a_check_is_stopped(lake: SparkLake) -> None:
    fill(lake, "checked")
    async with opened(lake) as services:
        planned = await services.compaction_planning.plan(
            DatasetName(namespace=lake.namespace, name="checked"), CompactionPolicy()
        )
    check = SparkCheck(planned, lake.address)
    check.stop()
    with pytest.raises(SparkStoppedError):
        check.run()
    assert not [thread for thread in threading.enumerate() if thread.name == "spark-interrupt"]


async def test_a_spark_that_is_away_is_told(lake: SparkLake) -> None:
    table = fill(lake, "away", engine="spark")
    async with opened(lake, spark_remote="sc://127.0.0.1:1/;token=secret") as services:
        told = (await compact(services, lake, "away"))["away"]

        assert told["error"] is not None
        assert (told["error"]["code"], told["error"]["backend"]) == (BackendUnavailableError.code, "spark")
        assert "secret" not in str(told["error"])
        assert await open_runs(services, table.metadata.table_uuid) == 0


async def test_a_run_that_could_not_be_written_down_is_by_the_next_one(lake: SparkLake) -> None:
    table = fill(lake, "late", engine="spark")
    async with opened(lake) as services:
        records = services.compaction_sweeps._compaction._records
        settle = records._changes.settle

        async def away(*_: Any, **__: Any) -> None:
            raise BackendUnavailableError("postgres", "it is away")

        records._changes.settle = away  # type: ignore[method-assign]
        told = (await compact(services, lake, "late"))["late"]
        assert told["files_after"] == 1
        assert await changes_of(services, table) == []

        records._changes.settle = settle  # type: ignore[method-assign]
        # Which has nothing to do
        again = (await compact(services, lake, "late"))["late"]

        assert again["run_id"] is None
        (change,) = await changes_of(services, table)
        assert (str(change.change_id), change.state, change.actor) == (
            told["run_id"],
            ChangeState.DONE,
            COMMAND.actor,
        )
        assert change.details["snapshotIds"] == told["snapshot_ids"]


async def test_what_only_spark_can_compact_is_unsupported_without_it(lake: SparkLake) -> None:
    table = fill(lake, "third")
    upgrade_to_v3(lake.catalog, table)
    async with open_services(lake.settings) as services:
        told = (await compact(services, lake, "third"))["third"]

        assert told["error"] is not None
        assert told["error"]["code"] == UnsupportedTableError.code
        assert "where STRATIGRAPH_SPARK_REMOTE names one" in str(told["error"]["message"])
        (found,) = await services.compaction_planning.survey(
            [DatasetName(namespace=lake.namespace, name="third")], CompactionPolicy()
        )
        assert found["error"] == told["error"]
        assert found["plan"] is not None
        assert (found["plan"]["needs_compaction"], found["plan"]["total_files"]) == (True, FILES)
        with pytest.raises(UnsupportedTableError, match="format version 3"):
            await services.compaction_planning.explain(
                DatasetName(namespace=lake.namespace, name="third"), CompactionPolicy()
            )
