"""What only the tables have: they come with migrations, can be locked, and go away with Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.domain.lineage import Direction, TruncationReason
from app.errors import LineageUnavailableError
from app.lineage.postgres.store import PostgresLineage
from app.postgres.pool import open_pool
from tests.contract.lineage.graphs import DOWN, UP, derived, walk

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(database_url: str, anyio_backend: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(database_url)
    yield pool
    await pool.close()


async def test_a_database_without_the_tables_is_no_store(empty_database_url: str) -> None:
    pool = await open_pool(empty_database_url)
    store = PostgresLineage(pool)
    try:
        for call in (store.prepare(), store.walk(walk("a@1")), store.apply([derived(("b@1", "a@1"))])):
            with pytest.raises(LineageUnavailableError):
                await call
    finally:
        await pool.close()


async def test_a_store_that_is_away_is_one_error_everywhere(database_url: str) -> None:
    pool = await open_pool(database_url)
    store = PostgresLineage(pool)
    await pool.close()

    calls = [
        store.prepare(),
        store.ping(),
        store.apply([derived(("b@1", "a@1"))]),
        store.walk(walk("a@1")),
        store.count(walk("a@1")),
        store.neighbours(["a@1"], UP, limit=1),
        store.column_edges("a@1", "x", Direction.BOTH, depth=1, limit=1),
        anext(store.owners()),
        store.edges_of("run:1"),
        store.totals(),
        store.drop(),
    ]
    for call in calls:
        with pytest.raises(LineageUnavailableError) as refused:
            await call  # type: ignore[misc]
        assert "postgres" in refused.value.message


async def test_a_walk_ends_in_time_whatever_holds_it_up(pool: asyncpg.Pool) -> None:
    store = PostgresLineage(pool)
    await store.apply([derived(("b@1", "a@1"))])

    async with pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE lineage_edges IN ACCESS EXCLUSIVE MODE")
        found = await store.walk(walk("a@1", DOWN, timeout_s=0.2))
        assert found.truncated == {TruncationReason.TIMEOUT}
        with pytest.raises(LineageUnavailableError, match=r"within 0\.2 s"):
            await store.count(walk("a@1", DOWN, timeout_s=0.2))

    assert len((await store.walk(walk("a@1", DOWN))).nodes) == 2


async def test_no_text_is_left_in_the_tables_when_its_owner_goes(pool: asyncpg.Pool) -> None:
    store = PostgresLineage(pool)
    await store.apply([derived(("b@1", "a@1"), ("c@1", "b@1"))])
    await store.apply([derived()])

    for table in ("entities", "vertices", "owners", "edges", "entity_edges", "columns"):
        assert await pool.fetchval(f"SELECT count(*) FROM lineage_{table}") == 0


async def test_a_reader_sees_all_or_nothing_of_an_owner(pool: asyncpg.Pool) -> None:
    # JanusGraph's transactions are not snapshots.
    store = PostgresLineage(pool)
    on, off = derived(*((f"b{n}@1", "a@1") for n in range(50))), derived()

    async def write() -> None:
        for _ in range(15):
            await store.apply([on])
            await store.apply([off])

    writing = asyncio.create_task(write())
    seen = set()
    while not writing.done():
        found = await store.walk(walk("a@1", DOWN))
        seen.add((len(found.nodes), len(found.edges)))
    await writing
    assert seen <= {(0, 0), (51, 50)}
