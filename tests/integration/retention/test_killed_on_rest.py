"""Expiries over a REST catalog that are killed in the middle: the server commits, whoever is there to hear of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pyiceberg.catalog import Catalog, load_catalog

from app.settings import Settings
from tests.contract.lakes import CATALOG, variables
from tests.integration.retention.ends import STEPS, check_finished_by_the_next
from tests.integration.retention.killed import REST_POINTS
from tests.servers.rest_catalog import rest_catalog
from tests.unit.lake.expire.histories import create, make_history

pytestmark = [pytest.mark.anyio, pytest.mark.rest_catalog]


@pytest.fixture(scope="module")
def properties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Those of a REST catalog that the tests share."""
    with rest_catalog(tmp_path_factory.mktemp("rest")) as url:
        yield {"type": "rest", "uri": url}


@pytest.fixture
def catalog(properties: dict[str, str]) -> Iterator[Catalog]:
    opened = load_catalog(CATALOG, **properties)
    yield opened
    opened.close()


@pytest.mark.parametrize("point", REST_POINTS)
async def test_an_expiry_that_is_killed_is_finished_by_the_next(
    catalog: Catalog,
    properties: dict[str, str],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    settings = Settings(home=tmp_path / "home", database_url=database_url, catalog=CATALOG)
    environment = variables(properties)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    table = create(catalog, f"kept_{uuid4().hex[:8]}.events")
    make_history(table, STEPS)

    await check_finished_by_the_next(settings, table, REST_POINTS, point, environment)
