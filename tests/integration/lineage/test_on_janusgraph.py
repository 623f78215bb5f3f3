"""The same story with the graph in a real JanusGraph, which comes and goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from app.bootstrap import Services, open_services
from app.domain.lineage import Direction, Walk
from app.errors import LineageUnavailableError
from app.settings import Settings
from tests.integration.lineage.events import body, name, of_table, run_event
from tests.integration.lineage.test_upkeep import events_of
from tests.lake_tables import ORDERS, Orders, create_orders, open_catalog
from tests.servers.janusgraph import janusgraph

pytestmark = pytest.mark.anyio

RUN = UUID("11111111-1111-4111-8111-111111111111")
MADE = "gold.customers"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def tables(settings: Settings) -> tuple[Orders, Orders]:
    with open_catalog(settings) as catalog:
        return create_orders(catalog, ORDERS), create_orders(catalog, MADE)


@pytest.fixture
async def away(settings: Settings, tables: tuple[Orders, Orders]) -> AsyncIterator[Services]:
    """Services whose JanusGraph is not there."""
    async with open_services(settings.model_copy(update={"graph_url": "ws://127.0.0.1:9/gremlin"})) as opened:
        yield opened


async def report(services: Services, tables: tuple[Orders, Orders]) -> None:
    orders, customers = tables
    source, target = await services.datasets.load(name(ORDERS)), await services.datasets.load(name(MADE))
    await services.ingesting.ingest(
        body(
            run_event("START", RUN, "2026-02-15T10:00:00Z", [of_table(source, orders.second)]),
            run_event("COMPLETE", RUN, "2026-02-15T10:00:01Z", [], [of_table(target, customers.third)]),
        )
    )


async def test_a_graph_that_is_away_costs_lineage_and_nothing_else(
    away: Services, tables: tuple[Orders, Orders]
) -> None:
    await report(away, tables)

    table = await away.datasets.load(name(MADE))
    root = away.lineage.snapshot_root(table, tables[1].third)
    with pytest.raises(LineageUnavailableError):
        await away.lineage.walk(root, Walk(root=root.vertex_id, direction=Direction.UPSTREAM))
    with pytest.raises(LineageUnavailableError):
        await away.projector.project_pending()
    health = await away.health.check()
    assert health.is_ready
    # No worker runs here, and something waits for one.
    assert [check.name for check in health.checks if not check.ok] == ["worker", "lineage"]


@pytest.mark.janusgraph
async def test_what_was_reported_while_it_was_away_is_in_the_graph_once_it_is_back(
    away: Services, settings: Settings, tables: tuple[Orders, Orders], tmp_path: Path
) -> None:
    # given events that were taken while the graph was away
    orders, customers = tables
    await report(away, tables)
    for number in range(20):
        await away.ingesting.ingest(body(*events_of(number)))

    # when it is there
    with janusgraph(tmp_path) as url:
        async with open_services(settings.model_copy(update={"graph_url": url})) as services:
            rebuilt = await services.upkeep.rebuild(lambda done, total: None)
            table = await services.datasets.load(name(MADE))
            root = services.lineage.snapshot_root(table, customers.third)
            answer = await services.lineage.walk(root, Walk(root=root.vertex_id, direction=Direction.UPSTREAM))
            drift = await services.upkeep.check()
            health = await services.health.check()

    # then it is whole
    assert all(check.ok for check in health.checks)
    assert (rebuilt.runs, rebuilt.waiting) == (21, 0)
    assert drift.is_same and drift.compared == 21
    found = [(node.vertex.name, node.vertex.version, node.depth) for node in answer.graph.nodes]
    assert (ORDERS, str(orders.second), 1) in found
    assert answer.graph.is_complete
