"""The behaviour suite's lakes: each test here runs on every one of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.bootstrap import Services, open_services
from app.domain.names import DatasetName
from app.settings import PREFIX
from tests.contract.lakes import ContractLake, configured, embedded, sql_properties, variables
from tests.servers.rest_catalog import over_s3, rest_catalog
from tests.servers.s3 import s3_server

KINDS = [
    pytest.param("embedded", id="embedded"),
    pytest.param("s3", id="s3"),
    pytest.param("rest", id="rest", marks=pytest.mark.rest_catalog),
    pytest.param("rest_on_s3", id="rest_on_s3", marks=pytest.mark.rest_catalog),
]


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """pyiceberg's properties of an S3 store that all share."""
    with s3_server() as properties:
        yield properties


@pytest.fixture(scope="session")
def rest_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A REST catalog over local files that all share."""
    with rest_catalog(tmp_path_factory.mktemp("rest")) as url:
        yield url


@pytest.fixture(scope="session")
def rest_on_s3_url(s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A REST catalog over the S3 store."""
    folder = tmp_path_factory.mktemp("rest-on-s3")
    with rest_catalog(folder, warehouse="s3://lake/rest", properties=over_s3(s3)) as url:
        yield url


@pytest.fixture(params=KINDS)
def lake(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ContractLake]:
    for name in list(os.environ):
        if name.startswith((PREFIX, "PYICEBERG_")):
            monkeypatch.delenv(name)
    with _opened(request, database_url, tmp_path / "home", monkeypatch) as opened:
        yield opened


@contextmanager
def _opened(
    request: pytest.FixtureRequest, database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ContractLake]:
    kind: str = request.param
    if kind == "embedded":
        with embedded(database_url, home) as opened:
            yield opened
        return
    store = request.getfixturevalue("s3") if kind.endswith("s3") else {}
    if kind == "s3":
        properties = sql_properties(database_url, store)
    else:
        url = request.getfixturevalue("rest_url" if kind == "rest" else "rest_on_s3_url")
        files = {key: value for key, value in store.items() if key != "warehouse"}
        properties = {"type": "rest", "uri": url, **files}
    for name, value in variables(properties).items():
        monkeypatch.setenv(name, value)
    with configured(database_url, home, properties) as opened:
        yield opened


@pytest.fixture
async def services(lake: ContractLake) -> AsyncIterator[Services]:
    async with open_services(lake.settings) as opened:
        yield opened


@pytest.fixture
def name(lake: ContractLake) -> DatasetName:
    """The table of orders."""
    return DatasetName.parse(lake.orders_name)
