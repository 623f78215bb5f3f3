"""Row diffs that were found, kept in Postgres up to a size."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import orjson

from app.domain.row_diff_json import row_diff_from_json, row_diff_to_json
from app.domain.row_diffs import RowDiff
from app.postgres.pool import translated
from app.telemetry.tracing import span


class RowDiffCache:
    """Differences by all that they depend on. Two versions never change, so that what is kept stays true."""

    def __init__(self, pool: asyncpg.Pool, max_bytes: int) -> None:
        self._pool = pool
        self._max_bytes = max_bytes

    async def find(self, key: bytes) -> RowDiff | None:
        """The difference kept under a key, which counts as used now; one statement."""
        with span("postgres.find_row_diff"):
            async with translated():
                document = await self._pool.fetchval(
                    "UPDATE row_diffs SET used_at = clock_timestamp() WHERE key = $1 RETURNING document", key
                )
        return None if document is None else row_diff_from_json(orjson.loads(document))

    async def keep(self, key: bytes, table_uuid: UUID, diff: RowDiff) -> None:
        """Keep a difference, and drop those that were not used longest where all take more than is allowed.

        One that is larger than all that is allowed is not kept.
        """
        document = orjson.dumps(row_diff_to_json(diff))
        if len(document) > self._max_bytes:
            return
        with span("postgres.keep_row_diff"):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO row_diffs (key, table_uuid, document) VALUES ($1, $2, $3) "
                    "ON CONFLICT (key) DO NOTHING",
                    key,
                    table_uuid,
                    document,
                )
                await connection.execute(
                    """
                    DELETE FROM row_diffs WHERE key IN (
                        SELECT key FROM (
                            SELECT key, sum(size_bytes) OVER (ORDER BY used_at DESC, key) AS upto FROM row_diffs
                        ) AS newest WHERE upto > $1
                    )
                    """,
                    self._max_bytes,
                )
