"""The border of the store: what Postgres raises becomes the one error that callers know."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from app.errors import BackendUnavailableError, LineageUnavailableError
from app.postgres.pool import translated

# What passes if it is tried again, and tables that are not there (yet). Others are mistakes of ours, and look like it.
_PASSING = (
    asyncpg.TransactionRollbackError,  # deadlock with the emptying of all tables
    asyncpg.LockNotAvailableError,
    asyncpg.UndefinedTableError,
)


@contextlib.asynccontextmanager
async def at_border() -> AsyncIterator[None]:
    """Every method of the store wraps its statements in this.

    Raises:
        LineageUnavailableError: Postgres is away, did not answer in time, or lacks the tables.
    """
    try:
        async with translated():
            yield
    except BackendUnavailableError as error:
        raise LineageUnavailableError(error.message) from error
    except _PASSING as error:
        raise LineageUnavailableError(f"postgres: {error}") from error
