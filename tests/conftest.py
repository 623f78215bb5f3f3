"""Fixtures for every test: one embedded Postgres a session, one fresh database a test."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from app.postgres.embedded import EmbeddedPostgres
from app.postgres.migrate import migrate

pytest_plugins = ["tests.servers.availability"]

# A shell that starts the tests in the background lets them ignore Ctrl-C, and so would all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TEMPLATE = "stratigraph_template"
DROP_ATTEMPTS = 50


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The session's own embedded server; its database is nobody's, ask for `database_url` instead."""
    with tempfile.TemporaryDirectory(prefix="stratigraph-tests-") as home:
        server = EmbeddedPostgres(Path(home))
        url = server.start()
        try:
            yield url
        finally:
            server.stop()


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> str:
    """The name of a database with the current schema, from which those of the tests are copied."""
    asyncio.run(_execute(postgres_url, f"CREATE DATABASE {TEMPLATE}"))
    asyncio.run(migrate(with_database(postgres_url, TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A database of this test alone, with the current schema."""
    yield from _temporary_database(postgres_url, template=template_database)


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A database of this test alone, with nothing in it."""
    yield from _temporary_database(postgres_url, template="template1")


def with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _temporary_database(url: str, *, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(_execute(url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield with_database(url, name)
    finally:
        asyncio.run(_drop(url, name))


async def _drop(url: str, name: str) -> None:
    for attempt in range(DROP_ATTEMPTS):
        try:
            # By force: a test that failed may have left connections behind.
            await _execute(url, f"DROP DATABASE {name} WITH (FORCE)")
        except (asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError):
            # Autovacuum is in it, which is the superuser's and soon done.
            if attempt == DROP_ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.2)
        else:
            return


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
