"""Pipelines, runs and promotions: registering, recording, looking at them, and what a hostile client may send."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.graphql.api import Api
from tests.graphql.registry import (
    DAG,
    ORDERS,
    PROMOTE,
    RECORD_RUN,
    REGISTER_PIPELINE,
    RUN,
    RUN_FIELDS,
    a_run,
    record_run,
    register_model,
    register_pipeline,
)
from tests.integration.lineage.events import body, run_event
from tests.integration.registry.lake import drain
from tests.lake_tables import ORDERS as ORDERS_NAME
from tests.lake_tables import TAG, Orders, create_orders

pytestmark = pytest.mark.anyio

MADE = "gold.customers"
CUSTOMERS = {"namespace": "gold", "name": "customers"}


@pytest.fixture
def customers(catalog: Any) -> Orders:
    return create_orders(catalog, MADE)


def use(dataset: dict[str, str], snapshot: int, role: str = "INPUT") -> dict[str, Any]:
    return {"dataset": dataset, "at": {"snapshotId": str(snapshot)}, "role": role}


async def test_what_is_unchanged_is_no_new_version(api: Api) -> None:
    wanted = {"name": "Refresh", "description": "Nightly", "code": "select 1", "gitCommit": "abc", "reason": "first"}
    version = await register_pipeline(api, **wanted)
    assert (version["number"], version["label"], version["createdBy"]) == (1, "v1", {"subject": "ada"})
    assert (version["code"], version["gitCommit"], version["reason"]) == ("select 1", "abc", "first")
    assert len(version["codeHash"]) == 64 and version["dag"] == DAG
    assert (version["availability"], version["tags"]) == ("AVAILABLE", [])
    assert version["pipeline"]["pipelineId"] == "refresh"
    assert (version["pipeline"]["name"], version["pipeline"]["description"]) == ("Refresh", "Nightly")

    same = {**DAG, "tasks": list(reversed(DAG["tasks"]))}
    again = await api.data(REGISTER_PIPELINE, input={"pipelineId": "refresh", "dag": same, **wanted})
    assert again["registerPipelineVersion"]["unchanged"] is True
    assert again["registerPipelineVersion"]["pipelineVersion"] == version
    other = await register_pipeline(api, **{**wanted, "gitCommit": "def"})
    assert other["number"] == 2
    listed = await api.data(
        """{ pipelines(namePrefix: "re") { totalCount nodes { pipelineId name latest { number }
            versions { nodes { number } } version(at: {ref: "latest~1"}) { gitCommit } } } }"""
    )
    assert listed["pipelines"] == {
        "totalCount": 1,
        "nodes": [
            {
                "pipelineId": "refresh",
                "name": "Refresh",
                "latest": {"number": 2},
                "versions": {"nodes": [{"number": 2}, {"number": 1}]},
                "version": {"gitCommit": "abc"},
            }
        ],
    }
    (change, _) = (await api.data("{ changes { nodes { kind subject { ... on Pipeline { pipelineId } } } } }"))[
        "changes"
    ]["nodes"]
    assert change == {"kind": "PIPELINE_REGISTERED", "subject": {"pipelineId": "refresh"}}


@pytest.mark.parametrize(
    ("case", "changes", "path", "code", "pointer"),
    [
        ("no DAG", {"dag": "a -> b"}, "dag", "INVALID_DAG", ""),
        (
            "a cycle",
            {"dag": {**DAG, "edges": [["load", "clean"], ["clean", "load"]]}},
            "dag",
            "INVALID_DAG",
            "/edges/0",
        ),
        ("a dangling edge", {"dag": {**DAG, "edges": [["load", "clena"]]}}, "dag", "INVALID_DAG", "/edges/0/1"),
        ("a task twice", {"dag": {"tasks": [{"id": "a"}] * 2}}, "dag", "INVALID_DAG", "/tasks/1"),
        ("beyond 64 bits", {"dag": {"tasks": [{"id": "a", "x": 2**64}]}}, "dag", "INVALID_DAG", "/tasks/0/x"),
        ("NaN", {"dag": {"tasks": [{"id": "a", "x": float("nan")}]}}, "dag", "INVALID_DAG", "/tasks/0/x"),
        ("no id", {"pipelineId": ""}, "pipelineId", "INVALID_NAME", None),
        ("a surrogate", {"pipelineId": "\ud800"}, "pipelineId", "INVALID_NAME", None),
        ("a blank name", {"name": " "}, "name", "INVALID_ARGUMENT", None),
        ("code of NUL", {"code": "\x00"}, "code", "INVALID_ARGUMENT", None),
        ("long code", {"code": "x" * 2_000_001}, "code", "INVALID_ARGUMENT", None),
        ("a blank commit", {"gitCommit": " "}, "gitCommit", "INVALID_ARGUMENT", None),
    ],
)
async def test_what_is_wrong_with_a_pipeline_is_told_at_its_field(
    api: Api, case: str, changes: dict[str, Any], path: str, code: str, pointer: str | None
) -> None:
    error = await api.refused(REGISTER_PIPELINE, input={"pipelineId": "refresh", "dag": DAG, **changes})
    assert (error["path"], error["errorCode"]) == (["input", path], code)
    assert error["details"].get("pointer") == pointer
    assert (await api.data("{ pipelines { totalCount } }"))["pipelines"]["totalCount"] == 0


async def test_numbers_of_a_dag_come_back_unrounded(api: Api) -> None:
    dag = {"tasks": [{"id": "a", "big": 2**63 - 1, "small": 2**53 - 1, "float": 1e300}], "edges": []}
    version = await register_pipeline(api, dag=dag)
    assert version["dag"]["tasks"] == [{"id": "a", "big": str(2**63 - 1), "small": 2**53 - 1, "float": 1e300}]


async def test_a_run_is_recorded_shown_and_merged(api: Api, orders: Orders, customers: Orders) -> None:
    await register_pipeline(api)
    begun = await record_run(api, status="RUNNING", inputs=[use(ORDERS, orders.second)])
    assert (begun["status"], begun["endedAt"], begun["durationMs"]) == ("RUNNING", None, None)

    run = await record_run(api, outputs=[use(CUSTOMERS, customers.third)], startedAt=None)

    assert run["id"] == begun["id"] and run["runId"] == str(RUN)
    assert (run["status"], run["durationMs"], run["isStartInferred"]) == ("SUCCESS", "2500", False)
    assert run["startedAt"] == "2026-02-15T10:00:00.000000Z" and run["endedAt"] == "2026-02-15T10:00:02.500000Z"
    assert run["inputs"] == [
        {
            "name": ORDERS_NAME,
            "versionLabel": str(orders.second),
            "role": "INPUT",
            "isInferred": False,
            "dataset": ORDERS,
            "version": {"snapshotId": str(orders.second)},
        }
    ]
    assert [each["version"] for each in run["outputs"]] == [{"snapshotId": str(customers.third)}]
    assert run["pipeline"] == {"pipelineId": "refresh", "name": "refresh"}
    assert run["recordedBy"] == {"subject": "ada"} and run["trainedModels"] == []
    query = f"""{{ run(runId: "{RUN}") {{ {RUN_FIELDS} }}
        pipeline(pipelineId: "refresh") {{ runs(status: SUCCESS, started: {{from: "2026-02-15T10:00:00Z"}}) {{
            totalCount nodes {{ runId }} }}
            none: runs(status: FAILED) {{ totalCount }}
            early: runs(started: {{to: "2026-02-15T10:00:00Z"}}) {{ totalCount }} }}
        made: dataset(namespace: "gold", name: "customers") {{ current {{ producedBy {{ runId }}
            consumedBy {{ totalCount }} }} }}
        read: dataset(namespace: "sales", name: "orders") {{ version(at: {{ref: "main~1"}}) {{ producedBy {{ runId }}
            consumedBy(first: 1) {{ totalCount nodes {{ runId }} pageInfo {{ hasNextPage }} }} }}
            current {{ consumedBy {{ totalCount }} }} }} }}"""
    data = await api.data(query)
    assert data["run"] == run
    assert data["pipeline"] == {
        "runs": {"totalCount": 1, "nodes": [{"runId": str(RUN)}]},
        "none": {"totalCount": 0},
        "early": {"totalCount": 0},
    }
    assert data["made"]["current"] == {"producedBy": {"runId": str(RUN)}, "consumedBy": {"totalCount": 0}}
    assert data["read"]["version"] == {
        "producedBy": None,
        "consumedBy": {"totalCount": 1, "nodes": [{"runId": str(RUN)}], "pageInfo": {"hasNextPage": False}},
    }
    assert data["read"]["current"] == {"consumedBy": {"totalCount": 0}}


async def test_what_a_scheduler_reports_is_shown_with_datasets_that_are_none_of_ours(api: Api, orders: Orders) -> None:
    parent = uuid4()
    topic = {"namespace": "kafka://b:9092", "name": "orders"}
    where = {"_producer": "https://example.org", "_schemaURL": "https://example.org/F.json"}
    event = run_event("COMPLETE", RUN, "2026-02-15T10:00:02Z", [topic], [{**topic, "name": "made"}])
    event["run"]["facets"] = {
        "parent": {**where, "run": {"runId": str(parent)}, "job": {"namespace": "tests", "name": "dag"}}
    }
    event["job"]["facets"] = {
        "sql": {**where, "query": "select 1"},
        "sourceCodeLocation": {**where, "type": "git", "url": "https://example.org/code.git", "version": "abc"},
        "ownership": {**where, "owners": [{"name": "team:data", "type": "MAINTAINER"}]},
    }
    await api.services.ingesting.ingest(body(event))
    await api.services.projector.project_pending()

    run = (await api.data(f'{{ run(runId: "{RUN}") {{ {RUN_FIELDS} }} }}'))["run"]

    assert run["inputs"] == [
        {
            "name": "kafka://b:9092/orders",
            "versionLabel": None,
            "role": "INPUT",
            "isInferred": False,
            "dataset": None,
            "version": None,
        }
    ]
    assert [each["name"] for each in run["outputs"]] == ["kafka://b:9092/made"]
    told = await api.data(f'{{ run(runId: "{RUN}") {{ inputs {{ external {{ namespace name }} }} }} }}')
    assert told["run"]["inputs"] == [{"external": topic}]
    assert (run["parentRunId"], run["sql"]) == (str(parent), "select 1")
    assert run["owners"] == [{"name": "team:data", "type": "MAINTAINER"}]
    assert run["sourceUrl"] == "https://example.org/code.git" and run["gitCommit"] == "abc"
    assert (run["isStartInferred"], run["durationMs"], run["recordedBy"], run["version"]) == (True, None, None, None)
    assert run["pipeline"] == {"pipelineId": "tests/refresh", "name": "tests/refresh"}


@pytest.mark.parametrize(
    ("case", "changes", "path", "code"),
    [
        ("no UUID", {"runId": "42"}, ["runId"], "INVALID_ARGUMENT"),
        ("no pipeline", {"pipelineId": " "}, ["pipelineId"], "INVALID_NAME"),
        (
            "an unknown pipeline's version",
            {"pipelineId": "nope", "versionNumber": 1},
            ["pipelineId"],
            "PIPELINE_NOT_FOUND",
        ),
        ("no such version", {"versionNumber": 9}, ["versionNumber"], "VERSION_NOT_FOUND"),
        ("no number", {"versionNumber": 0}, ["versionNumber"], "INVALID_REFERENCE"),
        ("ends before it starts", {"endedAt": "2026-02-15T09:00:00Z"}, ["endedAt"], "INVALID_ARGUMENT"),
        ("over without an end", {"endedAt": None}, ["endedAt"], "INVALID_ARGUMENT"),
        ("goes on and has ended", {"status": "RUNNING"}, ["endedAt"], "INVALID_ARGUMENT"),
        ("a success with an error", {"error": "oh"}, ["error"], "INVALID_ARGUMENT"),
        ("NUL in the error", {"status": "FAILED", "error": "\x00"}, ["error"], "INVALID_ARGUMENT"),
        ("no snapshot read", {"inputs": [use(ORDERS, 77)]}, ["inputs", "0", "at", "snapshotId"], "VERSION_NOT_FOUND"),
        (
            "no dataset written",
            {"outputs": [use({"namespace": "sales", "name": "x"}, 77)]},
            ["outputs", "0", "dataset"],
            "DATASET_NOT_FOUND",
        ),
    ],
)
async def test_what_is_wrong_with_a_run_is_told_at_its_field(
    api: Api, orders: Orders, case: str, changes: dict[str, Any], path: list[str], code: str
) -> None:
    await register_pipeline(api)
    error = await api.refused(RECORD_RUN, input={**a_run(), **changes})
    assert (error["path"], error["errorCode"]) == (["input", *path], code)
    answer = await api.run(f'{{ run(runId: "{RUN}") {{ id }} }}')
    assert (answer.data, answer.codes) == ({"run": None}, ["LINEAGE_RUN_NOT_FOUND"])


async def test_times_at_the_ends_of_time_are_no_accident(api: Api) -> None:
    for begin, end in (
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
        ("2999-01-01T00:00:00Z", "2999-01-01T00:00:01.123456789Z"),
    ):
        answer = await api.run(RECORD_RUN, input={**a_run(), "runId": str(uuid4()), "startedAt": begin, "endedAt": end})
        assert "INTERNAL_ERROR" not in answer.codes, (begin, answer.errors)
        if answer.data and answer.data["recordPipelineRun"]["run"]:
            assert answer.data["recordPipelineRun"]["run"]["endedAt"][:19] == end[:19]
    assert (await api.run('{ run(runId: "x") { id } }')).codes == ["INVALID_ARGUMENT"]


async def test_a_promotion_is_recorded_once(api: Api, orders: Orders, customers: Orders) -> None:
    wanted = {
        "source": ORDERS,
        "sourceAt": {"tag": TAG},
        "target": CUSTOMERS,
        "targetAt": {"ref": "main"},
        "pipelineId": "promote",
        "reason": "checked",
    }
    promoted = (await api.data(PROMOTE, input=wanted))["recordDatasetPromotion"]
    assert promoted == {
        "dataset": {"name": "customers"},
        "source": {"snapshotId": str(orders.first)},
        "target": {"snapshotId": str(customers.third)},
        "unchanged": False,
        "userErrors": [],
    }
    assert (await api.data(PROMOTE, input=wanted))["recordDatasetPromotion"]["unchanged"] is True
    await drain(api.services)
    query = """{ changes(kind: DATASET_PROMOTED) {
            totalCount nodes { reason by { subject } subject { ... on Dataset { name } } } }
        dataset(namespace: "gold", name: "customers") { current { lineage {
            nodes { name kind entity { __typename name } } edges { kind source run { runId } } } } } }"""
    data = await api.data(query)
    assert data["changes"] == {
        "totalCount": 1,
        "nodes": [{"reason": "checked", "by": {"subject": "ada"}, "subject": {"name": "customers"}}],
    }
    graph = data["dataset"]["current"]["lineage"]
    assert {node["name"]: node["entity"] for node in graph["nodes"]} == {
        MADE: {"__typename": "Dataset", "name": "customers"},
        ORDERS_NAME: {"__typename": "Dataset", "name": "orders"},
        "promote": {"__typename": "Pipeline", "name": "promote"},
    }
    assert {edge["kind"] for edge in graph["edges"]} >= {"DERIVED_FROM", "GENERATED_BY"}
    assert all(edge["source"] == "stratigraph" and edge["run"] is None for edge in graph["edges"])
    for changes, path, code in (
        ({"source": {"namespace": "sales", "name": "x"}}, ["source"], "DATASET_NOT_FOUND"),
        ({"target": {"namespace": "", "name": "x"}}, ["target", "namespace"], "INVALID_NAME"),
        ({"sourceAt": {"tag": "nope"}}, ["sourceAt", "tag"], "TAG_NOT_FOUND"),
        ({"targetAt": {"number": 1}}, ["targetAt", "number"], "INVALID_ARGUMENT"),
        ({"targetAt": {}}, ["targetAt"], "AMBIGUOUS_REFERENCE"),
        ({"source": CUSTOMERS, "sourceAt": {"ref": "main"}}, ["targetAt"], "INVALID_ARGUMENT"),
        ({"pipelineId": "\x00"}, ["pipelineId"], "INVALID_NAME"),
        ({"reason": ""}, ["reason"], "INVALID_ARGUMENT"),
    ):
        error = await api.refused(PROMOTE, input={**wanted, **changes})
        assert (error["path"], error["errorCode"]) == (["input", *path], code)


async def test_lineage_of_models_and_pipelines_leads_to_nodes(api: Api, orders: Orders, customers: Orders) -> None:
    await register_pipeline(api)
    await record_run(
        api, versionNumber=1, inputs=[use(ORDERS, orders.second)], outputs=[use(CUSTOMERS, customers.third)]
    )
    model = await register_model(api, orders.second, runId=str(RUN))
    graph = """nodes { id kind name versionLabel depth entity { __typename id name } version { __typename id label } }
        edges { from to kind runId run { runId pipeline { pipelineId } } }"""
    await drain(api.services)
    data = await api.data(
        f"""{{ model(name: "churn") {{ id latest {{ lineage {{ {graph} }} }}
                entity: lineage(options: {{grain: ENTITY}}) {{ nodes {{ id }} }} }}
            pipeline(pipelineId: "refresh") {{ id lineage {{ nodes {{ name kind }} }}
                latest {{ id lineage {{ root {{ id }} nodes {{ name kind }} }}
                    up: lineage(direction: UPSTREAM) {{ nodes {{ name }} }} }} }} }}"""
    )
    found = data["model"]["latest"]["lineage"]
    by_name = {node["name"]: node for node in found["nodes"]}
    assert by_name["churn"]["id"] == model["id"]
    assert by_name["churn"]["version"] == {"__typename": "ModelVersion", "id": model["id"], "label": "v1"}
    assert by_name["churn"]["entity"] == {"__typename": "Model", "id": data["model"]["id"], "name": "churn"}
    refresh = data["pipeline"]
    assert by_name["refresh"]["id"] == refresh["latest"]["id"]
    assert by_name["refresh"]["entity"] == {"__typename": "Pipeline", "id": refresh["id"], "name": "refresh"}
    assert by_name["refresh"]["version"]["label"] == "v1"
    assert by_name[ORDERS_NAME]["version"]["label"] == str(orders.second)
    runs = {edge["kind"]: edge["run"] for edge in found["edges"]}
    assert runs["TRAINED_ON"] is None
    assert runs["GENERATED_BY"] == {"runId": str(RUN), "pipeline": {"pipelineId": "refresh"}}
    assert data["model"]["id"] in [node["id"] for node in data["model"]["entity"]["nodes"]]
    assert {node["name"] for node in refresh["lineage"]["nodes"]} >= {"refresh", MADE}
    assert refresh["latest"]["lineage"]["root"] == {"id": refresh["latest"]["id"]}
    assert {node["name"] for node in refresh["latest"]["up"]["nodes"]} == {"refresh", ORDERS_NAME}
    query = "query($id: ID!) { lineage(root: $id, direction: BOTH) { root { id } nodeCount } }"
    for root in (model["id"], data["model"]["id"], refresh["id"], refresh["latest"]["id"]):
        answer = (await api.data(query, id=root))["lineage"]
        assert answer["root"] == {"id": root} and answer["nodeCount"] > 1
    run_id = (await api.data(f'{{ run(runId: "{RUN}") {{ id trainedModels {{ id }} }} }}'))["run"]
    assert run_id["trainedModels"] == [{"id": model["id"]}]
    assert (await api.run(query, id=run_id["id"])).codes == ["INVALID_ARGUMENT"]


async def test_runs_are_paged(api: Api, orders: Orders) -> None:
    for number in range(5):
        await record_run(api, runId=str(UUID(int=number + 1)), inputs=[use(ORDERS, orders.second)])
    query = """query($after: String) {
        pipeline(pipelineId: "refresh") { runs(first: 2, after: $after) { nodes { runId } totalCount
            pageInfo { endCursor hasNextPage } } }
        dataset(namespace: "sales", name: "orders") { version(at: {ref: "main~1"}) {
            consumedBy(first: 2, after: $after) { nodes { runId } totalCount } } } }"""
    seen: list[str] = []
    after = None
    while True:
        data = await api.data(query, after=after)
        page = data["pipeline"]["runs"]
        assert data["dataset"]["version"]["consumedBy"] == {"nodes": page["nodes"], "totalCount": 5}
        seen += [node["runId"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [str(UUID(int=number)) for number in (5, 4, 3, 2, 1)]
    answer = await api.run(query, after="nonsense")
    assert set(answer.codes) == {"INVALID_PAGE"}
