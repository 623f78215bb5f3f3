"""Services on a small lake: two tables of three snapshots each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services, open_services
from app.settings import Settings
from tests.integration.registry.lake import CUSTOMERS, SALES
from tests.lake_tables import Orders, create_orders, open_catalog


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with open_catalog(settings) as opened:
        yield opened


@pytest.fixture
def sales(catalog: Catalog) -> Orders:
    return create_orders(catalog, SALES)


@pytest.fixture
def customers(catalog: Catalog) -> Orders:
    return create_orders(catalog, CUSTOMERS)


@pytest.fixture
async def services(settings: Settings, sales: Orders, customers: Orders) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened
