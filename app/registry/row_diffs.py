"""Row diffs that were found, kept in Postgres up to a size."""

from __future__ import annotations

from collections.abc import Sequence
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

    async def find(self, keys: Sequence[bytes]) -> tuple[int, RowDiff] | None:
        """The difference kept under the first of these keys that there is, and its place among them; one statement.

        It counts as used now.
        """
        with span("postgres.find_row_diff"):
            async with translated():
                row = await self._pool.fetchrow(
                    """
                    UPDATE row_diffs SET used_at = clock_timestamp() WHERE key = (
                        SELECT asked.key FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (key, place)
                        JOIN row_diffs USING (key) ORDER BY asked.place LIMIT 1
                    ) RETURNING key, document
                    """,
                    list(keys),
                )
        return None if row is None else (keys.index(row["key"]), row_diff_from_json(orjson.loads(row["document"])))

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
