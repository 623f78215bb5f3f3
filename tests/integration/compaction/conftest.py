"""Fixtures of the tests of compaction as a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services, open_services
from app.settings import Settings
from tests.lake_tables import open_catalog


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    # So that an operation whose worker was killed is soon taken over.
    return Settings(home=tmp_path / "home", database_url=database_url, lease_s=2.0)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with open_catalog(settings) as opened:
        yield opened


@pytest.fixture
async def services(settings: Settings, catalog: Catalog) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened
