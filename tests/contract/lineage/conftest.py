"""The stores of the lineage graph: each test here runs on every one of them, and starts with an empty graph."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Iterator

import pytest

from app.lineage.postgres.store import PostgresLineage
from app.lineage.store import LineageStore
from app.postgres.pool import open_pool
from tests.conftest import _temporary_database

KINDS = [
    pytest.param("postgres", id="postgres"),
    pytest.param("janusgraph", id="janusgraph", marks=pytest.mark.janusgraph),
    pytest.param("cassandra", id="cassandra", marks=pytest.mark.cassandra),
]


@pytest.fixture(scope="session")
def janusgraph_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JanusGraph that all share, in memory."""
    server = importlib.import_module("tests.servers.janusgraph")
    with server.janusgraph(tmp_path_factory.mktemp("janusgraph")) as url:
        yield url


@pytest.fixture(scope="session")
def cassandra_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JanusGraph that all share, whose graph is in a Cassandra."""
    cassandra = importlib.import_module("tests.servers.cassandra")
    server = importlib.import_module("tests.servers.janusgraph")
    folder = tmp_path_factory.mktemp("cassandra")
    with (
        cassandra.cassandra(folder) as port,
        server.janusgraph(folder, backend="cql", properties={"storage.port": str(port)}) as url,
    ):
        yield url


@pytest.fixture(scope="session")
def lineage_database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A database that all share: emptying its tables is quicker than making one."""
    yield from _temporary_database(postgres_url, template=template_database)


@pytest.fixture(params=KINDS)
def store_url(request: pytest.FixtureRequest) -> str:
    """Where the store is. Not asked for in an async fixture: making a database runs a loop of its own."""
    fixtures = {"postgres": "lineage_database_url", "janusgraph": "janusgraph_url", "cassandra": "cassandra_url"}
    return str(request.getfixturevalue(fixtures[request.param]))


@pytest.fixture
async def store(store_url: str, anyio_backend: str) -> AsyncIterator[LineageStore]:
    async with opened(store_url) as store:
        await store.drop()
        await store.prepare()
        yield store


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[LineageStore]:
    """The store at a URL, which tells its kind."""
    if url.startswith("ws"):
        janusgraph = importlib.import_module("app.lineage.janusgraph.store")
        store: LineageStore = await janusgraph.open_janusgraph(url)
        try:
            yield store
        finally:
            await store.close()
        return
    pool = await open_pool(url, max_size=8)
    try:
        yield PostgresLineage(pool)
    finally:
        await pool.close()
