"""Operations that shall not go on: cancelled, given back, taken over, and without Postgres."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from anyio import to_thread

from app.domain.operations import Operation, OperationCancelledError, OperationStatus
from app.errors import BackendUnavailableError
from app.registry.operation_leases import LeaseState, OperationLeases
from app.registry.operations import OperationStore
from app.services.operation_handlers import Progress
from app.services.operations import Operations
from app.settings import Settings
from tests.integration.operations.benches import Bench, for_ever
from tests.integration.operations.jobs import KIND, by, claim, ended, eventually, is_running, start

pytestmark = pytest.mark.anyio


async def test_what_is_cancelled_before_it_begins_never_does(bench: Bench, operations: Operations) -> None:
    begun: list[object] = []

    async def work(request: Mapping[str, Any], progress: Progress) -> None:
        begun.append(request["n"])

    asked = await start(operations, n=1)
    await operations.cancel(asked.operation_id, by())
    bench.begin(work)
    await ended(operations, (await start(operations, n=2)).operation_id)

    assert begun == [2]


async def test_a_task_that_is_cancelled_ends_and_may_tidy_up(bench: Bench, operations: Operations) -> None:
    tidied = []

    async def work(request: Mapping[str, Any], progress: Progress) -> None:
        try:
            await for_ever(request, progress)
        finally:
            tidied.append(True)

    bench.begin(work)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, is_running)

    told = await operations.cancel(asked.operation_id, by())
    done = await ended(operations, asked.operation_id)

    assert told.status is OperationStatus.RUNNING
    assert (done.status, done.failure, done.progress, tidied) == (OperationStatus.CANCELLED, None, 0.5, [True])


async def test_a_thread_hears_of_its_cancellation_by_its_progress(bench: Bench, operations: Operations) -> None:
    ended_with: list[BaseException] = []

    def grind(progress: Progress) -> None:
        try:
            for step in range(10_000):
                progress.report(step / 10_000)
                time.sleep(0.01)
        except OperationCancelledError as error:
            ended_with.append(error)
            raise

    async def work(request: Mapping[str, Any], progress: Progress) -> None:
        await to_thread.run_sync(grind, progress)  # which waits for the thread, also where it is cancelled

    bench.begin(work)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, lambda found: found.progress > 0)
    await operations.cancel(asked.operation_id, by())

    assert (await ended(operations, asked.operation_id)).status is OperationStatus.CANCELLED
    # One whose lease ran out in this very moment, on a slow machine, is cancelled before its thread hears of it.
    async with asyncio.timeout(60):
        while not ended_with:  # noqa: ASYNC110  (what is waited for happens in a thread that knows of no loop)
            await asyncio.sleep(0.01)
    assert len(ended_with) == 1


async def test_what_is_done_before_it_hears_of_its_cancellation_has_succeeded(
    bench: Bench, operations: Operations
) -> None:
    async def work(request: Mapping[str, Any], progress: Progress) -> str:
        try:
            await for_ever(request, progress)
        except asyncio.CancelledError:
            return "all the same"

    bench.begin(work)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, is_running)
    await operations.cancel(asked.operation_id, by())

    done = await ended(operations, asked.operation_id)
    assert (done.status, await operations.result_of(done)) == (OperationStatus.SUCCEEDED, "all the same")


async def test_whatever_a_handler_makes_of_its_cancellation_it_is_cancelled(
    bench: Bench, operations: Operations, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(request: Mapping[str, Any], progress: Progress) -> None:
        try:
            await for_ever(request, progress)
        except asyncio.CancelledError as error:
            raise RuntimeError("the connection is closed") from error

    bench.begin(work)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, is_running)
    await operations.cancel(asked.operation_id, by())

    assert (await ended(operations, asked.operation_id)).status is OperationStatus.CANCELLED
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_one_that_is_slow_to_stop_is_nobody_elses_until_it_has(
    bench: Bench, operations: Operations, leases: OperationLeases, settings: Settings
) -> None:
    """Longer than its lease, which the heartbeat goes on to renew."""
    release = threading.Event()

    async def work(request: Mapping[str, Any], progress: Progress) -> None:
        try:
            await for_ever(request, progress)
        finally:
            await asyncio.shield(asyncio.to_thread(release.wait, 20))

    bench.begin(work)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, is_running)
    bench.stop.set()
    deadline = time.monotonic() + 3 * settings.lease_s
    try:
        while time.monotonic() < deadline:
            assert await leases.claim([KIND], lease_s=60, worker="another", max_attempts=3) is None
            await asyncio.sleep(0.1)
    finally:
        release.set()
    await bench.end()

    assert await operations.get(asked.operation_id) == asked


async def test_what_runs_when_the_worker_is_told_to_stop_is_given_back_at_once(
    bench: Bench, operations: Operations, leases: OperationLeases
) -> None:
    bench.begin(for_ever)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, is_running)

    await bench.end()

    assert await operations.get(asked.operation_id) == asked
    assert (await claim(leases)).operation.attempts == 1


async def test_the_handler_of_one_that_was_taken_over_is_ended_and_counts_for_nothing(
    bench: Bench,
    operations: Operations,
    leases: OperationLeases,
    pool: asyncpg.Pool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    was_ended = asyncio.Event()

    async def work(request: Mapping[str, Any], progress: Progress) -> None:
        try:
            await for_ever(request, progress)
        finally:
            was_ended.set()

    bench.begin(work)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, is_running)

    # when somebody else holds it, as after a pause of this process
    lease_id = "00000000-0000-4000-8000-000000000001"
    await pool.execute("UPDATE operations SET lease_id = $1, lease_until = now() + interval '1 minute'", lease_id)
    async with asyncio.timeout(10):
        await was_ended.wait()
    await bench.end()

    found = await operations.get(asked.operation_id)
    assert (found.status, found.attempts) == (OperationStatus.RUNNING, 1)
    assert any("another worker's now" in record.getMessage() for record in caplog.records)


async def test_a_pause_that_nobody_used_to_take_it_over_changes_nothing(
    bench: Bench, operations: Operations, settings: Settings
) -> None:
    async def work(request: Mapping[str, Any], progress: Progress) -> str:
        time.sleep(2 * settings.lease_s)  # noqa: ASYNC251  as a process that was stopped, its heartbeat included
        await asyncio.sleep(settings.lease_s)
        return "done"

    bench.begin(work)
    done = await ended(operations, (await start(operations)).operation_id)

    assert (done.status, done.attempts, await operations.result_of(done)) == (OperationStatus.SUCCEEDED, 1, "done")


class Away(OperationLeases):
    """Leases in a Postgres that is away while `is_away` is set."""

    is_away = False
    refused = 0

    async def renew(self, *arguments: Any, **named: Any) -> LeaseState:
        self._check()
        return await super().renew(*arguments, **named)

    async def succeed(self, *arguments: Any) -> bool:
        self._check()
        return await super().succeed(*arguments)

    async def give_back(self, *arguments: Any) -> bool:
        self._check()
        return await super().give_back(*arguments)

    def _check(self) -> None:
        if self.is_away:
            self.refused += 1
            raise BackendUnavailableError("postgres", "it restarts")


@pytest.fixture
def away(pool: asyncpg.Pool) -> Away:
    return Away(pool)


async def test_an_outage_shorter_than_the_lease_is_sat_out(
    store: OperationStore, away: Away, settings: Settings, operations: Operations
) -> None:
    bench = Bench(store, away, settings.model_copy(update={"lease_s": 60.0}))
    go_on = asyncio.Event()

    async def work(request: Mapping[str, Any], progress: Progress) -> str:
        await go_on.wait()
        return "done"

    bench.begin(work)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, is_running)
    away.is_away = True
    async with asyncio.timeout(50):
        while away.refused < 2:  # noqa: ASYNC110  (heartbeats come when they come)
            await asyncio.sleep(0.01)
    away.is_away = False
    go_on.set()

    done = await ended(operations, asked.operation_id)
    await bench.end()
    assert (done.status, done.attempts, await operations.result_of(done)) == (OperationStatus.SUCCEEDED, 1, "done")


async def test_an_outage_longer_than_the_lease_ends_the_handler_and_counts_as_no_death(
    store: OperationStore, away: Away, settings: Settings, operations: Operations
) -> None:
    bench = Bench(store, away, settings)
    begun = 0

    async def work(request: Mapping[str, Any], progress: Progress) -> str:
        nonlocal begun
        begun += 1
        if begun == 1:
            away.is_away = True
            await asyncio.Event().wait()
        return "done"

    bench.begin(work)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, is_running)
    await asyncio.sleep(2 * settings.lease_s)
    assert (await operations.get(asked.operation_id)).status is OperationStatus.RUNNING  # nobody could write of it
    away.is_away = False

    done = await ended(operations, asked.operation_id)
    await bench.end()
    assert (done.status, done.attempts, begun) == (OperationStatus.SUCCEEDED, 1, 2)


async def test_a_result_is_written_once_postgres_is_back(
    store: OperationStore, away: Away, settings: Settings, operations: Operations
) -> None:
    bench = Bench(store, away, settings.model_copy(update={"lease_s": 60.0}))
    begun = 0

    async def work(request: Mapping[str, Any], progress: Progress) -> str:
        nonlocal begun
        begun += 1
        away.is_away = True
        return "done"

    bench.begin(work)
    asked = await start(operations)
    await eventually(operations, asked.operation_id, is_running)
    await asyncio.sleep(1)
    away.is_away = False

    done: Operation = await ended(operations, asked.operation_id)
    await bench.end()
    assert (done.status, await operations.result_of(done), begun) == (OperationStatus.SUCCEEDED, "done", 1)
