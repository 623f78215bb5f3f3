"""A REST catalog that forbids what a test says, reached through a proxy; other programs reach it beside that."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog, load_catalog

from app.bootstrap import Services, open_services
from app.settings import Settings
from tests.contract.lakes import CATALOG, variables
from tests.servers.answering_proxy import AnsweringProxy, answering_proxy
from tests.servers.rest_catalog import rest_catalog


@pytest.fixture(scope="session")
def shared_rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A catalog, and where its tables are."""
    folder = tmp_path_factory.mktemp("rest")
    warehouse = folder / "warehouse"
    with rest_catalog(folder, warehouse=warehouse.as_uri()) as url:
        yield url, warehouse


@pytest.fixture
def rest_url(shared_rest: tuple[str, Path]) -> Iterator[str]:
    """A catalog with nothing in it: runs over many tables look at all that it has. To empty it is quicker than Java."""
    url, warehouse = shared_rest
    yield url
    with contextlib.closing(load_catalog(CATALOG, type="rest", uri=url)) as catalog:
        for namespace in catalog.list_namespaces():
            empty(catalog, namespace)
    # Tables of the same names come to the same places.
    shutil.rmtree(warehouse, ignore_errors=True)


def empty(catalog: Catalog, namespace: tuple[str, ...]) -> None:
    for table in catalog.list_tables(namespace):
        catalog.drop_table(table)
    for below in catalog.list_namespaces(namespace):
        empty(catalog, below)
    catalog.drop_namespace(namespace)


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
