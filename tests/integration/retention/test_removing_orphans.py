"""Removing orphans as an operation: begun now, done by a worker, cancelled, killed and begun again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

import app.services.orphans
from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Change, ChangeKind, Command
from app.domain.names import DatasetName
from app.domain.operations import Operation, OperationKind, OperationStatus
from app.domain.pages import PageRequest
from app.errors import DatasetNotFoundError, UnsupportedTableError
from app.registry.operation_leases import LeaseState
from app.services.operation_runner import OperationRunner
from app.services.orphans import OrphanAge
from app.settings import Settings
from tests.integration.operations.jobs import ended
from tests.integration.races.dying import die
from tests.integration.races.workers import CONTEXT
from tests.lake_tables import open_catalog
from tests.unit.lake.expire.histories import append, create
from tests.unit.lake.expire.naive import on_disk, reached

pytestmark = pytest.mark.anyio

NAME = DatasetName(namespace="left", name="events")
COMMAND = Command(actor=Actor(subject="maria"), reason="monthly")
OLD_S = 5 * 86_400
COUNT, BATCH = 10, 3


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    # So that an operation whose worker was killed is soon taken over.
    return Settings(home=tmp_path / "home", database_url=database_url, lease_s=2.0)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with open_catalog(settings) as opened:
        yield opened


@pytest.fixture
def table(catalog: Catalog) -> Table:
    """With files that a writer has left, and one of this very moment."""
    made = create(catalog, str(NAME))
    append(made, 1)
    then = time.time() - OLD_S
    for number in range(COUNT):
        path = data_of(made) / f"old {number}.parquet"
        path.write_bytes(b"x" * 10)
        os.utime(path, (then, then))
    (data_of(made) / "young.parquet").write_bytes(b"x")
    return made


@pytest.fixture
async def services(settings: Settings, table: Table) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened


def data_of(table: Table) -> Path:
    return Path(table.location().removeprefix("file://")) / "data"


def left_in(table: Table) -> int:
    return len(list(data_of(table).glob("old *.parquet")))


async def start(services: Services, *, is_dry_run: bool = False) -> Operation:
    return await services.orphan_operations.start(NAME, OrphanAge(), COMMAND, is_dry_run=is_dry_run)


async def result_of(services: Services, operation: Operation) -> Any:
    done = await ended(services.operations, operation.operation_id)
    assert (done.kind, done.status) == (OperationKind.ORPHANS, OperationStatus.SUCCEEDED), done.failure
    return await services.operations.result_of(done)


async def removals_of(services: Services, table: Table) -> list[Change]:
    page = await services.datasets.changes_page(PageRequest(), table_uuid=table.metadata.table_uuid)
    return [change for change in page.items if change.kind is ChangeKind.ORPHANS_REMOVED]


async def test_a_dry_run_tells_and_the_other_removes_and_is_recorded(services: Services, table: Table) -> None:
    dry = await start(services, is_dry_run=True)
    await services.operation_runner.run_next(asyncio.Event())
    told = await result_of(services, dry)
    assert (told["dry_run"], told["orphans"], told["young"], told["removed"]) == (True, {"ORPHAN": COUNT}, 1, 0)
    assert (left_in(table), await removals_of(services, table)) == (COUNT, [])

    operation = await start(services)
    await services.operation_runner.run_next(asyncio.Event())
    done = await result_of(services, operation)

    assert (done["dry_run"], done["removed"], done["removed_bytes"], done["left"]) == (False, COUNT, 10 * COUNT, 0)
    assert on_disk(table) == reached(table) | {data_of(table) / "young.parquet"}
    (change,) = await removals_of(services, table)
    assert (change.actor, change.reason) == (COMMAND.actor, COMMAND.reason)
    assert change.details == {
        "files": COUNT,
        "bytes": str(10 * COUNT),
        "left": 0,
        "operationId": str(operation.operation_id),
    }


@pytest.mark.parametrize("value", ["false", "FALSE ", "no", ""])
async def test_what_may_not_be_removed_is_refused_before_it_waits(services: Services, table: Table, value: str) -> None:
    with table.transaction() as change:
        change.set_properties({"gc.enabled": value})

    with pytest.raises(UnsupportedTableError):
        await start(services)

    assert (await services.operations.page(PageRequest())).total == 0


@pytest.mark.parametrize("case", ["its files are another's now", "another table has the name"])
async def test_what_changes_while_it_is_looked_at_ends_the_removal(
    services: Services, table: Table, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    find_orphans = services.lake.find_orphans

    async def changed(*arguments: Any) -> Any:
        found = await find_orphans(*arguments)
        if case == "another table has the name":
            catalog.rename_table(str(NAME), "left.before")
            create(catalog, str(NAME))
        else:
            with catalog.load_table(str(NAME)).transaction() as change:
                change.set_properties({"gc.enabled": "false"})
        return found

    monkeypatch.setattr(services.lake, "find_orphans", changed)

    with pytest.raises((UnsupportedTableError, DatasetNotFoundError)):
        await services.orphans.remove(NAME, COMMAND, OrphanAge())

    assert left_in(table) == COUNT


async def test_one_that_is_cancelled_stops_after_a_batch_and_tells_what_it_did(
    services: Services, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a removal that is cancelled while its first batch is deleted
    monkeypatch.setattr(app.services.orphans, "BATCH_FILES", BATCH)
    operation = await start(services)
    delete_files, leases = services.lake.delete_files, services.operation_runner._leases
    renew, heard = leases.renew, asyncio.Event()

    async def listened(*arguments: Any, **named: Any) -> LeaseState:
        state = await renew(*arguments, **named)
        if state is LeaseState.CANCEL_REQUESTED:
            heard.set()
        return state

    async def cancelled(*arguments: Any) -> Any:
        await services.operations.cancel(operation.operation_id, COMMAND)
        # Until its worker has heard of it.
        async with asyncio.timeout(60):
            await heard.wait()
        return await delete_files(*arguments)

    monkeypatch.setattr(leases, "renew", listened)

    monkeypatch.setattr(services.lake, "delete_files", cancelled)
    await services.operation_runner.run_next(asyncio.Event())

    # Then that batch is gone, and recorded
    done = await ended(services.operations, operation.operation_id)
    assert done.status is OperationStatus.CANCELLED
    assert left_in(table) == COUNT - BATCH
    (change,) = await removals_of(services, table)
    assert change.details["files"] == BATCH

    # And the next one has the others
    monkeypatch.setattr(services.lake, "delete_files", delete_files)
    again = await start(services)
    await services.operation_runner.run_next(asyncio.Event())
    assert (await result_of(services, again))["removed"] == COUNT - BATCH


async def test_one_whose_worker_is_killed_is_done_by_the_next(
    settings: Settings, services: Services, table: Table
) -> None:
    # Given a worker that is killed after its first batch
    operation = await start(services)
    process = CONTEXT.Process(target=_work_and_die, args=(settings,), daemon=True)
    process.start()
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode == -signal.SIGKILL
    assert left_in(table) == COUNT - BATCH

    # When another one is there
    stop = asyncio.Event()
    runner: OperationRunner = services.operation_runner
    running = asyncio.create_task(runner.run(stop))
    done = await result_of(services, operation)
    stop.set()
    await running

    # Then it has removed the others, and nothing else
    assert done["removed"] == COUNT - BATCH
    assert (await services.operations.get(operation.operation_id)).attempts == 2
    assert on_disk(table) == reached(table) | {data_of(table) / "young.parquet"}


async def test_a_table_has_one_removal_or_expiry_at_a_time(
    settings: Settings, services: Services, table: Table
) -> None:
    async with services.retention._locked_run(table.metadata.table_uuid):
        operation = await start(services)
        running = asyncio.create_task(services.operation_runner.run_next(asyncio.Event()))
        async with asyncio.timeout(60):
            while (await services.operations.get(operation.operation_id)).status is OperationStatus.QUEUED:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        # Time to do something wrong in
        await asyncio.sleep(0.3)
        assert left_in(table) == COUNT
        assert (await services.operations.get(operation.operation_id)).status is OperationStatus.RUNNING
    await running
    assert (await result_of(services, operation))["removed"] == COUNT


def _work_and_die(settings: Settings) -> None:
    app.services.orphans.BATCH_FILES = BATCH

    async def run() -> None:
        async with open_services(settings) as services:
            delete_files = services.lake.delete_files

            async def delete_and_die(*arguments: Any) -> None:
                await delete_files(*arguments)
                die()

            services.lake.delete_files = delete_and_die  # type: ignore[method-assign,assignment]
            await services.operation_runner.run_next(asyncio.Event())

    asyncio.run(run())
