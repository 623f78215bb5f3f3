"""One attempt at an operation: its handler runs for as long as the lease is kept and nobody wants it to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from enum import Enum, auto

from app.domain.json_values import find_fault
from app.domain.operations import OperationCancelledError, OperationFailure, Standing
from app.errors import AppError, JsonValue, Unavailable
from app.registry.operation_leases import ClaimedOperation, LeaseState, OperationLeases
from app.services.operation_handlers import OperationHandler, Progress
from app.telemetry.tracing import current_trace_id

logger = logging.getLogger(__name__)

# How soon progress is seen, and a cancellation heard of. A heartbeat is one statement, which touches no index.
BEAT_S = 1.0
INTERNAL_ERROR = "INTERNAL_ERROR"


class Ending(Enum):
    """Why an attempt ended without being done."""

    CANCELLED = auto()
    LEASE_LOST = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of an attempt that was done."""

    value: JsonValue


Outcome = Result | OperationFailure | Ending


class Attempt:
    """The handler's task, and the heartbeat that holds the operation until that has ended."""

    def __init__(
        self, claimed: ClaimedOperation, handler: OperationHandler, leases: OperationLeases, *, lease_s: float
    ) -> None:
        self._claimed = claimed
        self._handler = handler
        self._leases = leases
        self._lease_s = lease_s
        self._progress = Progress(claimed.operation.operation_id)
        self._ending: Ending | None = None
        self._task: asyncio.Task[JsonValue] | None = None

    @property
    def standing(self) -> Standing:
        """How far it is, or was when it ended."""
        return self._progress.standing

    async def run(self, stop: asyncio.Event) -> Outcome:
        """What came of it, once the handler has ended; it is ended early where `stop` is set.

        The heartbeat goes on until then, so that no other worker begins while this one has not ended.
        """
        task = self._task = asyncio.create_task(
            self._handler.run(self._claimed.operation.request, self._progress), name="operation"
        )
        beating = asyncio.create_task(self._keep_lease(), name="heartbeat")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._end(Ending.STOPPED)
                await asyncio.wait((task,))
        finally:
            self._progress.stop()
            for each in (task, beating, stopping):
                each.cancel()
        return self._outcome_of(task)

    def _end(self, ending: Ending) -> None:
        # The first reason counts.
        if self._ending is None and self._task is not None:
            self._ending = ending
            self._progress.stop()
            self._task.cancel()

    def _outcome_of(self, task: asyncio.Task[JsonValue]) -> Outcome:
        try:
            value = task.result()
            _check_storable(value)
        except (asyncio.CancelledError, OperationCancelledError) as error:
            return self._ending or self._masked(error)
        except Exception as error:  # noqa: BLE001  told to whoever asked, or masked and logged
            if self._ending is not None:
                # Whatever a handler makes of its being cancelled.
                return self._ending
            return OperationFailure.of(error) if isinstance(error, AppError) else self._masked(error)
        # Done is done, also where it was to be ended meanwhile.
        return Result(value=value)

    def _masked(self, error: BaseException) -> OperationFailure:
        return masked_failure(self._claimed, error)

    async def _keep_lease(self) -> None:
        lost_at = time.monotonic() + self._lease_s
        beat_s = min(BEAT_S, self._lease_s / 4)
        is_away = False
        while (left_s := lost_at - time.monotonic()) > 0:
            await asyncio.sleep(min(beat_s, left_s))
            begun = time.monotonic()
            try:
                state = await self._leases.renew(
                    self._claimed.lease,
                    self._progress.standing,
                    lease_s=self._lease_s,
                    # Long enough for an answer also where this process was paused for longer than the lease: nobody
                    # else may have taken the operation meanwhile.
                    timeout_s=max(beat_s, lost_at - begun),
                )
            except Unavailable as error:
                if not is_away:
                    logger.warning("operation %s goes on for its lease: %s", self._id, error.message)
                is_away = True
                continue
            except Exception:
                # Whatever it is: without a lease another worker begins it anew, and two must not go on.
                logger.exception("the lease of operation %s cannot be renewed", self._id)
                break
            is_away = False
            if state is LeaseState.LOST:
                break
            # From when it was asked for: by the database's clock the lease begins no earlier.
            lost_at = begun + self._lease_s
            if state is LeaseState.CANCEL_REQUESTED:
                self._end(Ending.CANCELLED)
        self._end(Ending.LEASE_LOST)

    @property
    def _id(self) -> str:
        return str(self._claimed.operation.operation_id)


def _check_storable(value: JsonValue) -> None:
    if (fault := find_fault(value)) is not None:
        raise ValueError(f"the result of a handler cannot be kept, at {fault[0]!r}: {fault[1]}")


def masked_failure(claimed: ClaimedOperation, error: BaseException) -> OperationFailure:
    """What is told of an unexpected error: a trace id, under which the log has all of it."""
    trace_id = current_trace_id()
    operation = claimed.operation
    logger.error(
        "operation %s (%s) failed unexpectedly, trace %s",
        operation.operation_id,
        operation.kind.value,
        trace_id,
        exc_info=error,
    )
    return OperationFailure(
        code=INTERNAL_ERROR,
        message="Something went wrong here; the worker's log tells more under the trace id.",
        fields={"traceId": trace_id},
    )
