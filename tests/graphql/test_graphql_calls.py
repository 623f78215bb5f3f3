"""How often the stores are asked: each table once an operation, all records of tags, models and runs at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from app.domain.changes import ModelSubject, PipelineSubject
from app.graphql.ids import dataset_id
from app.lake.store import Lake
from app.registry.changes import ChangeLog
from tests.graphql.api import Api
from tests.graphql.registry import record_run, register_pipeline
from tests.integration.registry.lake import by_ada, churn, drain, trained_on
from tests.lake_tables import Orders, create_empty, create_orders, rows

pytestmark = pytest.mark.anyio

TABLES = 100


@pytest.fixture
def hundred(catalog: Catalog) -> None:
    """A hundred datasets, ten of them with a snapshot and a tag."""
    create_orders(catalog)
    for number in range(TABLES - 1):
        name = f"sales.t{number:03}"
        if number % 10:
            create_empty(catalog, name)
            continue
        table = catalog.create_table(name, Schema(NestedField(1, "id", LongType(), required=True)))
        table.append(rows(number).select(["id"]))
        table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, f"audit_Q1_{2000 + number}").commit()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Counts what reaches the stores: `load <table>`, `list`, `tag_records`, `changes`."""
    counted: Counter[str] = Counter()

    def count(owner: type, method: str, label: Callable[..., str]) -> None:
        real = getattr(owner, method)

        async def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
            counted[label(*args)] += 1
            return await real(self, *args, **kwargs)

        monkeypatch.setattr(owner, method, counting)

    count(Lake, "load", lambda name: f"load {name}")
    count(Lake, "list_names", lambda *_: "list")
    count(ChangeLog, "tag_records", lambda *_: "tag_records")
    count(ChangeLog, "page", lambda *_: "changes")
    return counted


@pytest.mark.usefixtures("hundred")
async def test_page_of_a_hundred_loads_each_table_once(api: Api, calls: Counter[str]) -> None:
    data = await api.data(
        """{ datasets(first: 100) { totalCount nodes {
             id name availability layer isProduction location
             current { id snapshotId parent { id } schema { schemaId } tags { name protected createdBy { subject } }
                       dataset { id name current { snapshotId dataset { availability } } } }
             tags { nodes { name protected reason createdAt target { label } } }
             branches { name head { dataset { id } } }
             snapshots { nodes { snapshotId } } } } }"""
    )
    assert data["datasets"]["totalCount"] == len(data["datasets"]["nodes"]) == TABLES
    loads = {call: times for call, times in calls.items() if call.startswith("load ")}
    assert len(loads) == TABLES and set(loads.values()) == {1}
    assert (calls["list"], calls["tag_records"]) == (1, 1)


@pytest.mark.usefixtures("hundred")
async def test_names_alone_load_no_table(api: Api, calls: Counter[str]) -> None:
    data = await api.data("{ datasets(first: 100) { nodes { namespace name } pageInfo { hasNextPage } } }")
    assert len(data["datasets"]["nodes"]) == TABLES
    assert calls == {"list": 1}


async def test_one_dataset_by_many_aliases_is_loaded_once(api: Api, orders: Orders, calls: Counter[str]) -> None:
    fields = "id current { id } tags { nodes { protected } }"
    await api.data(
        "{ "
        + " ".join(f'a{n}: dataset(namespace: "sales", name: "orders") {{ {fields} }}' for n in range(20))
        + " datasets { nodes { id current { id } } } }"
    )
    assert calls == {"load sales.orders": 1, "list": 1, "tag_records": 1}


async def test_nodes_of_one_dataset_load_it_once_beside_the_check_of_its_name(
    api: Api, orders: Orders, calls: Counter[str]
) -> None:
    data = await api.data(
        '{ dataset(namespace: "sales", name: "orders") { snapshots { nodes { id } } tags { nodes { id } } } }'
    )
    found = data["dataset"]
    ids = [node["id"] for node in [*found["snapshots"]["nodes"], *found["tags"]["nodes"]]]
    calls.clear()
    nodes = (await api.data("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids))["nodes"]
    assert [node["id"] for node in nodes] == ids
    # A table id leads to a name that was only seen at some time: the service looks there, and then the loader does.
    assert calls["load sales.orders"] <= 2


async def test_unknown_ids_cost_one_walk_through_the_lake_and_then_none(
    api: Api, calls: Counter[str], orders: Orders
) -> None:
    unknown = [dataset_id(uuid4()) for _ in range(50)]
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"

    answer = await api.run(query, ids=unknown)

    assert answer.codes == ["DATASET_NOT_FOUND"] * 50
    assert calls["load sales.orders"] == 1
    await api.run(query, ids=unknown)
    assert calls["load sales.orders"] == 1


async def test_entities_are_limited(api: Api) -> None:
    query = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }"
    answer = await api.run(query, r=[{"__typename": "Dataset", "id": "x"}] * 1001)
    assert answer.codes == ["INVALID_ARGUMENT"]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that Postgres is asked for its rows by."""
    asked: list[str] = []
    real = asyncpg.Connection._execute

    async def counting(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(query)
        return await real(self, query, *args, **kwargs)

    monkeypatch.setattr(asyncpg.Connection, "_execute", counting)
    return asked


async def _register(api: Api, orders: Orders, names: range) -> None:
    """Models and pipelines of two versions each, with a tag, a run that made the model, and training data."""
    for number in names:
        name, run_id = f"m{number:03}", UUID(int=number + 1)
        await register_pipeline(api, name)
        await register_pipeline(api, name, gitCommit="b")
        snapshot = orders.ids[number % 3]
        use = {"dataset": {"namespace": "sales", "name": "orders"}, "at": {"snapshotId": str(snapshot)}}
        await record_run(api, runId=str(run_id), pipelineId=name, inputs=[use])
        for _ in range(2):
            await api.services.registration.register(
                churn(model=name, run_id=run_id), [trained_on("sales.orders", snapshot)], by_ada()
            )
        for subject in (ModelSubject(name=name), PipelineSubject(pipeline_id=name)):
            await api.services.version_tagging.create(subject, "candidate", 1, by_ada())
            await api.services.version_tagging.create(subject, "released_1", 2, by_ada())


MODELS = """{ models(first: 100) { totalCount nodes { id name description
    latest { number reason tags { name protected createdBy { subject } target { label } } model { name }
        isReproducible producedBy { runId pipeline { name } version { number } trainedModels { number } }
        trainingData { name dataset { id name availability } version { snapshotId
            tags { name } trainedModels { label tags { name } } producedBy { runId }
            consumedBy(first: 2) { totalCount nodes { runId pipeline { pipelineId } } } } } }
    versions(first: 2) { totalCount nodes { number tags { name } producedBy { status } } }
    tags(first: 2) { totalCount nodes { name target { label } } }
    version(at: {tag: "candidate"}) { number } earlier: version(at: {ref: "latest~1"}) { number } } } }"""
PIPELINES = """{ pipelines(first: 100) { totalCount nodes { id name latest { number tags { name } pipeline { name } }
    versions(first: 2) { nodes { number tags { name } } } tags { nodes { name target { label } } }
    runs(first: 2) { totalCount nodes {
        runId inputs { name dataset { name } version { snapshotId } } version { number } } }
    failed: runs(status: FAILED) { totalCount } version(at: {number: 1}) { number } } } }"""
CHANGES = "{ changes(first: 100) { nodes { kind subject { id ... on Entity { name } } } } }"


@pytest.mark.parametrize(("query", "root"), [(MODELS, "models"), (PIPELINES, "pipelines"), (CHANGES, "changes")])
async def test_a_page_of_many_costs_as_many_statements_as_one_of_few(
    api: Api, orders: Orders, statements: list[str], calls: Counter[str], query: str, root: str
) -> None:
    await _register(api, orders, range(3))
    await api.data(query)  # the tables' names are noted once
    statements.clear()
    few = await api.data(query)
    of_few = len(statements)
    await _register(api, orders, range(3, 12))
    statements.clear()
    calls.clear()

    many = await api.data(query)

    assert len(many[root]["nodes"]) > len(few[root]["nodes"]) >= 3
    # What of it is asked in one batch or in two is a matter of time; nine more models would cost nine more.
    assert len(statements) <= of_few + 3, Counter(statements).most_common(3)
    assert of_few <= 30
    assert calls["load sales.orders"] <= 1


async def test_nodes_and_entities_of_the_registry_are_found_together(
    api: Api, orders: Orders, statements: list[str]
) -> None:
    await _register(api, orders, range(4))
    ids = await api.data(
        """{ models { nodes { id latest { id } tags { nodes { id } } } }
            pipelines { nodes { id latest { id } tags { nodes { id } } runs { nodes { id } } } } }"""
    )
    of = [
        node_id
        for entity in (*ids["models"]["nodes"], *ids["pipelines"]["nodes"])
        for node_id in (
            entity["id"],
            entity["latest"]["id"],
            *(tag["id"] for tag in entity["tags"]["nodes"]),
            *(run["id"] for run in entity.get("runs", {"nodes": []})["nodes"]),
        )
    ]
    statements.clear()
    found = await api.data("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=of)
    assert [node["id"] for node in found["nodes"]] == of and len(of) == 36
    assert len(statements) <= 8


async def test_lineage_nodes_and_edges_are_found_together(api: Api, orders: Orders, statements: list[str]) -> None:
    query = """{ dataset(namespace: "sales", name: "orders") { lineage(direction: DOWNSTREAM, options: {depth: 5}) {
        nodeCount nodes { entity { name } version { label } } edges { run { runId } } } } }"""
    await _register(api, orders, range(2))
    await drain(api.services)
    await api.data(query)
    statements.clear()
    few = await api.data(query)
    of_few = len(statements)
    await _register(api, orders, range(2, 6))
    await drain(api.services)
    statements.clear()
    many = await api.data(query)
    assert many["dataset"]["lineage"]["nodeCount"] > few["dataset"]["lineage"]["nodeCount"] > 5
    assert len(statements) <= of_few + 3
