"""Removing orphans over REST: as an operation, a dry one unless told otherwise."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.lake_tables import ORDERS, SmallLake
from tests.rest.test_rest_registry_hostile import refused

PATH = "/api/v1/datasets/sales/orders/orphans/removals"


@pytest.fixture
def orphan(own_lake: SmallLake) -> Path:
    """A file that a writer has left five days ago."""
    path = Path(own_lake.catalog.load_table(ORDERS).location().removeprefix("file://")) / "data" / "left.parquet"
    path.write_bytes(b"x" * 10)
    then = time.time() - 5 * 86_400
    os.utime(path, (then, then))
    return path


def work(client: TestClient, response: Any) -> Any:
    """What came of the operation that a request has started, once it is done."""
    assert response.status_code == 202, response.json()
    services: Any = client.app.state.services  # type: ignore[attr-defined]
    assert client.portal is not None
    assert client.portal.call(services.operation_runner.run_next, asyncio.Event())
    done = client.get(response.headers["location"]).json()
    assert (done["kind"], done["status"], done["error"]) == ("ORPHANS", "SUCCEEDED", None)
    return done["result"]


def test_a_dry_run_is_the_default_and_the_other_removes(own_api: TestClient, orphan: Path) -> None:
    told = work(own_api, own_api.post(PATH))
    assert list(told) == [
        "dataset",
        "dry_run",
        "files",
        "reached",
        "young",
        "orphans",
        "bytes",
        "listed",
        "listed_truncated",
        "removed",
        "removed_bytes",
        "left",
        "examples",
        "warnings",
    ]
    assert told["warnings"] == []
    assert (told["dataset"], told["dry_run"], told["orphans"], told["removed"]) == (ORDERS, True, {"ORPHAN": 1}, 0)
    (listed,) = told["listed"]
    assert (Path(listed["path"]).name, listed["kind"], listed["bytes"]) == (orphan.name, "ORPHAN", 10)
    assert told["files"] == told["reached"] + 1
    assert orphan.exists()

    body = {"older_than_days": 4, "dry_run": False, "reason": "monthly"}
    done = work(own_api, own_api.post(PATH, json=body, headers={"X-Actor": "maria"}))
    assert (done["dry_run"], done["removed"], done["removed_bytes"], done["left"]) == (False, 1, 10, 0)
    assert not orphan.exists()


def test_what_may_not_be_removed_is_told_with_a_warning(own_api: TestClient, own_lake: SmallLake, orphan: Path) -> None:
    with own_lake.catalog.load_table(ORDERS).transaction() as change:
        change.set_properties({"gc.enabled": "false"})

    told = work(own_api, own_api.post(PATH))

    message = refused(own_api.post(PATH, json={"dry_run": False}), 422, "UNSUPPORTED_TABLE")["detail"]
    assert (told["orphans"], told["removed"]) == ({"ORPHAN": 1}, 0)
    assert told["warnings"] == [f"Removing them would be refused: {message}"]


def test_the_same_key_begins_one_operation(own_api: TestClient, orphan: Path) -> None:
    headers = {"Idempotency-Key": "june", "X-Actor": "maria"}
    first, again = (own_api.post(PATH, json={"dry_run": False}, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    refused(own_api.post(PATH, json={"dry_run": True}, headers=headers), 400, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        ({"older_than_days": 0.5}, 400, "INVALID_ARGUMENT", {"argument": "older_than_days"}),
        ({"older_than_days": -1, "force": True}, 400, "INVALID_ARGUMENT", {"argument": "older_than_days"}),
        ({"older_than_days": "3"}, 400, "INVALID_BODY", {"pointer": "/older_than_days"}),
        ({"older_than": 3}, 400, "INVALID_BODY", {"suggestions": ["older_than_days"]}),
        ({"dry_run": "false"}, 400, "INVALID_BODY", {"pointer": "/dry_run"}),
        ({"reason": "x" * 2001}, 400, "INVALID_ARGUMENT", {"argument": "reason"}),
        ({"reason": "x" * 70_000}, 413, "BODY_TOO_LARGE", {}),
    ],
)
def test_what_cannot_be_is_refused(
    api: TestClient, body: dict[str, Any], status: int, code: str, fields: dict[str, Any]
) -> None:
    problem = refused(api.post(PATH, json=body), status, code)
    assert {name: problem[name] for name in fields} == fields
    assert api.get("/api/v1/operations", params={"kind": "ORPHANS"}).json()["total"] == 0


def test_a_dataset_that_is_not_there_is_told(api: TestClient) -> None:
    refused(api.post("/api/v1/datasets/sales/nothing/orphans/removals"), 404, "DATASET_NOT_FOUND")
    refused(api.get(PATH), 405, "METHOD_NOT_ALLOWED")
