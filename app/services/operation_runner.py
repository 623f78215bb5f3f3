"""Running operations in a worker: beside its other work, a few at once, each to an end that is written once.

An operation whose worker dies is run again by another one once the lease is over, from the beginning, and given up
after a few such deaths. One whose worker is told to stop is given back, and waits as if it had not been begun.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from app.domain.operations import OperationFailure, OperationKind, Standing
from app.errors import OperationAbandonedError, Unavailable
from app.registry.operation_leases import ClaimedOperation, Lease, OperationLeases
from app.registry.operations import OperationStore
from app.services.background import keep_at, rest
from app.services.executing import worker_name
from app.services.operation_attempts import Attempt, Ending, Outcome, Result, masked_failure
from app.services.operation_handlers import OperationHandler
from app.settings import Settings
from app.telemetry.tracing import span

logger = logging.getLogger(__name__)

# Why looking, and not being told: decision 11. Nobody waits for an operation by the millisecond.
LOOK_EVERY_S = 0.5
AWAY_S = 2.0
FORGET_EVERY_S = 3600.0
# Workers that one operation may take with it.
MAX_ATTEMPTS = 3


class OperationRunner:
    """Does what was asked for. Any number may run at once, in any number of processes."""

    def __init__(
        self,
        store: OperationStore,
        leases: OperationLeases,
        settings: Settings,
        handlers: Mapping[OperationKind, OperationHandler] | None = None,
    ) -> None:
        self._store = store
        self._leases = leases
        self._lease_s = settings.lease_s
        self._at_once = settings.operations_at_once
        self._keep_days = settings.operations_keep_days
        self._handlers = dict(handlers or {})
        self._forgot_at = float("-inf")

    def register(self, kind: OperationKind, handler: OperationHandler) -> None:
        """Let operations of this kind be done here; those without a handler are left to workers that have one."""
        self._handlers[kind] = handler

    async def run(self, stop: asyncio.Event) -> None:
        """Run what waits, again and again until `stop` is set; what runs then is ended, and given back."""
        async with asyncio.TaskGroup() as group:
            pause_s = self._lease_s / 2
            group.create_task(
                keep_at("settling operations", self.settle, pause_s=pause_s, away_s=pause_s, stop=stop),
                name="settling operations",
            )
            for _ in range(self._at_once):
                group.create_task(
                    keep_at(
                        "running operations",
                        functools.partial(self._work_off, stop),
                        pause_s=LOOK_EVERY_S,
                        away_s=AWAY_S,
                        stop=stop,
                    ),
                    name="operations",
                )

    async def settle(self) -> None:
        """End what dead workers have left and nobody shall take over; now and then forget what ended long ago.

        Raises:
            BackendUnavailableError: Postgres is away.
        """
        failure = OperationFailure.of(OperationAbandonedError(MAX_ATTEMPTS))
        for operation in await self._leases.give_up(max_attempts=MAX_ATTEMPTS, failure=failure):
            logger.warning(
                "operation %s (%s), left by a worker that died, is %s",
                operation.operation_id,
                operation.kind.value,
                operation.status.value,
            )
        if time.monotonic() - self._forgot_at >= FORGET_EVERY_S:
            await self._store.forget_ended(self._keep_days)
            self._forgot_at = time.monotonic()

    async def run_next(self, stop: asyncio.Event) -> bool:
        """Run the operation that waits longest to its end; whether there was one.

        Raises:
            BackendUnavailableError: Postgres is away.
        """
        if not self._handlers:
            return False
        claimed = await self._leases.claim(
            list(self._handlers), lease_s=self._lease_s, worker=worker_name(), max_attempts=MAX_ATTEMPTS
        )
        if claimed is None:
            return False
        operation = claimed.operation
        with span("operation.run", kind=operation.kind.value, operation=str(operation.operation_id)):
            logger.info("operation %s (%s) begins", operation.operation_id, operation.kind.value)
            attempt = Attempt(claimed, self._handlers[operation.kind], self._leases, lease_s=self._lease_s)
            outcome = await attempt.run(stop)
            await self._settle(claimed, attempt.standing, outcome, stop)
        return True

    async def _work_off(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and await self.run_next(stop):
            pass

    async def _settle(
        self, claimed: ClaimedOperation, standing: Standing, outcome: Outcome, stop: asyncio.Event
    ) -> None:
        try:
            await self._write(claimed, standing, outcome, stop)
        except Exception as error:  # noqa: BLE001  logged, and told by its trace id
            # What came of it, or the facts of its error, are something that Postgres cannot keep.
            await self._write(claimed, standing, masked_failure(claimed, error), stop)

    async def _write(
        self, claimed: ClaimedOperation, standing: Standing, outcome: Outcome, stop: asyncio.Event
    ) -> None:
        """Write an outcome. Where Postgres is away it is tried again for as long as the operation is ours."""
        write, word = self._writing(claimed.lease, standing, outcome)
        operation_id = claimed.operation.operation_id
        while True:
            try:
                is_ours = await write()
            except Unavailable as error:
                logger.warning("that operation %s %s is not written yet: %s", operation_id, word, error.message)
                if stop.is_set():
                    # Whoever finds the lease over runs it again.
                    return
                await rest(AWAY_S, stop)
                continue
            if is_ours:
                logger.info("operation %s %s", operation_id, word)
            else:
                logger.warning("operation %s %s, which does not count: it is another worker's now", operation_id, word)
            return

    def _writing(self, lease: Lease, standing: Standing, outcome: Outcome) -> tuple[Callable[[], Awaitable[bool]], str]:
        leases = self._leases
        if isinstance(outcome, Result):
            return functools.partial(leases.succeed, lease, standing, outcome.value), "has succeeded"
        if isinstance(outcome, OperationFailure):
            return functools.partial(leases.fail, lease, standing, outcome), f"has failed ({outcome.code})"
        if outcome is Ending.CANCELLED:
            return functools.partial(leases.cancel, lease, standing), "was cancelled"
        # Also where the lease was thought lost because Postgres was away: it may be ours still.
        return functools.partial(leases.give_back, lease), "is given back"
