"""Tags on versions of models and pipelines, by the rules that tags of datasets go by."""

from __future__ import annotations

from typing import Any

import pytest

from tests.graphql.api import Api
from tests.graphql.registry import ERRORS, register_model, register_pipeline
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

TAG = """tag { id name convention protected reason createdAt createdBy { subject }
  target { __typename id label tags { name } } }"""
CREATE = f"mutation($input: CreateTagInput!) {{ createTag(input: $input) {{ {TAG} warnings {ERRORS} }} }}"
MOVE = f"mutation($input: MoveTagInput!) {{ moveTag(input: $input) {{ {TAG} warnings {ERRORS} }} }}"
DELETE = f"""mutation($input: DeleteTagInput!) {{ deleteTag(input: $input) {{
  deletedId dataset {{ id }} entity {{ __typename name }} target {{ label }} {ERRORS} }} }}"""
NODE = "query($id: ID!) { node(id: $id) { __typename ... on Tag { name target { label } } } }"


@pytest.fixture(params=["model", "pipeline"])
async def on(request: pytest.FixtureRequest, api: Api, orders: Orders) -> dict[str, str]:
    """A model or a pipeline of three versions."""
    for number in range(3):
        if request.param == "model":
            await register_model(api, orders.second)
        else:
            await register_pipeline(api, gitCommit=str(number))
    return {"model": "churn"} if request.param == "model" else {"pipeline": "refresh"}


async def versions_of(api: Api, on: dict[str, str]) -> dict[int, str]:
    """Node ids of the versions, by number."""
    argument = "name" if "model" in on else "pipelineId"
    ((kind, name),) = on.items()
    data = await api.data(f'{{ {kind}({argument}: "{name}") {{ versions {{ nodes {{ id number }} }} }} }}')
    return {node["number"]: node["id"] for node in data[kind]["versions"]["nodes"]}


async def test_a_tag_is_set_moved_and_deleted(api: Api, on: dict[str, str]) -> None:
    ids = await versions_of(api, on)
    wanted = {"on": on, "at": {"number": 2}, "name": "production_2026_02_15", "reason": "released"}

    made = (await api.data(CREATE, input=wanted))["createTag"]

    tag = made["tag"]
    kind = "ModelVersion" if "model" in on else "PipelineVersion"
    assert made["userErrors"] == [] and made["warnings"] == []
    assert tag["target"] == {
        "__typename": kind,
        "id": ids[2],
        "label": "v2",
        "tags": [{"name": "production_2026_02_15"}],
    }
    assert (tag["convention"], tag["protected"], tag["reason"]) == ("PRODUCTION", True, "released")
    assert tag["createdBy"] == {"subject": "ada"} and tag["createdAt"].endswith("Z")
    assert (await api.data(NODE, id=tag["id"]))["node"] == {
        "__typename": "Tag",
        "name": "production_2026_02_15",
        "target": {"label": "v2"},
    }
    # moved: only with force, and only from where it was expected
    move = {"on": on, "name": "production_2026_02_15", "to": {"ref": "latest"}}
    error = await api.refused(MOVE, input=move)
    assert (error["__typename"], error["path"]) == ("ProtectedTagError", ["input", "name"])
    assert error["tag"] == {"name": "production_2026_02_15", "protected": True, "target": {"label": "v2"}}
    error = await api.refused(MOVE, input={**move, "force": True, "expectedTarget": ids[1]})
    assert (error["__typename"], error["path"]) == ("HeadMovedError", ["input", "expectedTarget"])
    assert (error["expected"], error["actual"]) == ("1", "2")
    moved = await api.data(MOVE, input={**move, "force": True, "expectedTarget": ids[2]})
    assert moved["moveTag"]["tag"]["target"]["label"] == "v3"
    # deleted
    error = await api.refused(DELETE, input={"on": on, "name": "production_2026_02_15"})
    assert error["code"] == "PROTECTED"
    gone = await api.data(
        DELETE, input={"on": on, "name": "production_2026_02_15", "force": True, "expectedTarget": ids[3]}
    )
    assert gone["deleteTag"] == {
        "deletedId": tag["id"],
        "dataset": None,
        "entity": {"__typename": kind.removesuffix("Version"), "name": next(iter(on.values()))},
        "target": {"label": "v3"},
        "userErrors": [],
    }
    answer = await api.run(NODE, id=tag["id"])
    assert (answer.data, answer.codes) == ({"node": None}, ["TAG_NOT_FOUND"])
    changes = await api.data("{ changes(first: 3) { nodes { kind subject { __typename } } } }")
    subject = {"__typename": kind.removesuffix("Version")}
    assert changes["changes"]["nodes"] == [
        {"kind": each, "subject": subject} for each in ("TAG_DELETED", "TAG_MOVED", "TAG_CREATED")
    ]


async def test_tags_are_listed_and_name_versions(api: Api, on: dict[str, str]) -> None:
    for name, number in (("b", 1), ("a", 3), ("c", 3)):
        await api.data(CREATE, input={"on": on, "at": {"number": number}, "name": f"candidate_{name}"})
    ((kind, name),) = on.items()
    argument = "name" if kind == "model" else "pipelineId"
    data = await api.data(
        f"""{{ {kind}({argument}: "{name}") {{
            tags(first: 2) {{ totalCount nodes {{ name target {{ label }} }} pageInfo {{ hasNextPage }} }}
            version(at: {{tag: "candidate_b"}}) {{ number tags {{ name }} }}
            earlier: version(at: {{ref: "candidate_a~1"}}) {{ number tags {{ name }} }}
            latest {{ tags {{ name }} }} }} }}"""
    )
    assert data[kind] == {
        "tags": {
            "totalCount": 3,
            "nodes": [
                {"name": "candidate_a", "target": {"label": "v3"}},
                {"name": "candidate_b", "target": {"label": "v1"}},
            ],
            "pageInfo": {"hasNextPage": True},
        },
        "version": {"number": 1, "tags": [{"name": "candidate_b"}]},
        "earlier": {"number": 2, "tags": []},
        "latest": {"tags": [{"name": "candidate_a"}, {"name": "candidate_c"}]},
    }


async def test_a_tag_never_moves_unasked_and_doubtful_names_are_warned_of(api: Api, on: dict[str, str]) -> None:
    first = (await api.data(CREATE, input={"on": on, "name": "backup", "at": {"number": 1}}))["createTag"]
    assert first["warnings"]
    error = await api.refused(CREATE, input={"on": on, "name": "backup", "at": {"number": 2}})
    assert (error["__typename"], error["path"]) == ("TagExistsError", ["input", "name"])
    assert error["existing"] == {"name": "backup", "target": {"label": "v1"}}


async def test_a_repeated_request_is_answered_the_same(api: Api, orders: Orders, on: dict[str, str]) -> None:
    wanted = {"on": on, "name": "candidate", "idempotencyKey": "k1"}
    first = await api.data(CREATE, input=wanted)
    assert first["createTag"]["tag"]["target"]["label"] == "v3"
    # although another version is the latest by now
    await (register_model(api, orders.third) if "model" in on else register_pipeline(api, gitCommit="new"))
    assert await api.data(CREATE, input=wanted) == first
    error = await api.refused(CREATE, input={**wanted, "at": {"number": 1}})
    assert (error["path"], error["errorCode"]) == (["input", "idempotencyKey"], "IDEMPOTENCY_KEY_REUSED")
    moving = {"on": on, "name": "candidate", "to": {"tag": "other"}, "idempotencyKey": "k2"}
    await api.data(CREATE, input={"on": on, "name": "other", "at": {"number": 1}})
    moved = await api.data(MOVE, input=moving)
    await api.data(DELETE, input={"on": on, "name": "other"})
    again = await api.data(MOVE, input=moving)
    assert again["moveTag"]["tag"]["target"]["id"] == moved["moveTag"]["tag"]["target"]["id"]


@pytest.mark.parametrize(
    ("case", "changes", "path", "code"),
    [
        ("nothing", {"on": {}}, ["on"], "INVALID_ARGUMENT"),
        ("two", {"on": {"model": "churn", "pipeline": "refresh"}}, ["on"], "INVALID_ARGUMENT"),
        ("an unknown model", {"on": {"model": "nope"}}, ["on", "model"], "MODEL_NOT_FOUND"),
        ("an unknown pipeline", {"on": {"pipeline": "nope"}}, ["on", "pipeline"], "PIPELINE_NOT_FOUND"),
        ("a model of NUL", {"on": {"model": "\x00"}}, ["on", "model"], "MODEL_NOT_FOUND"),
        ("no name", {"name": ""}, ["name"], "INVALID_NAME"),
        ("a bad name", {"name": "a b"}, ["name"], "INVALID_NAME"),
        ("a version that is not there", {"at": {"number": 99}}, ["at", "number"], "VERSION_NOT_FOUND"),
    ],
)
async def test_bad_requests_are_told_at_their_fields(
    api: Api, on: dict[str, str], case: str, changes: dict[str, Any], path: list[str], code: str
) -> None:
    error = await api.refused(CREATE, input={"on": on, "name": "candidate", **changes})
    assert (error["path"], error["errorCode"]) == (["input", *path], code)


async def test_an_expected_target_is_one_of_the_same_entity(api: Api, orders: Orders, on: dict[str, str]) -> None:
    await api.data(CREATE, input={"on": on, "name": "candidate"})
    other = await register_model(api, orders.second, model="other")
    for node_id, code in (
        ("x", "INVALID_ARGUMENT"),
        (other["model"]["id"], "INVALID_ARGUMENT"),
        (other["id"], "VERSION_NOT_FOUND" if "model" in on else "INVALID_ARGUMENT"),
    ):
        for mutation, changes in ((MOVE, {"to": {"number": 1}}), (DELETE, {})):
            error = await api.refused(
                mutation, input={"on": on, "name": "candidate", "expectedTarget": node_id, **changes}
            )
            assert (error["path"], error["errorCode"]) == (["input", "expectedTarget"], code)
    for mutation, changes in ((MOVE, {"to": {"number": 1}}), (DELETE, {})):
        error = await api.refused(mutation, input={"on": on, "name": "candidat", **changes})
        assert (error["__typename"], error["path"]) == ("NotFoundError", ["input", "name"])
        assert error["suggestions"] == ["candidate"]
