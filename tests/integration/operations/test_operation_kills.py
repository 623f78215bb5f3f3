"""Operations in real workers, which are killed, stopped and raced: each is done once, or fails and says of what."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from app.domain.operations import OperationStatus
from app.postgres.migrate import migrate
from app.postgres.pool import open_pool
from app.registry.operations import OperationStore
from app.registry.workers import Workers
from app.services.operations import Operations
from app.settings import Settings
from tests.integration.operations.jobs import by, ended, eventually, is_running, start
from tests.integration.operations.scripted import noted
from tests.integration.operations.workers import start_another, workers
from tests.integration.test_crashes import OwnPostgres

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url, lease_s=2.0)


async def test_what_a_killed_worker_was_at_another_one_does(
    settings: Settings, operations: Operations, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    with workers(settings, 2) as running:
        asked = await start(operations, steps=30, step_s=0.1, ledger=str(ledger))
        before = await eventually(operations, asked.operation_id, lambda found: found.progress > 0)

        # when its worker is killed in the middle
        ((_, pid),) = noted(ledger)
        (killed,) = [process for process in running if process.pid == pid]
        killed.kill()
        done = await ended(operations, asked.operation_id)

    # then the other one has begun anew, once the lease was over, and there is one result
    (other,) = [process for process in running if process.pid != pid]
    assert noted(ledger) == [("begin", pid), ("begin", other.pid), ("done", other.pid)]
    assert (done.status, done.attempts) == (OperationStatus.SUCCEEDED, 2)
    assert done.started_at is not None and before.started_at is not None and done.started_at > before.started_at
    assert await operations.result_of(done) == {"steps": 30, "by": other.pid}


async def test_many_operations_and_workers_that_are_killed_end_in_one_result_each(
    settings: Settings, operations: Operations, tmp_path: Path
) -> None:
    with workers(settings, 3) as running:
        asked = [await start(operations, steps=3, ledger=str(tmp_path / f"{n}")) for n in range(20)]
        await eventually(operations, asked[3].operation_id, lambda found: found.status.is_ended)
        running[0].kill()
        running[1].terminate()
        done = [await ended(operations, each.operation_id, timeout_s=60) for each in asked]

    assert Counter(each.status for each in done) == {OperationStatus.SUCCEEDED: 20}
    for n, operation in enumerate(done):
        notes = noted(tmp_path / f"{n}")
        assert await operations.result_of(operation) == {"steps": 3, "by": notes[-1][1]}
        assert [what for what, _ in notes].count("done") == 1


async def test_a_job_that_kills_its_workers_is_given_up_and_the_last_one_goes_on(
    settings: Settings, operations: Operations, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    with workers(settings, 4) as running:
        poison = await start(operations, steps=2, dies_at=1, ledger=str(ledger))
        harmless = await start(operations)

        done = await ended(operations, poison.operation_id, timeout_s=60)

        assert done.status is OperationStatus.FAILED
        assert done.failure is not None
        assert (done.failure.code, done.failure.fields) == ("OPERATION_ABANDONED", {"attempts": 3})
        assert (await ended(operations, harmless.operation_id)).status is OperationStatus.SUCCEEDED
        (survivor,) = [process for process in running if process.is_alive()]
        died = {process.pid for process in running} - {survivor.pid}
        assert {process.exitcode for process in running if process.pid in died} == {-signal.SIGKILL}
        assert Counter(noted(ledger)) == Counter(("begin", pid) for pid in died)


async def test_what_runs_in_a_worker_that_is_told_to_stop_another_one_does_at_once(
    settings: Settings, operations: Operations, tmp_path: Path
) -> None:
    """Sooner than the lease is over."""
    patient = settings.model_copy(update={"lease_s": 600.0})
    ledger = tmp_path / "ledger"
    with workers(patient, 1) as (stopped,):
        asked = await start(operations, steps=100, step_s=1, ledger=str(ledger))
        await eventually(operations, asked.operation_id, is_running)

        stopped.terminate()
        await asyncio.to_thread(stopped.join, 30)
        assert stopped.exitcode == 0

    assert await operations.get(asked.operation_id) == asked
    with workers(patient, 1):
        again = await eventually(operations, asked.operation_id, is_running)
        assert again.attempts == 1
        await operations.cancel(asked.operation_id, by())
        assert (await ended(operations, asked.operation_id)).status is OperationStatus.CANCELLED
    assert [what for what, _ in noted(ledger)] == ["begin", "begin"]


async def test_a_worker_that_was_paused_for_longer_than_its_lease_changes_nothing(
    settings: Settings, operations: Operations, tmp_path: Path, pool: asyncpg.Pool
) -> None:
    ledger = tmp_path / "ledger"
    with workers(settings, 1) as running:
        asked = await start(operations, steps=20, step_s=0.1, ledger=str(ledger))
        await eventually(operations, asked.operation_id, lambda found: found.progress > 0)
        (paused,) = running
        assert paused.pid is not None
        os.kill(paused.pid, signal.SIGSTOP)
        await asyncio.to_thread(start_another, settings, running)

        done = await ended(operations, asked.operation_id)
        row = await pool.fetchrow("SELECT * FROM operations")
        os.kill(paused.pid, signal.SIGCONT)
        # It finds so at its next heartbeat, and takes the next one.
        other = await start(operations)
        await ended(operations, other.operation_id)
        await asyncio.sleep(settings.lease_s)

    assert await operations.result_of(done) == {"steps": 20, "by": running[1].pid}
    assert await pool.fetchrow("SELECT * FROM operations WHERE operation_id = $1", asked.operation_id) == row


@pytest.mark.slow
async def test_postgres_killed_under_a_running_operation_is_sat_out(tmp_path: Path) -> None:
    server = OwnPostgres(tmp_path / "home")
    await migrate(server.url)
    settings = Settings(home=tmp_path / "home", database_url=server.url, lease_s=20.0)
    ledger = tmp_path / "ledger"
    try:
        with workers(settings, 1) as (worker,):
            async with await open_pool(server.url) as pool:
                operations = Operations(OperationStore(pool), Workers(pool))
                asked = await start(operations, steps=60, step_s=0.1, ledger=str(ledger))
                await eventually(operations, asked.operation_id, lambda found: found.progress > 0)
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(2)
                await asyncio.to_thread(server.restart)
                done = await ended(operations, asked.operation_id)
            assert (done.status, done.attempts) == (OperationStatus.SUCCEEDED, 1)
            assert noted(ledger) == [("begin", worker.pid), ("done", worker.pid)]
    finally:
        server.close()
