"""`GET …/impact` as clients see it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from app.errors import LineageUnavailableError
from app.lineage.postgres.store import PostgresLineage
from tests.integration.lineage.events import PRODUCER, run_event
from tests.lake_tables import ORDERS, Orders, SmallLake, create_orders

PATH = "/api/v1/datasets/sales/orders/impact"
MADE = "gold.customers"


def named(dataset: str, snapshot_id: int) -> dict[str, Any]:
    version = {"_producer": PRODUCER, "_schemaURL": PRODUCER, "datasetVersion": str(snapshot_id)}
    return {"namespace": "lake", "name": dataset, "facets": {"version": version}}


@pytest.fixture
def made(own_api: TestClient, own_lake: SmallLake) -> Orders:
    """`gold.customers`, whose third snapshot was made from the third of `sales.orders`."""
    customers = create_orders(own_lake.catalog, MADE)
    read, written = named(ORDERS, own_lake.orders.third), named(MADE, customers.third)
    events = [
        run_event("START", UUID(int=1), "2026-02-15T10:00:00Z", [read]),
        run_event("COMPLETE", UUID(int=1), "2026-02-15T10:00:02Z", [], [written]),
    ]
    assert own_api.post("/api/v1/lineage", json=events).status_code == 201
    services = own_api.app.state.services  # type: ignore[attr-defined]
    assert own_api.portal is not None
    own_api.portal.call(services.projector.project_pending)
    return customers


def test_what_a_change_affects(own_api: TestClient, made: Orders) -> None:
    response = own_api.get(PATH)

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert {key: answer[key] for key in ("dataset", "kind", "total_affected", "severity", "complete", "reasons")} == {
        "dataset": ORDERS,
        "kind": "ANY",
        "total_affected": 2,
        "severity": "CRITICAL",
        "complete": True,
        "reasons": [],
    }
    (dataset,) = answer["datasets"]
    assert (dataset["kind"], dataset["name"], dataset["version"], dataset["depth"]) == ("DATASET", MADE, None, 1)
    assert [step["name"] for step in dataset["path"]] == [ORDERS, MADE]
    assert answer["pipelines"][0]["name"] == "tests/refresh"
    assert answer["models"] == []


def test_of_a_rollback_by_version(own_api: TestClient, own_lake: SmallLake, made: Orders) -> None:
    answer = own_api.get(PATH, params={"kind": "rollback", "rollback_to": "main~1"}).json()
    assert [one["version"] for one in answer["datasets"]] == [str(made.third)]
    assert answer["datasets"][0]["path"][0]["version"] == str(own_lake.orders.third)
    forth = own_api.get(PATH, params={"kind": "ROLLBACK", "rollback_to": "latest"}).json()
    assert (forth["total_affected"], forth["severity"], forth["complete"]) == (0, "NONE", True)


def test_of_columns(own_api: TestClient, made: Orders) -> None:
    answer = own_api.get(PATH, params={"columns": "price,label", "kind": "SCHEMA", "depth": 1}).json()
    assert "may be affected" in answer["datasets"][0]["reason"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"kind": "nope"}, 400, "INVALID_ARGUMENT"),
        ({"columns": "id,nope"}, 400, "UNKNOWN_COLUMN"),
        ({"columns": "id,,price"}, 400, "INVALID_ARGUMENT"),
        ({"depth": "0"}, 400, "INVALID_ARGUMENT"),
        ({"depth": "51"}, 400, "INVALID_ARGUMENT"),
        ({"depth": "1.5"}, 400, "INVALID_ARGUMENT"),
        ({"depth": "٣"}, 400, "INVALID_ARGUMENT"),
        ({"what": "1"}, 400, "INVALID_ARGUMENT"),
        ({"rollback_to": "main~1"}, 400, "INVALID_ARGUMENT"),
        ({"kind": "ROLLBACK"}, 400, "INVALID_ARGUMENT"),
        ({"kind": "ROLLBACK", "rollback_to": "99999999999999999999"}, 400, "INVALID_REFERENCE"),
        ({"kind": "ROLLBACK", "rollback_to": "nope"}, 404, "VERSION_NOT_FOUND"),
    ],
)
def test_bad_input_is_a_problem(api: TestClient, query: dict[str, str], status: int, code: str) -> None:
    response = api.get(PATH, params=query)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/datasets/sales/nope/impact", 404, "DATASET_NOT_FOUND"),
        ("/api/v1/datasets/sales/broken/impact", 503, "UNREADABLE_TABLE"),
        ("/api/v1/datasets/sales/empty/impact?kind=ROLLBACK&rollback_to=latest", 422, "NO_SNAPSHOT"),
    ],
)
def test_tables_that_cannot_answer(api: TestClient, path: str, status: int, code: str) -> None:
    response = api.get(path)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_an_empty_table_that_nobody_read_affects_nothing(api: TestClient) -> None:
    answer = api.get("/api/v1/datasets/sales/empty/impact").json()
    assert (answer["total_affected"], answer["complete"]) == (0, True)


def test_a_graph_that_is_away_is_a_503_to_try_again(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise LineageUnavailableError("it is away")

    monkeypatch.setattr(PostgresLineage, "neighbours", away)
    response = api.get(PATH)
    assert (response.status_code, response.json()["code"]) == (503, "LINEAGE_UNAVAILABLE")
    assert response.headers["retry-after"]
