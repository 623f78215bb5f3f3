"""Compaction over REST: plans, runs as operations, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pyarrow as pa
from starlette.testclient import TestClient

from app.domain.names import DatasetName
from tests.integration.compaction.tables import NAME, ROWS, create, ids_of, on_disk
from tests.integration.equality_deletes import commit_equality_delete
from tests.integration.format_v3 import upgrade_to_v3
from tests.lake_tables import ORDERS, SmallLake
from tests.rest.test_rest_registry_hostile import refused

SALES = "/api/v1/datasets/sales/orders/compaction"
PATH = "/api/v1/datasets/bronze/events/compaction"
SWEEP = "/api/v1/compaction/runs"
NOW = {"dry_run": False}


def ended(client: TestClient, response: Any) -> Any:
    """The operation that a request has started, once it has ended."""
    assert response.status_code == 202, response.json()
    begun = response.json()
    assert (begun["kind"], begun["status"], begun["result"]) == ("COMPACTION", "QUEUED", None)
    assert run_next(client)
    return client.get(response.headers["location"]).json()


def run_next(client: TestClient) -> bool:
    services: Any = client.app.state.services  # type: ignore[attr-defined]
    assert client.portal is not None
    return bool(client.portal.call(services.operation_runner.run_next, asyncio.Event()))


def work(client: TestClient, response: Any) -> Any:
    """What came of the operation that a request has started, once it is done."""
    done = ended(client, response)
    assert (done["status"], done["error"]) == ("SUCCEEDED", None)
    return done["result"]


def test_a_plan_has_what_the_contract_says_and_the_same_in_sentences(own_api: TestClient, own_lake: SmallLake) -> None:
    table = create(own_lake.catalog, parts=2)
    sizes: dict[int, list[int]] = {0: [], 1: []}
    for file in table.inspect.files().to_pylist():
        sizes[file["partition"]["part"]].append(file["file_size_in_bytes"])

    response = own_api.get(PATH)

    found = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert {name: value for name, value in found.items() if not name.endswith("_mb") and name != "explanation"} == {
        "namespace": "bronze",
        "table": "events",
        "verdict": "NEEDED",
        "needs_compaction": True,
        "reason": "24 files are smaller than 10 MB",
        "total_files": 24,
        "small_files": 24,
        "delete_files": 0,
        "estimated_files_after": 2,
        "bins": 2,
        "requests_saved": 44,
        "planned_bins": [
            {"partition": f"part={part}", "files": 12, "files_after": 1, "bytes": sum(sizes[part])} for part in range(2)
        ],
        "planned_bins_truncated": False,
        "policy": {
            "target_file_size_mb": 512,
            "min_file_size_mb": 10,
            "max_concurrent_files": 100,
            "rewrite_all": False,
        },
    }
    assert 0 < found["total_size_mb"] == found["rewrite_size_mb"]
    assert {"avg_file_size_mb", "min_file_size_mb"} <= found.keys()
    assert found["explanation"][1].startswith("Compaction would help: 24 files are smaller than 10 MB.")
    assert own_lake.catalog.load_table(str(NAME)).metadata_location == table.metadata_location


def test_a_plan_is_by_the_policy_that_is_asked_for_with_units_or_without(
    own_api: TestClient, own_lake: SmallLake
) -> None:
    create(own_lake.catalog, files=4)
    query = {"target_file_size_mb": "2GB", "min_file_size_mb": "1", "max_concurrent_files": "2", "rewrite_all": "true"}

    found = own_api.get(PATH, params=query).json()

    assert found["policy"] == {
        "target_file_size_mb": 2048,
        "min_file_size_mb": 1,
        "max_concurrent_files": 2,
        "rewrite_all": True,
    }
    assert (found["bins"], found["estimated_files_after"]) == (2, 2)
    assert own_api.get(PATH, params={"target_file_size_mb": "512MB"}).json()["policy"]["target_file_size_mb"] == 512


def test_where_nothing_is_to_be_done_a_plan_says_why(own_api: TestClient, own_lake: SmallLake) -> None:
    create(own_lake.catalog, files=1)
    assert own_api.get("/api/v1/datasets/sales/empty/compaction").json()["verdict"] == "EMPTY"
    assert own_api.get("/api/v1/datasets/two.levels/t%20ü/compaction").json()["verdict"] == "EMPTY"

    found = own_api.get(PATH).json()
    (told,) = work(own_api, own_api.post(f"{PATH}/runs", json=NOW))["tables"]

    assert (found["verdict"], found["reason"], found["bins"]) == ("FINE", "it has one file", 0)
    assert (told["plan"]["reason"], told["run_id"], told["snapshot_id"]) == ("it has one file", None, None)


def test_a_run_is_a_dry_one_unless_told_otherwise(own_api: TestClient, own_lake: SmallLake) -> None:
    table = create(own_lake.catalog)
    location = table.metadata_location

    # When no body is sent, then it is told what would be
    dry = work(own_api, own_api.post(f"{PATH}/runs"))
    (told,) = dry["tables"]
    assert (told["dry_run"], told["files_before"], told["files_after"], told["bins"]) == (True, 12, 1, [])
    assert [(each["partition"], each["files"]) for each in told["planned_bins"]] == [("part=0", 12)]
    assert told["planned_bins_truncated"] is False
    assert own_lake.catalog.load_table(str(NAME)).metadata_location == location

    # When it is carried out
    response = own_api.post(f"{PATH}/runs", json={**NOW, "reason": "reads are slow"}, headers={"X-Actor": "maria"})
    result = work(own_api, response)

    # Then files are fewer, rows the same, and who did it is known
    (told,) = result["tables"]
    assert list(result) == ["tables", "files_before", "files_after", "size_before_mb", "size_after_mb"]
    assert (told["files_before"], told["files_after"], told["error"], told["engine"]) == (12, 1, None, "local")
    assert [(each["files"], each["files_after"]) for each in told["bins"]] == [(12, 1)]
    table.refresh()
    assert ids_of(table) == list(range(12 * ROWS))
    head = table.current_snapshot()
    assert head is not None and head.summary is not None
    assert (told["snapshot_id"], head.summary.operation.value) == (str(head.snapshot_id), "replace")
    assert (head.summary["stratigraph.actor"], head.summary["stratigraph.reason"]) == ("maria", "reads are slow")
    assert own_api.get(PATH).json()["verdict"] == "FINE"


def test_a_sweep_tells_of_each_table_what_failed_there(own_api: TestClient, own_lake: SmallLake) -> None:
    # Given tables that can be compacted, one that cannot be read, and two that cannot be compacted
    create(own_lake.catalog)
    three = DatasetName(namespace="sales", name="three")
    upgrade_to_v3(own_lake.catalog, create(own_lake.catalog, three, files=2))
    rows = pa.table({"id": pa.array([2], pa.int64())}, schema=pa.schema([pa.field("id", pa.int64(), nullable=False)]))
    commit_equality_delete(own_lake.catalog, own_lake.catalog.load_table(ORDERS), rows)

    problem = refused(own_api.get("/api/v1/datasets/sales/three/compaction"), 422, "UNSUPPORTED_TABLE")
    assert problem["feature"] == "format version 3"
    problem = refused(own_api.get(SALES), 422, "UNSUPPORTED_TABLE")
    assert problem["feature"] == "equality deletes"
    failed = ended(own_api, own_api.post(f"{SALES}/runs", json=NOW))
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", "UNSUPPORTED_TABLE")

    result = work(own_api, own_api.post(SWEEP, json={**NOW, "all": True}))
    found = {table["table"]: (table["error"] or {}).get("code") for table in result["tables"]}
    assert found == {
        "broken": "UNREADABLE_TABLE",
        "empty": None,
        "events": None,
        "orders": "UNSUPPORTED_TABLE",
        "t ü": None,
        "three": "UNSUPPORTED_TABLE",
    }
    assert (result["files_before"], result["files_after"]) == (12, 1)
    only = work(own_api, own_api.post(SWEEP, json={"namespace": "bronze"}))["tables"]
    assert [table["table"] for table in only] == ["events"]


def test_limits_leave_tables_alone_and_say_so(own_api: TestClient, own_lake: SmallLake) -> None:
    create(own_lake.catalog)
    create(own_lake.catalog, DatasetName(namespace="platinum", name="kpis"), files=3)

    (active,) = work(own_api, own_api.post(f"{PATH}/runs", json={**NOW, "skip_active": "15m"}))["tables"]
    (due,) = work(own_api, own_api.post(SWEEP, json={"namespace": "platinum", "due_only": True}))["tables"]
    (spent,) = work(own_api, own_api.post(SWEEP, json={**NOW, "dataset": "bronze.events", "budget": "1h"}))["tables"]

    assert active["skipped"].startswith("it was written to ")
    assert due["skipped"] == "it is compacted on demand alone"
    assert (spent["skipped"], spent["files_after"]) == (None, 1)


def test_the_same_key_starts_one_operation(own_api: TestClient, own_lake: SmallLake) -> None:
    create(own_lake.catalog, files=2)
    key = {"Idempotency-Key": "once"}
    first = own_api.post(f"{PATH}/runs", json=NOW, headers=key)
    again = own_api.post(f"{PATH}/runs", json=NOW, headers=key)
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    for other in ({}, {**NOW, "budget": "1GB"}, {**NOW, "policy": {"rewrite_all": True}}):
        refused(own_api.post(f"{PATH}/runs", json=other, headers=key), 400, "IDEMPOTENCY_KEY_REUSED")
    assert own_api.get("/api/v1/operations", params={"kind": "COMPACTION"}).json()["total"] == 1


def test_one_that_is_cancelled_while_it_waits_does_nothing(own_api: TestClient, own_lake: SmallLake) -> None:
    table = create(own_lake.catalog)
    response = own_api.post(f"{PATH}/runs", json=NOW)

    cancelled = own_api.post(f"{response.headers['location']}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
    assert not run_next(own_api)
    assert own_lake.catalog.load_table(str(NAME)).metadata_location == table.metadata_location


def test_a_file_that_is_gone_is_named_and_nothing_committed(own_api: TestClient, own_lake: SmallLake) -> None:
    table = create(own_lake.catalog)
    gone = min(on_disk(table))
    gone.unlink()

    failed = ended(own_api, own_api.post(f"{PATH}/runs", json=NOW))

    assert (failed["status"], failed["error"]["code"]) == ("FAILED", "MISSING_FILE")
    assert failed["error"]["fields"]["file"].endswith(gone.name)
    assert own_lake.catalog.load_table(str(NAME)).metadata_location == table.metadata_location
    # And a manifest that is gone leaves no plan either
    manifest = table.inspect.manifests()["path"].to_pylist()[0]
    Path(manifest.removeprefix("file://")).unlink()
    assert refused(own_api.get(PATH), 422, "MISSING_FILE")["file"] == manifest
