"""Which workers are there, and when each was last seen at work."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.postgres.pool import translated
from app.telemetry.tracing import span

# After this long a worker that was not seen counts as gone; it says that it is there several times as often.
ABSENT_S = 30.0
_FORGOTTEN_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkStatus:
    """How the work stands.

    `working` are the workers seen within `ABSENT_S`; `last_seen_s` is how long ago the last of all was, None where none
    ever was. `waiting_s` is for how long the run that waits longest for the lineage graph does, None where none waits;
    `queued_s` is that of the operation that was asked for first of those that wait.
    """

    working: int
    last_seen_s: float | None
    waiting_s: float | None
    queued_s: float | None


class Workers:
    """The workers of this database, on whatever machine."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def seen(self, worker_id: UUID, *, host: str, pid: int) -> None:
        """A worker is at work now; those that were killed are forgotten after a day. One statement."""
        with span("postgres.worker_seen"):
            async with translated():
                await self._pool.execute(
                    """
                    WITH forgotten AS (
                        DELETE FROM workers
                        WHERE seen_at < clock_timestamp() - make_interval(secs => $4) AND worker_id <> $1
                    )
                    INSERT INTO workers (worker_id, host, pid) VALUES ($1, $2, $3)
                    ON CONFLICT (worker_id) DO UPDATE SET seen_at = clock_timestamp()
                    """,
                    worker_id,
                    host,
                    pid,
                    _FORGOTTEN_S,
                )

    async def gone(self, worker_id: UUID) -> None:
        """A worker has ended."""
        async with translated():
            await self._pool.execute("DELETE FROM workers WHERE worker_id = $1", worker_id)

    async def status(self) -> WorkStatus:
        """How the work stands; one statement, whose cost does not grow with what waits."""
        with span("postgres.work_status"):
            async with translated():
                (row,) = await self._pool.fetch(
                    """
                    SELECT count(*) FILTER (WHERE seen_at > clock_timestamp() - make_interval(secs => $1)) AS working,
                           extract(epoch FROM clock_timestamp() - max(seen_at))::float8 AS last_seen_s,
                           (SELECT extract(epoch FROM clock_timestamp() - min(since))::float8 FROM lineage_pending)
                               AS waiting_s,
                           (SELECT extract(epoch FROM clock_timestamp() - min(requested_at))::float8 FROM operations
                            WHERE status = 'QUEUED' OR (status = 'RUNNING' AND lease_until <= clock_timestamp()))
                               AS queued_s
                    FROM workers
                    """,
                    ABSENT_S,
                )
        return WorkStatus(**dict(row))
