"""Asking for operations: once for a key, in pages, cancelled in time, and forgotten in the end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from app.domain.operations import OperationFailure, OperationKind, OperationStatus
from app.domain.pages import PageRequest
from app.errors import (
    BackendUnavailableError,
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    InvalidPageError,
    OperationEndedError,
    OperationNotFoundError,
)
from app.postgres.pool import open_pool
from app.registry.operation_leases import OperationLeases
from app.registry.operations import OperationStore
from app.registry.workers import Workers
from app.services.operations import Operations
from tests.integration.operations.jobs import HALF, KIND, KINDS, by, claim, start

pytestmark = pytest.mark.anyio

FAILURE = OperationFailure(code="NO_SNAPSHOT", message="There is none.", fields={"dataset": "a.b"})


async def test_what_is_asked_for_waits_with_who_asked_when_and_why(operations: Operations) -> None:
    request = {"b": 1, "a": [{"deep": "ü"}], "big": 2**63 - 1, "none": None}

    done = await operations.start(KIND, request, by("zoë", reason="to see"))

    found = await operations.get(done.operation_id)
    assert found == done
    assert (found.status, found.progress, found.attempts) == (OperationStatus.QUEUED, 0, 0)
    assert (found.requested_by.subject, found.reason, list(found.request)) == ("zoë", "to see", list(request))
    assert found.request == request
    assert (found.started_at, found.ended_at, found.failure, found.is_cancel_requested) == (None, None, None, False)
    assert await operations.result_of(found) is None


async def test_the_same_key_begins_one_operation_however_many_ask_at_once(operations: Operations) -> None:
    asked = await asyncio.gather(*(operations.start(KIND, {"n": 1}, by(key="k")) for _ in range(10)))
    other = await operations.start(KIND, {"n": 1}, by("bo", key="k"))
    without = await operations.start(KIND, {"n": 1}, by())

    assert len({operation.operation_id for operation in asked}) == 1
    assert len({asked[0].operation_id, other.operation_id, without.operation_id}) == 3
    with pytest.raises(IdempotencyKeyReusedError):
        await operations.start(KIND, {"n": 2}, by(key="k"))
    with pytest.raises(IdempotencyKeyReusedError):
        await operations.start(KIND, {"n": 1}, by(key="k", reason="another"))


@pytest.mark.parametrize(
    ("outcome", "is_the_same"), [("runs", True), ("succeeds", True), ("fails", False), ("is cancelled", False)]
)
async def test_a_key_belongs_to_what_is_under_way_or_was_done(
    operations: Operations, leases: OperationLeases, outcome: str, is_the_same: bool
) -> None:
    first = await operations.start(KIND, {}, by(key="k"))
    claimed = await claim(leases)
    if outcome == "succeeds":
        assert await leases.succeed(claimed.lease, HALF, {"rows": 3})
    elif outcome == "fails":
        assert await leases.fail(claimed.lease, HALF, FAILURE)
    elif outcome == "is cancelled":
        assert await leases.cancel(claimed.lease, HALF)

    again = await operations.start(KIND, {}, by(key="k"))

    assert (again.operation_id == first.operation_id) is is_the_same
    if outcome == "succeeds":
        assert await operations.result_of(again) == {"rows": 3}


@pytest.mark.parametrize(
    ("request_", "argument"),
    [
        ({"columns": ["a\x00b"]}, "columns"),
        ({"to": "\ud800"}, "to"),
        ({"limit": 2**64}, "limit"),
        ({"ratio": float("nan")}, "ratio"),
    ],
    ids=["NUL", "surrogate", "65 bits", "NaN"],
)
async def test_what_cannot_be_kept_is_refused(
    operations: Operations, request_: dict[str, object], argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await operations.start(KIND, request_, by())  # type: ignore[arg-type]
    assert refused.value.fields["argument"] == argument
    assert (await operations.page(PageRequest())).total == 0


async def test_pages_go_through_all_once_last_first(operations: Operations, leases: OperationLeases) -> None:
    made = [(await start(operations, n=n)).operation_id for n in range(5)]
    await claim(leases)
    seen, request = [], PageRequest(first=2)
    while True:
        page = await operations.page(request)
        assert page.total == 5
        seen += [operation.operation_id for operation in page.items]
        if not page.has_next:
            break
        request = PageRequest(first=2, after=page.cursors[-1])

    assert seen == made[::-1]
    running = await operations.page(PageRequest(), status=OperationStatus.RUNNING)
    assert ([each.operation_id for each in running.items], running.total) == (made[:1], 1)
    assert (await operations.page(PageRequest(), kind=OperationKind.ROW_DIFF)).total == 5
    for wrong in (PageRequest(last=1), PageRequest(before="x"), PageRequest(after="x")):
        with pytest.raises(InvalidPageError):
            await operations.page(wrong)


async def test_what_waits_is_cancelled_at_once_and_once(operations: Operations, leases: OperationLeases) -> None:
    asked = await start(operations)

    first = await operations.cancel(asked.operation_id, by("bo"))
    again = await operations.cancel(asked.operation_id, by("cy"))

    assert first.status is OperationStatus.CANCELLED
    assert first.ended_at is not None and first.started_at is None
    assert again == first
    assert await leases.claim(KINDS, lease_s=60, worker="test", max_attempts=3) is None


async def test_what_runs_is_told_and_what_has_ended_refuses(operations: Operations, leases: OperationLeases) -> None:
    done, failed = await start(operations), await start(operations)
    claimed = await claim(leases)

    told = await operations.cancel(done.operation_id, by())
    assert (told.status, told.is_cancel_requested, told.ended_at) == (OperationStatus.RUNNING, True, None)

    # that it is done by then counts
    assert await leases.succeed(claimed.lease, HALF, None)
    assert await leases.fail((await claim(leases)).lease, HALF, FAILURE)
    for operation, status in ((done, "SUCCEEDED"), (failed, "FAILED")):
        with pytest.raises(OperationEndedError) as refused:
            await operations.cancel(operation.operation_id, by())
        assert refused.value.fields == {"operationId": str(operation.operation_id), "operationStatus": status}
    with pytest.raises(OperationNotFoundError):
        await operations.cancel(uuid4(), by())


async def test_what_a_dead_worker_has_left_is_cancelled_at_once(
    operations: Operations, leases: OperationLeases
) -> None:
    asked = await start(operations)
    claimed = await claim(leases, lease_s=0)

    assert (await operations.cancel(asked.operation_id, by())).status is OperationStatus.CANCELLED
    assert not await leases.succeed(claimed.lease, HALF, "late")
    assert await operations.result_of(await operations.get(asked.operation_id)) is None


async def test_only_what_ended_long_ago_is_forgotten(
    operations: Operations, leases: OperationLeases, store: OperationStore, pool: asyncpg.Pool
) -> None:
    old, fresh, runs, waits = [await start(operations, n=n) for n in range(4)]
    for _ in range(2):
        await leases.succeed((await claim(leases)).lease, HALF, [1])
    await claim(leases)
    await pool.execute("UPDATE operations SET requested_at = requested_at - $1::interval", timedelta(days=400))
    await pool.execute(
        "UPDATE operations SET ended_at = ended_at - $1::interval WHERE operation_id = $2",
        timedelta(days=31),
        old.operation_id,
    )

    assert await store.forget_ended(30) == 1
    assert await store.forget_ended(30) == 0

    with pytest.raises(OperationNotFoundError):
        await operations.get(old.operation_id)
    assert {each.operation_id for each in (await operations.page(PageRequest())).items} == {
        each.operation_id for each in (fresh, runs, waits)
    }


async def test_without_postgres_every_call_is_one_error(database_url: str) -> None:
    pool = await open_pool(database_url)
    store, leases = OperationStore(pool), OperationLeases(pool)
    operations = Operations(store, Workers(pool))
    await pool.close()

    for call in (
        operations.start(KIND, {}, by()),
        operations.get(uuid4()),
        operations.find_results([uuid4()]),
        operations.page(PageRequest()),
        operations.cancel(uuid4(), by()),
        operations.is_attended(),
        store.forget_ended(1),
        leases.claim(KINDS, lease_s=1, worker="test", max_attempts=3),
        leases.give_up(max_attempts=3, failure=FAILURE),
    ):
        with pytest.raises(BackendUnavailableError):
            await call
