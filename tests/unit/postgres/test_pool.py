from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from app.errors import BackendUnavailableError, InvalidSettingError, LockTimeoutError
from app.postgres.embedded import EmbeddedPostgres
from app.postgres.pool import AdvisoryLocks, advisory_key, open_advisory_locks, open_pool, translated

pytestmark = pytest.mark.anyio
KEY = "table:6f9619ff"


@pytest.fixture
async def pool(empty_database_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(empty_database_url, max_size=2, statement_timeout_s=5) as opened:
        yield opened


@pytest.fixture
async def locks(empty_database_url: str) -> AsyncIterator[AdvisoryLocks]:
    opened = await open_advisory_locks(empty_database_url, max_held=2)
    yield opened
    await opened.close()


@pytest.fixture
async def other_locks(empty_database_url: str) -> AsyncIterator[AdvisoryLocks]:
    """As another process has them: nothing shared but the database."""
    opened = await open_advisory_locks(empty_database_url, max_held=2)
    yield opened
    await opened.close()


async def is_free(locks: AdvisoryLocks, key: str = KEY, *, timeout_s: float = 30) -> bool:
    """Whether it can be had, on a machine however slow."""
    try:
        async with locks.held(key, timeout_s=timeout_s):
            return True
    except LockTimeoutError:
        return False


async def is_taken(locks: AdvisoryLocks, key: str = KEY) -> bool:
    return not await is_free(locks, key, timeout_s=0.1)


async def some_wait_for_a_lock(pool: asyncpg.Pool) -> None:
    # No event to wait for: it happens in Postgres.
    while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def test_advisory_key_is_the_same_in_every_release() -> None:
    # From `printf 'stratigraph:migrations' | b2sum -l 64`, read as a signed big-endian number.
    assert advisory_key("stratigraph:migrations") == 5081735843684661406


@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_json_columns_hold_python_values(pool: asyncpg.Pool, kind: str) -> None:
    value = {"id": 2**63 - 1, "names": ["ä", None], "nested": {"ok": True}, "part": 0.1}

    assert await pool.fetchval(f"SELECT $1::{kind}", value) == value
    assert await pool.fetchval(f"SELECT $1::{kind}", None) is None


async def test_connections_say_who_they_are(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("SELECT current_setting('application_name')") == "stratigraph"
    assert await pool.fetchval("SELECT current_setting('statement_timeout')") == "5s"


async def test_statement_over_its_time_is_typed(empty_database_url: str) -> None:
    async with await open_pool(empty_database_url, statement_timeout_s=0.05) as pool:
        with pytest.raises(BackendUnavailableError, match="statement timeout"):
            async with translated():
                await pool.execute("SELECT pg_sleep(30)")


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("wrong password", lambda url: url.replace("postgresql://stratigraph:", "postgresql://stratigraph:x")),
        ("unknown user", lambda url: url.replace("//stratigraph:", "//somebody:")),
        ("no such database", lambda url: url + "x"),
        ("nobody listens", lambda url: "postgresql://stratigraph:x@127.0.0.1:1/stratigraph"),
    ],
)
async def test_opening_a_pool_fails_typed_and_tells_no_password(empty_database_url: str, case: str, change) -> None:
    password = empty_database_url.split(":")[2].split("@")[0]

    with pytest.raises(BackendUnavailableError) as caught:
        await open_pool(change(empty_database_url))

    assert password not in caught.value.message


async def test_url_of_something_else_is_an_invalid_setting() -> None:
    with pytest.raises(InvalidSettingError):
        await open_pool("mysql://127.0.0.1/stratigraph")


async def test_killed_connection_is_typed_and_the_pool_recovers(pool: asyncpg.Pool) -> None:
    with pytest.raises(BackendUnavailableError):
        async with translated():
            await pool.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert await pool.fetchval("SELECT 1") == 1


async def test_closed_pool_is_typed(empty_database_url: str) -> None:
    pool = await open_pool(empty_database_url)
    await pool.close()

    with pytest.raises(BackendUnavailableError):
        async with translated():
            await pool.execute("SELECT 1")


async def test_wrong_statements_and_wrong_use_are_not_outages(pool: asyncpg.Pool) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with translated():
            await pool.execute("SELECT * FROM missing")
    with pytest.raises(asyncpg.InterfaceError):
        async with translated():
            await pool.fetchval("SELECT $1::int")


async def test_server_that_stops_is_typed_and_comes_back(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    url = await asyncio.to_thread(server.start)
    async with await open_pool(url) as pool:
        await asyncio.to_thread(server.stop)
        with pytest.raises(BackendUnavailableError):
            async with translated():
                await pool.execute("SELECT 1")

        assert await asyncio.to_thread(server.start) == url

        assert await pool.fetchval("SELECT 1") == 1
    await asyncio.to_thread(server.stop)


async def test_lock_excludes_another_process_until_it_is_left(locks: AdvisoryLocks, other_locks: AdvisoryLocks) -> None:
    async with locks.held(KEY, timeout_s=1):
        assert await is_taken(other_locks)
        assert await is_free(other_locks, "another key")

    assert await is_free(other_locks)


async def test_timeout_names_the_key(locks: AdvisoryLocks, other_locks: AdvisoryLocks) -> None:
    async with locks.held(KEY, timeout_s=1):
        with pytest.raises(LockTimeoutError) as from_postgres:
            async with other_locks.held(KEY, timeout_s=0.1):
                pass
        with pytest.raises(LockTimeoutError) as from_queue:
            async with locks.held(KEY, timeout_s=0.1):
                pass

    assert from_postgres.value.fields == from_queue.value.fields == {"key": KEY, "timeoutS": 0.1}


async def test_without_a_timeout_a_lock_is_taken_at_once_or_not_at_all(
    locks: AdvisoryLocks, other_locks: AdvisoryLocks
) -> None:
    async def is_free_now(asked: AdvisoryLocks, key: str) -> bool:
        try:
            async with asked.held(key, timeout_s=0):
                return True
        except LockTimeoutError as error:
            assert error.fields == {"key": key, "timeoutS": 0.0}
            return False

    async with locks.held(KEY, timeout_s=1):
        # Where another process holds it, and where this one does
        assert not await is_free_now(other_locks, KEY)
        assert not await is_free_now(locks, KEY)
        assert await is_free_now(locks, "another key")
        # And where no more of them can be held here
        async with locks.held("the last one", timeout_s=1):
            assert not await is_free_now(locks, "another key")
    assert await is_free_now(other_locks, KEY)
    # And it keeps others out
    async with locks.held(KEY, timeout_s=0):
        assert await is_taken(other_locks)
    assert not locks._queues


async def test_lock_is_released_by_an_error(locks: AdvisoryLocks, other_locks: AdvisoryLocks) -> None:
    with pytest.raises(ValueError, match="broken"):
        async with locks.held(KEY, timeout_s=1):
            raise ValueError("broken")

    assert await is_free(other_locks)


async def test_lock_is_released_when_its_holder_is_cancelled(locks: AdvisoryLocks, other_locks: AdvisoryLocks) -> None:
    entered = asyncio.Event()

    async def hold() -> None:
        async with locks.held(KEY, timeout_s=1):
            entered.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    await entered.wait()
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder

    assert await is_free(other_locks)


async def test_cancelled_waiter_does_not_take_the_lock_with_it(
    locks: AdvisoryLocks, other_locks: AdvisoryLocks, pool: asyncpg.Pool
) -> None:
    async def wait() -> None:
        async with other_locks.held(KEY, timeout_s=60):
            pass

    async with locks.held(KEY, timeout_s=1):
        waiter = asyncio.create_task(wait())
        await some_wait_for_a_lock(pool)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter

    assert await is_free(locks)
    assert await is_free(other_locks)


async def test_more_waiters_than_connections_neither_deadlock_nor_overlap(locks: AdvisoryLocks) -> None:
    inside = 0
    done = []

    async def work(number: int) -> None:
        nonlocal inside
        async with locks.held(KEY, timeout_s=60):
            inside += 1
            assert inside == 1
            async with locks.held(f"inner {number}", timeout_s=60):
                await asyncio.sleep(0)
            inside -= 1
            done.append(number)

    await asyncio.gather(*(work(number) for number in range(20)))

    assert sorted(done) == list(range(20))
    assert not locks._queues


async def test_two_that_wait_for_each_other_end_by_their_timeouts(
    locks: AdvisoryLocks, other_locks: AdvisoryLocks
) -> None:
    both_hold = asyncio.Barrier(2)

    async def cross(own: AdvisoryLocks, first: str, second: str) -> None:
        async with own.held(first, timeout_s=60):
            await both_hold.wait()
            async with own.held(second, timeout_s=0.2):
                pass

    outcomes = await asyncio.gather(cross(locks, "a", "b"), cross(other_locks, "b", "a"), return_exceptions=True)

    # The first to give up may just let the other in.
    assert LockTimeoutError in [type(outcome) for outcome in outcomes]
    assert await is_free(locks, "a")
    assert await is_free(locks, "b")


async def test_work_under_a_lock_whose_connection_dies_is_not_reported_as_failed(
    locks: AdvisoryLocks, other_locks: AdvisoryLocks, pool: asyncpg.Pool
) -> None:
    async with locks.held(KEY, timeout_s=1):
        await pool.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")

    assert await is_free(other_locks)
    assert await is_free(locks)


async def test_lock_without_postgres_is_typed() -> None:
    locks = await open_advisory_locks("postgresql://nobody@127.0.0.1:1/none")

    with pytest.raises(BackendUnavailableError):
        async with locks.held(KEY, timeout_s=5):
            pass
    await locks.close()
