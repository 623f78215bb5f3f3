"""Lineage as clients of the GraphQL API see it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.bootstrap import Services
from app.errors import LineageUnavailableError
from app.graphql.ids import dataset_id, snapshot_id
from tests.graphql.api import Api
from tests.integration.lineage.events import body, columns, name, of_table, run_event
from tests.lake_tables import ORDERS, Orders, create_orders

pytestmark = pytest.mark.anyio

RUN = UUID("11111111-1111-4111-8111-111111111111")
MADE = "gold.customers"
GRAPH = """fragment G on LineageGraph {
    root { id name versionLabel depth }
    nodes { id kind name versionLabel depth entity { id name } version { id label } }
    edges { from to kind runId inferred recordedAt source }
    nodeCount edgeCount compact completeness { complete reasons } watermark
}"""


@pytest.fixture
async def made(services: Services, catalog: Any, orders: Orders) -> Orders:
    """`gold.customers`, whose third snapshot was made from the second of `sales.orders` and from a topic."""
    customers = create_orders(catalog, MADE)
    source = await services.datasets.load(name(ORDERS))
    target = await services.datasets.load(name(MADE))
    read = of_table(source, orders.second)
    lineage = columns(read, {"label": ["label"]})
    topic = {"namespace": "kafka://b:9092", "name": "orders"}
    written = of_table(target, customers.third, columnLineage=lineage)
    await services.ingesting.ingest(
        body(
            run_event("START", RUN, "2026-02-15T10:00:00Z", [read, topic]),
            run_event("COMPLETE", RUN, "2026-02-15T10:00:02Z", [], [written]),
        )
    )
    await services.projector.project_pending()
    return customers


async def test_a_snapshot_tells_what_it_was_made_from(api: Api, orders: Orders, made: Orders) -> None:
    query = (
        GRAPH
        + """{ dataset(namespace: "gold", name: "customers") { current { id lineage { ...G } } }
        source: dataset(namespace: "sales", name: "orders") { id version(at: {ref: "main~1"}) { id } } }"""
    )
    data = await api.data(query)

    current = data["dataset"]["current"]
    graph = current["lineage"]
    assert graph["root"] == {"id": current["id"], "name": MADE, "versionLabel": str(made.third), "depth": 0}
    by_name = {node["name"]: node for node in graph["nodes"]}
    assert set(by_name) == {MADE, ORDERS, "kafka://b:9092/orders", "tests/refresh"}
    assert by_name[ORDERS]["version"] == {"id": data["source"]["version"]["id"], "label": str(orders.second)}
    assert by_name[ORDERS]["entity"] == {"id": data["source"]["id"], "name": "orders"}
    assert by_name["kafka://b:9092/orders"]["entity"] is None
    assert by_name["tests/refresh"]["kind"] == "PIPELINE"
    assert {
        "from": current["id"],
        "to": by_name[ORDERS]["id"],
        "kind": "DERIVED_FROM",
        "runId": str(RUN),
        "inferred": False,
        "recordedAt": "2026-02-15T10:00:02Z",
        "source": "openlineage",
    } in [{**edge, "recordedAt": edge["recordedAt"].replace(".000000", "")} for edge in graph["edges"]]
    assert (graph["nodeCount"], graph["edgeCount"]) == (4, 3)
    assert graph["completeness"] == {"complete": True, "reasons": []}
    assert graph["watermark"]
    compact = graph["compact"]
    assert compact["nodes"]["id"] == [node["id"] for node in graph["nodes"]]
    assert [compact["nodes"]["id"][place] for place in compact["edges"]["from"]] == [e["from"] for e in graph["edges"]]


async def test_lineage_of_an_id_both_ways_at_both_grains(api: Api, orders: Orders, made: Orders) -> None:
    data = await api.data('{ dataset(namespace: "sales", name: "orders") { id version(at: {ref: "main~1"}) { id } } }')
    query = GRAPH + "query($id: ID!, $o: LineageOptions) { lineage(root: $id, options: $o) { ...G } }"

    of_version = await api.data(query, id=data["dataset"]["version"]["id"])
    assert {node["name"] for node in of_version["lineage"]["nodes"]} == {ORDERS, MADE, "tests/refresh"}
    rolled = await api.data(query, id=data["dataset"]["id"], o={"grain": "ENTITY", "kinds": ["DATASET"]})
    assert [(node["name"], node["versionLabel"]) for node in rolled["lineage"]["nodes"]] == [
        (ORDERS, None),
        (MADE, None),
    ]


async def test_history_follows_the_parents_of_snapshots(api: Api, orders: Orders, made: Orders) -> None:
    query = """query($o: LineageOptions) {
        dataset(namespace: "gold", name: "customers") { current { lineage(options: $o) {
            nodes { name versionLabel depth version { label } } edges { source kind runId } completeness { complete }
    } } } }"""

    async def nodes(**options: Any) -> tuple[set[tuple[str, str, int]], list[dict[str, Any]]]:
        graph = (await api.data(query, o=options))["dataset"]["current"]["lineage"]
        found = {(node["name"], node["versionLabel"], node["depth"]) for node in graph["nodes"]}
        return found, [edge for edge in graph["edges"] if edge["source"] == "iceberg"]

    plain, no_parents = await nodes()
    found, parents = await nodes(history=True)

    assert no_parents == []
    assert plain <= found
    assert found - plain == {
        (MADE, str(made.second), 1),
        (MADE, str(made.first), 2),
        (ORDERS, str(orders.first), 2),
    }
    assert len(parents) == 3
    assert all(edge["kind"] == "DERIVED_FROM" and edge["runId"] is None for edge in parents)
    # Within an entity there is nothing to follow.
    assert await nodes(history=True, grain="ENTITY") == await nodes(grain="ENTITY")


async def test_columns(api: Api, orders: Orders, made: Orders) -> None:
    query = """{ dataset(namespace: "gold", name: "customers") { columnLineage(column: "label") {
        fromDataset { namespace name } fromColumn toDataset { name } toColumn depth transformation } } }"""
    data = await api.data(query)
    assert data["dataset"]["columnLineage"] == [
        {
            "fromDataset": {"namespace": "sales", "name": "orders"},
            "fromColumn": "label",
            "toDataset": {"name": "customers"},
            "toColumn": "label",
            "depth": 1,
            "transformation": "DIRECT/IDENTITY",
        }
    ]


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("depth", {"depth": -1}),
        ("depth", {"depth": 51}),
        ("maxNodes", {"maxNodes": 0}),
        ("maxNodes", {"maxNodes": 10001}),
    ],
)
async def test_bad_options_are_typed(api: Api, orders: Orders, case: str, options: dict[str, int]) -> None:
    query = """query($o: LineageOptions) {
        dataset(namespace: "sales", name: "orders") { name lineage(options: $o) { nodeCount } } }"""
    answer = await api.run(query, o=options)
    assert answer.codes == ["INVALID_ARGUMENT"]
    assert answer.errors[0]["extensions"]["fields"]["argument"] == case
    assert answer.data == {"dataset": {"name": "orders", "lineage": None}}


async def test_ids_of_nothing_lineage_passes_through_are_refused(api: Api, orders: Orders) -> None:
    for root in ("x", "eA"):
        answer = await api.run("query($id: ID!) { lineage(root: $id) { nodeCount } }", id=root)
        assert answer.codes == ["INVALID_ARGUMENT"]
    unknown = dataset_id(UUID("00000000-0000-4000-8000-000000000000"))
    answer = await api.run("query($id: ID!) { lineage(root: $id) { nodeCount } }", id=unknown)
    assert set(answer.codes) <= {"DATASET_NOT_FOUND"}


async def test_a_graph_that_is_away_costs_lineage_alone(
    api: Api, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise LineageUnavailableError("it is away")

    monkeypatch.setattr(type(api.services.lineage._store), "walk", away)
    query = """{ dataset(namespace: "sales", name: "orders") {
        name current { snapshotId lineage { nodeCount } } tags { totalCount } } }"""

    answer = await api.run(query)

    assert answer.codes == ["LINEAGE_UNAVAILABLE"]
    dataset = answer.data["dataset"]
    assert dataset["current"] == {"snapshotId": str(orders.third), "lineage": None}
    assert dataset["tags"]["totalCount"] == 1


async def test_nothing_reported_is_a_whole_empty_graph(api: Api, orders: Orders) -> None:
    query = """{ dataset(namespace: "sales", name: "orders") { current { lineage(direction: DOWNSTREAM) {
        nodes { name } edgeCount completeness { complete } } } } }"""
    data = await api.data(query)
    assert data["dataset"]["current"]["lineage"] == {"nodes": [], "edgeCount": 0, "completeness": {"complete": True}}


async def test_every_id_of_a_graph_leads_on(api: Api, made: Orders) -> None:
    walk = "query($root: ID!) { lineage(root: $root) { root { id name } nodes { id } } }"
    data = await api.data(
        '{ dataset(namespace: "gold", name: "customers") { current { lineage { nodes { id name } } } } }'
    )
    nodes = data["dataset"]["current"]["lineage"]["nodes"]
    assert len(nodes) == 4

    for node in nodes:
        found = (await api.data(walk, root=node["id"]))["lineage"]
        assert found["root"] == node
        assert len(found["nodes"]) > 1, node
    # and of what nobody knows there is nothing
    unknown = (await api.data(walk, root="external:kafka|nothing@"))["lineage"]
    assert unknown["nodes"] == []


@pytest.mark.parametrize("root", ["external:", "external:x@", "feature:x@1", "external:a|b\x00@", ":", "model:@"])
async def test_what_is_no_id_of_a_graph_is_refused(api: Api, root: str) -> None:
    answer = await api.run("query($root: ID!) { lineage(root: $root) { nodeCount } }", root=root)
    assert answer.codes == ["INVALID_ARGUMENT"]


async def test_a_version_that_its_table_has_dropped_is_walked_from(
    api: Api, services: Services, orders: Orders
) -> None:
    table = await services.datasets.load(name(ORDERS))
    topic = {"namespace": "kafka://b:9092", "name": "orders"}
    await services.ingesting.ingest(
        body(run_event("COMPLETE", RUN, "2026-02-15T10:00:00Z", [topic], [of_table(table, 12345)]))
    )
    await services.projector.project_pending()
    root = snapshot_id(table.state.table_uuid, 12345)

    data = await api.data("query($root: ID!) { lineage(root: $root) { nodes { name versionLabel } } }", root=root)

    assert {"name": "kafka://b:9092/orders", "versionLabel": None} in data["lineage"]["nodes"]
    assert {"name": ORDERS, "versionLabel": "12345"} in data["lineage"]["nodes"]


async def test_a_column_that_neither_table_nor_lineage_knows_is_an_error(api: Api, made: Orders) -> None:
    query = """query($c: String!) { dataset(namespace: "gold", name: "customers") {
        columnLineage(column: $c) { fromColumn } } }"""

    assert (await api.run(query, c="lable")).codes == ["UNKNOWN_COLUMN"]
    assert (await api.run(query, c="price")).codes == []
