"""How often the stores are asked: each table once an operation, all records of tags at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from app.graphql.ids import dataset_id
from app.lake.store import Lake
from app.registry.changes import ChangeLog
from tests.graphql.api import Api
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
