"""Node ids and federation: what is found by id or key, and what a bad one costs."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from app.errors import InvalidArgumentError
from app.graphql import ids
from app.graphql.ids import NodeKind, decode_id
from tests.graphql.api import Api
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

NODE = "query($id: ID!) { node(id: $id) { __typename id } }"
NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
ENTITIES = """query($of: [_Any!]!) { _entities(representations: $of) { __typename
  ... on Dataset { namespace name } ... on Snapshot { snapshotId } ... on Tag { tagName: name } } }"""


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


BAD_IDS = [
    "",
    "nonsense",
    "ü",
    "W10",
    "A" * 100_000,
    _encoded([]),
    _encoded({"a": 1}),
    _encoded(["dataset"]),
    _encoded(["dataset", "no uuid"]),
    _encoded(["dataset", 7]),
    _encoded(["model", str(uuid4())]),
    _encoded(["snapshot", str(uuid4()), "0"]),
    _encoded(["snapshot", str(uuid4()), str(2**70)]),
    _encoded(["snapshot", str(uuid4()), "1e3"]),
    _encoded(["tag", str(uuid4()), "\ud800"]),
    _encoded(["named-dataset", "", "x"]),
    base64.urlsafe_b64encode(b"[" * 50_000).decode(),
]


def test_ids_round_trip() -> None:
    uuid = uuid4()
    for number in (1, -2, 2**63 - 1, -(2**63)):
        key = decode_id(ids.snapshot_id(uuid, number))
        assert (key.kind, key.uuid, key.snapshot_id) == (NodeKind.SNAPSHOT, uuid, number)
    assert decode_id(ids.dataset_id(uuid)).uuid == uuid
    assert decode_id(ids.tag_id(uuid, "große ~ /")).rest == "große ~ /"
    assert decode_id(ids.branch_id(uuid, "b")).kind is NodeKind.BRANCH
    assert decode_id(ids.change_id(uuid)).uuid == uuid


@pytest.mark.parametrize("bad", BAD_IDS, ids=lambda bad: bad[:20])
def test_bad_ids_are_refused(bad: str) -> None:
    with pytest.raises(InvalidArgumentError):
        decode_id(bad)


async def test_every_node_is_found_again_by_its_id(api: Api, orders: Orders) -> None:
    await api.data(
        """mutation { createTag(input: { name: "x", on: { dataset: { namespace: "sales", name: "orders" } } })
             { tag { id } } }"""
    )
    data = await api.data(
        """{ changes { nodes { id __typename } } dataset(namespace: "sales", name: "orders") {
             id __typename branches { id __typename } tags { nodes { id __typename } }
             snapshots { nodes { id __typename } } } }"""
    )
    dataset = data["dataset"]
    nodes = [
        {"id": dataset["id"], "__typename": "Dataset"},
        *dataset["branches"],
        *dataset["tags"]["nodes"],
        *dataset["snapshots"]["nodes"],
        *data["changes"]["nodes"],
    ]
    assert len(nodes) == 9
    found = await api.data(NODES, ids=[node["id"] for node in nodes])
    assert found["nodes"] == nodes
    assert (await api.data(NODE, id=nodes[0]["id"]))["node"] == nodes[0]


async def test_bad_and_unknown_ids_cost_themselves_alone(api: Api, orders: Orders) -> None:
    good = (await api.data('{ dataset(namespace: "sales", name: "orders") { id tableUuid } }'))["dataset"]
    unknown = [
        ids.dataset_id(uuid4()),
        ids.snapshot_id(uuid4(), 5),
        ids.tag_id(decode_id(good["id"]).uuid or uuid4(), "no such tag"),
        ids.snapshot_id(decode_id(good["id"]).uuid or uuid4(), 42),
        ids.change_id(uuid4()),
        "nonsense",
    ]
    answer = await api.run(NODES, ids=[*unknown, good["id"]])
    assert answer.data["nodes"] == [None] * 6 + [{"__typename": "Dataset", "id": good["id"]}]
    assert [error["path"] for error in sorted(answer.errors, key=lambda e: e["path"][1])] == [
        ["nodes", index] for index in range(6)
    ]
    assert "INTERNAL_ERROR" not in answer.codes
    for bad in BAD_IDS:
        assert (await api.run(NODE, id=bad)).codes == ["INVALID_ARGUMENT"]
    assert (await api.run(NODES, ids=["x"] * 101)).codes == ["INVALID_ARGUMENT"]


async def test_entities_are_found_by_each_key(api: Api, orders: Orders) -> None:
    data = await api.data(
        """{ dataset(namespace: "sales", name: "orders") { id current { id } tags { nodes { id name } } } }"""
    )
    dataset = data["dataset"]
    found = await api.data(
        ENTITIES,
        of=[
            {"__typename": "Dataset", "id": dataset["id"]},
            {"__typename": "Dataset", "namespace": "sales", "name": "orders"},
            {"__typename": "Snapshot", "id": dataset["current"]["id"]},
            {"__typename": "Snapshot", "dataset": {"id": dataset["id"]}, "snapshotId": str(orders.first)},
            {"__typename": "Tag", "id": dataset["tags"]["nodes"][0]["id"]},
        ],
    )
    name = {"__typename": "Dataset", "namespace": "sales", "name": "orders"}
    assert found["_entities"] == [
        name,
        name,
        {"__typename": "Snapshot", "snapshotId": str(orders.third)},
        {"__typename": "Snapshot", "snapshotId": str(orders.first)},
        {"__typename": "Tag", "tagName": dataset["tags"]["nodes"][0]["name"]},
    ]


async def test_one_bad_representation_costs_that_entity_alone(api: Api, orders: Orders) -> None:
    dataset_id = (await api.data('{ dataset(namespace: "sales", name: "orders") { id } }'))["dataset"]["id"]
    bad: list[Any] = [
        {},
        "text",
        {"__typename": "Nope", "id": "x"},
        {"__typename": "Query"},
        {"__typename": 7},
        {"__typename": "Dataset"},
        {"__typename": "Dataset", "id": "x"},
        {"__typename": "Tag", "id": dataset_id},
        {"__typename": "Dataset", "namespace": "sales", "name": "nope"},
        {"__typename": "Dataset", "namespace": 1, "name": None},
        {"__typename": "Snapshot", "dataset": {"id": dataset_id}},
        {"__typename": "Snapshot", "dataset": {"id": dataset_id}, "snapshotId": 2**60},
        {"__typename": "Snapshot", "dataset": {"id": dataset_id}, "snapshotId": "42"},
        {"__typename": "Snapshot", "dataset": "x", "snapshotId": "42"},
    ]
    answer = await api.run(ENTITIES, of=[*bad, {"__typename": "Dataset", "id": dataset_id}])
    assert answer.data["_entities"][:-1] == [None] * len(bad)
    assert answer.data["_entities"][-1]["name"] == "orders"
    assert sorted(error["path"][1] for error in answer.errors) == list(range(len(bad)))
    assert "INTERNAL_ERROR" not in answer.codes
