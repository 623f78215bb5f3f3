"""Models, pipelines, runs, tags and promotions over REST: what is answered where all is well."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from app.domain.versions import VersionSelector
from tests.lake_tables import ORDERS, SmallLake, create_orders

RUN_ID = "44444444-4444-4444-8444-444444444444"
MODELS, PIPELINES, RUNS = "/api/v1/models", "/api/v1/pipelines", "/api/v1/runs"
DAG = {"tasks": [{"id": "load"}, {"id": "clean"}], "edges": [["load", "clean"]]}
SLASHED = "spark://x/daily"


def model_body(lake: SmallLake, **changes: Any) -> dict[str, Any]:
    return {
        "framework": "scikit-learn",
        "parameters": {"depth": 3},
        "metrics": [{"name": "auc", "value": 0.91}, {"name": "rmse", "value": 1.2, "higher_is_better": False}],
        "training_data": [
            {"dataset": {"namespace": "sales", "name": "orders"}, "at": "main~1"},
            {"dataset": ORDERS, "at": {"snapshot_id": str(lake.orders.first)}, "role": "TEST"},
        ],
        **changes,
    }


def run_body(**changes: Any) -> dict[str, Any]:
    return {
        "run_id": RUN_ID,
        "pipeline_id": SLASHED,
        "status": "SUCCESS",
        "started_at": "2026-02-15T10:00:00Z",
        "ended_at": "2026-02-15T10:00:01.5Z",
        **changes,
    }


def test_a_version_is_registered_and_read_back(own_api: TestClient, own_lake: SmallLake) -> None:
    response = own_api.post(f"{MODELS}/churn/versions", json=model_body(own_lake), headers={"X-Actor": "zoë".encode()})

    assert response.status_code == 201, response.text
    assert response.headers["location"] == f"{MODELS}/churn/versions/1"
    answer = response.json()
    version = answer["model_version"]
    assert answer["warnings"] == [] and answer["change_id"]
    assert (version["model"], version["number"], version["label"], version["created_by"]) == ("churn", 1, "v1", "zoë")
    assert version["training_data"] == [
        {"dataset": ORDERS, "snapshot_id": str(own_lake.orders.second), "role": "TRAINING", "inferred": False},
        {"dataset": ORDERS, "snapshot_id": str(own_lake.orders.first), "role": "TEST", "inferred": False},
    ]
    assert version["metrics"] == [
        {"name": "auc", "value": 0.91, "higher_is_better": None},
        {"name": "rmse", "value": 1.2, "higher_is_better": False},
    ]
    assert own_api.get(response.headers["location"]).json() == version
    assert own_api.get(f"{MODELS}/churn").json()["latest"] == 1
    listed = own_api.get(f"{MODELS}/churn/versions").json()
    assert listed == {"versions": [version], "total": 1, "next": None}
    # and its data is kept by a tag of the table
    assert "model_training_churn_v1" in own_lake.catalog.load_table(ORDERS).metadata.refs


def test_the_card_is_the_one_of_the_contract(own_api: TestClient, own_lake: SmallLake) -> None:
    own_api.post(f"{MODELS}/churn/versions", json=model_body(own_lake))
    own_api.put(f"{MODELS}/churn/tags/serving")

    for ref in ("1", "latest", "serving", "tag:serving", "latest~0"):
        card = own_api.get(f"{MODELS}/churn/versions/{ref}/card").json()
        assert list(card) == [
            "model_name",
            "version",
            "framework",
            "metrics",
            "parameters",
            "training_dataset",
            "training_dataset_version",
            "training_datasets",
            "created_at",
            "tags",
        ]
        assert card.pop("created_at").endswith("Z")
        assert card == {
            "model_name": "churn",
            "version": 1,
            "framework": "scikit-learn",
            "metrics": {"auc": 0.91, "rmse": 1.2},
            "parameters": {"depth": 3},
            "training_dataset": ORDERS,
            "training_dataset_version": str(own_lake.orders.second),
            "training_datasets": [
                {"dataset": ORDERS, "version": str(own_lake.orders.second), "role": "TRAINING"},
                {"dataset": ORDERS, "version": str(own_lake.orders.first), "role": "TEST"},
            ],
            "tags": ["serving"],
        }


def test_the_first_training_dataset_is_the_one_in_that_role(own_api: TestClient, own_lake: SmallLake) -> None:
    data = [
        {"dataset": ORDERS, "at": "main~2", "role": "VALIDATION"},
        {"dataset": ORDERS, "at": "latest", "role": "TRAINING"},
    ]
    own_api.post(f"{MODELS}/a/versions", json={"metrics": {"auc": 1}, "training_data": data})
    own_api.post(f"{MODELS}/b/versions", json={"training_data": data[:1]})

    card = own_api.get(f"{MODELS}/a/versions/1/card").json()
    assert (card["training_dataset_version"], card["metrics"]) == (str(own_lake.orders.third), {"auc": 1.0})
    without = own_api.get(f"{MODELS}/b/versions/1/card").json()
    assert (without["training_dataset"], without["training_dataset_version"]) == (None, None)
    assert len(without["training_datasets"]) == 1


def test_a_version_without_training_data_is_warned_about(own_api: TestClient) -> None:
    answer = own_api.post(f"{MODELS}/churn/versions", json={}).json()

    assert "does not say what it was trained on" in answer["warnings"][0]


def test_archiving_twice_is_unchanged(own_api: TestClient, own_lake: SmallLake) -> None:
    own_api.post(f"{MODELS}/churn/versions", json=model_body(own_lake))

    first = own_api.post(f"{MODELS}/churn/versions/1/archive", json={"reason": "old"})
    again = own_api.post(f"{MODELS}/churn/versions/1/archive", json={})

    assert (first.status_code, first.json()["unchanged"]) == (200, False)
    assert (again.status_code, again.json()["unchanged"]) == (200, True)
    assert again.json()["model_version"]["archived_at"] == first.json()["model_version"]["archived_at"] is not None
    assert "model_training_churn_v1" not in own_lake.catalog.load_table(ORDERS).metadata.refs


def test_a_repeated_request_is_answered_as_the_first(own_api: TestClient, own_lake: SmallLake) -> None:
    key = {"Idempotency-Key": "k1"}
    body = model_body(own_lake, training_data=[{"dataset": ORDERS, "at": "latest"}])
    first = own_api.post(f"{MODELS}/churn/versions", json=body, headers=key)

    again = own_api.post(f"{MODELS}/churn/versions", json=body, headers=key)
    other = own_api.post(f"{MODELS}/churn/versions", json=body | {"framework": "x"}, headers=key)
    somebody = own_api.post(f"{MODELS}/churn/versions", json=body, headers=key | {"X-Actor": "bo"})

    assert (again.status_code, again.json()) == (201, first.json())
    assert (other.status_code, other.json()["code"]) == (400, "IDEMPOTENCY_KEY_REUSED")
    assert somebody.json()["model_version"]["number"] == 2


def test_lists_are_paged_by_prefix(own_api: TestClient) -> None:
    for name in ("a1", "a2", "b ü"):
        assert own_api.post(f"{MODELS}/{quote(name)}/versions", json={}).status_code == 201

    page = own_api.get(MODELS, params={"first": 1, "prefix": "a"}).json()
    rest = own_api.get(page["next"]).json()

    assert ([m["name"] for m in page["models"]], page["total"]) == (["a1"], 2)
    assert ([m["name"] for m in rest["models"]], rest["next"]) == (["a2"], None)
    assert own_api.get(f"{MODELS}/{quote('b ü')}").json()["name"] == "b ü"


def test_a_pipeline_is_registered_once(own_api: TestClient) -> None:
    path = f"{PIPELINES}/{SLASHED}/versions"
    body = {"dag": DAG, "code": "select 1", "git_commit": "abc", "name": "Daily", "reason": "first"}

    first = own_api.post(path, json=body)
    same = own_api.post(path, json=body | {"dag": {"edges": DAG["edges"], "tasks": DAG["tasks"][::-1]}})
    other = own_api.post(path, json=body | {"code": "select 2"})

    assert (first.status_code, first.json()["unchanged"]) == (201, False)
    assert (same.status_code, same.json()["unchanged"]) == (200, True)
    assert (other.status_code, other.json()["pipeline_version"]["number"]) == (201, 2)
    assert first.headers["location"] == f"{PIPELINES}/{quote(SLASHED, safe='')}/versions/1"
    version = own_api.get(first.headers["location"]).json()
    assert (version["dag"], version["code"], version["reason"]) == (DAG, "select 1", "first")
    listed = own_api.get(path).json()
    assert [each["number"] for each in listed["versions"]] == [2, 1]
    assert not {"dag", "code"} & listed["versions"][0].keys()
    assert own_api.get(f"{PIPELINES}/{SLASHED}").json()["name"] == "Daily"


@pytest.mark.parametrize(
    ("case", "pipeline_id"),
    [
        ("a suffix of its own", "spark://x/daily/versions"),
        ("runs", "airflow/runs"),
        ("looks like a version", "a/versions/1"),
        ("looks like a tag", "a/tags/b"),
        ("percent sign", "50%/ü x"),
        ("question mark and hash", "what?/is#this"),
        ("only slashes", "//"),
    ],
)
def test_an_id_may_look_like_a_path(own_api: TestClient, case: str, pipeline_id: str) -> None:
    encoded = quote(pipeline_id, safe="")

    assert own_api.post(f"{PIPELINES}/{encoded}/versions", json={"dag": DAG}).status_code == 201, case

    assert own_api.get(f"{PIPELINES}/{encoded}").json()["pipeline_id"] == pipeline_id
    assert own_api.get(f"{PIPELINES}/{encoded}/versions").json()["total"] == 1
    assert own_api.get(f"{PIPELINES}/{encoded}/versions/latest").json()["pipeline_id"] == pipeline_id
    assert own_api.get(f"{PIPELINES}/{encoded}/runs").json()["total"] == 0
    assert own_api.put(f"{PIPELINES}/{encoded}/tags/a%2Fb").json()["tag"]["name"] == "a/b"
    assert own_api.get(f"{PIPELINES}/{encoded}/versions/a%2Fb").json()["tags"] == ["a/b"]


def test_a_slash_that_is_written_separates_the_suffix(own_api: TestClient) -> None:
    own_api.post(f"{PIPELINES}/{quote('x/versions', safe='')}/versions", json={"dag": DAG})

    # As written, the suffix comes last: these are the versions of `x`, and those of `x/versions`.
    assert own_api.get(f"{PIPELINES}/x/versions").json()["pipelineId"] == "x"
    assert own_api.get(f"{PIPELINES}/x/versions/versions").json()["total"] == 1


def test_a_run_is_recorded_in_parts_and_read_back(own_api: TestClient, own_lake: SmallLake) -> None:
    customers = create_orders(own_lake.catalog, "gold.customers")
    own_api.post(f"{PIPELINES}/{SLASHED}/versions", json={"dag": DAG})
    started = run_body(status="RUNNING", version_number=1, inputs=[{"dataset": ORDERS, "at": "main~1"}])
    del started["ended_at"]

    begun = own_api.post(RUNS, json=started, headers={"X-Actor": "ada"})
    over = own_api.post(RUNS, json=run_body(version_number=1, outputs=[{"dataset": "gold.customers", "at": "latest"}]))

    assert begun.status_code == over.status_code == 201, over.text
    assert begun.json()["run"]["status"] == "RUNNING"
    assert over.headers["location"] == f"{RUNS}/{RUN_ID}"
    run = own_api.get(over.headers["location"]).json()
    assert run == over.json()["run"]
    assert (run["status"], run["duration_ms"], run["version_number"]) == ("SUCCESS", 1500, 1)
    assert run["inputs"] == [
        {"dataset": ORDERS, "version": str(own_lake.orders.second), "role": "INPUT", "inferred": False}
    ]
    assert [use["version"] for use in run["outputs"]] == [str(customers.third)]
    assert own_api.get(f"{PIPELINES}/{SLASHED}/runs?status=SUCCESS").json()["runs"] == [run]
    assert own_api.get(f"{PIPELINES}/{SLASHED}/runs?status=FAILED").json()["total"] == 0
    early = {"started_to": "2026-02-15T10:00:00Z"}
    assert own_api.get(f"{PIPELINES}/{SLASHED}/runs", params=early).json()["runs"] == []
    assert own_api.get(f"{PIPELINES}/{SLASHED}/runs", params={"started_from": "2026-02-15"}).json()["total"] == 1


@pytest.mark.parametrize("owner", [f"{MODELS}/churn", f"{PIPELINES}/{SLASHED}"])
def test_tags_are_set_moved_and_removed(own_api: TestClient, owner: str) -> None:
    for code in ("a", "b"):
        own_api.post(f"{owner}/versions", json={"dag": DAG, "code": code} if "pipelines" in owner else {})
    path = f"{owner}/tags/serving"

    created = own_api.put(path, json={"version": 1, "protected": True, "reason": "best"}, headers={"X-Actor": "ada"})
    assert (created.status_code, created.json()["unchanged"]) == (201, False), created.text
    tag = created.json()["tag"]
    assert (tag["number"], tag["protected"], tag["created_by"], tag["reason"]) == (1, True, "ada", "best")
    assert own_api.put(path, json={"version": "1"}).json()["unchanged"] is True
    # never moved silently
    taken = own_api.put(path, json={"version": "latest"})
    assert (taken.status_code, taken.json()["code"], taken.json()["existing"]) == (409, "TAG_EXISTS", "1")
    moved = own_api.put(path, json={"expected": 2})
    assert (moved.status_code, moved.json()["code"]) == (409, "HEAD_MOVED")
    refused = own_api.put(path, json={"expected": 1})
    assert (refused.status_code, refused.json()["code"]) == (403, "PROTECTED_TAG")
    done = own_api.put(path, json={"expected": 1, "force": True})
    assert (done.status_code, done.json()["tag"]["number"]) == (200, 2)
    assert own_api.get(f"{owner}/tags").json()["tags"] == [done.json()["tag"]]
    assert own_api.get(f"{owner}/versions/serving").json()["number"] == 2
    # and removed
    assert own_api.delete(path).status_code == 403
    gone = own_api.request("DELETE", path, json={"force": True, "expected": 2})
    assert (gone.status_code, gone.json()["number"]) == (200, 2)
    assert own_api.delete(path).json()["code"] == "TAG_NOT_FOUND"
    assert own_api.put(path, json={"force": True}).json()["code"] == "TAG_NOT_FOUND"


def test_a_repeated_tag_request_is_answered_as_the_first(own_api: TestClient) -> None:
    key = {"Idempotency-Key": "t"}
    own_api.post(f"{MODELS}/churn/versions", json={})
    first = own_api.put(f"{MODELS}/churn/tags/x1", json={}, headers=key)
    own_api.post(f"{MODELS}/churn/versions", json={})

    assert own_api.put(f"{MODELS}/churn/tags/x1", json={}, headers=key).json() == first.json()
    reused = own_api.put(f"{MODELS}/churn/tags/x2", json={}, headers=key)
    assert (reused.status_code, reused.json()["code"]) == (400, "IDEMPOTENCY_KEY_REUSED")


def test_a_promotion_is_recorded_once(own_api: TestClient, own_lake: SmallLake) -> None:
    customers = create_orders(own_lake.catalog, "gold.customers")
    body = {
        "source": ORDERS,
        "source_at": {"tag": "production_2026_02_15"},
        "target": {"namespace": "gold", "name": "customers"},
        "target_at": {"as_of": "2999-01-01T00:00:00Z"},
        "pipeline_id": "promote",
    }

    first, again = own_api.post("/api/v1/promotions", json=body), own_api.post("/api/v1/promotions", json=body)

    assert (first.status_code, again.status_code) == (201, 200), first.text
    assert first.json() == {
        "source": ORDERS,
        "source_snapshot_id": str(own_lake.orders.first),
        "target": "gold.customers",
        "target_snapshot_id": str(customers.third),
        "pipeline_id": "promote",
        "unchanged": False,
    }
    assert again.json() == first.json() | {"unchanged": True}


def test_selectors_are_as_those_of_graphql() -> None:
    # A guard: what the body's `at` takes is what a selector of the services has.
    from app.rest.registry_bodies import At

    assert set(At.model_fields) == set(VersionSelector.__slots__)
