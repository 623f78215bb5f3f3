"""A REST catalog that forbids what a test says, reached through a proxy; other programs reach it beside that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog, load_catalog

from app.bootstrap import Services, open_services
from app.settings import Settings
from tests.contract.lakes import CATALOG, variables
from tests.servers.answering_proxy import AnsweringProxy, answering_proxy
from tests.servers.rest_catalog import rest_catalog


@pytest.fixture
def rest_url(tmp_path: Path) -> Iterator[str]:
    """A catalog of this test alone: runs over many tables look at all that it has."""
    with rest_catalog(tmp_path) as url:
        yield url


@pytest.fixture
def proxy(rest_url: str) -> Iterator[AnsweringProxy]:
    with answering_proxy(rest_url) as opened:
        yield opened


@pytest.fixture
def settings(proxy: AnsweringProxy, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    chosen = Settings(home=tmp_path / "home", database_url=database_url, catalog=CATALOG)
    for variable, value in variables({"type": "rest", "uri": proxy.url}, chosen).items():
        monkeypatch.setenv(variable, value)
    return chosen


@pytest.fixture
def catalog(rest_url: str) -> Iterator[Catalog]:
    """The catalog as a program reaches it that nothing is forbidden."""
    opened = load_catalog(CATALOG, type="rest", uri=rest_url)
    yield opened
    opened.close()


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened
