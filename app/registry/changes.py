"""The change log: intentions before commits, outcomes after them, and who, when and why for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from app.domain.changes import Actor, Change, ChangeKind, ChangeState, Command, TagRecord
from app.domain.history import RefKind
from app.domain.names import DatasetName
from app.domain.pages import Page, PageRequest, decode_cursor, encode_cursor
from app.domain.ref_plans import RefPlan
from app.errors import InvalidPageError, JsonValue
from app.postgres.pool import AdvisoryLocks, translated
from app.telemetry.tracing import span

CURSOR_KIND = "changes"
_COLUMNS = (
    "change_id, kind, state, table_uuid, namespace, table_name, actor, reason, plan, details, base_metadata, "
    "request_hash, intended_at, settled_at, lease_until < now() AS is_overdue"
)

_SETTLE = """
    UPDATE changes
    SET state = $2, settled_at = now(), settled_by = $3, settled_metadata = $4, failure = $5{also}
    WHERE change_id = $1 AND state <> 'DONE'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be done, written down before it is."""

    change_id: UUID
    kind: ChangeKind
    dataset: DatasetName
    table_uuid: UUID
    command: Command
    request_hash: bytes
    plan: RefPlan
    base_metadata: str
    lease_s: float
    is_protection_requested: bool = False
    details: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChange:
    """A change with what is needed to settle or repeat it."""

    change: Change
    plan: RefPlan
    base_metadata: str
    request_hash: bytes | None
    is_overdue: bool


class IdempotencyKeyTakenError(Exception):
    """Another attempt with this actor and key exists; look at it."""


class ChangeLog:
    """Changes of all tables, in Postgres."""

    def __init__(self, pool: asyncpg.Pool, locks: AdvisoryLocks) -> None:
        self._pool = pool
        self._locks = locks

    def lock(self, table_uuid: UUID, timeout_s: float) -> AbstractAsyncContextManager[None]:
        """Keep every other change of this table, from whatever process of ours, out.

        Raises:
            LockTimeoutError: another one is still under way.
        """
        return self._locks.held(f"table {table_uuid}", timeout_s=timeout_s)

    async def intend(self, intent: Intent) -> None:
        """Write down what is about to be done; durable when this returns.

        Raises:
            IdempotencyKeyTakenError: this actor used the key before, and that attempt has not failed.
        """
        with span("postgres.intend_change"):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                try:
                    await connection.execute(
                        """
                        INSERT INTO changes (change_id, kind, table_uuid, namespace, table_name, actor, reason, plan,
                                             details, base_metadata, idempotency_key, request_hash, lease_until)
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now() + make_interval(secs => $13))
                        """,
                        intent.change_id,
                        intent.kind.value,
                        intent.table_uuid,
                        intent.dataset.namespace,
                        intent.dataset.name,
                        intent.command.actor.subject,
                        intent.command.reason,
                        intent.plan.to_json(),
                        dict(intent.details),
                        intent.base_metadata,
                        intent.command.idempotency_key,
                        intent.request_hash,
                        intent.lease_s,
                    )
                except asyncpg.UniqueViolationError as error:
                    raise IdempotencyKeyTakenError from error
                await _record_tags(connection, intent.change_id, intent.table_uuid, intent.plan, intent)

    async def replan(self, intent: Intent, plan: RefPlan, base_metadata: str, details: Mapping[str, JsonValue]) -> None:
        """Replace what an open intention is about, after its first plan was refused by the catalog."""
        with span("postgres.replan_change"):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "UPDATE changes SET plan = $2, base_metadata = $3, details = $4 WHERE change_id = $1",
                    intent.change_id,
                    plan.to_json(),
                    base_metadata,
                    dict(details),
                )
                await connection.execute("DELETE FROM tag_records WHERE change_id = $1", intent.change_id)
                await _record_tags(connection, intent.change_id, intent.table_uuid, plan, intent)

    async def settle(
        self, change_id: UUID, state: ChangeState, *, by: str, metadata: str | None = None, failure: str | None = None
    ) -> None:
        """Write down how it ended. DONE is never taken back; repeating an outcome changes nothing."""
        values = (change_id, state.value, by, metadata, failure)
        with span("postgres.settle_change", state=state.value):
            async with translated():
                try:
                    await self._pool.execute(_SETTLE.format(also=""), *values)
                except asyncpg.UniqueViolationError:
                    # It was given up as failed before it ended, and another attempt has taken its key: the key stays
                    # there, the outcome is written all the same.
                    await self._pool.execute(_SETTLE.format(also=", idempotency_key = NULL"), *values)

    async def find_by_key(self, actor: Actor, idempotency_key: str) -> StoredChange | None:
        """The attempt that holds this key, None where there is none or it failed."""
        with span("postgres.find_change"):
            async with translated():
                row = await self._pool.fetchrow(
                    f"SELECT {_COLUMNS} FROM changes WHERE actor = $1 AND idempotency_key = $2 AND state <> 'FAILED'",
                    actor.subject,
                    idempotency_key,
                )
        return _to_stored(row) if row else None

    async def find(self, change_id: UUID) -> Change | None:
        """A change by its id, None where there is none."""
        with span("postgres.find_change"):
            async with translated():
                row = await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM changes WHERE change_id = $1", change_id)
        return _to_stored(row).change if row else None

    async def find_rollback(self, table_uuid: UUID, undo_tag: str) -> Change | None:
        """The rollback (or undo) that left this undo tag."""
        with span("postgres.find_rollback"):
            async with translated():
                row = await self._pool.fetchrow(
                    f"""
                    SELECT {_COLUMNS} FROM changes
                    WHERE table_uuid = $1 AND details->>'undoTag' = $2 AND state IN ('DONE', 'INTENDED', 'UNKNOWN')
                    ORDER BY intended_at DESC LIMIT 1
                    """,
                    table_uuid,
                    undo_tag,
                )
        return _to_stored(row).change if row else None

    async def list_overdue(self, table_uuid: UUID | None = None, *, limit: int = 100) -> list[StoredChange]:
        """Intentions whose lease has run out, oldest first: their process has died or hangs."""
        with span("postgres.list_overdue_changes"):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT {_COLUMNS} FROM changes
                    WHERE state = 'INTENDED' AND lease_until < now() AND ($1::uuid IS NULL OR table_uuid = $1)
                    ORDER BY intended_at LIMIT $2
                    """,
                    table_uuid,
                    limit,
                )
        return [_to_stored(row) for row in rows]

    async def list_open(self, table_uuid: UUID) -> list[StoredChange]:
        """All intentions of a table without an outcome, newest first; `is_overdue` where the lease has run out."""
        with span("postgres.list_open_changes"):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT {_COLUMNS} FROM changes
                    WHERE state = 'INTENDED' AND table_uuid = $1 ORDER BY intended_at DESC
                    """,
                    table_uuid,
                )
        return [_to_stored(row) for row in rows]

    async def list_claimed(self, table_uuid: UUID, since: datetime) -> set[str]:
        """The metadata files that changes settled since then are known to have made."""
        with span("postgres.list_claimed_metadata"):
            async with translated():
                rows = await self._pool.fetch(
                    """
                    SELECT settled_metadata FROM changes
                    WHERE state = 'DONE' AND table_uuid = $1 AND settled_at >= $2 AND settled_metadata IS NOT NULL
                    """,
                    table_uuid,
                    since,
                )
        return {row["settled_metadata"] for row in rows}

    async def page(
        self, request: PageRequest, *, table_uuid: UUID | None = None, kind: ChangeKind | None = None
    ) -> Page[Change]:
        """Changes that took place (DONE), or may have (UNKNOWN), newest first. Only forward: `first` and `after`.

        Raises:
            InvalidPageError: `last` or `before`, or a cursor of another list.
        """
        if request.last is not None or request.before is not None:
            raise InvalidPageError("last and before", "changes are paged forward only, with first and after")
        after = None if request.after is None else _decode(request.after)
        where = (
            "state IN ('DONE', 'UNKNOWN') AND ($1::uuid IS NULL OR table_uuid = $1) AND ($2::text IS NULL OR kind = $2)"
        )
        with span("postgres.list_changes"):
            async with translated(), self._pool.acquire() as connection:
                rows = await connection.fetch(
                    f"""
                    SELECT {_COLUMNS}, (extract(epoch FROM settled_at) * 1000000)::bigint AS settled_us FROM changes
                    WHERE {where} AND ($3::bigint IS NULL
                        OR ((extract(epoch FROM settled_at) * 1000000)::bigint, change_id) < ($3, $4::uuid))
                    ORDER BY settled_at DESC, change_id DESC LIMIT $5
                    """,
                    table_uuid,
                    kind.value if kind else None,
                    after[0] if after else None,
                    after[1] if after else None,
                    request.size + 1,
                )
                total = await connection.fetchval(
                    f"SELECT count(*) FROM changes WHERE {where}", table_uuid, kind.value if kind else None
                )
        shown = rows[: request.size]
        return Page(
            items=[_to_stored(row).change for row in shown],
            cursors=[encode_cursor(CURSOR_KIND, (row["settled_us"], str(row["change_id"]))) for row in shown],
            has_next=len(rows) > request.size,
            has_previous=request.after is not None,
            total=total,
        )

    async def tag_records(self, keys: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], TagRecord]:
        """The latest record of each of these tags, in one statement; a tag that others set has none.

        Open intentions count: a protection asked for holds from the moment in which it can be in force.
        """
        if not keys:
            return {}
        with span("postgres.tag_records", count=len(keys)):
            async with translated():
                rows = await self._pool.fetch(
                    """
                    SELECT DISTINCT ON (t.table_uuid, t.tag) t.table_uuid, t.tag, t.snapshot_id, t.is_protected,
                           c.actor, c.reason, coalesce(c.settled_at, c.intended_at) AS set_at
                    FROM unnest($1::uuid[], $2::text[]) AS wanted (table_uuid, tag)
                    JOIN tag_records t USING (table_uuid, tag)
                    JOIN changes c USING (change_id)
                    WHERE c.state <> 'FAILED'
                    ORDER BY t.table_uuid, t.tag, c.intended_at DESC
                    """,
                    [key[0] for key in keys],
                    [key[1] for key in keys],
                )
        return {
            (row["table_uuid"], row["tag"]): TagRecord(
                name=row["tag"],
                snapshot_id=row["snapshot_id"],
                set_at=row["set_at"],
                set_by=Actor(subject=row["actor"]),
                reason=row["reason"],
                is_protection_requested=row["is_protected"],
            )
            for row in rows
        }

    async def mentions_snapshot(self, table_uuid: UUID, snapshot_id: int) -> bool:
        """Whether some change of the table was about this snapshot: then it existed, also if it is gone now."""
        with span("postgres.mentions_snapshot"):
            async with translated():
                return bool(
                    await self._pool.fetchval(
                        """
                        SELECT EXISTS (
                            SELECT FROM changes, jsonb_array_elements(plan->'updates') AS u
                            WHERE table_uuid = $1 AND state <> 'FAILED'
                              AND (u->>'before' = $2 OR u->'after'->>'snapshotId' = $2)
                        )
                        """,
                        table_uuid,
                        str(snapshot_id),
                    )
                )

    async def ping(self) -> str:
        """Postgres' version, as proof that it answers."""
        async with translated():
            return str(await self._pool.fetchval("SHOW server_version"))


async def _record_tags(connection: Any, change_id: UUID, table_uuid: UUID, plan: RefPlan, intent: Intent) -> None:
    records = [
        (change_id, table_uuid, update.name, update.after.snapshot_id, intent.is_protection_requested)
        for update in plan.updates
        if update.after is not None and update.after.kind is RefKind.TAG and update.before != update.after.snapshot_id
    ]
    await connection.executemany(
        "INSERT INTO tag_records (change_id, table_uuid, tag, snapshot_id, is_protected) VALUES ($1, $2, $3, $4, $5)",
        records,
    )


def _decode(cursor: str) -> tuple[int, UUID]:
    key = decode_cursor(CURSOR_KIND, cursor)
    try:
        settled_us, change_id = key
        return _int64(settled_us), UUID(str(change_id))
    except (ValueError, TypeError) as error:
        raise InvalidPageError("after", "it is no cursor of this API") from error


def _int64(value: int | str) -> int:
    if not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError("not a 64-bit number")
    return value


def _to_stored(row: asyncpg.Record) -> StoredChange:
    change = Change(
        change_id=row["change_id"],
        kind=ChangeKind(row["kind"]),
        state=ChangeState(row["state"]),
        dataset=DatasetName(namespace=row["namespace"], name=row["table_name"]),
        table_uuid=row["table_uuid"],
        actor=Actor(subject=row["actor"]),
        reason=row["reason"],
        intended_at=row["intended_at"],
        settled_at=row["settled_at"],
        details=row["details"],
    )
    return StoredChange(
        change=change,
        plan=RefPlan.from_json(row["plan"]),
        base_metadata=row["base_metadata"],
        request_hash=row["request_hash"],
        is_overdue=row["is_overdue"],
    )
