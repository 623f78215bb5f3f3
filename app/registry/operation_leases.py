"""Operations as workers see them: one is claimed with a lease, and whoever holds that lease alone writes of it.

Each lease has an id of its own. A worker that hangs for longer than its lease keeps the operation as long as nobody
else has taken it; from then on all that it writes is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum, auto
from uuid import UUID

import asyncpg

from app.domain.operations import Operation, OperationFailure, OperationKind, OperationStatus, Standing
from app.errors import JsonValue
from app.postgres.pool import translated
from app.registry.operations import COLUMNS, to_operation
from app.telemetry.tracing import span

_CLAIM = f"""
    WITH free AS MATERIALIZED (
        SELECT operation_id FROM operations
        WHERE kind = ANY($1) AND (status = 'QUEUED' OR (
            status = 'RUNNING' AND lease_until <= clock_timestamp() AND attempts < $4 AND cancel_requested_at IS NULL))
        ORDER BY requested_at, operation_id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE operations AS operation
    SET status = 'RUNNING', attempts = attempts + 1, worker = $3, started_at = clock_timestamp(), progress = 0,
        message = NULL, lease_id = gen_random_uuid(), lease_until = clock_timestamp() + make_interval(secs => $2)
    FROM free WHERE operation.operation_id = free.operation_id
    RETURNING lease_id, {COLUMNS.replace("operation_id", "operation.operation_id")}
"""
_RENEW = """
    UPDATE operations
    SET lease_until = clock_timestamp() + make_interval(secs => $3), progress = $4, message = $5
    WHERE operation_id = $1 AND lease_id = $2
    RETURNING cancel_requested_at IS NOT NULL AS is_cancel_requested
"""
_END = """
    UPDATE operations
    SET status = $3, result = $4, failure = $5, ended_at = clock_timestamp(), lease_id = NULL, lease_until = NULL,
        progress = CASE WHEN $3 = 'SUCCEEDED' THEN 1 ELSE $6::double precision END, message = $7
    WHERE operation_id = $1 AND lease_id = $2
"""
_GIVE_BACK = """
    UPDATE operations
    SET status = CASE WHEN cancel_requested_at IS NULL THEN 'QUEUED' ELSE 'CANCELLED' END,
        ended_at = CASE WHEN cancel_requested_at IS NOT NULL THEN clock_timestamp() END,
        attempts = attempts - 1, started_at = NULL, progress = 0, message = NULL, lease_id = NULL, lease_until = NULL
    WHERE operation_id = $1 AND lease_id = $2
"""
_GIVE_UP = f"""
    UPDATE operations
    SET status = CASE WHEN cancel_requested_at IS NULL THEN 'FAILED' ELSE 'CANCELLED' END,
        failure = CASE WHEN cancel_requested_at IS NULL THEN $2::json END,
        ended_at = clock_timestamp(), lease_id = NULL, lease_until = NULL
    WHERE status = 'RUNNING' AND lease_until <= clock_timestamp()
      AND (attempts >= $1 OR cancel_requested_at IS NOT NULL)
    RETURNING {COLUMNS}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write of an operation."""

    operation_id: UUID
    lease_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedOperation:
    """An operation to run, and the lease that it is held by."""

    operation: Operation
    lease: Lease


class LeaseState(Enum):
    """How a lease stands after it was renewed."""

    KEPT = auto()
    CANCEL_REQUESTED = auto()
    LOST = auto()


class OperationLeases:
    """What workers do with operations. What writes by a lease answers whether the lease was still theirs."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def claim(
        self, kinds: Sequence[OperationKind], *, lease_s: float, worker: str, max_attempts: int
    ) -> ClaimedOperation | None:
        """The operation of these kinds that waits longest, which nobody else gets for `lease_s`; None for none.

        What another worker has let go by dying waits too, unless it has died of it `max_attempts` times.
        """
        with span("postgres.claim_operation"):
            async with translated():
                row = await self._pool.fetchrow(_CLAIM, [kind.value for kind in kinds], lease_s, worker, max_attempts)
        if row is None:
            return None
        operation = to_operation(row)
        return ClaimedOperation(
            operation=operation, lease=Lease(operation_id=operation.operation_id, lease_id=row["lease_id"])
        )

    async def renew(self, lease: Lease, standing: Standing, *, lease_s: float, timeout_s: float) -> LeaseState:
        """Hold the operation for `lease_s` from now on, and write how far it is.

        Raises:
            BackendUnavailableError: Postgres is away, or has not answered within `timeout_s`.
        """
        # Not a request's span: there is one a second for as long as it takes.
        async with translated(), asyncio.timeout(timeout_s):
            is_cancel_requested = await self._pool.fetchval(
                _RENEW, lease.operation_id, lease.lease_id, lease_s, standing.progress, standing.message
            )
        if is_cancel_requested is None:
            return LeaseState.LOST
        return LeaseState.CANCEL_REQUESTED if is_cancel_requested else LeaseState.KEPT

    async def succeed(self, lease: Lease, standing: Standing, result: JsonValue) -> bool:
        """It is done, and this came of it."""
        return await self._end(lease, standing, OperationStatus.SUCCEEDED, result=result)

    async def fail(self, lease: Lease, standing: Standing, failure: OperationFailure) -> bool:
        """It failed of this."""
        return await self._end(lease, standing, OperationStatus.FAILED, failure=failure)

    async def cancel(self, lease: Lease, standing: Standing) -> bool:
        """It has stopped, as somebody asked for."""
        return await self._end(lease, standing, OperationStatus.CANCELLED)

    async def give_back(self, lease: Lease) -> bool:
        """Let another worker take it at once, as if it had not been begun; one that was to be cancelled is."""
        with span("postgres.give_operation_back"):
            async with translated():
                done = await self._pool.execute(_GIVE_BACK, lease.operation_id, lease.lease_id)
        return bool(done == "UPDATE 1")

    async def give_up(self, *, max_attempts: int, failure: OperationFailure) -> list[Operation]:
        """End what dead workers have left and nobody shall take over: as they are then.

        What was to be cancelled is; what so many workers have died of has failed.
        """
        with span("postgres.give_operations_up"):
            async with translated():
                rows = await self._pool.fetch(_GIVE_UP, max_attempts, asdict(failure))
        return [to_operation(row) for row in rows]

    async def _end(
        self,
        lease: Lease,
        standing: Standing,
        status: OperationStatus,
        *,
        result: JsonValue = None,
        failure: OperationFailure | None = None,
    ) -> bool:
        with span("postgres.end_operation", status=status.value):
            async with translated():
                done = await self._pool.execute(
                    _END,
                    lease.operation_id,
                    lease.lease_id,
                    status.value,
                    result,
                    None if failure is None else asdict(failure),
                    standing.progress,
                    standing.message,
                )
        return bool(done == "UPDATE 1")
