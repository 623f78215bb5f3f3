"""Comparing versions of models and pipelines over REST: the contract's shapes, to the letter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from tests.lake_tables import ORDERS, SmallLake
from tests.rest.conftest import rest_client
from tests.rest.test_rest_registry import MODELS, PIPELINES
from tests.rest.test_rest_registry_hostile import refused

GOLDEN = Path(__file__).parents[1] / "fixtures" / "compare"
COMPARE = "/api/v1/compare"
PIPELINE = "spark://x/daily"
CHURN = f"{COMPARE}/models/churn/performance"
DAILY = f"{COMPARE}/pipelines/{quote(PIPELINE, safe='')}/versions"

FIRST_DAG = {
    "tasks": [{"id": "load"}, {"id": "clean", "retries": 1}, {"id": "store"}],
    "edges": [["load", "clean"], ["clean", "store"]],
}
SECOND_DAG = {
    "edges": [["check", "store"], ["clean", "check"], ["fetch", "clean"]],
    "tasks": [{"id": "store"}, {"id": "fetch"}, {"id": "check", "rows": 10}, {"id": "clean", "retries": 2}],
}


@pytest.fixture(scope="module")
def client(module_lake: SmallLake) -> Iterator[TestClient]:
    """A registry with three versions of a model and of a pipeline, which every test leaves as it is."""
    with rest_client(module_lake.settings) as opened:
        for number, metrics, parameters, at in (
            (
                1,
                {"accuracy": 0.85, "rmse": 1.2, "recall": 0.9, "errors": 0},
                {"depth": 3, "opt": {"lr": 0.1}},
                "main~2",
            ),
            (2, {"accuracy": 0.92, "rmse": 1.5, "f1": 0.8, "errors": 2}, {"depth": 5, "opt": {"lr": 0.1}}, "main~1"),
            (3, {"accuracy": 0.92, "rmse": 1.5, "f1": 0.8, "errors": 2}, {"depth": 5.0, "opt": {"lr": 0.1}}, "main~1"),
        ):
            body = {
                "framework": "scikit-learn",
                "metrics": [
                    {"name": name, "value": value, "higher_is_better": False if name == "rmse" else None}
                    for name, value in metrics.items()
                ],
                "parameters": parameters,
                "training_data": [
                    {"dataset": ORDERS, "at": at},
                    {"dataset": ORDERS, "at": "main~2", "role": "TEST"},
                ],
            }
            made = opened.post(f"{MODELS}/churn/versions", json=body)
            assert made.json()["model_version"]["number"] == number, made.text
        opened.put(f"{MODELS}/churn/tags/champion", json={"version": "1"})
        for dag, code, commit in (
            (FIRST_DAG, "import x\nx.run(1)\n", "aaa"),
            (SECOND_DAG, "import x\nx.run(2)\n", "bbb"),
            (SECOND_DAG, None, "bbb"),
        ):
            made = opened.post(
                f"{PIPELINES}/{quote(PIPELINE, safe='')}/versions",
                json={"dag": dag, "code": code, "git_commit": commit},
            )
            assert made.status_code == 201, made.text
        yield opened


def answered(client: TestClient, path: str, **query: str) -> Any:
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def check_golden(name: str, body: Any, lake: SmallLake) -> None:
    """The body with snapshot ids and instants by name is, member by member and in order, what the file has."""
    text = json.dumps(body, indent=2, ensure_ascii=False)
    for place, snapshot_id in enumerate(lake.orders.ids, start=1):
        text = text.replace(f'"{snapshot_id}"', f'"<snapshot {place}>"')
    for instant in body.get("created_at", {}).values():
        assert instant.endswith("Z")
        text = text.replace(f'"{instant}"', '"<instant>"')
    assert text == (GOLDEN / f"{name}.json").read_text(encoding="utf-8").rstrip("\n")


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("model-performance", {"from_version": "1", "to_version": "2"}),
        ("model-performance-back", {"from_version": "2", "to_version": "champion"}),
        ("model-performance-same", {"from_version": "v2"}),
    ],
)
def test_models_are_compared_as_the_contract_has_it(
    client: TestClient, module_lake: SmallLake, name: str, query: dict[str, str]
) -> None:
    check_golden(name, answered(client, CHURN, **query), module_lake)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("pipeline-versions", {"from_version": "1", "to_version": "2"}),
        ("pipeline-versions-without-code", {"from_version": "latest~1", "to_version": "latest"}),
        ("pipeline-versions-same", {"from_version": "2", "to_version": "2"}),
    ],
)
def test_pipelines_are_compared_as_the_contract_has_it(
    client: TestClient, module_lake: SmallLake, name: str, query: dict[str, str]
) -> None:
    check_golden(name, answered(client, DAILY, **query), module_lake)


def test_the_numbers_of_the_contract(client: TestClient) -> None:
    body = answered(client, CHURN, from_version="1", to_version="2")

    accuracy = body["metrics_diff"]["accuracy"]
    assert accuracy["delta"] == 0.07
    assert str(accuracy["percent_change"]).startswith("8.235")
    assert body["regressions"] == ["errors", "rmse"]
    # the metric that is gone, and the one that came
    for name in ("recall", "f1"):
        assert body["metrics_diff"][name]["delta"] is body["metrics_diff"][name]["percent_change"] is None
    assert body["metrics_diff"]["errors"]["percent_change"] is None


@pytest.mark.parametrize(
    ("threshold", "regressions"),
    [
        ("0.25", ["errors"]),
        ("25%", ["errors"]),
        ("0.2499", ["errors", "rmse"]),
        ("rmse=30%", ["errors"]),
        ("1,rmse=0.1", ["errors", "rmse"]),
        ('"rmse=0.1",1', ["errors", "rmse"]),
        ("", ["errors", "rmse"]),
    ],
)
def test_thresholds(client: TestClient, threshold: str, regressions: list[str]) -> None:
    body = answered(client, CHURN, from_version="1", to_version="2", regression_threshold=threshold)

    assert body["regressions"] == regressions


@pytest.mark.parametrize(
    "threshold",
    [
        "x",
        "nan",
        "inf",
        "-1",
        "5",
        "1.01",
        "0.1,0.2",
        "rmse=",
        "=0.1",
        "rmes=0.1",
        "0.1,",
        '"',
        "9" * 400,
        "a=b=c",
        "\n",
    ],
)
def test_thresholds_that_are_none_are_refused(client: TestClient, threshold: str) -> None:
    query = {"from_version": "1", "to_version": "2", "regression_threshold": threshold}

    problem = refused(client.get(CHURN, params=query), 400, "INVALID_ARGUMENT")

    assert problem["argument"] == "regression_threshold"


@pytest.mark.parametrize("path", [CHURN, DAILY])
@pytest.mark.parametrize(
    ("case", "version", "status", "code"),
    [
        ("none such", "4", 404, "VERSION_NOT_FOUND"),
        ("zero", "0", 400, "INVALID_REFERENCE"),
        ("minus one", "-1", 400, "INVALID_REFERENCE"),
        ("beyond 64 bits", str(2**70), 400, "INVALID_REFERENCE"),
        ("no tag", "x", 404, "VERSION_NOT_FOUND"),
        ("no tag, said to be one", "tag:x", 404, "TAG_NOT_FOUND"),
        ("a branch", "branch:main", 400, "INVALID_REFERENCE"),
        ("before the first", "2000-01-01", 404, "VERSION_NOT_FOUND"),
        ("no date", "2026-13-45", 400, "INVALID_REFERENCE"),
        ("NUL", "a\0b", 400, "INVALID_REFERENCE"),
        ("long", "x" * 5_000, 400, "INVALID_REFERENCE"),
        ("too far back", "latest~9", 404, "VERSION_NOT_FOUND"),
    ],
)
def test_versions_that_are_not_there(
    client: TestClient, path: str, case: str, version: str, status: int, code: str
) -> None:
    for query in ({"from_version": version, "to_version": "1"}, {"from_version": "1", "to_version": version}):
        problem = refused(client.get(path, params=query), status, code)
        assert problem["ref"] in version or version in problem["ref"] or "..." in problem["ref"], case


@pytest.mark.parametrize(
    ("case", "path", "status", "code"),
    [
        ("no such model", f"{COMPARE}/models/chrun/performance?from_version=1", 404, "MODEL_NOT_FOUND"),
        (
            "no such pipeline",
            f"{COMPARE}/pipelines/spark://x/weekly/versions?from_version=1",
            404,
            "PIPELINE_NOT_FOUND",
        ),
        ("NUL in a model", f"{COMPARE}/models/%00/performance?from_version=1", 404, "MODEL_NOT_FOUND"),
        ("model with a slash", f"{COMPARE}/models/a%2Fb/performance?from_version=1", 404, "MODEL_NOT_FOUND"),
        ("not UTF-8", f"{COMPARE}/models/%FF/performance?from_version=1", 400, "INVALID_ARGUMENT"),
        ("no version", CHURN, 400, "INVALID_ARGUMENT"),
        ("an empty version", f"{CHURN}?from_version=&to_version=1", 400, "INVALID_ARGUMENT"),
        ("twice", f"{CHURN}?from_version=1&from_version=2", 400, "INVALID_ARGUMENT"),
        ("another parameter", f"{DAILY}?from_version=1&x=1", 400, "INVALID_ARGUMENT"),
        ("a threshold of a pipeline", f"{DAILY}?from_version=1&regression_threshold=0.1", 400, "INVALID_ARGUMENT"),
        ("no such comparison", f"{COMPARE}/models/churn/versions?from_version=1", 404, "UNKNOWN_PATH"),
        ("a slash too many", f"{COMPARE}/models/a/b/performance?from_version=1", 404, "UNKNOWN_PATH"),
        ("nothing", f"{COMPARE}/pipelines/", 404, "UNKNOWN_PATH"),
        ("no id", f"{COMPARE}/pipelines//versions?from_version=1", 404, "UNKNOWN_PATH"),
    ],
)
def test_what_is_not_there_or_malformed(client: TestClient, case: str, path: str, status: int, code: str) -> None:
    refused(client.get(path), status, code)


def test_the_closest_names_are_told(client: TestClient) -> None:
    query = {"from_version": "1"}
    model = client.get(f"{COMPARE}/models/chrun/performance", params=query).json()
    tag = client.get(CHURN, params={"from_version": "chmapion"}).json()

    assert (model["suggestions"], tag["suggestions"]) == (["churn"], ["champion"])


@pytest.mark.parametrize("path", [CHURN, DAILY])
def test_the_reference_that_is_asked_for_is_one_of_such_versions(client: TestClient, path: str) -> None:
    # Given a comparison without versions
    detail = client.get(path).json()["detail"]
    # Then the example told is one that can be given
    example = detail.removesuffix(".").rpartition(" ")[2]
    assert client.get(path, params={"from_version": example}).status_code == 200


def test_only_reading_is_allowed(client: TestClient) -> None:
    assert client.post(CHURN).headers["allow"] == "GET, HEAD"
    assert client.head(f"{CHURN}?from_version=1").status_code == 200


def test_an_id_may_be_written_with_its_slashes(client: TestClient) -> None:
    encoded = answered(client, DAILY, from_version="1")

    assert answered(client, f"{COMPARE}/pipelines/{PIPELINE}/versions", from_version="1") == encoded


def test_an_answer_is_not_sent_twice(client: TestClient) -> None:
    for path in (CHURN, DAILY):
        query = {"from_version": "1", "to_version": "2"}
        first = client.get(path, params=query)
        again = client.get(path, params=query, headers={"If-None-Match": first.headers["etag"]})
        other = client.get(path, params=query | {"to_version": "3"}, headers={"If-None-Match": first.headers["etag"]})

        assert (again.status_code, again.content) == (304, b"")
        assert first.headers["cache-control"] == again.headers["cache-control"] == "private, no-cache"
        assert other.status_code == 200 and other.headers["etag"] != first.headers["etag"]


def test_names_of_any_letters(own_api: TestClient) -> None:
    model, pipeline = "größe 📈?&#%", "a//b/versions/ü?#%2F/versions"
    for metrics in ({"größe 📈": 1, "a,b=c": 2}, {"größe 📈": 0.5, "a,b=c": 2}):
        assert own_api.post(f"{MODELS}/{quote(model, safe='')}/versions", json={"metrics": metrics}).status_code == 201
    for dag in ({"tasks": [{"id": "ü -> ö"}, {"id": "b"}], "edges": [["ü -> ö", "b"]]}, {"tasks": [{"id": "b"}]}):
        made = own_api.post(f"{PIPELINES}/{quote(pipeline, safe='')}/versions", json={"dag": dag})
        assert made.status_code == 201, made.text
    path = f"{COMPARE}/models/{quote(model, safe='')}/performance"

    found = answered(own_api, path, from_version="1", regression_threshold='größe 📈=0.6,"a,b=c=0.1"')
    dags = answered(own_api, f"{COMPARE}/pipelines/{quote(pipeline, safe='')}/versions", from_version="1")

    assert (found["regressions"], found["metrics_diff"]["größe 📈"]["delta"]) == ([], -0.5)
    assert dags["dag_diff"]["edges_removed"] == [["ü -> ö", "b"]]


def test_code_of_a_megabyte(own_api: TestClient) -> None:
    texts = ["".join(f"{side}{n % 7}\n" for n in range(400_000)) for side in "ab"]
    for code in texts:
        body = {"dag": {"tasks": [{"id": "a"}]}, "code": code}
        assert own_api.post(f"{PIPELINES}/large/versions", json=body).status_code == 201

    found = answered(own_api, f"{COMPARE}/pipelines/large/versions", from_version="1")

    assert (found["code_changed"], found["code_diff_cut"], found["dag_changed"]) == (True, True, False)
    assert 900_000 < len(found["code_diff"]) <= 1_000_000


@pytest.mark.parametrize("path", [CHURN, DAILY])
def test_json_is_all_that_there_is(client: TestClient, path: str) -> None:
    response = client.get(path, params={"from_version": "1"}, headers={"Accept": "text/csv"})

    assert (response.status_code, response.json()["code"]) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(("path", "owner"), [(CHURN, ("model", "churn")), (DAILY, ("pipelineId", PIPELINE))])
def test_a_version_that_is_not_there_is_told_of_its_owner(
    client: TestClient, path: str, owner: tuple[str, str]
) -> None:
    problem = client.get(path, params={"from_version": "99"}).json()

    assert (problem["code"], problem[owner[0]]) == ("VERSION_NOT_FOUND", owner[1])
    assert "dataset" not in problem
