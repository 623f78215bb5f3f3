"""Operations in a database of the test's own; no lake is needed for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from app.postgres.pool import open_pool
from app.registry.operation_leases import OperationLeases
from app.registry.operations import OperationStore
from app.registry.workers import Workers
from app.services.operations import Operations
from app.settings import Settings
from tests.integration.operations.benches import Bench


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url, lease_s=1.0)


@pytest.fixture
async def pool(database_url: str, anyio_backend: str) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(database_url, max_size=14) as opened:
        yield opened


@pytest.fixture
def store(pool: asyncpg.Pool) -> OperationStore:
    return OperationStore(pool)


@pytest.fixture
def leases(pool: asyncpg.Pool) -> OperationLeases:
    return OperationLeases(pool)


@pytest.fixture
def operations(pool: asyncpg.Pool, store: OperationStore) -> Operations:
    return Operations(store, Workers(pool))


@pytest.fixture
async def bench(store: OperationStore, leases: OperationLeases, settings: Settings) -> AsyncIterator[Bench]:
    made = Bench(store, leases, settings)
    yield made
    await made.end()
