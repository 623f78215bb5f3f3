"""Operations as those see them who ask for them: begun, looked at, cancelled, and forgotten in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg

from app.domain.changes import Actor, Command
from app.domain.operations import Operation, OperationFailure, OperationKind, OperationStatus
from app.domain.pages import Page, PageRequest, decode_instant_cursor, encode_cursor
from app.errors import InvalidPageError, JsonValue
from app.postgres.pool import translated
from app.telemetry.tracing import span

CURSOR_KIND = "operations"
COLUMNS = (
    "operation_id, kind, status, request, requested_by, reason, requested_at, progress, message, attempts, started_at, "
    "ended_at, cancel_requested_at IS NOT NULL AS is_cancel_requested, failure"
)

_HOLDS_ITS_KEY = "idempotency_key IS NOT NULL AND status NOT IN ('FAILED', 'CANCELLED')"
_ENQUEUE = f"""
    INSERT INTO operations (operation_id, kind, request, request_hash, requested_by, reason, idempotency_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (requested_by, idempotency_key) WHERE {_HOLDS_ITS_KEY} DO NOTHING
    RETURNING {COLUMNS}
"""
# What waits ends at once, and so does what a worker that died has left; what runs is told to its worker.
_CANCEL = f"""
    UPDATE operations
    SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
        cancel_requested_by = coalesce(cancel_requested_by, $2),
        status = CASE WHEN is_free THEN 'CANCELLED' ELSE status END,
        ended_at = CASE WHEN is_free THEN clock_timestamp() END,
        lease_id = CASE WHEN is_free THEN NULL ELSE lease_id END,
        lease_until = CASE WHEN is_free THEN NULL ELSE lease_until END
    WHERE operation_id = $1 AND status IN ('QUEUED', 'RUNNING')
    RETURNING {COLUMNS}
""".replace("is_free", "status = 'QUEUED' OR lease_until <= clock_timestamp()")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOperation:
    """What is asked for; `request_hash` is equal for equal requests."""

    kind: OperationKind
    request: Mapping[str, JsonValue]
    request_hash: bytes
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """An operation that waits now, or the one that holds the key; `request_hash` is that of its own request."""

    operation: Operation
    request_hash: bytes


class OperationStore:
    """Operations, in Postgres."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def enqueue(self, new: NewOperation) -> Enqueued:
        """Let an operation wait for a worker, once for a key of its actor; durable when this returns."""
        key = new.command.idempotency_key
        with span("postgres.enqueue_operation", kind=new.kind.value):
            async with translated():
                while True:
                    row = await self._pool.fetchrow(
                        _ENQUEUE,
                        uuid4(),
                        new.kind.value,
                        dict(new.request),
                        new.request_hash,
                        new.command.actor.subject,
                        new.command.reason,
                        key,
                    )
                    if row is not None:
                        return Enqueued(operation=to_operation(row), request_hash=new.request_hash)
                    row = await self._pool.fetchrow(
                        f"SELECT {COLUMNS}, request_hash FROM operations "
                        f"WHERE requested_by = $1 AND idempotency_key = $2 AND {_HOLDS_ITS_KEY}",
                        new.command.actor.subject,
                        key,
                    )
                    if row is not None:
                        return Enqueued(operation=to_operation(row), request_hash=row["request_hash"])
                    # Whoever held the key has let it go between the two statements.

    async def find(self, operation_id: UUID) -> Operation | None:
        """An operation by its id, None where there is none."""
        with span("postgres.find_operation"):
            async with translated():
                row = await self._pool.fetchrow(
                    f"SELECT {COLUMNS} FROM operations WHERE operation_id = $1", operation_id
                )
        return to_operation(row) if row else None

    async def find_results(self, operation_ids: Sequence[UUID]) -> dict[UUID, JsonValue]:
        """What came of those of them that have succeeded; one statement."""
        with span("postgres.find_operation_results", count=len(operation_ids)):
            async with translated():
                rows = await self._pool.fetch(
                    "SELECT operation_id, result FROM operations WHERE operation_id = ANY($1) AND result IS NOT NULL",
                    list(operation_ids),
                )
        return {row["operation_id"]: row["result"] for row in rows}

    async def request_cancel(self, operation_id: UUID, by: Actor) -> Operation | None:
        """Cancel an operation that has not ended; as it is now, None where there is none.

        What runs goes on until its worker hears of it, within a second or so.
        """
        with span("postgres.cancel_operation"):
            async with translated():
                row = await self._pool.fetchrow(_CANCEL, operation_id, by.subject)
        return to_operation(row) if row else await self.find(operation_id)

    async def page(
        self, request: PageRequest, *, kind: OperationKind | None = None, status: OperationStatus | None = None
    ) -> Page[Operation]:
        """Operations, those asked for last first. Only forward: `first` and `after`.

        Raises:
            InvalidPageError: `last` or `before`, or a cursor of another list.
        """
        if request.last is not None or request.before is not None:
            raise InvalidPageError("last and before", "operations are paged forward only, with first and after")
        after = None if request.after is None else decode_instant_cursor(CURSOR_KIND, request.after)
        where = "($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR status = $2)"
        microseconds = "(extract(epoch FROM requested_at) * 1000000)::bigint"
        wanted = (kind and kind.value, status and status.value)
        with span("postgres.list_operations"):
            async with translated(), self._pool.acquire() as connection:
                rows = await connection.fetch(
                    f"""
                    SELECT {COLUMNS}, {microseconds} AS requested_us FROM operations
                    WHERE {where} AND ($3::bigint IS NULL OR ({microseconds}, operation_id) < ($3, $4::uuid))
                    ORDER BY requested_at DESC, operation_id DESC LIMIT $5
                    """,
                    *wanted,
                    after[0] if after else None,
                    after[1] if after else None,
                    request.size + 1,
                )
                total = await connection.fetchval(f"SELECT count(*) FROM operations WHERE {where}", *wanted)
        shown = rows[: request.size]
        return Page(
            items=[to_operation(row) for row in shown],
            cursors=[encode_cursor(CURSOR_KIND, (row["requested_us"], str(row["operation_id"]))) for row in shown],
            has_next=len(rows) > request.size,
            has_previous=after is not None,
            total=total,
        )

    async def forget_ended(self, keep_days: int) -> int:
        """Delete what has ended so many days ago, with its result and its key; answers how many there were."""
        with span("postgres.forget_operations"):
            async with translated():
                done = await self._pool.execute(
                    "DELETE FROM operations WHERE ended_at < clock_timestamp() - make_interval(days => $1)", keep_days
                )
        return int(done.rpartition(" ")[2])


def to_operation(row: asyncpg.Record) -> Operation:
    """The operation in a row of `COLUMNS`."""
    failure = row["failure"]
    return Operation(
        operation_id=row["operation_id"],
        kind=OperationKind(row["kind"]),
        status=OperationStatus(row["status"]),
        request=row["request"],
        requested_by=Actor(subject=row["requested_by"]),
        reason=row["reason"],
        requested_at=row["requested_at"],
        progress=row["progress"],
        message=row["message"],
        attempts=row["attempts"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        is_cancel_requested=row["is_cancel_requested"],
        failure=None if failure is None else OperationFailure(**failure),
    )
