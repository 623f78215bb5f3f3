"""Snapshots that our records speak of: they existed, also where their table has them no more."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from app.domain.lineage import snapshot_vertex
from app.postgres.pool import translated
from app.registry.run_rows import vertex_key
from app.telemetry.tracing import span


class KnownSnapshots:
    """What changes, models' training data and reported runs tell of snapshots."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def is_known(self, table_uuid: UUID, snapshot_id: int) -> bool:
        """Whether something recorded is about this snapshot of the table; one statement, by indexes.

        Changes name what refs pointed to before and after them; models what they were trained on, whose pins are of the
        same snapshots; runs what they read and wrote. What a run says was bound to the table when it was reported.
        """
        with span("postgres.is_snapshot_known"):
            async with translated():
                return bool(
                    await self._pool.fetchval(
                        """
                        SELECT EXISTS (
                            SELECT FROM changes, jsonb_array_elements(plan->'updates') AS u
                            WHERE table_uuid = $1 AND state <> 'FAILED'
                              AND (u->>'before' = $2::bigint::text OR u->'after'->>'snapshotId' = $2::bigint::text)
                        ) OR EXISTS (SELECT FROM model_training_data WHERE table_uuid = $1 AND snapshot_id = $2)
                          OR EXISTS (SELECT FROM run_datasets WHERE vertex_key = $3)
                        """,
                        table_uuid,
                        snapshot_id,
                        vertex_key(snapshot_vertex(table_uuid, snapshot_id, "")),
                    )
                )
