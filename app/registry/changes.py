"""The change log: intentions before commits, outcomes after them, and who, when and why for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from uuid import UUID

import asyncpg

from app.domain.changes import Actor, Change, ChangeKind, ChangeState, TagRecord
from app.domain.names import DatasetName, is_storable
from app.domain.pages import Page, PageRequest, decode_instant_cursor, encode_cursor
from app.domain.ref_plans import RefPlan
from app.errors import InvalidPageError, JsonValue
from app.postgres.pool import AdvisoryLocks, translated
from app.registry.change_rows import (
    COLUMNS,
    IdempotencyKeyTakenError,
    Intent,
    StoredChange,
    insert_change,
    record_tags,
    to_change,
    to_stored,
)
from app.telemetry.tracing import span

CURSOR_KIND = "changes"
# Compactions commit what they have made by then, which no plan tells before: their snapshots tell it.
_HAS_PLAN = f"(kind <> '{ChangeKind.COMPACTED.value}')"
_SETTLE = """
    UPDATE changes
    SET state = $2, settled_at = now(), settled_by = $3, settled_metadata = $4, failure = $5,
        details = coalesce($6::jsonb, details){also}
    WHERE change_id = $1 AND state <> 'DONE'
"""


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

    def lock_retention(self, table_uuid: UUID, timeout_s: float) -> AbstractAsyncContextManager[None]:
        """Keep every other expiry of this table out, for as long as its files are deleted; taken before `lock`.

        Raises:
            LockTimeoutError: another one is still under way.
        """
        return self._locks.held(f"retention {table_uuid}", timeout_s=timeout_s)

    def lock_compaction(self, table_uuid: UUID, timeout_s: float) -> AbstractAsyncContextManager[None]:
        """Keep every other compaction of this table out, for as long as its files are rewritten.

        Raises:
            LockTimeoutError: another one is still under way.
        """
        return self._locks.held(f"compaction {table_uuid}", timeout_s=timeout_s)

    async def intend(self, intent: Intent) -> None:
        """Write down what is about to be done; durable when this returns.

        Raises:
            IdempotencyKeyTakenError: this actor used the key before, and that attempt has not failed.
        """
        with span("postgres.intend_change"):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                await insert_change(connection, intent)
                await record_tags(connection, intent.plan, intent)

    async def record(self, intent: Intent, state: ChangeState, *, by: str) -> None:
        """Write down, whole, what needs no commit. Raises as `intend`."""
        with span("postgres.record_change", state=state.value):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                await insert_change(connection, intent)
                if state is ChangeState.DONE:
                    await record_tags(connection, intent.plan, intent)
                await connection.execute(
                    _SETTLE.format(also=""), intent.change_id, state.value, by, intent.base_metadata, None, None
                )

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
                await record_tags(connection, plan, intent)

    async def settle(
        self,
        change_id: UUID,
        state: ChangeState,
        *,
        by: str,
        metadata: str | None = None,
        failure: str | None = None,
        details: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Write down how it ended, and what it was where `details` tell that only now. DONE is never taken back;
        repeating an outcome changes nothing.
        """
        values = (change_id, state.value, by, metadata, failure, None if details is None else dict(details))
        with span("postgres.settle_change", state=state.value):
            async with translated():
                try:
                    await self._pool.execute(_SETTLE.format(also=""), *values)
                except asyncpg.UniqueViolationError:
                    # It was given up as failed before it ended, and another attempt has taken its key: the key stays
                    # there, the outcome is written all the same.
                    await self._pool.execute(_SETTLE.format(also=", idempotency_key = NULL"), *values)

    async def complete(self, change_id: UUID, details: Mapping[str, JsonValue]) -> None:
        """Write down all that something was which is DONE, where others had told of some of it; else nothing."""
        with span("postgres.complete_change"):
            async with translated():
                await self._pool.execute(
                    "UPDATE changes SET details = $2 WHERE change_id = $1 AND state = 'DONE' AND details <> $2",
                    change_id,
                    dict(details),
                )

    async def find_by_key(self, actor: Actor, idempotency_key: str) -> StoredChange | None:
        """The attempt on a dataset that holds this key, None where there is none or it failed.

        Raises:
            IdempotencyKeyTakenError: the key is held by something that was done to a model or a pipeline.
        """
        with span("postgres.find_change"):
            async with translated():
                row = await self._pool.fetchrow(
                    f"SELECT {COLUMNS} FROM changes WHERE actor = $1 AND idempotency_key = $2 AND state <> 'FAILED'",
                    actor.subject,
                    idempotency_key,
                )
        if row is not None and row["plan"] is None:
            raise IdempotencyKeyTakenError
        return to_stored(row) if row else None

    async def find(self, change_id: UUID) -> Change | None:
        """A change by its id, None where there is none."""
        with span("postgres.find_change"):
            async with translated():
                row = await self._pool.fetchrow(
                    f"SELECT {COLUMNS} FROM changes WHERE change_id = $1 AND state <> 'UNCHANGED'", change_id
                )
        return to_change(row) if row else None

    async def find_rollback(self, table_uuid: UUID, undo_tag: str) -> Change | None:
        """The rollback (or undo) that left this undo tag."""
        if not is_storable(undo_tag):
            return None
        with span("postgres.find_rollback"):
            async with translated():
                row = await self._pool.fetchrow(
                    f"""
                    SELECT {COLUMNS} FROM changes
                    WHERE table_uuid = $1 AND details->>'undoTag' = $2 AND state IN ('DONE', 'INTENDED', 'UNKNOWN')
                    ORDER BY intended_at DESC LIMIT 1
                    """,
                    table_uuid,
                    undo_tag,
                )
        return to_stored(row).change if row else None

    async def list_overdue(self, table_uuid: UUID | None = None, *, limit: int = 100) -> list[StoredChange]:
        """Intentions to commit a plan whose lease has run out, oldest first: their process has died or hangs."""
        with span("postgres.list_overdue_changes"):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT {COLUMNS} FROM changes
                    WHERE state = 'INTENDED' AND lease_until < now() AND subject_kind = 'DATASET' AND {_HAS_PLAN}
                      AND ($1::uuid IS NULL OR table_uuid = $1)
                    ORDER BY intended_at LIMIT $2
                    """,
                    table_uuid,
                    limit,
                )
        return [to_stored(row) for row in rows]

    async def list_open(self, table_uuid: UUID) -> list[StoredChange]:
        """All intentions to commit a plan to a table that are without an outcome, newest first; `is_overdue` where the
        lease has run out.
        """
        return await self._list_open(table_uuid, _HAS_PLAN)

    async def list_open_compactions(self, table_uuid: UUID) -> list[StoredChange]:
        """All compactions of a table that were begun and are without an outcome, newest first."""
        return await self._list_open(table_uuid, f"NOT {_HAS_PLAN}")

    async def list_compactions_since(self, table_uuid: UUID, change_id: UUID) -> list[StoredChange]:
        """A compaction and all that were begun after it, whatever became of them, newest first."""
        with span("postgres.list_compactions"):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT {COLUMNS} FROM changes
                    WHERE table_uuid = $1 AND NOT {_HAS_PLAN}
                      AND intended_at >= (SELECT intended_at FROM changes WHERE change_id = $2)
                    ORDER BY intended_at DESC, change_id = $2
                    """,
                    table_uuid,
                    change_id,
                )
        return [to_stored(row) for row in rows]

    async def find_last_compaction(self, table_uuid: UUID, *, without: str) -> datetime | None:
        """When the last compaction of a table ended that has none such among its details; None without any."""
        with span("postgres.find_last_compaction"):
            async with translated():
                at: datetime | None = await self._pool.fetchval(
                    f"""
                    SELECT max(settled_at) FROM changes
                    WHERE table_uuid = $1 AND state = 'DONE' AND NOT {_HAS_PLAN} AND NOT details ? $2
                    """,
                    table_uuid,
                    without,
                )
        return at

    async def list_tables_of_open_compactions(self) -> dict[UUID, DatasetName]:
        """The tables that have any of `list_open_compactions`, by the names that they had when the last one began."""
        with span("postgres.list_open_changes"):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT DISTINCT ON (table_uuid) table_uuid, namespace, table_name FROM changes
                    WHERE state = 'INTENDED' AND NOT {_HAS_PLAN} ORDER BY table_uuid, intended_at DESC
                    """
                )
        return {row["table_uuid"]: DatasetName(namespace=row["namespace"], name=row["table_name"]) for row in rows}

    async def _list_open(self, table_uuid: UUID, which: str) -> list[StoredChange]:
        with span("postgres.list_open_changes"):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT {COLUMNS} FROM changes
                    WHERE state = 'INTENDED' AND table_uuid = $1 AND {which} ORDER BY intended_at DESC
                    """,
                    table_uuid,
                )
        return [to_stored(row) for row in rows]

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
        after = None if request.after is None else decode_instant_cursor(CURSOR_KIND, request.after)
        where = (
            "state IN ('DONE', 'UNKNOWN') AND ($1::uuid IS NULL OR table_uuid = $1) AND ($2::text IS NULL OR kind = $2)"
        )
        with span("postgres.list_changes"):
            async with translated(), self._pool.acquire() as connection:
                rows = await connection.fetch(
                    f"""
                    SELECT {COLUMNS}, (extract(epoch FROM settled_at) * 1000000)::bigint AS settled_us FROM changes
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
            items=[to_change(row) for row in shown],
            cursors=[encode_cursor(CURSOR_KIND, (row["settled_us"], str(row["change_id"]))) for row in shown],
            has_next=len(rows) > request.size,
            has_previous=request.after is not None,
            total=total,
        )

    async def tag_records(self, keys: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], TagRecord]:
        """What is recorded of each of these tags, in one statement; a tag that others set has nothing.

        Open intentions count: a protection asked for holds from the moment in which it can be in force.
        """
        keys = [key for key in keys if is_storable(key[1])]
        if not keys:
            return {}
        with span("postgres.tag_records", count=len(keys)):
            async with translated():
                rows = await self._pool.fetch(
                    """
                    WITH found AS (
                        SELECT t.table_uuid, t.tag, t.snapshot_id, t.is_protected, c.actor, c.reason, c.intended_at,
                               coalesce(c.settled_at, c.intended_at) AS set_at,
                               c.details ?| ARRAY['protectionOnly', 'ageOnly'] AS is_later
                        FROM unnest($1::uuid[], $2::text[]) AS wanted (table_uuid, tag)
                        JOIN tag_records t USING (table_uuid, tag)
                        JOIN changes c USING (change_id)
                        WHERE c.state <> 'FAILED'
                    ), newest AS (
                        SELECT DISTINCT ON (table_uuid, tag) table_uuid, tag, snapshot_id, is_protected FROM found
                        ORDER BY table_uuid, tag, intended_at DESC
                    ), setting AS (
                        SELECT DISTINCT ON (table_uuid, tag) table_uuid, tag, snapshot_id, actor, reason, set_at
                        FROM found WHERE NOT is_later ORDER BY table_uuid, tag, intended_at DESC
                    )
                    SELECT table_uuid, tag, snapshot_id, is_protected, actor, reason, set_at
                    FROM newest LEFT JOIN setting USING (table_uuid, tag, snapshot_id)
                    """,
                    [key[0] for key in keys],
                    [key[1] for key in keys],
                )
        return {
            (row["table_uuid"], row["tag"]): TagRecord(
                name=row["tag"],
                snapshot_id=row["snapshot_id"],
                set_at=row["set_at"],
                set_by=Actor(subject=row["actor"]) if row["actor"] else None,
                reason=row["reason"],
                is_protection_requested=row["is_protected"],
            )
            for row in rows
        }

    async def is_undone(self, table_uuid: UUID, undo_tag: str) -> bool:
        """Whether the rollback that left this undo tag was undone before."""
        if not is_storable(undo_tag):
            return False
        with span("postgres.is_undone"):
            async with translated():
                return bool(
                    await self._pool.fetchval(
                        """
                        SELECT EXISTS (SELECT FROM changes WHERE table_uuid = $1 AND kind = $2 AND state = 'DONE'
                                       AND details->>'undone' = $3)
                        """,
                        table_uuid,
                        ChangeKind.ROLLBACK_UNDONE.value,
                        undo_tag,
                    )
                )

    async def ping(self) -> str:
        """Postgres' version, as proof that it answers."""
        async with translated():
            return str(await self._pool.fetchval("SHOW server_version"))
