"""Retention over REST: plans, runs as operations, what is known afterwards, and what is refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO
from starlette.testclient import TestClient

from tests.integration.format_v3 import upgrade_to_v3
from tests.lake_tables import ORDERS, TAG, SmallLake, append_elsewhere, create_orders
from tests.rest.test_rest_registry_hostile import refused

PATH = "/api/v1/datasets/sales/orders/retention"
ALL_THAT_MAY = {"keep_last": 0, "keep_days": 0}
NOW = {"policy": {"keep_last_n": 0, "keep_days": 0}, "dry_run": False, "allow_zero_days": True}
MEMBERS = [
    "namespace",
    "table",
    "total_snapshots",
    "kept",
    "expired",
    "kept_snapshots",
    "expired_snapshots",
    "kept_snapshots_truncated",
    "expired_snapshots_truncated",
    "removed_tags",
    "removed_tags_truncated",
    "bytes_freed",
    "bytes_total",
    "files_deleted",
    "files_left",
    "pinned",
    "pinned_truncated",
    "warnings",
    "run_id",
    "dry_run",
    "error",
]


@pytest.fixture
def history(own_lake: SmallLake) -> list[int]:
    """Five snapshots: the first has a tag, the second a branch, the last is the head; nothing names the others."""
    return [*own_lake.orders.ids, *(append_elsewhere(own_lake.catalog, number) for number in (7, 8))]


def work(client: TestClient, response: Any) -> Any:
    """What came of the operation that a request has started, once it is done."""
    done = ended(client, response)
    assert (done["kind"], done["status"], done["error"]) == ("RETENTION", "SUCCEEDED", None)
    return done["result"]


def ended(client: TestClient, response: Any) -> Any:
    """The operation that a request has started, once it has ended."""
    assert response.status_code == 202, response.json()
    services: Any = client.app.state.services  # type: ignore[attr-defined]
    assert client.portal is not None
    assert client.portal.call(services.operation_runner.run_next, asyncio.Event())
    return client.get(response.headers["location"]).json()


def test_a_plan_is_the_dict_of_the_contract(own_api: TestClient, own_lake: SmallLake, history: list[int]) -> None:
    before = own_lake.location

    response = own_api.get(PATH, params=ALL_THAT_MAY)

    found = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert list(found) == [*MEMBERS, "policy", "explanation"]
    assert [each["snapshot_id"] for each in found["expired_snapshots"]] == [str(history[3]), str(history[2])]
    assert [(each["snapshot_id"], each["reasons"]) for each in found["kept_snapshots"]] == [
        (str(history[4]), ["head of main"]),
        (str(history[1]), ["head of dev"]),
        (str(history[0]), [f"tagged ({TAG})"]),
    ]
    assert (found["total_snapshots"], found["kept"], found["expired"], found["dry_run"]) == (5, 3, 2, True)
    assert 0 < found["bytes_freed"] < found["bytes_total"]
    assert found["pinned"].keys() == {f"tagged ({TAG})"}
    assert found["policy"] == {
        "keep_last_n": 0,
        "keep_days": 0,
        "keep_tagged": True,
        "production_keep_days": 730,
        "is_production": False,
        "gc_enabled": True,
    }
    assert found["explanation"][0] == "Of 5 snapshots, the plan keeps 3 and expires 2."
    assert own_lake.location == before
    assert own_api.get(PATH).json()["expired"] == 0


def test_a_list_that_is_cut_says_so_and_counts_stay_exact(own_api: TestClient, history: list[int]) -> None:
    found = own_api.get(PATH, params={**ALL_THAT_MAY, "limit": 2}).json()
    assert (len(found["kept_snapshots"]), found["kept"], found["kept_snapshots_truncated"]) == (2, 3, True)
    assert (len(found["expired_snapshots"]), found["expired"], found["expired_snapshots_truncated"]) == (2, 2, False)


def test_a_run_expires_what_was_told_and_is_known_afterwards(
    own_api: TestClient, own_lake: SmallLake, history: list[int]
) -> None:
    told = own_api.get(PATH, params=ALL_THAT_MAY).json()

    # When a dry run is made, then nothing comes of it
    dry = work(own_api, own_api.post(f"{PATH}/runs", json={"policy": {"keep_last_n": 0, "keep_days": 0}}))
    assert dry["tables"] == [{name: told[name] for name in MEMBERS}]
    assert own_api.get(f"{PATH}/runs").json() == {"runs": [], "total": 0, "next": None}

    # When it is carried out
    response = own_api.post(f"{PATH}/runs", json={**NOW, "reason": "weekly clean-up"}, headers={"X-Actor": "maria"})
    (table,) = work(own_api, response)["tables"]

    # Then the bytes are those that were told, and what was to stay is there
    assert (table["bytes_freed"], table["files_deleted"]) == (told["bytes_freed"], told["files_deleted"])
    assert (table["dry_run"], table["error"], table["files_left"]) == (False, None, 0)
    left = {snapshot.snapshot_id for snapshot in own_lake.catalog.load_table(ORDERS).metadata.snapshots}
    assert left == {history[0], history[1], history[4]}

    # And the run is told of
    runs = own_api.get(f"{PATH}/runs").json()
    (run,) = runs["runs"]
    assert (runs["total"], run["run_id"], run["by"], run["reason"]) == (1, table["run_id"], "maria", "weekly clean-up")
    assert (run["kept"], run["expired"], run["bytes_freed"], run["is_done"]) == (3, 2, told["bytes_freed"], True)

    # And each snapshot
    gone = own_api.get(f"{PATH}/snapshots/{history[2]}").json()
    assert (gone["state"], gone["expired"]["by"], gone["expired"]["reason"]) == ("EXPIRED", "maria", "weekly clean-up")
    assert gone["expired"]["run_id"] == run["run_id"]
    assert gone["explanation"][0].endswith("by maria, because: weekly clean-up.")
    kept = own_api.get(f"{PATH}/snapshots/{history[0]}").json()
    assert (kept["state"], kept["expired"]) == ("KEPT", None)
    assert f"tagged ({TAG})" in kept["reasons"]
    problem = refused(
        own_api.get("/api/v1/datasets/sales/orders/data", params={"version": str(history[2])}), 410, "SNAPSHOT_EXPIRED"
    )
    assert (problem["expiredBy"], problem["expiryReason"]) == ("maria", "weekly clean-up")
    refused(own_api.get(f"{PATH}/snapshots/1234"), 404, "VERSION_NOT_FOUND")


def test_a_snapshot_is_judged_by_the_policy_that_is_asked_for(own_api: TestClient, history: list[int]) -> None:
    path = f"{PATH}/snapshots/{history[2]}"
    assert own_api.get(path).json()["state"] == "KEPT"
    found = own_api.get(path, params=ALL_THAT_MAY).json()
    assert (found["state"], found["reasons"], found["snapshot_id"]) == ("EXPIRES", [], str(history[2]))
    assert found["explanation"][0].endswith("expires.")


def test_what_another_engine_expired_is_gone_and_nothing_more_is_known(
    own_api: TestClient, own_lake: SmallLake, history: list[int]
) -> None:
    own_lake.catalog.load_table(ORDERS).maintenance.expire_snapshots().by_id(history[3]).commit()
    response = own_api.get(f"{PATH}/snapshots/{history[3]}")
    assert "expiredBy" not in refused(response, 410, "SNAPSHOT_EXPIRED")


def test_a_sweep_tells_of_each_table_what_failed_there(
    own_api: TestClient, own_lake: SmallLake, history: list[int]
) -> None:
    # Given beside the tables that can be read and the one that cannot, one of a format that is not written here
    create_orders(own_lake.catalog, "sales.three")
    append_elsewhere(own_lake.catalog, 7, name="sales.three")
    upgrade_to_v3(own_lake.catalog, own_lake.catalog.load_table("sales.three"))

    plan = own_api.get("/api/v1/datasets/sales/three/retention", params=ALL_THAT_MAY).json()
    result = work(own_api, own_api.post("/api/v1/retention/runs", json={**NOW, "namespace": "sales"}))

    assert (plan["expired"], plan["error"]) == (1, None)
    found = {table["table"]: table for table in result["tables"]}
    assert {name: (table["error"] or {}).get("code") for name, table in found.items()} == {
        "broken": "UNREADABLE_TABLE",
        "empty": None,
        "orders": None,
        "three": "UNSUPPORTED_TABLE",
    }
    assert (found["orders"]["expired"], found["three"]["expired"], result["expired"]) == (2, 0, 2)
    everything = work(own_api, own_api.post("/api/v1/retention/runs", json={"all": True}))
    assert {f"{table['namespace']}.{table['table']}" for table in everything["tables"]} > {"two.levels.t ü", ORDERS}


def test_files_that_may_not_be_deleted_are_counted_and_deleted_by_the_next_run(
    own_api: TestClient, history: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store that lets nothing be deleted
    with monkeypatch.context() as patch:

        def forbid(self: PyArrowFileIO, location: Any) -> None:
            raise PermissionError(13, "not yours", str(location))

        patch.setattr(PyArrowFileIO, "delete", forbid)
        (table,) = work(own_api, own_api.post(f"{PATH}/runs", json=NOW))["tables"]
    assert (table["error"]["code"], table["files_deleted"], table["bytes_freed"]) == ("FILES_LEFT", 0, 0)
    assert "not yours" in table["error"]["message"]
    (run,) = own_api.get(f"{PATH}/runs").json()["runs"]
    assert (run["is_done"], run["files_deleted"]) == (False, 0)

    # When there is nothing to expire any more, then the next run finishes it all the same
    work(own_api, own_api.post(f"{PATH}/runs", json=NOW))
    (run,) = own_api.get(f"{PATH}/runs").json()["runs"]
    assert (run["is_done"], run["files_deleted"], run["bytes_freed"]) == (
        True,
        run["files_planned"],
        run["bytes_planned"],
    )


def test_a_result_stays_small_whatever_the_table_has(own_api: TestClient, own_lake: SmallLake) -> None:
    # Given more snapshots of either kind than a result lists, all of the same files
    table = own_lake.catalog.load_table(ORDERS)
    metadata = json.loads(Path(table.metadata_location.removeprefix("file://")).read_text())
    oldest = metadata["snapshots"][0]
    metadata["snapshots"] += [{**oldest, "snapshot-id": 10**15 + n} for n in range(250)]
    metadata["refs"] |= {f"audit_Q1_{2000 + n}": {"snapshot-id": 10**15 + n, "type": "tag"} for n in range(120)}
    location = table.metadata_location.replace("/metadata/", "/metadata/9")
    Path(location.removeprefix("file://")).write_text(json.dumps(metadata))
    own_lake.catalog.drop_table(ORDERS)
    own_lake.catalog.register_table(ORDERS, location)

    asked = {"policy": {"keep_last_n": 0, "keep_days": 0}}
    result = work(own_api, own_api.post(f"{PATH}/runs", json=asked))

    # Then counts are those of all, and what is cut says so
    (table,) = result["tables"]
    assert (table["total_snapshots"], table["kept"], table["expired"]) == (253, 123, 130)
    for name in ("kept_snapshots", "expired_snapshots", "pinned"):
        assert (len(table[name]), table[f"{name}_truncated"]) == (100, True), name
    assert (table["removed_tags"], table["removed_tags_truncated"]) == ([], False)
    # And over REST all of them can be had
    plan = own_api.get(PATH, params=ALL_THAT_MAY).json()
    assert (len(plan["kept_snapshots"]), plan["kept_snapshots_truncated"]) == (123, False)


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ("keep_last=-1", "keep_last"),
        ("keep_last=1000001", "keep_last"),
        ("keep_last=1e3", "keep_last"),
        ("keep_last=٣", "keep_last"),
        ("keep_days=-1", "keep_days"),
        ("keep_days=36501", "keep_days"),
        ("keep_days=" + "9" * 5000, "keep_days"),
        ("production_keep_days=x", "production_keep_days"),
        ("keep_tagged=yes", "keep_tagged"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("keep_days=1&keep_days=2", "keep_days"),
        ("keep_weeks=1", "keep_weeks"),
    ],
)
def test_parameters_that_are_none_are_refused(api: TestClient, query: str, argument: str) -> None:
    assert refused(api.get(f"{PATH}?{query}"), 400, "INVALID_ARGUMENT")["argument"] == argument


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        ({}, 400, "INVALID_ARGUMENT", {"argument": "dataset"}),
        ({"all": True, "namespace": "sales"}, 400, "INVALID_ARGUMENT", {"argument": "all"}),
        ({"all": True, "dataset": ORDERS}, 400, "INVALID_ARGUMENT", {"argument": "all"}),
        ({"dataset": ORDERS, "namespace": "sales"}, 400, "INVALID_ARGUMENT", {"argument": "namespace"}),
        ({"namespace": "nowhere"}, 404, "NAMESPACE_NOT_FOUND", {"namespace": "nowhere"}),
        ({"namespace": "salse"}, 404, "NAMESPACE_NOT_FOUND", {"suggestions": ["sales"]}),
        ({"dataset": "sales.order"}, 404, "DATASET_NOT_FOUND", {"dataset": "sales.order"}),
        ({"dataset": "sales"}, 400, "INVALID_NAME", {}),
        ({"dataset": "sales.broken"}, 503, "UNREADABLE_TABLE", {}),
        ({"all": True, "policy": {"keep_last_n": -1}}, 400, "INVALID_ARGUMENT", {"argument": "keep_last_n"}),
        ({"all": True, "policy": {"keep_days": 2**60}}, 400, "INVALID_ARGUMENT", {"argument": "keep_days"}),
        (
            {"all": True, "policy": {"keep_days": 0}, "dry_run": False},
            400,
            "INVALID_ARGUMENT",
            {"argument": "keep_days"},
        ),
        ({"all": True, "policy": {"keep_days": "7"}}, 400, "INVALID_BODY", {"pointer": "/policy/keep_days"}),
        ({"all": True, "policy": {"keep_days": True}}, 400, "INVALID_BODY", {"pointer": "/policy/keep_days"}),
        ({"all": True, "policy": {"keep_tagged": 1}}, 400, "INVALID_BODY", {"pointer": "/policy/keep_tagged"}),
        ({"all": True, "policy": {"keep_last": 1}}, 400, "INVALID_BODY", {"suggestions": ["keep_last_n"]}),
        ({"all": True, "policy": []}, 400, "INVALID_BODY", {"pointer": "/policy"}),
        ({"all": "yes"}, 400, "INVALID_BODY", {"pointer": "/all"}),
        ({"all": True, "dry_run": "false"}, 400, "INVALID_BODY", {"pointer": "/dry_run"}),
        ({"all": True, "dryRun": False}, 400, "INVALID_BODY", {"pointer": "/dryRun"}),
        ({"all": True, "reason": "x" * 2001}, 400, "INVALID_ARGUMENT", {"argument": "reason"}),
        ({"all": True, "reason": "x" * 70_000}, 413, "BODY_TOO_LARGE", {}),
    ],
)
def test_a_sweep_that_is_none_is_refused(
    api: TestClient, body: dict[str, Any], status: int, code: str, fields: dict[str, Any]
) -> None:
    problem = refused(api.post("/api/v1/retention/runs", json=body), status, code)
    assert {name: problem[name] for name in fields} == fields
    assert api.get("/api/v1/operations", params={"kind": "RETENTION"}).json()["total"] == 0


def test_what_is_not_there_or_cannot_be_read_is_told(api: TestClient) -> None:
    base = "/api/v1/datasets/sales"
    for path in ("retention", "retention/runs", "retention/snapshots/1", "holds"):
        refused(api.get(f"{base}/nothing/{path}"), 404, "DATASET_NOT_FOUND")
        refused(api.get(f"{base}/broken/{path}"), 503, "UNREADABLE_TABLE")
    for snapshot_id in ("0", "-1", "x", "9" * 30, "1.5"):
        refused(api.get(f"{PATH}/snapshots/{snapshot_id}"), 400, "INVALID_REFERENCE")
    refused(api.get(f"{PATH}/runs?after=x"), 400, "INVALID_PAGE")
    refused(api.get(f"{PATH}/runs?first=0"), 400, "INVALID_PAGE")
    refused(api.post(PATH), 405, "METHOD_NOT_ALLOWED")
    refused(api.get("/api/v1/retention/runs"), 405, "METHOD_NOT_ALLOWED")
    empty = api.get(f"{base}/empty/retention").json()
    assert (empty["total_snapshots"], empty["bytes_total"]) == (0, 0)


def test_what_would_be_refused_is_told_with_what_would_be_done(own_api: TestClient, own_lake: SmallLake) -> None:
    create_orders(own_lake.catalog, "sales.three")
    append_elsewhere(own_lake.catalog, 7, name="sales.three")
    upgrade_to_v3(own_lake.catalog, own_lake.catalog.load_table("sales.three"))
    path = "/api/v1/datasets/sales/three/retention"

    told = own_api.get(path, params=ALL_THAT_MAY).json()
    entry, *_ = work(own_api, own_api.post(f"{path}/runs", json={**NOW, "dry_run": True}))["tables"]
    refused_by = ended(own_api, own_api.post(f"{path}/runs", json=NOW))["error"]

    assert told["expired"] == entry["expired"] == 1
    assert told["warnings"] == entry["warnings"] == [f"Carrying this out would be refused: {refused_by['message']}"]
    assert told["warnings"][0] in told["explanation"]
    assert refused_by["code"] == "UNSUPPORTED_TABLE"
    # Where there is nothing to do, there is nothing to refuse
    assert own_api.get(path).json()["warnings"] == []


def test_wrong_properties_and_missing_metadata_are_typed_errors(own_api: TestClient, own_lake: SmallLake) -> None:
    catalog = own_lake.catalog
    with catalog.load_table(ORDERS).transaction() as transaction:
        transaction.set_properties({"retention.keep-dayz": "7"})
    slip = refused(own_api.get(PATH), 422, "INVALID_TABLE_PROPERTY")
    assert (slip["property"], slip["value"]) == ("retention.keep-dayz", "7") and "keep-days" in slip["reason"]
    # And so it is of an operation, and of a snapshot
    ended_badly = ended(own_api, own_api.post(f"{PATH}/runs", json=NOW))
    assert (ended_badly["status"], ended_badly["error"]["code"]) == ("FAILED", "INVALID_TABLE_PROPERTY")
    snapshot_id = catalog.load_table(ORDERS).metadata.current_snapshot_id
    refused(own_api.get(f"{PATH}/snapshots/{snapshot_id}"), 422, "INVALID_TABLE_PROPERTY")
    with catalog.load_table(ORDERS).transaction() as transaction:
        transaction.remove_properties("retention.keep-dayz")
        transaction.set_properties({"history.expire.max-snapshot-age-ms": "5d"})
    number = refused(own_api.get(PATH), 422, "INVALID_TABLE_PROPERTY")
    assert (number["property"], number["value"]) == ("history.expire.max-snapshot-age-ms", "5d")
    with catalog.load_table(ORDERS).transaction() as transaction:
        transaction.remove_properties("history.expire.max-snapshot-age-ms")
    # A manifest list that is gone: what a plan frees cannot be told, and nothing is deleted.
    table = catalog.load_table(ORDERS)
    Path(table.metadata.snapshots[0].manifest_list.removeprefix("file://")).unlink()
    refused(own_api.get(PATH), 422, "MISSING_FILE")
    failed = ended(own_api, own_api.post(f"{PATH}/runs", json=NOW))
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", "MISSING_FILE")
    # Where it is one of several, the others are done, and what failed is told with it
    several = work(own_api, own_api.post("/api/v1/retention/runs", json={"namespace": "sales", **NOW}))["tables"]
    entry = next(each for each in several if each["table"] == "orders")
    assert (entry["error"]["code"], entry["kept"], entry["files_deleted"]) == ("MISSING_FILE", 3, 0)
    assert own_api.get(f"{PATH}/runs").json()["total"] == 0
