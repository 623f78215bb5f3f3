"""The log of lineage events with real concurrency: nothing is lost, nothing doubled, and the watermark never lies."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from uuid import UUID, uuid5

import asyncpg
import pytest

from app.domain.events import ParsedEvent
from app.lineage.openlineage.parse import parse_events
from app.postgres.pool import open_pool
from app.registry.events import EventLog
from tests.lineage_events import NOW, dataset_json, event_json, parse

pytestmark = pytest.mark.anyio

RUNS = UUID("6f1a2b3c-0000-4000-8000-000000000001")
CLAIMER = """
import asyncio, sys, time
from app.postgres.pool import open_pool
from app.registry.events import EventLog

async def main():
    pool = await open_pool(sys.argv[1])
    (claim,) = await EventLog(pool).claim(1, float(sys.argv[2]))
    print(claim.run_key, flush=True)
    time.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(database_url, max_size=14) as opened:
        yield opened


@pytest.fixture
def log(pool: asyncpg.Pool) -> EventLog:
    return EventLog(pool)


def event_of(run: int, number: int = 0, event_type: str = "RUNNING", **changes: object) -> ParsedEvent:
    """Event `number` of run `run`."""
    run_id = {"runId": str(uuid5(RUNS, str(run)))}
    return parse(event_json(event_type, run=run_id, number=number, **changes))


def key(run: int) -> str:
    return event_of(run).event.run_key


async def pending(pool: asyncpg.Pool) -> dict[str, asyncpg.Record]:
    return {row["run_key"]: row for row in await pool.fetch("SELECT * FROM lineage_pending")}


async def project_all(log: EventLog) -> None:
    while claims := await log.claim(100, 60):
        for claim in claims:
            await log.done([claim])


# Appending


async def test_an_event_is_kept_as_it_came_and_its_run_is_pending(log: EventLog, pool: asyncpg.Pool) -> None:
    before = await log.clock()
    event = event_of(1, inputs=[dataset_json("a", 5, ownership=7)])

    assert await log.append([event]) == [True]

    (claim,) = await log.claim(10, 60)
    (stored,) = claim.events
    assert (claim.run_key, stored.run_key, stored.body) == (key(1), key(1), event.body)
    assert (stored.body_hash, stored.event_time) == (event.event.body_hash, event.event.event_time)
    assert before <= stored.received_at <= await log.clock()
    assert parse_events(stored.body, now=NOW) == [event]
    (found,) = await log.find_warnings(key(1)) or []
    assert found.warnings == event.event.warnings != ()
    assert await log.find_warnings(key(2)) is None


async def test_the_same_body_twice_changes_nothing(log: EventLog, pool: asyncpg.Pool) -> None:
    assert await log.append([event_of(1), event_of(2), event_of(1)]) == [True, True, False]
    before = await pending(pool)

    assert await log.append([event_of(1), event_of(2, 1), event_of(2)]) == [False, True, False]

    after = await pending(pool)
    assert after[key(1)] == before[key(1)]
    assert after[key(2)]["generation"] > before[key(2)]["generation"]
    assert after[key(2)]["since"] == before[key(2)]["since"]
    assert await pool.fetchval("SELECT count(*) FROM lineage_events") == 3
    await project_all(log)
    assert await log.append([event_of(1)]) == [False]
    assert await pending(pool) == {}


async def test_nothing_is_appended_by_nothing(log: EventLog, pool: asyncpg.Pool) -> None:
    assert await log.append([]) == []
    assert await log.claim(10, 60) == []


async def test_a_batch_is_all_or_nothing(log: EventLog, pool: asyncpg.Pool) -> None:
    await pool.execute(
        "ALTER TABLE lineage_events ADD CONSTRAINT refused CHECK (run_key <> $$%s$$)" % key(2)  # noqa: UP031
    )

    with pytest.raises(asyncpg.CheckViolationError):
        await log.append([event_of(1), event_of(2), event_of(3)])

    assert await pool.fetchval("SELECT count(*) FROM lineage_events") == 0
    assert await pending(pool) == {}


async def test_names_of_any_length_can_be_keys(log: EventLog) -> None:
    # Random, because what repeats is compressed before Postgres measures it.
    rng = random.Random(7)
    names = ["".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(2000)) for _ in range(2)]
    job = parse(event_json(None, run=None, job={"namespace": names[0], "name": names[1]}))
    dataset = parse({"eventTime": "2026-02-15T10:00:00Z", "dataset": {"namespace": names[1], "name": names[0]}})

    assert await log.append([job, dataset]) == [True, True]
    assert {claim.run_key for claim in await log.claim(10, 60)} == {job.event.run_key, dataset.event.run_key}


async def test_writers_of_the_same_keys_in_any_order_do_not_deadlock(log: EventLog, pool: asyncpg.Pool) -> None:
    rng = random.Random(7)
    events = [event_of(run, number) for run in range(20) for number in range(3)]

    async def write() -> list[bool]:
        return await log.append(rng.sample(events, len(events)))

    answers = await asyncio.gather(*(write() for _ in range(12)))

    assert sum(map(sum, answers)) == len(events) == await pool.fetchval("SELECT count(*) FROM lineage_events")


async def test_a_writer_of_what_another_is_writing_waits_until_it_is_durable(
    log: EventLog, pool: asyncpg.Pool, database_url: str
) -> None:
    other = await asyncpg.connect(database_url)
    for outcome, expected in (("ROLLBACK", True), ("COMMIT", False)):
        event = event_of(1, 1 if outcome == "COMMIT" else 0)
        await other.execute("BEGIN")
        await insert(other, event)
        writing = asyncio.create_task(log.append([event]))
        await somebody_waits(pool)
        assert not writing.done()

        await other.execute(outcome)

        assert await writing == [expected], outcome
    await other.close()


# Claiming


async def test_a_claimed_run_is_nobody_elses_until_it_is_done(log: EventLog) -> None:
    await log.append([event_of(1)])
    (claim,) = await log.claim(10, 60)

    assert await log.claim(10, 60) == []

    await log.done([claim])
    assert await log.claim(10, 60) == []


async def test_the_longest_pending_are_claimed_first(log: EventLog) -> None:
    for run in (3, 1, 2):
        await log.append([event_of(run)])

    assert [claim.run_key for claim in await log.claim(2, 60)] == [key(3), key(1)]
    assert [claim.run_key for claim in await log.claim(2, 60)] == [key(2)]


async def test_an_event_that_comes_while_its_run_is_projected_is_projected_too(log: EventLog) -> None:
    await log.append([event_of(1)])
    (claim,) = await log.claim(10, 60)
    await log.append([event_of(1, 1)])
    assert await log.claim(10, 60) == []

    await log.done([claim])

    (again,) = await log.claim(10, 60)
    assert len(again.events) == 2


async def test_a_claimer_that_was_overtaken_does_not_take_later_events_with_it(log: EventLog) -> None:
    await log.append([event_of(1)])
    (slow,) = await log.claim(10, 0)
    (fast,) = await log.claim(10, 60)
    await log.done([fast])
    # The row is made anew: were its generation to begin again, it would look like the one that `slow` holds.
    await log.append([event_of(1, 1)])

    await log.done([slow])

    (again,) = await log.claim(10, 60)
    assert len(again.events) == 2


async def test_what_two_have_projected_at_once_is_projected_once_more(log: EventLog, pool: asyncpg.Pool) -> None:
    # given one whose lease ran out while it was at work, and another one that has done the same, with a later event
    await log.append([event_of(1)])
    (slow,) = await log.claim(10, 0)
    await log.append([event_of(1, 1)])
    (fast,) = await log.claim(10, 60)
    await log.done([fast])
    assert await pending(pool) == {}

    # when the slow one may have overwritten what the fast one said
    await log.done([slow])

    # then the run is projected again, whole, and that is the end of it
    (again,) = await log.claim(10, 60)
    assert len(again.events) == 2
    await log.done([again])
    assert await pending(pool) == {}


async def test_a_change_of_generation_that_is_being_committed_is_not_overlooked(
    log: EventLog, pool: asyncpg.Pool, database_url: str
) -> None:
    await log.append([event_of(1)])
    (claim,) = await log.claim(10, 60)
    other = await asyncpg.connect(database_url)
    await other.execute("BEGIN")
    await insert(other, event_of(1, 1))
    finishing = asyncio.create_task(log.done([claim]))
    await somebody_waits(pool)

    await other.execute("COMMIT")
    await finishing

    (again,) = await log.claim(10, 60)
    assert len(again.events) == 2
    await other.close()


async def test_what_failed_is_kept_and_tried_again_later_and_later(log: EventLog, pool: asyncpg.Pool) -> None:
    await log.append([event_of(1)])
    waits = []
    for _ in range(12):
        (claim,) = await log.claim(1, 60)
        await log.failed(claim.run_key, "the graph said \x00 no")
        assert await log.claim(1, 60) == []
        row = (await pending(pool))[key(1)]
        waits.append(round((row["lease_until"] - await log.clock()).total_seconds()))
        await pool.execute("UPDATE lineage_pending SET lease_until = clock_timestamp()")

    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    assert (row["failure"], row["attempts"]) == ("the graph said \ufffd no", 12)


async def test_what_failed_is_tried_at_once_with_its_next_event(log: EventLog) -> None:
    await log.append([event_of(1)])
    await log.claim(1, 60)
    await log.failed(key(1), "no START yet")

    await log.append([event_of(1, 1)])

    assert len(await log.claim(1, 60)) == 1


async def test_the_run_of_a_killed_claimer_is_taken_over_when_its_lease_runs_out(
    log: EventLog, pool: asyncpg.Pool, database_url: str
) -> None:
    await log.append([event_of(1)])
    claimer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLAIMER, database_url, "600", stdout=asyncio.subprocess.PIPE
    )
    assert claimer.stdout is not None
    assert await claimer.stdout.readline() == f"{key(1)}\n".encode()

    claimer.kill()
    await claimer.communicate()

    assert await log.claim(1, 60) == []
    await pool.execute("UPDATE lineage_pending SET lease_until = lease_until - interval '600 s'")
    (claim,) = await log.claim(1, 60)
    assert len(claim.events) == 1
    assert (await pending(pool))[key(1)]["attempts"] == 2


# The watermark


async def insert(connection: asyncpg.Connection, parsed: ParsedEvent) -> None:
    """What `append` does, in a transaction that the test holds open."""
    event = parsed.event
    await connection.execute(
        "INSERT INTO lineage_events (run_key, event_time, body_hash, body) VALUES ($1, $2, $3, $4)",
        event.run_key,
        event.event_time,
        event.body_hash,
        parsed.body,
    )
    await connection.execute(
        "INSERT INTO lineage_pending (run_key) VALUES ($1) ON CONFLICT (run_key) DO UPDATE "
        "SET generation = nextval('lineage_generations')",
        event.run_key,
    )


async def somebody_waits(pool: asyncpg.Pool) -> None:
    # No event to wait for: it happens in Postgres.
    while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_the_watermark_of_an_idle_log_is_now(log: EventLog) -> None:
    before = await log.clock()

    assert before <= await log.watermark() <= await log.clock()


async def test_the_watermark_stays_before_what_is_pending(log: EventLog, pool: asyncpg.Pool) -> None:
    before = await log.clock()
    await log.append([event_of(1)])
    after = await log.clock()
    await log.append([event_of(2)])
    first, second = await log.claim(2, 60)

    assert before <= await log.watermark() < after
    await log.append([event_of(1, 1)])
    await log.done([second])
    await log.done([first])
    # An event that came later keeps the run where its first one put it.
    assert before <= await log.watermark() < after
    await project_all(log)
    assert await log.watermark() > after


async def test_the_watermark_never_passes_a_transaction_that_is_still_open(log: EventLog, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    await other.execute("BEGIN")
    await insert(other, event_of(1))
    after = await log.clock()
    await log.append([event_of(2)])
    await project_all(log)

    assert await log.watermark() < after

    await other.execute("COMMIT")
    assert await log.watermark() < after
    await project_all(log)
    assert await log.watermark() > after
    await other.close()


async def test_a_transaction_that_writes_nothing_holds_nobody_up(log: EventLog, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    await other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await other.fetch("SELECT * FROM lineage_events, lineage_pending")
    after = await log.clock()

    assert await log.watermark() > after
    # What it writes only now is dated later than what was said.
    said = await log.watermark()
    await insert(other, event_of(1))
    await other.execute("COMMIT")
    (claim,) = await log.claim(1, 60)
    assert claim.events[0].received_at > said
    await other.close()


async def test_waiting_ends_with_the_projection_or_with_the_deadline(log: EventLog) -> None:
    await log.append([event_of(1)])
    instant = await log.clock()
    assert not await log.wait_until(instant, timeout_s=0.05)

    waiting = asyncio.create_task(log.wait_until(instant, timeout_s=60))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await project_all(log)

    assert await waiting
    assert not await log.wait_until(instant + timedelta(days=1), timeout_s=0)


# All at once


async def test_nothing_is_lost_or_doubled_by_eight_writers_and_four_claimers(log: EventLog, pool: asyncpg.Pool) -> None:
    rng = random.Random(7)
    events = [event_of(run, number) for run in range(25) for number in range(8)]
    projected: defaultdict[str, set[bytes]] = defaultdict(set)
    at_work: set[str] = set()
    is_over = asyncio.Event()
    accepted = 0

    async def write(mine: Sequence[ParsedEvent]) -> None:
        nonlocal accepted
        for start in range(0, len(mine), 5):
            batch = mine[start : start + 5]
            added = await log.append(batch)
            accepted += sum(added)
            if rng.random() < 0.3:
                instant = await log.clock()
                assert await log.wait_until(instant, timeout_s=60)
                # The watermark's promise: what was answered for before it is in the graph.
                assert all(event.event.body_hash in projected[event.event.run_key] for event in batch)

    async def work() -> None:
        while not is_over.is_set():
            for claim in await log.claim(3, 60):
                assert claim.run_key not in at_work
                at_work.add(claim.run_key)
                await asyncio.sleep(rng.random() / 100)
                at_work.remove(claim.run_key)
                if rng.random() < 0.05:
                    await log.failed(claim.run_key, "at random")
                    continue
                projected[claim.run_key] |= {event.body_hash for event in claim.events}
                await log.done([claim])
            await asyncio.sleep(0.005)

    working = [asyncio.create_task(work()) for _ in range(4)]
    # Each event is written by two of them.
    shares = [rng.sample(events, len(events)) for _ in range(2)]
    await asyncio.gather(*(write(share[part::4]) for share in shares for part in range(4)))
    assert await log.wait_until(await log.clock(), timeout_s=60)
    is_over.set()
    await asyncio.gather(*working)

    assert accepted == len(events) == await pool.fetchval("SELECT count(*) FROM lineage_events")
    assert {hash_ for hashes in projected.values() for hash_ in hashes} == {event.event.body_hash for event in events}
    assert await pending(pool) == {}


async def test_the_log_is_read_again_from_the_beginning_run_by_run(log: EventLog) -> None:
    events = [event_of(run, number) for number in range(3) for run in range(40)]
    await log.append(events)
    await project_all(log)

    async with aclosing(log.read_all()) as runs:
        found = [(run_key, stored) async for run_key, stored in runs]

    assert [run_key for run_key, _ in found] == sorted({event.event.run_key for event in events})
    for run_key, stored in found:
        assert {each.body for each in stored} == {event.body for event in events if event.event.run_key == run_key}
        assert [each.event_id for each in stored] == sorted(each.event_id for each in stored)


async def test_reading_the_log_may_end_early(log: EventLog, pool: asyncpg.Pool) -> None:
    await log.append([event_of(run) for run in range(200)])

    async with aclosing(log.read_all()) as runs:
        async for _ in runs:
            break

    assert pool.get_idle_size() == pool.get_size()


async def test_an_empty_log_has_no_runs(log: EventLog) -> None:
    assert [run async for run in log.read_all()] == []
