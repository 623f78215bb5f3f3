"""Claiming operations: each is one worker's, and who lost it writes nothing any more."""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg
import pytest

from app.domain.operations import OPEN, OperationFailure, OperationStatus, Standing
from app.errors import BackendUnavailableError, OperationAbandonedError
from app.registry.operation_leases import Lease, LeaseState, OperationLeases
from app.services.operations import Operations
from tests.integration.operations.jobs import HALF, KINDS, READING, by, claim, start
from tests.integration.races.workers import CONTEXT

pytestmark = pytest.mark.anyio

FAILURE = OperationFailure.of(OperationAbandonedError(3))
OPERATIONS, CLAIMERS = 60, 6


async def renew(leases: OperationLeases, lease: Lease, standing: Standing = HALF) -> LeaseState:
    return await leases.renew(lease, standing, lease_s=60, timeout_s=10)


async def test_the_one_that_waits_longest_is_claimed_and_nobody_else_gets_it(
    operations: Operations, leases: OperationLeases
) -> None:
    first, second = await start(operations, n=1), await start(operations, n=2)

    claimed = [await claim(leases), await claim(leases)]

    assert [each.operation.operation_id for each in claimed] == [first.operation_id, second.operation_id]
    assert claimed[0].operation.request == {"n": 1}
    assert await leases.claim(KINDS, lease_s=60, worker="test", max_attempts=3) is None
    found = await operations.get(first.operation_id)
    assert (found.status, found.attempts) == (OperationStatus.RUNNING, 1)
    assert found.started_at is not None and found.started_at >= found.requested_at


async def test_kinds_without_a_handler_are_left_to_others(operations: Operations, leases: OperationLeases) -> None:
    await start(operations)

    assert await leases.claim([], lease_s=60, worker="test", max_attempts=3) is None
    assert await leases.claim(KINDS, lease_s=60, worker="test", max_attempts=3) is not None


def claim_all(url: str, begin: object, claimed: object) -> None:
    """Claim what can be claimed, in a process of its own."""

    async def run() -> None:
        from app.postgres.pool import open_pool

        async with await open_pool(url, min_size=1) as pool:
            leases = OperationLeases(pool)
            claimed.put(None)  # type: ignore[attr-defined]
            await asyncio.to_thread(begin.wait)  # type: ignore[attr-defined]
            found = []
            while (one := await leases.claim(KINDS, lease_s=60, worker="test", max_attempts=3)) is not None:
                found.append(str(one.operation.operation_id))
            claimed.put(found)  # type: ignore[attr-defined]

    asyncio.run(run())


async def test_processes_that_claim_at_once_get_each_operation_once(operations: Operations, database_url: str) -> None:
    # given more operations than claimers, and claimers that wait for each other
    made = [str((await start(operations, n=n)).operation_id) for n in range(OPERATIONS)]
    begin, claimed = CONTEXT.Event(), CONTEXT.Queue()
    processes = [CONTEXT.Process(target=claim_all, args=(database_url, begin, claimed)) for _ in range(CLAIMERS)]
    for process in processes:
        process.start()
    for _ in processes:
        await asyncio.to_thread(claimed.get, timeout=60)

    # when
    begin.set()
    found = [await asyncio.to_thread(claimed.get, timeout=60) for _ in processes]
    for process in processes:
        await asyncio.to_thread(process.join, 60)

    # then
    assert [process.exitcode for process in processes] == [0] * CLAIMERS
    assert Counter(one for of_one in found for one in of_one) == Counter(made)
    assert sum(bool(of_one) for of_one in found) > 1, "they did not claim at once"


async def test_one_operation_that_all_claim_at_once_is_one_workers(
    operations: Operations, leases: OperationLeases
) -> None:
    for _ in range(20):
        asked = await start(operations)
        found = await asyncio.gather(
            *(leases.claim(KINDS, lease_s=60, worker=str(n), max_attempts=3) for n in range(10))
        )
        (one,) = [each for each in found if each is not None]
        assert one.operation.operation_id == asked.operation_id
        assert (await operations.get(asked.operation_id)).attempts == 1


async def test_progress_is_seen_while_it_runs(operations: Operations, leases: OperationLeases) -> None:
    asked = await start(operations)
    claimed = await claim(leases)

    assert await renew(leases, claimed.lease) is LeaseState.KEPT

    found = await operations.get(asked.operation_id)
    assert (found.progress, found.message) == (0.5, "half")
    await operations.cancel(asked.operation_id, by())
    assert await renew(leases, claimed.lease) is LeaseState.CANCEL_REQUESTED


async def test_who_lost_the_lease_writes_nothing(operations: Operations, leases: OperationLeases) -> None:
    # given a worker that hangs for longer than its lease, and another that took over
    asked = await start(operations)
    late = await claim(leases, lease_s=0)
    owner = await claim(leases)
    assert owner.operation.operation_id == asked.operation_id
    assert await renew(leases, owner.lease, READING) is LeaseState.KEPT

    # when it wakes
    assert await renew(leases, late.lease) is LeaseState.LOST
    for write in (
        leases.succeed(late.lease, HALF, "wrong"),
        leases.fail(late.lease, HALF, FAILURE),
        leases.cancel(late.lease, HALF),
        leases.give_back(late.lease),
    ):
        assert not await write

    # then what the owner wrote stays, and its result is the only one
    found = await operations.get(asked.operation_id)
    assert (found.status, found.progress, found.attempts) == (OperationStatus.RUNNING, 0.25, 2)
    assert await leases.succeed(owner.lease, HALF, "right")
    assert not await leases.succeed(late.lease, HALF, "wrong")
    assert not await leases.succeed(owner.lease, HALF, "twice")
    found = await operations.get(asked.operation_id)
    assert (found.status, found.progress) == (OperationStatus.SUCCEEDED, 1)
    assert await operations.result_of(found) == "right"


async def test_a_lease_that_is_over_and_nobodys_else_can_be_renewed(
    operations: Operations, leases: OperationLeases
) -> None:
    await start(operations)
    claimed = await claim(leases, lease_s=0)

    assert await renew(leases, claimed.lease) is LeaseState.KEPT
    assert await leases.claim(KINDS, lease_s=60, worker="test", max_attempts=3) is None


async def test_what_is_given_back_waits_as_if_it_had_not_begun(operations: Operations, leases: OperationLeases) -> None:
    asked = await start(operations)
    for _ in range(5):
        claimed = await claim(leases, max_attempts=1)
        await renew(leases, claimed.lease)
        assert await leases.give_back(claimed.lease)

        assert await operations.get(asked.operation_id) == asked


async def test_what_is_to_be_cancelled_and_given_back_is_cancelled(
    operations: Operations, leases: OperationLeases
) -> None:
    asked = await start(operations)
    claimed = await claim(leases)
    await operations.cancel(asked.operation_id, by())

    assert await leases.give_back(claimed.lease)

    assert (await operations.get(asked.operation_id)).status is OperationStatus.CANCELLED


async def test_what_its_workers_die_of_is_given_up(operations: Operations, leases: OperationLeases) -> None:
    asked = await start(operations)
    other = await start(operations)
    for attempt in range(1, 4):
        assert await leases.give_up(max_attempts=3, failure=FAILURE) == []
        assert (await claim(leases, lease_s=0)).operation.attempts == attempt
    # the one that waits is next, and not it a fourth time
    assert (await claim(leases)).operation.operation_id == other.operation_id

    (given_up,) = await leases.give_up(max_attempts=3, failure=FAILURE)

    assert given_up == await operations.get(asked.operation_id)
    assert given_up.status is OperationStatus.FAILED
    assert given_up.failure is not None
    assert given_up.failure.code == "OPERATION_ABANDONED"
    assert given_up.failure.fields == {"attempts": 3}
    assert "3 workers" in given_up.failure.message
    assert await leases.give_up(max_attempts=3, failure=FAILURE) == []


async def test_what_was_to_be_cancelled_when_its_worker_died_is_not_taken_over(
    operations: Operations, leases: OperationLeases, pool: asyncpg.Pool
) -> None:
    asked = await start(operations)
    await claim(leases)
    await operations.cancel(asked.operation_id, by())
    await pool.execute("UPDATE operations SET lease_until = clock_timestamp()")

    assert await leases.claim(KINDS, lease_s=60, worker="test", max_attempts=3) is None
    (given_up,) = await leases.give_up(max_attempts=3, failure=FAILURE)
    assert (given_up.status, given_up.failure) == (OperationStatus.CANCELLED, None)


async def test_a_heartbeat_that_is_not_answered_is_an_outage(
    operations: Operations, leases: OperationLeases, pool: asyncpg.Pool
) -> None:
    await start(operations)
    claimed = await claim(leases)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM operations FOR UPDATE")
        with pytest.raises(BackendUnavailableError):
            await leases.renew(claimed.lease, HALF, lease_s=60, timeout_s=0.1)

    assert await renew(leases, claimed.lease) is LeaseState.KEPT


@pytest.mark.parametrize("status", [status for status in OperationStatus if status not in OPEN])
async def test_the_table_itself_refuses_what_cannot_be(
    operations: Operations, pool: asyncpg.Pool, status: OperationStatus
) -> None:
    await start(operations)
    for nonsense in (
        f"status = '{status}'",  # without an end
        "status = 'RUNNING'",  # without a lease
        "status = 'DREAMING'",
        "progress = 1.5",
        "progress = 'NaN'",
        "result = '1'",
        "attempts = -1",
        "ended_at = now()",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute(f"UPDATE operations SET {nonsense}")
