"""Node ids and federation: what is found by id or key, and what a bad one costs."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from app.domain.changes import ModelSubject, PipelineSubject
from app.errors import InvalidArgumentError
from app.graphql import ids
from app.graphql.ids import NodeKind, decode_id
from tests.graphql.api import Api
from tests.graphql.registry import RUN, record_run, register_model, register_pipeline
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

# The same in every process that collects tests.
NOBODYS = "5f0b3c6e-6a5d-4c93-9a53-0d1f3e4a7b21"
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
    _encoded(["feature", NOBODYS]),
    _encoded(["model", "churn", "1"]),
    _encoded(["model", "a\x00b"]),
    _encoded(["model-version", "churn", "0"]),
    _encoded(["model-version", "churn", "01"]),
    _encoded(["model-version", "churn", "-1"]),
    _encoded(["pipeline-version", "refresh", str(2**31)]),
    _encoded(["pipeline-tag", "refresh", "\ud800"]),
    _encoded(["run", "no uuid"]),
    _encoded(["snapshot", NOBODYS, "0"]),
    _encoded(["snapshot", NOBODYS, str(2**70)]),
    _encoded(["snapshot", NOBODYS, "1e3"]),
    _encoded(["tag", NOBODYS, "\ud800"]),
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
    assert decode_id(ids.run_id(uuid)).uuid == uuid
    for subject in (ModelSubject(name="große ~ @|"), PipelineSubject(pipeline_id="airflow/a/b")):
        assert decode_id(ids.entity_id(subject)).subject == subject
        for number in (1, 2**31 - 1):
            key = decode_id(ids.version_id(subject, number))
            assert (key.subject, key.number) == (subject, number)
        tag = decode_id(ids.version_tag_id(subject, "production_2026_02_15"))
        assert (tag.subject, tag.rest) == (subject, "production_2026_02_15")


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
    unknown += [
        ids.entity_id(ModelSubject(name="nope")),
        ids.version_id(PipelineSubject(pipeline_id="nope"), 1),
        ids.version_tag_id(ModelSubject(name="nope"), "x"),
        ids.run_id(uuid4()),
    ]
    answer = await api.run(NODES, ids=[*unknown, good["id"]])
    assert answer.data["nodes"] == [None] * 10 + [{"__typename": "Dataset", "id": good["id"]}]
    assert [error["path"] for error in sorted(answer.errors, key=lambda e: e["path"][1])] == [
        ["nodes", index] for index in range(10)
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


async def test_entities_of_the_registry_are_found_by_each_key(api: Api, orders: Orders) -> None:
    model = await register_model(api, orders.second, runId=str(RUN))
    pipeline = await register_pipeline(api)
    run = await record_run(api)
    on = '{ model: "churn" }'
    tag = await api.data(f"""mutation {{ createTag(input: {{ name: "candidate", on: {on} }}) {{ tag {{ id }} }} }}""")
    query = """query($of: [_Any!]!) { _entities(representations: $of) { __typename
        ... on Model { id latest { label } } ... on ModelVersion { id number } ... on Pipeline { id pipelineId }
        ... on PipelineVersion { id number } ... on PipelineRun { id runId } ... on Tag { id tagName: name } } }"""
    of_model = {"__typename": "Model", "id": model["model"]["id"], "latest": {"label": "v1"}}
    of_pipeline = {"__typename": "Pipeline", "id": pipeline["pipeline"]["id"], "pipelineId": "refresh"}
    wanted = [
        ({"__typename": "Model", "id": model["model"]["id"]}, of_model),
        ({"__typename": "Model", "name": "churn"}, of_model),
        ({"__typename": "ModelVersion", "id": model["id"]}, {"id": model["id"], "number": 1}),
        ({"__typename": "Pipeline", "id": pipeline["pipeline"]["id"]}, of_pipeline),
        ({"__typename": "Pipeline", "pipelineId": "refresh"}, of_pipeline),
        ({"__typename": "PipelineVersion", "id": pipeline["id"]}, {"id": pipeline["id"], "number": 1}),
        ({"__typename": "PipelineRun", "id": run["id"]}, {"id": run["id"], "runId": str(RUN)}),
        ({"__typename": "Tag", "id": tag["createTag"]["tag"]["id"]}, {"tagName": "candidate"}),
    ]
    bad: list[Any] = [
        {"__typename": "Model"},
        {"__typename": "Model", "name": 7},
        {"__typename": "Model", "name": "chrun"},
        {"__typename": "Model", "name": "\x00"},
        {"__typename": "Model", "id": model["id"]},
        {"__typename": "ModelVersion", "id": pipeline["id"]},
        {"__typename": "ModelVersion", "number": 1},
        {"__typename": "ModelVersion", "id": ids.version_id(ModelSubject(name="churn"), 2)},
        {"__typename": "Pipeline", "pipelineId": None},
        {"__typename": "Pipeline", "pipelineId": "nope"},
        {"__typename": "PipelineVersion", "id": "x"},
        {"__typename": "PipelineRun", "id": str(RUN)},
        {"__typename": "PipelineRun", "id": ids.run_id(uuid4())},
    ]

    answer = await api.run(query, of=[*bad, *(representation for representation, _ in wanted)])

    found = answer.data["_entities"]
    assert found[: len(bad)] == [None] * len(bad)
    for entity, (representation, expected) in zip(found[len(bad) :], wanted, strict=True):
        assert entity["__typename"] == representation["__typename"]
        assert expected.items() <= entity.items()
    assert sorted(error["path"][1] for error in answer.errors) == list(range(len(bad)))
    assert "INTERNAL_ERROR" not in answer.codes
    nodes = [entity["id"] for entity in found[len(bad) :]]
    assert [node["id"] for node in (await api.data(NODES, ids=nodes))["nodes"]] == nodes


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
