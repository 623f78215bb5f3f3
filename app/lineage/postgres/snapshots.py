"""Reading the graph as of one moment."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator

import asyncpg
from asyncpg.pool import PoolConnectionProxy


@contextlib.asynccontextmanager
async def reading(pool: asyncpg.Pool, *, timeout_s: float | None = None) -> AsyncIterator[PoolConnectionProxy]:
    """A connection on which all statements see one state of the graph, and none takes longer than `timeout_s`."""
    # Compiling takes longer than these statements do, and is decided on by the length of arrays that nobody knows.
    settings = "SET LOCAL jit = off"
    if timeout_s is not None:
        # 0 would mean to wait for ever.
        settings += f"; SET LOCAL statement_timeout = {max(1, math.ceil(timeout_s * 1000))}"
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(settings)
        yield connection
