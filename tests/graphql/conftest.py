"""The GraphQL face on real services: embedded Postgres, an SQL catalog, real Iceberg tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services, open_services
from app.graphql.schema import Schema, build_schema
from app.settings import Settings
from tests.graphql.api import Api
from tests.lake_tables import Orders, create_orders, open_catalog


@pytest.fixture(scope="session")
def schema() -> Schema:
    return build_schema(Settings())


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with open_catalog(settings) as opened:
        yield opened


@pytest.fixture
def orders(catalog: Catalog) -> Orders:
    return create_orders(catalog)


@pytest.fixture
async def services(settings: Settings, catalog: Catalog) -> AsyncIterator[Services]:
    del catalog  # it makes the warehouse
    async with open_services(settings) as opened:
        yield opened


@pytest.fixture
def api(schema: Schema, services: Services) -> Api:
    return Api(schema, services)
