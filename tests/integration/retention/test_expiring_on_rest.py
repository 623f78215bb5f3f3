"""Expiries over a REST catalog, which commits whoever is there to hear of it, and asserts no more than known refs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table

from app.bootstrap import open_services
from app.domain.names import DatasetName
from app.lake.expire.commit import BaseFinding
from app.settings import Settings
from tests.contract.lakes import CATALOG, variables
from tests.integration.retention.ends import STEPS, check_finished_by_the_next
from tests.integration.retention.killed import REST_POINTS, expire
from tests.servers.rest_catalog import rest_catalog
from tests.unit.lake.expire.histories import create, make_history
from tests.unit.lake.expire.naive import on_disk, reached, rows_of

pytestmark = [pytest.mark.anyio, pytest.mark.rest_catalog]


@pytest.fixture(scope="module")
def properties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Those of a REST catalog that the tests share."""
    with rest_catalog(tmp_path_factory.mktemp("rest")) as url:
        yield {"type": "rest", "uri": url}


@pytest.fixture
def settings(
    properties: dict[str, str], database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    for variable, value in variables(properties).items():
        monkeypatch.setenv(variable, value)
    return Settings(home=tmp_path / "home", database_url=database_url, catalog=CATALOG)


@pytest.fixture
def catalog(properties: dict[str, str]) -> Iterator[Catalog]:
    opened = load_catalog(CATALOG, **properties)
    yield opened
    opened.close()


@pytest.fixture
def name() -> DatasetName:
    return DatasetName(namespace=f"kept_{uuid4().hex[:8]}", name="events")


@pytest.fixture
def table(catalog: Catalog, name: DatasetName) -> Table:
    made = create(catalog, str(name))
    make_history(made, STEPS)
    return made


@pytest.mark.parametrize("point", REST_POINTS)
async def test_an_expiry_that_is_killed_is_finished_by_the_next(
    settings: Settings, properties: dict[str, str], table: Table, point: str
) -> None:
    await check_finished_by_the_next(settings, table, REST_POINTS, point, variables(properties))


async def test_a_tag_that_another_engine_sets_while_it_is_planned_is_planned_for(
    settings: Settings, catalog: Catalog, table: Table, name: DatasetName, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given another engine, which takes no lock of ours and tags what is about to go
    first = table.metadata.snapshots[0].snapshot_id
    async with open_services(settings) as services:
        measure_expiry, plans = services.lake.measure_expiry, 0

        async def overtaken(*arguments: Any) -> Any:
            nonlocal plans
            plans += 1
            measured = await measure_expiry(*arguments)
            if plans == 1:
                catalog.load_table(str(name)).manage_snapshots().create_tag(first, "late").commit()
            return measured

        monkeypatch.setattr(services.lake, "measure_expiry", overtaken)
        done = await expire(services, name)

    # Then it was planned once more, and nothing of it is lost
    table.refresh()
    assert plans == 2
    assert done.base is not None
    assert done.base.finding is BaseFinding.AS_PLANNED
    assert table.metadata.refs["late"].snapshot_id == first
    assert rows_of(table, first)
    assert on_disk(table) == reached(table)


async def test_a_tag_that_another_engine_sets_after_the_last_look_keeps_all_files(
    settings: Settings, catalog: Catalog, table: Table, name: DatasetName, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the same after the last look: what the server cannot be made to assert
    first, before = table.metadata.snapshots[0].snapshot_id, on_disk(table)
    async with open_services(settings) as services:
        commit_expiry = services.lake.commit_expiry

        async def overtaken(*arguments: Any) -> Any:
            catalog.load_table(str(name)).manage_snapshots().create_tag(first, "late").commit()
            return await commit_expiry(*arguments)

        monkeypatch.setattr(services.lake, "commit_expiry", overtaken)
        done = await expire(services, name)
        again = await expire(services, name)

    # Then that is found in the log, told with where it can be mended from, and no run deletes a file of it
    table.refresh()
    assert done.base is not None
    assert (done.base.finding, done.base.refs) == (BaseFinding.STRANGERS, ("late",))
    assert done.base.base_location in {entry.metadata_file for entry in table.metadata.metadata_log}
    assert (done.done.files_deleted, again.earlier.files_deleted) == (0, 0)
    assert before <= on_disk(table)
