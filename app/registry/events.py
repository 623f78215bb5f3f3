"""The log of lineage events, and the outbox of runs that the graph has yet to learn of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from app.domain.events import EventWarning, ParsedEvent, run_key
from app.postgres.pool import translated
from app.telemetry.tracing import span

MAX_BACKOFF_S = 300.0
MAX_FAILURE_CHARS = 2000
POLL_S, MAX_POLL_S = 0.01, 0.2
_STREAM_ROWS = 50
_STORED = "event_id, run_key, event_time, received_at, body_hash, body"

# One statement, so that an event is never without its entry in the outbox, and a writer makes one round trip. The rows
# come sorted, so that two writers of the same keys wait for each other and never in a circle.
_APPEND = """
    WITH added AS (
        INSERT INTO lineage_events (run_key, event_time, body_hash, body, warnings)
        SELECT run_key, event_time, body_hash, body, warnings::jsonb
        FROM unnest($1::text[], $2::timestamptz[], $3::bytea[], $4::bytea[], $5::text[])
            AS given (run_key, event_time, body_hash, body, warnings)
        ON CONFLICT (run_key, body_hash) DO NOTHING
        RETURNING run_key, body_hash
    ), marked AS (
        INSERT INTO lineage_pending (run_key)
        SELECT DISTINCT run_key FROM added ORDER BY run_key
        ON CONFLICT (run_key) DO UPDATE
        SET generation = nextval('lineage_generations'),
            -- A run that failed is tried again at once: what it failed for may be what has come now.
            lease_until = CASE WHEN lineage_pending.failure IS NULL THEN lineage_pending.lease_until END
    )
    SELECT run_key, body_hash FROM added
"""

_CLAIM = """
    WITH free AS MATERIALIZED (
        SELECT run_key FROM lineage_pending
        WHERE lease_until IS NULL OR lease_until <= clock_timestamp()
        ORDER BY since LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE lineage_pending AS pending
    SET lease_until = clock_timestamp() + make_interval(secs => $2), attempts = attempts + 1, failure = NULL
    FROM free WHERE pending.run_key = free.run_key
    RETURNING pending.run_key, pending.generation, pending.since
"""

# Locked in the order in which writers of events lock them, so that nobody waits in a circle.
_DONE = """
    WITH locked AS MATERIALIZED (
        SELECT pending.run_key, pending.generation
        FROM lineage_pending AS pending
        JOIN unnest($1::text[], $2::bigint[]) AS given (run_key, generation) USING (run_key)
        WHERE pending.generation = given.generation
        ORDER BY pending.run_key FOR UPDATE OF pending
    )
    DELETE FROM lineage_pending AS pending USING locked
    WHERE pending.run_key = locked.run_key AND pending.generation = locked.generation
    RETURNING pending.run_key
"""

_FREE = """
    INSERT INTO lineage_pending (run_key) VALUES ($1) ON CONFLICT (run_key) DO UPDATE
    SET lease_until = NULL, attempts = 0, failure = NULL WHERE lineage_pending.generation <> $2
"""

# A transaction that ended between the two views has no time any more, and the next statement sees it. That of another
# user is hidden without pg_read_all_stats, and a prepared one has no session: then nothing is known to be projected.
_OLDEST_WRITER = """
    SELECT min(CASE WHEN locks.pid IS NULL OR activity.query = '<insufficient privilege>' THEN 'epoch'
                    ELSE activity.xact_start END)
    FROM pg_locks AS locks LEFT JOIN pg_stat_activity AS activity USING (pid)
    WHERE locks.locktype = 'relation' AND locks.mode = 'RowExclusiveLock' AND locks.granted
      AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND locks.relation IN ('lineage_events'::regclass, 'lineage_pending'::regclass)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as it lies in the log; `body` is its canonical JSON."""

    event_id: int
    run_key: str
    event_time: datetime
    received_at: datetime
    body_hash: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run to project: all of its events, in no order that means anything, and what to tell `done`."""

    run_key: str
    generation: int
    events: tuple[StoredEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWarnings:
    """What was odd about one event of a run."""

    event_time: datetime
    received_at: datetime
    warnings: tuple[EventWarning, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One entry of the log, of whatever kind. Two of one key and hash are the same."""

    run_key: str
    event_time: datetime
    body_hash: bytes
    body: bytes
    warnings: tuple[EventWarning, ...] = ()

    @classmethod
    def of(cls, parsed: ParsedEvent) -> LogRecord:
        """The entry of an event."""
        event = parsed.event
        return cls(
            run_key=event.run_key,
            event_time=event.event_time,
            body_hash=event.body_hash,
            body=parsed.body,
            warnings=event.warnings,
        )


async def append_records(connection: Any, records: Sequence[LogRecord]) -> list[bool]:
    """Write entries on a connection or pool, all or none; answers for each whether it is new. One statement."""
    keys = [(record.run_key, record.body_hash) for record in records]
    # The first of equal ones stands for all: within one statement too, a repetition changes nothing.
    distinct = dict(reversed(list(zip(keys, records, strict=True))))
    ordered = [distinct[key] for key in sorted(distinct)]
    rows = await connection.fetch(
        _APPEND,
        [record.run_key for record in ordered],
        [record.event_time for record in ordered],
        [record.body_hash for record in ordered],
        [record.body for record in ordered],
        # As text: lists of lists would be taken for an array of two dimensions.
        [orjson.dumps(record.warnings).decode() for record in ordered],
    )
    added = {(row["run_key"], row["body_hash"]) for row in rows}
    return [key in added and distinct[key] is record for key, record in zip(keys, records, strict=True)]


async def has_events(connection: Any, run_key: str) -> bool:
    """Whether anything is logged under a key."""
    found = await connection.fetchval("SELECT 1 FROM lineage_events WHERE run_key = $1 LIMIT 1", run_key)
    return found is not None


async def reopen_run(connection: Any, run_id: UUID) -> None:
    """Have a run projected again, if any event of it is known: what is registered now changes what came of it."""
    await connection.execute(
        """
        INSERT INTO lineage_pending (run_key) SELECT $1 WHERE EXISTS (SELECT FROM lineage_events WHERE run_key = $1)
        ON CONFLICT (run_key) DO UPDATE SET generation = nextval('lineage_generations')
        """,
        run_key(run_id),
    )


async def reopen_runs_of_version(
    connection: Any, pipeline_id: str, git_commit: str | None, registered_at: datetime
) -> None:
    """Have the runs of a pipeline projected again that a new version may be theirs: of its commit, or begun since.

    Clocks differ, and a run may be dated ahead of the registration that it was reported before.
    """
    await connection.execute(
        """
        INSERT INTO lineage_pending (run_key)
        SELECT 'run:' || run_id FROM pipeline_executions
        WHERE pipeline_id = $1 AND (git_commit = $2 OR start_time >= $3) ORDER BY 1
        ON CONFLICT (run_key) DO UPDATE SET generation = nextval('lineage_generations')
        """,
        pipeline_id,
        git_commit,
        registered_at,
    )


class EventLog:
    """Lineage events, in Postgres. What `append` has answered for is durable, and is pending until it is `done`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def append(self, events: Sequence[ParsedEvent]) -> list[bool]:
        """Write them down, all or none; answers for each whether it is new. One statement."""
        with span("postgres.append_events", count=len(events)):
            async with translated():
                return await append_records(self._pool, [LogRecord.of(parsed) for parsed in events])

    async def claim(self, limit: int, lease_s: float) -> list[Claim]:
        """At most `limit` runs to project, longest pending first, which nobody else gets for `lease_s`."""
        with span("postgres.claim_runs"):
            async with translated():
                claimed = await self._pool.fetch(_CLAIM, limit, lease_s)
                if not claimed:
                    return []
                # Later than the claim: an event that came in between is in here, and its generation is a later one.
                rows = await self._pool.fetch(
                    f"SELECT {_STORED} FROM lineage_events WHERE run_key = ANY($1) ORDER BY event_id",
                    [row["run_key"] for row in claimed],
                )
        events: dict[str, list[StoredEvent]] = {row["run_key"]: [] for row in claimed}
        for row in rows:
            events[row["run_key"]].append(_to_stored(row))
        return [
            Claim(run_key=row["run_key"], generation=row["generation"], events=tuple(events[row["run_key"]]))
            for row in sorted(claimed, key=lambda row: (row["since"], row["run_key"]))
        ]

    async def done(self, claims: Sequence[Claim]) -> None:
        """These runs are projected as they were when they were claimed; one that got events since is free again.

        So is one that somebody else has finished meanwhile, because the lease had run out: whose projection was written
        last is not known then, and may be the older one.
        """
        with span("postgres.finish_runs", count=len(claims)):
            async with translated():
                deleted = await self._pool.fetch(
                    _DONE, [claim.run_key for claim in claims], [claim.generation for claim in claims]
                )
                gone = {row["run_key"] for row in deleted}
                for claim in claims:
                    if claim.run_key not in gone:
                        # A statement of its own: the first may have waited for the one that changed the generation.
                        await self._pool.execute(_FREE, claim.run_key, claim.generation)

    async def failed(self, run_key: str, reason: str) -> None:
        """The run could not be projected: it is tried again after 2, 4, 8 … seconds, or with its next event."""
        with span("postgres.put_run_back"):
            async with translated():
                await self._pool.execute(
                    """
                    UPDATE lineage_pending
                    SET failure = $2, lease_until = clock_timestamp()
                        + make_interval(secs => least($3::float8, power(2::float8, least(attempts, 30))))
                    WHERE run_key = $1
                    """,
                    run_key,
                    reason.replace("\x00", "\ufffd")[:MAX_FAILURE_CHARS],
                    MAX_BACKOFF_S,
                )

    async def watermark(self) -> datetime:
        """The instant up to which everything that was answered for is projected. Three statements.

        Their order matters, and so does that each sees the database anew (no transaction around them): what commits
        between two of them was held back by the one or is seen by the other, and what begins later is later than the
        clock that was read first.
        """
        with span("postgres.lineage_watermark"):
            async with translated(), self._pool.acquire() as connection:
                now: datetime = await connection.fetchval("SELECT clock_timestamp()")
                writer: datetime | None = await connection.fetchval(_OLDEST_WRITER)
                pending: datetime | None = await connection.fetchval("SELECT min(since) FROM lineage_pending")
        return min(instant for instant in (now, writer, pending) if instant is not None)

    async def clock(self) -> datetime:
        """The database's time, which watermarks go by: what was answered for is earlier."""
        async with translated():
            now: datetime = await self._pool.fetchval("SELECT clock_timestamp()")
        return now

    async def wait_until(self, instant: datetime, *, timeout_s: float) -> bool:
        """Wait for the watermark to reach `instant` (of `clock`); whether it did. Asks every 10 to 200 ms."""
        deadline, pause_s = time.monotonic() + timeout_s, POLL_S
        while await self.watermark() < instant:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, MAX_POLL_S)
        return True

    async def reopen_all(self) -> int:
        """Make every run pending, from its first event on; answers how many there are. For making the graph again."""
        with span("postgres.reopen_runs"):
            async with translated():
                done = await self._pool.execute(
                    """
                    INSERT INTO lineage_pending (run_key, since)
                    SELECT run_key, min(received_at) FROM lineage_events GROUP BY run_key ORDER BY run_key
                    ON CONFLICT (run_key) DO UPDATE
                    SET generation = nextval('lineage_generations'), lease_until = NULL, attempts = 0, failure = NULL,
                        since = least(lineage_pending.since, excluded.since)
                    """
                )
        return int(done.rpartition(" ")[2])

    async def count_pending(self) -> int:
        """How many runs the graph does not know as they are now."""
        async with translated():
            return int(await self._pool.fetchval("SELECT count(*) FROM lineage_pending"))

    async def count_waiting(self) -> int:
        """How many of those failed, and wait to be tried again."""
        async with translated():
            return int(await self._pool.fetchval("SELECT count(*) FROM lineage_pending WHERE failure IS NOT NULL"))

    async def is_pending(self, run_key: str) -> bool:
        """Whether the graph does not know a run as it is now."""
        async with translated():
            found = await self._pool.fetchval("SELECT 1 FROM lineage_pending WHERE run_key = $1", run_key)
        return found is not None

    async def read(self, run_key: str) -> tuple[StoredEvent, ...]:
        """The events under one key as they came; none where there are none."""
        with span("postgres.read_events"):
            async with translated():
                rows = await self._pool.fetch(
                    f"SELECT {_STORED} FROM lineage_events WHERE run_key = $1 ORDER BY event_id", run_key
                )
        return tuple(_to_stored(row) for row in rows)

    async def read_all(self) -> AsyncGenerator[tuple[str, tuple[StoredEvent, ...]]]:
        """All runs by key, each with its events as they came: one view of the log, streamed. Close it when done."""
        rows = self._rows()
        run_key: str | None = None
        events: list[StoredEvent] = []
        async with aclosing(rows):
            async for event in rows:
                if run_key is not None and event.run_key != run_key:
                    yield run_key, tuple(events)
                    events = []
                run_key = event.run_key
                events.append(event)
        if run_key is not None:
            yield run_key, tuple(events)

    async def _rows(self) -> AsyncGenerator[StoredEvent]:
        async with translated(), self._pool.acquire() as connection, connection.transaction(readonly=True):
            query = f"SELECT {_STORED} FROM lineage_events ORDER BY run_key, event_id"
            async for row in connection.cursor(query, prefetch=_STREAM_ROWS):
                yield _to_stored(row)

    async def find_warnings(self, run_key: str) -> list[EventWarnings] | None:
        """What was odd about the events of a run, by their times; None where there is no event."""
        with span("postgres.find_event_warnings"):
            async with translated():
                rows = await self._pool.fetch(
                    """
                    SELECT event_time, received_at, warnings FROM lineage_events
                    WHERE run_key = $1 ORDER BY event_time, event_id
                    """,
                    run_key,
                )
        found = [
            EventWarnings(
                event_time=row["event_time"], received_at=row["received_at"], warnings=_to_warnings(row["warnings"])
            )
            for row in rows
        ]
        return found or None


def _to_stored(row: asyncpg.Record) -> StoredEvent:
    return StoredEvent(**dict(row))


def _to_warnings(stored: list[Any]) -> tuple[EventWarning, ...]:
    return tuple(EventWarning(**each) for each in stored)
