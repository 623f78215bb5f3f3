"""Running operations: what their handlers answer and raise, and how many run at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from app.domain.operations import OperationCancelledError, OperationKind, OperationStatus
from app.errors import DatasetNotFoundError, JsonValue, LineageUnavailableError
from app.registry.operation_leases import OperationLeases
from app.registry.operations import OperationStore
from app.services.operation_handlers import Progress
from app.services.operations import Operations
from app.settings import Settings
from tests.integration.operations.benches import Bench, Work
from tests.integration.operations.jobs import KIND, by, ended, eventually, start
from tests.integration.operations.scripted import Scripted

pytestmark = pytest.mark.anyio


async def test_a_job_is_done_and_what_came_of_it_is_kept(bench: Bench, operations: Operations) -> None:
    bench.begin(Scripted().run)
    asked = await start(operations, steps=3, step_s=0.3)

    half_way = await eventually(operations, asked.operation_id, lambda found: 0 < found.progress < 1)
    done = await ended(operations, asked.operation_id)

    assert half_way.status is OperationStatus.RUNNING
    assert half_way.message == f"step {round(half_way.progress * 3)} of 3"
    assert (done.status, done.progress, done.attempts, done.failure) == (OperationStatus.SUCCEEDED, 1, 1, None)
    assert done.message == "step 3 of 3"
    assert done.started_at is not None and done.ended_at is not None and done.ended_at > done.started_at
    result = await operations.result_of(done)
    assert isinstance(result, dict) and result["steps"] == 3


@pytest.mark.parametrize(
    "value", [None, 0, "", [], {"z": 1, "a": {"NaN": "NaN"}}, "ü" * 100_000, [1.5, -0.0, 2**63 - 1]], ids=str
)
async def test_a_result_comes_back_as_it_was(bench: Bench, operations: Operations, value: JsonValue) -> None:
    async def work(request: Mapping[str, Any], progress: Progress) -> JsonValue:
        return value

    bench.begin(work)
    done = await ended(operations, (await start(operations)).operation_id)

    found = await operations.result_of(done)
    assert (done.status, repr(found)) == (OperationStatus.SUCCEEDED, repr(value))


async def test_an_expected_error_is_told(
    bench: Bench, operations: Operations, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(request: Mapping[str, Any], progress: Progress) -> None:
        progress.report(0.25, "looking")
        raise DatasetNotFoundError("a.b", ["a.c"])

    bench.begin(work)
    done = await ended(operations, (await start(operations)).operation_id)

    assert (done.status, done.progress, done.message) == (OperationStatus.FAILED, 0.25, "looking")
    assert done.failure is not None
    assert done.failure.code == "DATASET_NOT_FOUND"
    assert done.failure.message == "There is no dataset 'a.b'. Did you mean 'a.c'?"
    assert done.failure.fields == {"dataset": "a.b", "suggestions": ["a.c"]}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_the_facts_of_an_error_may_be_what_users_type(bench: Bench, operations: Operations) -> None:
    async def work(request: Mapping[str, Any], progress: Progress) -> None:
        raise DatasetNotFoundError("a\x00\ud800b")

    bench.begin(work)
    done = await ended(operations, (await start(operations)).operation_id)

    assert done.failure is not None
    assert (done.failure.code, done.failure.fields["dataset"]) == ("DATASET_NOT_FOUND", "a\x00\\ud800b")


async def raise_what_cannot_be_kept(request: Mapping[str, Any], progress: Progress) -> None:
    raise LineageUnavailableError(2**70)  # type: ignore[arg-type]


async def raise_odd(request: Mapping[str, Any], progress: Progress) -> None:
    raise ZeroDivisionError("a secret")


async def cancel_itself(request: Mapping[str, Any], progress: Progress) -> None:
    raise asyncio.CancelledError


async def claim_to_be_cancelled(request: Mapping[str, Any], progress: Progress) -> None:
    raise OperationCancelledError


async def answer_nonsense(request: Mapping[str, Any], progress: Progress) -> Any:
    return {"rows": [float("nan")]}


async def answer_no_json(request: Mapping[str, Any], progress: Progress) -> Any:
    return {"rows": {1, 2}}


@pytest.mark.parametrize(
    "work",
    [raise_odd, raise_what_cannot_be_kept, cancel_itself, claim_to_be_cancelled, answer_nonsense, answer_no_json],
)
async def test_an_unexpected_error_is_masked_and_logged_and_the_next_job_is_done(
    bench: Bench, operations: Operations, caplog: pytest.LogCaptureFixture, work: Work
) -> None:
    async def by_turns(request: Mapping[str, Any], progress: Progress) -> JsonValue:
        answer: JsonValue = await work(request, progress) if request["n"] == 1 else "well"
        return answer

    bench.begin(by_turns)
    first, second = await start(operations, n=1), await start(operations, n=2)
    done = await ended(operations, first.operation_id)

    assert done.status is OperationStatus.FAILED
    assert done.failure is not None
    assert done.failure.code == "INTERNAL_ERROR"
    assert "secret" not in done.failure.message
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert str(done.failure.fields["traceId"]) in record.getMessage()
    assert str(first.operation_id) in record.getMessage()
    assert (await ended(operations, second.operation_id)).status is OperationStatus.SUCCEEDED


async def test_as_many_run_at_once_as_the_setting_says(
    store: OperationStore, leases: OperationLeases, settings: Settings, operations: Operations
) -> None:
    bench = Bench(store, leases, settings.model_copy(update={"operations_at_once": 3}))
    running, most = 0, 0

    async def work(request: Mapping[str, Any], progress: Progress) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.3)
        running -= 1

    bench.begin(work)
    asked = [await start(operations, n=n) for n in range(7)]
    for each in asked:
        assert (await ended(operations, each.operation_id)).status is OperationStatus.SUCCEEDED
    await bench.end()

    assert most == 3


async def test_a_runner_without_handlers_leaves_all_as_it_is(bench: Bench, operations: Operations) -> None:
    asked = await start(operations)

    assert not await bench.runner.run_next(bench.stop)
    await bench.runner.settle()

    assert await operations.get(asked.operation_id) == asked


async def test_a_runner_leaves_kinds_alone_that_it_has_no_handler_for(bench: Bench, operations: Operations) -> None:
    # Given one operation of each kind, and a runner that can do one of them
    others = [await operations.start(kind, {}, by()) for kind in OperationKind if kind is not KIND]
    asked = await start(operations)

    async def work(request: Mapping[str, Any], progress: Progress) -> str:
        return "done"

    bench.begin(work)

    # Then that one is done, and the others wait as they were
    assert (await ended(operations, asked.operation_id)).status is OperationStatus.SUCCEEDED
    await bench.end()
    assert others
    assert [await operations.get(other.operation_id) for other in others] == others
