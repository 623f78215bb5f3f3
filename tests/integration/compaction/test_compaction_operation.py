"""Compaction as an operation: begun now, done by a worker, cancelled, killed and begun again."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

import app.lake.compact.jobs
import app.lake.compact.running
from app.bootstrap import Services, open_services
from app.domain.operations import Operation, OperationKind, OperationStatus
from app.domain.pages import PageRequest
from app.errors import InvalidArgumentError, MissingFileError
from app.services.compaction.operations import CompactionOverrides
from app.services.operation_runner import OperationRunner
from app.services.retention_sweeps import Chosen
from app.settings import Settings
from tests.integration.compaction.tables import (
    COMMAND,
    NAME,
    changes_of,
    create,
    ids_of,
    next_operation,
    on_disk,
    reached,
)
from tests.integration.operations.jobs import ended
from tests.integration.races.dying import die
from tests.integration.races.workers import CONTEXT

pytestmark = pytest.mark.anyio


async def start(
    services: Services, *, is_dry_run: bool = False, overrides: CompactionOverrides | None = None
) -> Operation:
    return await services.compaction_operations.start(
        Chosen(dataset=NAME), overrides or CompactionOverrides(), COMMAND, is_dry_run=is_dry_run
    )


async def result_of(services: Services, operation: Operation) -> Any:
    done = await ended(services.operations, operation.operation_id)
    assert (done.kind, done.status) == (OperationKind.COMPACTION, OperationStatus.SUCCEEDED), done.failure
    return await services.operations.result_of(done)


async def test_a_dry_run_tells_and_the_other_compacts_and_is_recorded(services: Services, catalog: Catalog) -> None:
    table = create(catalog)
    dry = await start(services, is_dry_run=True)
    await next_operation(services)
    (told,) = (await result_of(services, dry))["tables"]
    assert (told["dry_run"], told["files_before"], told["files_after"]) == (True, 12, 1)
    assert len(table.refresh().inspect.files()) == 12

    operation = await start(services)
    await next_operation(services)
    done = await result_of(services, operation)

    assert (done["files_before"], done["files_after"]) == (12, 1)
    (change,) = await changes_of(services, table)
    assert (change.actor, change.reason) == (COMMAND.actor, COMMAND.reason)
    assert change.details["operationId"] == str(operation.operation_id)


async def test_what_cannot_be_is_refused_before_it_waits(services: Services, catalog: Catalog) -> None:
    create(catalog)

    with pytest.raises(InvalidArgumentError) as refused:
        await start(services, overrides=CompactionOverrides(target_file_size_mb=5))

    assert refused.value.fields["argument"] == "minFileSizeMb"
    assert (await services.operations.page(PageRequest())).total == 0


async def test_the_failure_of_one_table_is_that_of_its_operation(services: Services, catalog: Catalog) -> None:
    table = create(catalog)
    min(on_disk(table)).unlink()

    operation = await start(services)
    await next_operation(services)

    done = await ended(services.operations, operation.operation_id)
    assert done.status is OperationStatus.FAILED
    assert done.failure is not None
    assert done.failure.code == MissingFileError.code


async def test_one_that_is_cancelled_keeps_the_bins_that_are_made(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run of one bin at a time that is cancelled while its first one is made
    table = create(catalog, parts=3)
    rows = ids_of(table)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    operation = await start(services)
    loop, make = asyncio.get_running_loop(), app.lake.compact.jobs.BinMaker.__call__

    def cancelled(maker: Any, *arguments: Any) -> Any:
        cancelling = asyncio.run_coroutine_threadsafe(services.operations.cancel(operation.operation_id, COMMAND), loop)
        cancelling.result(30)
        # Until the worker has heard of it.
        while not arguments[-1]():
            time.sleep(0.05)
        return make(maker, *arguments[:-1], lambda: False)

    monkeypatch.setattr(app.lake.compact.jobs.BinMaker, "__call__", cancelled)
    await next_operation(services)

    # Then that bin is in the table and recorded, and nothing lies about
    done = await ended(services.operations, operation.operation_id)
    assert done.status is OperationStatus.CANCELLED
    table.refresh()
    assert len(table.inspect.files()) == 2 * 12 + 1
    assert ids_of(table) == rows
    assert on_disk(table) == reached(table)
    (change,) = await changes_of(services, table)
    assert (change.details["filesBefore"], change.details["filesAfter"]) == ("12", "1")

    # And the next one has the others
    monkeypatch.setattr(app.lake.compact.jobs.BinMaker, "__call__", make)
    again = await start(services)
    await next_operation(services)
    assert (await result_of(services, again))["files_after"] == 3


async def test_one_whose_worker_is_killed_is_done_by_the_next(
    settings: Settings, services: Services, catalog: Catalog
) -> None:
    # Given a worker that is killed after its first commit
    table = create(catalog, parts=3)
    rows = ids_of(table)
    operation = await start(services)
    process = CONTEXT.Process(target=_work_and_die, args=(settings,), daemon=True)
    process.start()
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode == -signal.SIGKILL
    assert len(table.refresh().inspect.files()) == 2 * 12 + 1

    # When another one is there
    stop = asyncio.Event()
    runner: OperationRunner = services.operation_runner
    running = asyncio.create_task(runner.run(stop))
    try:
        done = await result_of(services, operation)
    finally:
        stop.set()
        await running

    # Then it has done the others, and both are recorded as of this operation
    assert (done["files_before"], done["files_after"]) == (25, 3)
    assert (await services.operations.get(operation.operation_id)).attempts == 2
    assert ids_of(table.refresh()) == rows
    changes = await changes_of(services, table)
    assert [change.details["operationId"] for change in changes] == [str(operation.operation_id)] * 2


async def test_a_table_has_one_compaction_at_a_time(services: Services, catalog: Catalog) -> None:
    table = create(catalog)
    async with services.compaction_sweeps._compaction._locked(table.metadata.table_uuid):
        operation = await start(services)
        running = asyncio.create_task(next_operation(services))
        waiting = (await services.operations.get(operation.operation_id)).status
        while waiting is OperationStatus.QUEUED:
            await asyncio.sleep(0.05)
            waiting = (await services.operations.get(operation.operation_id)).status
        assert waiting is OperationStatus.RUNNING
        assert len(table.refresh().inspect.files()) == 12
    await running
    assert (await result_of(services, operation))["files_after"] == 1


def _work_and_die(settings: Settings) -> None:
    app.lake.compact.running._GROUP_BYTES = 0

    async def run() -> None:
        async with open_services(settings) as services:
            catalog: Any = services.lake._catalog
            commit = catalog.commit_table

            def commit_and_die(*arguments: Any, **named: Any) -> None:
                commit(*arguments, **named)
                die()

            catalog.commit_table = commit_and_die
            await services.operation_runner.run_next(asyncio.Event())

    asyncio.run(run())
