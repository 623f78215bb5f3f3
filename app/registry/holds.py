"""Holds, in Postgres: written before their tag is set, and kept for ever."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.domain.changes import Actor, Command
from app.domain.holds import Hold, HoldState
from app.domain.names import DatasetName, is_storable
from app.domain.pages import Page, PageRequest, decode_cursor, encode_cursor
from app.errors import InvalidPageError
from app.postgres.pool import translated
from app.telemetry.tracing import span

CURSOR_KIND = "holds"
_COLUMNS = (
    "hold_id, namespace, table_name, table_uuid, snapshot_id, state, placed_by, reason, placed_at, released_by, "
    "release_reason, released_at"
)


class HoldStore:
    """Holds of all tables."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def want(
        self, hold_id: str, dataset: DatasetName, table_uuid: UUID, snapshot_id: int, tag: str, command: Command
    ) -> Hold:
        """Write down that a snapshot is to be held; the hold as it is, where it was written down before."""
        with span("postgres.want_hold"):
            async with translated():
                await self._pool.execute(
                    """
                    INSERT INTO holds (hold_id, table_uuid, namespace, table_name, snapshot_id, tag, placed_by, reason)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (hold_id) DO NOTHING
                    """,
                    hold_id,
                    table_uuid,
                    dataset.namespace,
                    dataset.name,
                    snapshot_id,
                    tag,
                    command.actor.subject,
                    command.reason,
                )
        return await self._get(hold_id)

    async def placed(self, hold_id: str) -> Hold:
        """Its tag is set. One that is being released meanwhile stays so."""
        async with translated():
            await self._pool.execute("UPDATE holds SET state = 'LIVE' WHERE hold_id = $1 AND state = 'WANTED'", hold_id)
        return await self._get(hold_id)

    async def abandon(self, hold_id: str) -> None:
        """Its tag could not be set, and nothing was held."""
        async with translated():
            await self._pool.execute("DELETE FROM holds WHERE hold_id = $1 AND state = 'WANTED'", hold_id)

    async def release(self, hold_id: str, command: Command) -> Hold | None:
        """Write down that its tag is to go; the hold as it is then, None where there is none."""
        with span("postgres.release_hold"):
            async with translated():
                await self._pool.execute(
                    """
                    UPDATE holds
                    SET state = 'RELEASING', released_by = $2, release_reason = $3, released_at = clock_timestamp()
                    WHERE hold_id = $1 AND state IN ('WANTED', 'LIVE')
                    """,
                    hold_id,
                    command.actor.subject,
                    command.reason,
                )
        return await self.find(hold_id)

    async def released(self, hold_id: str) -> None:
        """Its tag is gone, or is somebody else's."""
        async with translated():
            await self._pool.execute(
                "UPDATE holds SET state = 'RELEASED' WHERE hold_id = $1 AND state = 'RELEASING'", hold_id
            )

    async def find(self, hold_id: str) -> Hold | None:
        """A hold by its id."""
        async with translated():
            row = await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM holds WHERE hold_id = $1", hold_id)
        return None if row is None else _to_hold(row)

    async def list_of_table(self, table_uuid: UUID) -> list[Hold]:
        """The holds that keep snapshots of a table, oldest first."""
        async with translated():
            rows = await self._pool.fetch(
                f"""
                SELECT {_COLUMNS} FROM holds WHERE table_uuid = $1 AND state IN ('WANTED', 'LIVE')
                ORDER BY placed_at, hold_id
                """,
                table_uuid,
            )
        return [_to_hold(row) for row in rows]

    async def list_of_tables(self, table_uuids: Sequence[UUID]) -> dict[UUID, list[Hold]]:
        """The same of several tables, of those that have any; one statement."""
        async with translated():
            rows = await self._pool.fetch(
                f"""
                SELECT {_COLUMNS} FROM holds WHERE table_uuid = ANY($1) AND state IN ('WANTED', 'LIVE')
                ORDER BY placed_at, hold_id
                """,
                list(table_uuids),
            )
        found: dict[UUID, list[Hold]] = {}
        for hold in map(_to_hold, rows):
            found.setdefault(hold.table_uuid, []).append(hold)
        return found

    async def list_unsettled(self, older_than_s: float, *, limit: int = 1000) -> list[Hold]:
        """Holds whose tag is to be set or to go, and that nobody can be at any more."""
        async with translated():
            rows = await self._pool.fetch(
                f"""
                SELECT {_COLUMNS} FROM holds
                WHERE (state = 'WANTED' AND placed_at < clock_timestamp() - make_interval(secs => $1))
                   OR (state = 'RELEASING' AND released_at < clock_timestamp() - make_interval(secs => $1))
                ORDER BY placed_at, hold_id LIMIT $2
                """,
                older_than_s,
                limit,
            )
        return [_to_hold(row) for row in rows]

    async def page(
        self, request: PageRequest, *, table_uuid: UUID | None = None, keeping_only: bool = False
    ) -> Page[Hold]:
        """Holds, those placed last first. Only forward: `first` and `after`.

        Raises:
            InvalidPageError: `last` or `before`, or a cursor of another list.
        """
        if request.last is not None or request.before is not None:
            raise InvalidPageError("last and before", "holds are paged forward only, with first and after")
        after = None if request.after is None else _decode(request.after)
        where = "($1::uuid IS NULL OR table_uuid = $1) AND (NOT $2 OR state IN ('WANTED', 'LIVE'))"
        microseconds = "(extract(epoch FROM placed_at) * 1000000)::bigint"
        with span("postgres.list_holds"):
            async with translated(), self._pool.acquire() as connection:
                rows = await connection.fetch(
                    f"""
                    SELECT {_COLUMNS}, {microseconds} AS placed_us FROM holds
                    WHERE {where} AND ($3::bigint IS NULL OR ({microseconds}, hold_id) < ($3, $4))
                    ORDER BY placed_at DESC, hold_id DESC LIMIT $5
                    """,
                    table_uuid,
                    keeping_only,
                    after[0] if after else None,
                    after[1] if after else None,
                    request.size + 1,
                )
                total = await connection.fetchval(f"SELECT count(*) FROM holds WHERE {where}", table_uuid, keeping_only)
        shown = rows[: request.size]
        return Page(
            items=[_to_hold(row) for row in shown],
            cursors=[encode_cursor(CURSOR_KIND, (row["placed_us"], row["hold_id"])) for row in shown],
            has_next=len(rows) > request.size,
            has_previous=after is not None,
            total=total,
        )

    async def _get(self, hold_id: str) -> Hold:
        found = await self.find(hold_id)
        if found is None:
            raise LookupError(f"there is no hold {hold_id}")
        return found


def _decode(cursor: str) -> tuple[int, str]:
    key = decode_cursor(CURSOR_KIND, cursor)
    if len(key) == 2 and isinstance(key[0], int) and -(2**63) <= key[0] < 2**63 and is_storable(str(key[1])):
        return key[0], str(key[1])
    raise InvalidPageError("after", "it is no cursor of this API")


def _to_hold(row: asyncpg.Record) -> Hold:
    released_by = row["released_by"]
    return Hold(
        hold_id=row["hold_id"],
        dataset=DatasetName(namespace=row["namespace"], name=row["table_name"]),
        table_uuid=row["table_uuid"],
        snapshot_id=row["snapshot_id"],
        state=HoldState(row["state"]),
        placed_by=Actor(subject=row["placed_by"]),
        reason=row["reason"],
        placed_at=row["placed_at"],
        released_by=None if released_by is None else Actor(subject=released_by),
        release_reason=row["release_reason"],
        released_at=row["released_at"],
    )
