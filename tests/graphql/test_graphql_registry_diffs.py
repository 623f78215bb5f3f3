"""`Model.diff` and `Pipeline.diff`: what is answered, what is refused, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from pyiceberg.catalog import Catalog

from app.errors import BackendUnavailableError
from app.lake.store import Lake
from tests.graphql.api import Api
from tests.graphql.registry import ORDERS, register_model, register_pipeline
from tests.lake_tables import Orders

pytestmark = pytest.mark.anyio

MODEL_DIFF = """__typename identical relation from { number } to { number label }
  metrics { name kind from to delta percentChange higherIsBetter isDirectionDeclared threshold regressed }
  regressions { name } parameters { key kind before after } trainingDataChanged
  trainingData { dataset { namespace name } role changed beforeLabel afterLabel
                 before { snapshotId } after { snapshotId } }"""
DIFF_MODEL = f"""query($from: VersionSelector!, $to: VersionSelector!, $all: Float, $some: [MetricThreshold!]) {{
  model(name: "churn") {{ diff(from: $from, to: $to, regressionThreshold: $all, metricThresholds: $some) {{
    {MODEL_DIFF} }} }} }}"""
PIPELINE_DIFF = """__typename identical relation from { number gitCommit } to { number gitCommit }
  dagChanged codeChanged code codeCut dag { tasksAdded tasksRemoved tasksChanged edgesAdded edgesRemoved
    tasksRenamed { from to } taskChanges { task changes { key kind before after } } }"""
DIFF_PIPELINE = f"""query($id: String!, $from: VersionSelector!, $to: VersionSelector!) {{
  pipeline(pipelineId: $id) {{ diff(from: $from, to: $to) {{ {PIPELINE_DIFF} }} }} }}"""


async def two_models(api: Api, *snapshots: int) -> None:
    first, second = snapshots or (None, None)
    await register_model(
        api,
        *([first] if first else []),
        metrics=[{"name": "accuracy", "value": 0.85}, {"name": "rmse", "value": 1.2, "higherIsBetter": False}],
        parameters={"depth": 3, "seed": 2**60, "opt": {"lr": 0.1}},
    )
    await register_model(
        api,
        *([second] if second else []),
        metrics=[{"name": "accuracy", "value": 0.92}, {"name": "rmse", "value": 1.5}, {"name": "f1", "value": 0.5}],
        parameters={"depth": 3, "seed": 2**60 + 1, "opt": {"lr": None}},
    )


async def diff_of(api: Api, **variables: Any) -> Any:
    asked = {"from": {"number": 1}, "to": {"number": 2}} | variables
    return (await api.data(DIFF_MODEL, **asked))["model"]["diff"]


async def test_two_versions_of_a_model(api: Api, orders: Orders) -> None:
    await two_models(api, orders.first, orders.second)

    diff = await diff_of(api)

    assert diff["metrics"] == [
        {
            "name": "accuracy",
            "kind": "CHANGED",
            "from": 0.85,
            "to": 0.92,
            "delta": 0.07,
            "percentChange": pytest.approx(8.235294117647058),
            "higherIsBetter": True,
            "isDirectionDeclared": False,
            "threshold": 0.05,
            "regressed": False,
        },
        {
            "name": "f1",
            "kind": "ADDED",
            "from": None,
            "to": 0.5,
            "delta": None,
            "percentChange": None,
            "higherIsBetter": True,
            "isDirectionDeclared": False,
            "threshold": 0.05,
            "regressed": False,
        },
        {
            "name": "rmse",
            "kind": "CHANGED",
            "from": 1.2,
            "to": 1.5,
            "delta": 0.3,
            "percentChange": 25.0,
            "higherIsBetter": False,
            "isDirectionDeclared": True,
            "threshold": 0.05,
            "regressed": True,
        },
    ]
    assert diff["regressions"] == [{"name": "rmse"}]
    assert diff["parameters"] == [
        {"key": "opt.lr", "kind": "CHANGED", "before": 0.1, "after": None},
        {"key": "seed", "kind": "CHANGED", "before": str(2**60), "after": str(2**60 + 1)},
    ]
    assert (diff["identical"], diff["relation"], diff["trainingDataChanged"]) == (False, "ANCESTOR", True)
    assert (diff["from"], diff["to"]) == ({"number": 1}, {"number": 2, "label": "v2"})
    assert diff["trainingData"] == [
        {
            "dataset": ORDERS,
            "role": "TRAINING",
            "changed": True,
            "beforeLabel": str(orders.first),
            "afterLabel": str(orders.second),
            "before": {"snapshotId": str(orders.first)},
            "after": {"snapshotId": str(orders.second)},
        }
    ]


async def test_the_other_way_round_and_with_itself(api: Api, orders: Orders) -> None:
    await two_models(api, orders.first, orders.second)

    back = await diff_of(api, **{"from": {"ref": "latest"}, "to": {"number": 1}})
    same = await diff_of(api, **{"from": {"number": 2}, "to": {"asOf": "2999-01-01T00:00:00Z"}})

    assert (back["relation"], back["metrics"][0]["delta"]) == ("DESCENDANT", -0.07)
    assert back["regressions"] == [{"name": "accuracy"}]
    assert (same["relation"], same["identical"], same["parameters"]) == ("SAME", True, [])
    assert (same["trainingDataChanged"], same["trainingData"][0]["changed"]) == (False, False)


async def test_versions_are_named_by_id_and_tag_too(api: Api) -> None:
    await two_models(api)
    tag = 'mutation { createTag(input: {on: {model: "churn"}, at: {number: 1}, name: "old_one"}) { tag { name } } }'
    await api.data(tag)
    node = (await api.data('{ model(name: "churn") { latest { id } } }'))["model"]["latest"]["id"]

    diff = await diff_of(api, **{"from": {"tag": "old_one"}, "to": {"id": node}})

    assert (diff["from"]["number"], diff["to"]["number"]) == (1, 2)


@pytest.mark.parametrize(
    ("case", "thresholds", "regressions"),
    [
        ("the contract's", {}, ["rmse"]),
        ("null", {"all": None, "some": None}, ["rmse"]),
        ("wide", {"all": 0.25}, []),
        ("of one", {"some": [{"name": "rmse", "threshold": 0.3}]}, []),
        ("of one, against the others'", {"all": 1.0, "some": [{"name": "rmse", "threshold": 0}]}, ["rmse"]),
    ],
)
async def test_thresholds(api: Api, case: str, thresholds: dict[str, Any], regressions: list[str]) -> None:
    await two_models(api)

    diff = await diff_of(api, **thresholds)

    assert [each["name"] for each in diff["regressions"]] == regressions, case


@pytest.mark.parametrize(
    ("case", "thresholds", "argument"),
    [
        ("negative", {"all": -1}, "regressionThreshold"),
        ("five", {"all": 5}, "regressionThreshold"),
        ("of one, negative", {"some": [{"name": "rmse", "threshold": -0.1}]}, "metricThresholds"),
        ("of no metric", {"some": [{"name": "rmes", "threshold": 0.1}]}, "metricThresholds"),
        ("twice", {"some": [{"name": "rmse", "threshold": 0.1}] * 2}, "metricThresholds"),
    ],
)
async def test_thresholds_that_are_none_are_refused(
    api: Api, case: str, thresholds: dict[str, Any], argument: str
) -> None:
    await two_models(api)

    answer = await api.run(DIFF_MODEL, **{"from": {"number": 1}, "to": {"number": 2}}, **thresholds)

    assert answer.codes == ["INVALID_ARGUMENT"], case
    assert answer.errors[0]["extensions"]["fields"]["argument"] == argument
    assert answer.data == {"model": {"diff": None}}


@pytest.mark.parametrize("value", [math.nan, math.inf])
async def test_a_threshold_that_is_no_number_is_refused_by_its_type(api: Api, value: float) -> None:
    answer = await api.run(DIFF_MODEL, **{"from": {"number": 1}, "to": {"number": 2}, "all": value})

    assert answer.codes == ["GRAPHQL_VALIDATION_FAILED"] and answer.data is None


@pytest.mark.parametrize(
    ("selector", "code"),
    [
        ({"number": 3}, "VERSION_NOT_FOUND"),
        ({"number": 0}, "INVALID_REFERENCE"),
        ({"number": -1}, "INVALID_REFERENCE"),
        ({"ref": str(2**70)}, "INVALID_REFERENCE"),
        ({"ref": "x"}, "VERSION_NOT_FOUND"),
        ({"tag": "x"}, "TAG_NOT_FOUND"),
        ({"ref": "a\0"}, "INVALID_REFERENCE"),
        ({"id": "x"}, "INVALID_ARGUMENT"),
        ({"branch": "main"}, "INVALID_ARGUMENT"),
        ({"snapshotId": "1"}, "INVALID_ARGUMENT"),
        ({}, "AMBIGUOUS_REFERENCE"),
        ({"number": 1, "ref": "1"}, "AMBIGUOUS_REFERENCE"),
    ],
)
async def test_versions_that_are_not_there(api: Api, selector: dict[str, Any], code: str) -> None:
    await two_models(api)
    await register_pipeline(api)
    one = {"number": 1}

    for asked in ({"from": selector, "to": one}, {"from": one, "to": selector}):
        assert (await api.run(DIFF_MODEL, **asked)).codes == [code]
        answer = await api.run(DIFF_PIPELINE, id="refresh", **asked)
        assert (answer.codes, answer.data) == ([code], {"pipeline": {"diff": None}})


async def test_two_versions_of_a_pipeline(api: Api) -> None:
    pipeline = "spark://x/täglich"
    dag = {
        "tasks": [{"id": "fetch"}, {"id": "clean", "retries": 2**60}, {"id": "check", "x": None}],
        "edges": [["fetch", "clean"], ["clean", "check"]],
    }
    await register_pipeline(api, pipeline, code="a\nb\n", gitCommit="aaa")
    await register_pipeline(api, pipeline, dag=dag, code="a\nc\n", gitCommit="bbb")

    asked = {"id": pipeline, "from": {"number": 1}, "to": {"ref": "latest"}}
    diff = (await api.data(DIFF_PIPELINE, **asked))["pipeline"]["diff"]

    assert diff["dag"] == {
        "tasksAdded": ["check", "fetch"],
        "tasksRemoved": ["load"],
        "tasksChanged": ["clean"],
        "edgesAdded": ["clean -> check", "fetch -> clean"],
        "edgesRemoved": ["load -> clean"],
        "tasksRenamed": [{"from": "load", "to": "fetch"}],
        "taskChanges": [
            {"task": "clean", "changes": [{"key": "retries", "kind": "CHANGED", "before": 3, "after": str(2**60)}]}
        ],
    }
    assert diff["code"] == f"--- {pipeline} v1\n+++ {pipeline} v2\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert (diff["from"]["gitCommit"], diff["to"]["gitCommit"]) == ("aaa", "bbb")
    assert (diff["dagChanged"], diff["codeChanged"], diff["codeCut"], diff["identical"]) == (True, True, False, False)
    assert diff["relation"] == "ANCESTOR"


async def test_a_renamed_task(api: Api) -> None:
    await register_pipeline(api)
    await register_pipeline(
        api, dag={"tasks": [{"id": "fetch"}, {"id": "clean", "retries": 3}], "edges": [["fetch", "clean"]]}
    )

    asked = {"id": "refresh", "from": {"number": 1}, "to": {"number": 2}}
    diff = (await api.data(DIFF_PIPELINE, **asked))["pipeline"]["diff"]

    assert diff["dag"]["tasksRenamed"] == [{"from": "load", "to": "fetch"}]
    assert (diff["codeChanged"], diff["code"]) == (False, None)


async def test_a_catalog_that_is_away_leaves_the_rest(
    api: Api, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_models(api, orders.first, orders.second)

    async def away(*_: object) -> None:
        raise BackendUnavailableError("catalog", "it is away")

    monkeypatch.setattr(Lake, "load", away)
    query = """{ model(name: "churn") { diff(from: {number: 1}, to: {number: 2}) {
        metrics { delta } trainingDataChanged trainingData { changed beforeLabel before { snapshotId } } } } }"""
    answer = await api.run(query)

    assert answer.data["model"]["diff"] == {
        "metrics": [{"delta": 0.07}, {"delta": None}, {"delta": 0.3}],
        "trainingDataChanged": True,
        "trainingData": [{"changed": True, "beforeLabel": str(orders.first), "before": None}],
    }
    assert set(answer.codes) == {"BACKEND_UNAVAILABLE"}
    assert [error["path"] for error in answer.errors if error["path"][-1] == "trainingDataChanged"]


async def test_what_was_trained_on_a_dropped_table_is_told_by_its_ids(
    api: Api, orders: Orders, catalog: Catalog
) -> None:
    await two_models(api, orders.first, orders.second)
    catalog.drop_table("sales.orders")

    (use,) = (await diff_of(api))["trainingData"]

    assert (use["before"], use["after"], use["changed"]) == (None, None, True)
    assert (use["beforeLabel"], use["dataset"]) == (str(orders.first), ORDERS)


async def test_a_page_of_differences_costs_no_statement_a_difference(
    api: Api, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = f"""{{ models {{ nodes {{ diff(from: {{number: 1}}, to: {{ref: "latest"}}) {{ {MODEL_DIFF} }} }} }}
        pipelines {{ nodes {{ diff(from: {{number: 1}}, to: {{ref: "latest"}}) {{ {PIPELINE_DIFF} }} }} }} }}"""
    loads, statements = counted(monkeypatch)

    async def cost_of(names: range) -> int:
        for number in names:
            for snapshot, commit in ((orders.first, "a"), (orders.second, "b")):
                await register_model(api, snapshot, model=f"m{number}")
                await register_pipeline(api, f"p{number}", gitCommit=commit)
        await api.data(query)  # the table's name is noted once
        loads.clear()
        statements.clear()
        answer = await api.data(query)
        assert all(node["diff"]["trainingDataChanged"] for node in answer["models"]["nodes"])
        return len(statements)

    few = await cost_of(range(2))
    many = await cost_of(range(2, 10))

    assert many <= few + 2, statements
    assert loads == ["sales.orders"]


def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """Tables that are loaded, and statements, from now on."""
    loads: list[str] = []
    statements: list[str] = []

    def count(owner: type, method: str, found: list[str], label: Callable[..., str]) -> None:
        real = getattr(owner, method)

        async def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
            found.append(label(*args))
            return await real(self, *args, **kwargs)

        monkeypatch.setattr(owner, method, counting)

    count(Lake, "load", loads, str)
    count(asyncpg.Connection, "_execute", statements, lambda query, *_: query)
    return loads, statements
