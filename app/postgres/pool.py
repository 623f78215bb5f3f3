"""Connections to Postgres: pools, the translation of their errors, and advisory locks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from app.errors import BackendUnavailableError, InvalidSettingError, LockTimeoutError
from app.telemetry.tracing import span

# For those who pass a pool on and have no business with its driver.
Pool: TypeAlias = asyncpg.Pool

APPLICATION_NAME = "stratigraph"
CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0

# What says "Postgres cannot serve this now" rather than "this statement is wrong".
UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement timeout
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.InvalidAuthorizationSpecificationError,  # wrong password or user
    asyncpg.InvalidCatalogNameError,  # no such database
    asyncpg.PostgresSystemError,
    # What most statements meet whose server is killed: asyncpg trips over its own state (MagicStack/asyncpg#1069).
    asyncpg.InternalClientError,
)


async def open_pool(
    url: str,
    *,
    min_size: int = 1,
    max_size: int = 10,
    statement_timeout_s: float | None = None,
    command_timeout_s: float | None = COMMAND_TIMEOUT_S,
) -> asyncpg.Pool:
    """A pool whose connections read and write json and jsonb as Python values.

    `statement_timeout_s` makes the server end a statement, `command_timeout_s` makes the client stop waiting, also
    where the server no longer answers. Integers beyond 64 bits are not for json columns: orjson refuses to write them.

    Raises:
        BackendUnavailableError: Postgres does not answer or refuses the login.
        InvalidSettingError: the URL is none.
    """
    settings = {"application_name": APPLICATION_NAME}
    if statement_timeout_s is not None:
        settings["statement_timeout"] = str(int(statement_timeout_s * 1000))
    async with translated():
        with checked_url():
            return await asyncpg.create_pool(
                url,
                min_size=min_size,
                max_size=max_size,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=command_timeout_s,
                server_settings=settings,
                init=_set_codecs,
            )


@contextlib.asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Stores wrap their statements in this, so that a lost Postgres is a typed error; others pass as they are.

    Raises:
        BackendUnavailableError: the connection was refused, lost or timed out, or the server is going down.
    """
    with _translated():
        yield


@contextlib.contextmanager
def checked_url() -> Iterator[None]:
    """For blocks that do nothing but connect: asyncpg says of a URL that is none whatever its parser trips over.

    Raises:
        InvalidSettingError: the URL is none.
    """
    try:
        yield
    except (asyncpg.ClientConfigurationError, ValueError, OverflowError) as error:
        raise InvalidSettingError("STRATIGRAPH_DATABASE_URL", f"it cannot be used: {error}") from error


class AdvisoryLocks:
    """Locks by name that all processes on one database respect.

    A lock is a session-level advisory lock, and so needs a connection of its own for as long as it is held. Those come
    from a pool of their own: the holder does its work on the ordinary pool, and were both one, ten holders would wait
    for ever for the eleventh connection. Tasks of this process that want the same key queue up here, on one
    connection at most, so that a popular key cannot use up the pool of locks either.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._queues: dict[str, _Queue] = {}

    @contextlib.asynccontextmanager
    async def held(self, key: str, *, timeout_s: float) -> AsyncIterator[None]:
        """Hold the lock of `key`; released on every way out, cancellation included. With a timeout of 0 nothing is
        waited for: not the lock, and not one of the connections that locks need.

        Not reentrant. Whoever holds several takes them in sorted order: Postgres sees each as a session of its own, and
        so no deadlock; two that wait for each other end by their timeouts. If the connection is lost meanwhile, so is
        the lock, without notice: whoever changes data under it still has to compare and set.

        Raises:
            LockTimeoutError: somebody else held it for `timeout_s`.
            BackendUnavailableError: Postgres is away.
        """
        async with contextlib.AsyncExitStack() as stack:
            with span("postgres.lock", key=key):
                if timeout_s > 0:
                    await self._wait_for(stack, key, timeout_s)
                else:
                    await self._take(stack, key)
            yield

    async def close(self) -> None:
        """Close the connections; waits for the locks that are held."""
        await self._pool.close()

    async def _wait_for(self, stack: contextlib.AsyncExitStack, key: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await stack.enter_async_context(self._queued(key))
                connection = await stack.enter_async_context(self._connection())
        except TimeoutError as error:
            raise LockTimeoutError(key, timeout_s) from error
        with _translated():
            # 0 would mean to wait for ever.
            remaining_ms = max(1, int((deadline - time.monotonic()) * 1000))
            await connection.execute("SELECT set_config('lock_timeout', $1, false)", str(remaining_ms))
            try:
                await connection.execute("SELECT pg_advisory_lock($1)", advisory_key(key))
            except asyncpg.LockNotAvailableError as error:
                raise LockTimeoutError(key, timeout_s) from error

    async def _take(self, stack: contextlib.AsyncExitStack, key: str) -> None:
        is_pool_used_up = not self._pool.get_idle_size() and self._pool.get_size() >= self._pool.get_max_size()
        if key in self._queues or is_pool_used_up:
            raise LockTimeoutError(key, 0.0)
        await stack.enter_async_context(self._queued(key))
        connection = await stack.enter_async_context(self._connection())
        with _translated():
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", advisory_key(key)):
                raise LockTimeoutError(key, 0.0)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[PoolConnectionProxy]:
        with _translated():
            connection = await self._pool.acquire()
        try:
            yield connection
        finally:
            # Returning to the pool resets the connection, which unlocks; asyncpg shields that from cancellation, so
            # that a lock granted in the moment in which we gave up is let go too. A connection that is lost has lost
            # its lock: that is no failure of what was done under it.
            with contextlib.suppress(*UNAVAILABLE, asyncpg.InterfaceError):
                await self._pool.release(connection)

    @contextlib.asynccontextmanager
    async def _queued(self, key: str) -> AsyncIterator[None]:
        queue = self._queues.setdefault(key, _Queue())
        queue.users += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[key]


async def open_advisory_locks(url: str, *, max_held: int = 8) -> AdvisoryLocks:
    """Locks on this database, of which this process can hold `max_held` different ones at once.

    Connects when the first lock is asked for.
    """
    return AdvisoryLocks(await open_pool(url, min_size=0, max_size=max_held, command_timeout_s=None))


def advisory_key(key: str) -> int:
    """The signed 64-bit number that stands for `key`; the same in every process and release."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), signed=True)


class _Queue:
    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except UNAVAILABLE as error:
        raise BackendUnavailableError("postgres", str(error) or type(error).__name__) from error
    except asyncpg.InterfaceError as error:
        # asyncpg has one class for a closed connection and for its wrong use, which must not look like an outage.
        if "closed" not in str(error) and "closing" not in str(error):
            raise
        raise BackendUnavailableError("postgres", str(error)) from error


async def _set_codecs(connection: asyncpg.Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_encode, decoder=orjson.loads)


def _encode(value: Any) -> str:
    return orjson.dumps(value).decode()
