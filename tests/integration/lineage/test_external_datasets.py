"""Renames, drops and what else is told of datasets that are in no catalog of ours, from events to answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from app.bootstrap import Services, open_services
from app.domain.events import DatasetId
from app.domain.lineage import Direction, EdgeKind, Walk, external_vertex
from app.graphql.schema import build_schema
from app.settings import Settings
from tests.graphql.api import Api
from tests.integration.lineage.events import FACETS, PRODUCER, name, of_table, run_event
from tests.lake_tables import ORDERS, create_orders, open_catalog

pytestmark = pytest.mark.anyio

NAMESPACE = "postgres://shop:5432"
MAKES, READS = (UUID(f"{digit * 8}-1111-4111-8111-111111111111") for digit in "12")
OLD, NEW = "shop.orders", "shop.all_orders"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", database_url=database_url)
    settings.warehouse.mkdir(parents=True)
    return settings


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened


def dataset(text: str, **facets: Any) -> dict[str, Any]:
    return {"namespace": NAMESPACE, "name": text, "facets": {key: {**FACETS, **value} for key, value in facets.items()}}


def renamed(new: str, old: str) -> dict[str, Any]:
    return {"lifecycleStateChange": "RENAME", "previousIdentifier": {"namespace": NAMESPACE, "name": old}}


def dataset_event(told: dict[str, Any], at: str) -> dict[str, Any]:
    return {
        "eventTime": at,
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/DatasetEvent",
        "dataset": told,
    }


async def take(services: Services, *events: dict[str, Any]) -> None:
    """Each by itself, projected before the next one comes."""
    for event in events:
        await services.ingesting.ingest(orjson.dumps(event))
        while await services.projector.project_pending():
            continue


async def upstream(services: Services, text: str) -> list[str]:
    root = external_vertex(NAMESPACE, text, "")
    answer = await services.lineage.walk(root, Walk(root=root.vertex_id, direction=Direction.UPSTREAM, depth=10))
    return [node.vertex.name for node in answer.graph.nodes if node.vertex.kind == "DATASET"]


STORY = [
    run_event("COMPLETE", MAKES, "2026-02-15T10:00:00Z", [dataset("source")], [dataset(OLD)]),
    dataset_event(dataset(NEW, lifecycleStateChange=renamed(NEW, OLD)), "2026-02-15T11:00:00Z"),
    run_event("COMPLETE", READS, "2026-02-15T12:00:00Z", [dataset(NEW)], [dataset("report")]),
]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_lineage_flows_through_a_rename_in_whatever_order_it_is_told(
    services: Services, order: Sequence[int]
) -> None:
    await take(services, *(STORY[place] for place in order), STORY[order[0]])

    assert await upstream(services, "report") == [f"{NAMESPACE}/{text}" for text in ("report", NEW, OLD, "source")]
    (owner,) = [each async for each in services.lineage._store.owners() if each.startswith("dataset:")]
    (edge,), _ = await services.lineage._store.edges_of(owner)
    assert (edge.kind, edge.source, edge.run_id) == (EdgeKind.DERIVED_FROM, "openlineage", None)
    assert edge.recorded_at.isoformat() == "2026-02-15T11:00:00+00:00"
    old, new = (DatasetId(namespace=NAMESPACE, name=each) for each in (OLD, NEW))
    found = await services.lineage.find_external([old, new])
    assert (found[old].renamed_to, found[new].renamed_to) == (new, None)
    assert (await services.upkeep.check()).is_same


async def test_what_a_run_renames_is_renamed_once_it_has_ended_well(services: Services) -> None:
    told = dataset(NEW, lifecycleStateChange=renamed(NEW, OLD))
    await take(services, STORY[0], run_event("START", READS, "2026-02-15T11:00:00Z", [], [told]))
    assert await upstream(services, NEW) == []
    old = DatasetId(namespace=NAMESPACE, name=OLD)
    assert (await services.lineage.find_external([old]))[old].renamed_to is None

    await take(services, run_event("COMPLETE", READS, "2026-02-15T11:00:01Z", [], [told]))

    assert await upstream(services, NEW) == [f"{NAMESPACE}/{text}" for text in (NEW, OLD, "source")]
    edges, _ = await services.lineage._store.edges_of(f"run:{READS}")
    assert [edge.run_id for edge in edges if edge.kind is EdgeKind.DERIVED_FROM] == [READS]
    assert (await services.lineage.find_external([old]))[old].renamed_to == DatasetId(namespace=NAMESPACE, name=NEW)


async def test_a_rename_of_a_table_of_ours_joins_nothing_and_nothing_is_kept(
    services: Services, settings: Settings
) -> None:
    with open_catalog(settings) as catalog:
        create_orders(catalog, ORDERS)
        create_orders(catalog, "gold.customers")
    new = of_table(await services.datasets.load(name(ORDERS)))
    old = of_table(await services.datasets.load(name("gold.customers")))
    previous = {"namespace": old["namespace"], "name": old["name"]}
    new["facets"]["lifecycleStateChange"] = {
        **FACETS,
        "lifecycleStateChange": "RENAME",
        "previousIdentifier": previous,
    }
    new["facets"]["ownership"] = {**FACETS, "owners": [{"name": "team"}]}

    await take(services, dataset_event(new, "2026-02-15T11:00:00Z"))

    assert [owner async for owner in services.lineage._store.owners()] == []
    both = [DatasetId(namespace=each["namespace"], name=each["name"]) for each in (new, previous)]
    assert await services.lineage.find_external(both) == {}


async def test_what_was_told_is_read_back_over_graphql(services: Services, settings: Settings) -> None:
    with open_catalog(settings) as catalog:
        orders = create_orders(catalog, ORDERS)
    target = of_table(await services.datasets.load(name(ORDERS)), orders.third)
    fields = [{"name": "id", "type": "bigint"}, {"name": "at", "type": "struct", "fields": [{"name": "zip"}]}]
    written = dataset(
        OLD,
        schema={"fields": fields},
        ownership={"owners": [{"name": "team:shop", "type": "MAINTAINER"}]},
    )
    written["outputFacets"] = {"outputStatistics": {**FACETS, "rowCount": 5_000_000_000, "size": 7}}
    await take(
        services,
        run_event("COMPLETE", MAKES, "2026-02-15T10:00:00Z", [], [written]),
        run_event("COMPLETE", READS, "2026-02-15T11:00:00Z", [dataset(OLD)], [target]),
        dataset_event(dataset(OLD, lifecycleStateChange={"lifecycleStateChange": "DROP"}), "2026-02-15T12:00:00Z"),
        # Late, and therefore without a say in what became of it.
        dataset_event(dataset(OLD, lifecycleStateChange={"lifecycleStateChange": "CREATE"}), "2026-02-15T09:00:00Z"),
    )
    query = """{ dataset(namespace: "sales", name: "orders") { current { lineage { nodes { name external {
        namespace name fields { name type fields { name } } owners { name type } rowCount sizeBytes droppedAt
        renamedTo { name } lastSeenAt } } } } } }"""

    data = await Api(build_schema(Settings()), services).data(query)

    nodes = {node["name"]: node["external"] for node in data["dataset"]["current"]["lineage"]["nodes"]}
    assert nodes[ORDERS] is None
    assert nodes["tests/refresh"] is None
    assert nodes[f"{NAMESPACE}/{OLD}"] == {
        "namespace": NAMESPACE,
        "name": OLD,
        "fields": [
            {"name": "id", "type": "bigint", "fields": []},
            {"name": "at", "type": "struct", "fields": [{"name": "zip"}]},
        ],
        "owners": [{"name": "team:shop", "type": "MAINTAINER"}],
        "rowCount": "5000000000",
        "sizeBytes": "7",
        "droppedAt": "2026-02-15T12:00:00.000000Z",
        "renamedTo": None,
        "lastSeenAt": "2026-02-15T12:00:00.000000Z",
    }

    # and when it is made again it is dropped no more
    await take(
        services,
        dataset_event(dataset(OLD, lifecycleStateChange={"lifecycleStateChange": "CREATE"}), "2026-02-15T13:00:00Z"),
    )
    data = await Api(build_schema(Settings()), services).data(query)
    nodes = {node["name"]: node["external"] for node in data["dataset"]["current"]["lineage"]["nodes"]}
    assert nodes[f"{NAMESPACE}/{OLD}"]["droppedAt"] is None
