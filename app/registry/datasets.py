"""Which name a table's id was last seen under: no catalog finds a table by its UUID."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg
from cachetools import LRUCache

from app.domain.names import DatasetName
from app.postgres.pool import translated
from app.telemetry.tracing import span

MAX_REMEMBERED = 100_000


class DatasetNames:
    """Hints from table UUIDs to names. They may be stale: who uses one checks the UUID of the table that it finds."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        # What this process has written, so that reading a table again costs no statement.
        self._known: LRUCache[UUID, DatasetName] = LRUCache(MAX_REMEMBERED)

    async def remember(self, seen: Iterable[tuple[UUID, DatasetName]]) -> None:
        """Note where tables are; only what is new to this process costs a statement, one for all."""
        fresh = {table_uuid: name for table_uuid, name in seen if self._known.get(table_uuid) != name}
        if not fresh:
            return
        with span("postgres.remember_names", count=len(fresh)):
            async with translated():
                await self._pool.execute(
                    """
                    INSERT INTO dataset_names (table_uuid, namespace, table_name)
                    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])
                    ON CONFLICT (table_uuid) DO UPDATE
                    SET namespace = excluded.namespace, table_name = excluded.table_name, seen_at = now()
                    """,
                    list(fresh),
                    [name.namespace for name in fresh.values()],
                    [name.name for name in fresh.values()],
                )
        self._known.update(fresh)

    async def find_names(self, table_uuids: Sequence[UUID]) -> dict[UUID, DatasetName]:
        """The names that tables were last seen under, in one statement; without those that never were."""
        with span("postgres.find_names", count=len(table_uuids)):
            async with translated():
                rows = await self._pool.fetch(
                    "SELECT table_uuid, namespace, table_name FROM dataset_names WHERE table_uuid = ANY($1::uuid[])",
                    list(table_uuids),
                )
        return {row["table_uuid"]: DatasetName(namespace=row["namespace"], name=row["table_name"]) for row in rows}

    async def find_uuid(self, name: DatasetName) -> UUID | None:
        """The id that a name was last seen with, for a table that cannot be read now."""
        with span("postgres.find_uuid"):
            async with translated():
                found: UUID | None = await self._pool.fetchval(
                    "SELECT table_uuid FROM dataset_names WHERE namespace = $1 AND table_name = $2 "
                    "ORDER BY seen_at DESC LIMIT 1",
                    name.namespace,
                    name.name,
                )
        return found
