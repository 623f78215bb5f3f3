"""`GET …/compare/datasets/{ns}/{table}/commits`, `/files` and `/stats`: what GraphQL answers, over REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from tests.changed_tables import CHANGED, OPENED, ChangedLake, changed_lake
from tests.lake_tables import ORDERS, TAG, Orders, SmallLake, append_elsewhere
from tests.rest.conftest import rest_client

__all__ = ["changed_lake"]

PRICES = "/api/v1/compare/datasets/sales/prices"
OF_ORDERS = "/api/v1/compare/datasets/sales/orders"
BOTH = {"from_version": OPENED, "to_version": CHANGED}
RUN = UUID(int=7)


@pytest.fixture(scope="module")
def changed(changed_lake: ChangedLake) -> Iterator[TestClient]:
    with rest_client(changed_lake.lake.settings) as client:
        yield client


def ask(api: TestClient, path: str, **query: Any) -> dict[str, Any]:
    response = api.get(path, params=query or None)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def record(api: TestClient, snapshot_id: int) -> None:
    """A version of a pipeline, and a run of it that wrote the snapshot."""
    dag = {"tasks": [{"id": "load"}], "edges": []}
    made = api.post(
        "/api/v1/pipelines/nightly/versions", json={"dag": dag, "git_commit": "abc1"}, headers={"X-Actor": "ada"}
    )
    assert made.status_code == 201, made.text
    told = api.post(
        "/api/v1/runs",
        json={
            "run_id": str(RUN),
            "pipeline_id": "nightly",
            "version_number": 1,
            "status": "SUCCESS",
            "started_at": "2026-02-15T10:00:00Z",
            "ended_at": "2026-02-15T10:01:00Z",
            "outputs": [{"dataset": ORDERS, "at": {"snapshot_id": str(snapshot_id)}}],
        },
        headers={"X-Actor": "bo"},
    )
    assert told.status_code == 201, told.text


def test_commits_say_which_run_pipeline_version_and_actor_made_each(own_api: TestClient, own_lake: SmallLake) -> None:
    # Given a run that made one of the two snapshots since the tag
    orders = own_lake.orders
    record(own_api, orders.second)

    # When what lies between is asked for
    found = ask(own_api, f"{OF_ORDERS}/commits", from_version=TAG)

    # Then each snapshot is told with what made it, newest first
    assert (found["from_version"], found["to_version"], found["relation"]) == (TAG, "latest", "ANCESTOR")
    assert (found["merge_base"], found["complete"], found["total"], found["next"]) == (
        str(orders.first),
        True,
        2,
        None,
    )
    third, second = found["commits"]
    assert (third["snapshot_id"], third["side"], third["produced_by"]) == (str(orders.third), "to", None)
    assert (second["snapshot_id"], second["parent_snapshot_id"]) == (str(orders.second), str(orders.first))
    assert (second["operation"], second["summary"]["added-records"]) == ("append", "2")
    version = second["produced_by"].pop("version")
    assert (version["number"], version["git_commit"], version["created_by"]) == (1, "abc1", "ada")
    assert second["produced_by"] == {
        "run_id": str(RUN),
        "pipeline_id": "nightly",
        "status": "SUCCESS",
        "started_at": "2026-02-15T10:00:00Z",
        "ended_at": "2026-02-15T10:01:00Z",
        "git_commit": None,
        "recorded_by": "bo",
    }


def test_commits_are_paged_and_have_sides(api: TestClient, orders: Orders) -> None:
    first = ask(api, f"{OF_ORDERS}/commits", from_version=TAG, first=1)
    rest = ask(api, first["next"])
    swapped = ask(api, f"{OF_ORDERS}/commits", from_version="latest", to_version=TAG)
    one_side = ask(api, f"{OF_ORDERS}/commits", from_version="latest", to_version=TAG, side="to")

    assert (first["total"], rest["total"], rest["next"]) == (2, 2, None)
    assert [each["snapshot_id"] for page in (first, rest) for each in page["commits"]] == [
        str(orders.third),
        str(orders.second),
    ]
    assert (swapped["relation"], [each["side"] for each in swapped["commits"]]) == ("DESCENDANT", ["from", "from"])
    assert (one_side["commits"], one_side["total"]) == ([], 0)


def test_commits_of_two_datasets_are_none(changed: TestClient) -> None:
    found = ask(changed, f"{PRICES}/commits", **{**BOTH, "to_version": TAG, "to_dataset": ORDERS})

    assert (found["relation"], found["merge_base"], found["commits"]) == ("UNRELATED", None, [])


def test_files_are_counted_from_manifests(changed: TestClient) -> None:
    found = ask(changed, f"{PRICES}/files", **BOTH)

    assert found.pop("bytes_added") > 0 < found.pop("bytes_removed")
    # Copy-on-write: what is kept of the old file is written anew, beside the file of what was added.
    (partition,) = found.pop("partitions")
    assert partition == {
        "partition": {},
        "spec_id": 0,
        "files_added": 2,
        "files_removed": 1,
        "records_added": 5,
        "records_removed": 4,
    }
    assert found == {
        "from_version": OPENED,
        "to_version": CHANGED,
        "files_added": 2,
        "files_removed": 1,
        "delete_files_added": 0,
        "delete_files_removed": 0,
        "rewritten_only": False,
        "partition_count": 1,
    }


def test_stats_are_those_of_both_sides(changed: TestClient) -> None:
    found = ask(changed, f"{PRICES}/stats", **BOTH, columns="id,price")

    of_id, of_price = found["columns"]
    assert (of_id["path"], of_id["changed"], of_id["range_changed"]) == ("id", True, True)
    assert (of_id["from"]["lower"], of_id["from"]["upper"], of_id["to"]["upper"]) == (1, 4, 6)
    assert (of_id["from"]["value_count"], of_id["to"]["value_count"]) == (4, 5)
    assert (of_price["from"]["null_rate"], of_price["to"]["null_rate"]) == (0.25, 0.0)
    assert of_price["null_rate_delta"] == -0.25
    assert ask(changed, f"{PRICES}/stats", **BOTH)["columns"][::2] == found["columns"]


def test_stats_of_two_datasets_are_matched_by_name(changed: TestClient) -> None:
    found = ask(changed, f"{PRICES}/stats", from_version=CHANGED, to_version=TAG, to_dataset=ORDERS)

    # `price` has another field id in either.
    by_path = {each["path"]: each for each in found["columns"]}
    assert (by_path["price"]["from"]["upper"], by_path["price"]["to"]["upper"]) == ("8.20", "0.75")
    assert by_path["at"]["from"] is None and by_path["name"]["to"] is not None


@pytest.mark.parametrize("path", ["commits", "files", "stats"])
def test_a_client_that_has_the_answer_gets_a_304_or_asks_again(changed: TestClient, path: str) -> None:
    response = changed.get(f"{PRICES}/{path}", params=BOTH)

    assert response.headers["cache-control"] == "private, no-cache"
    if path != "commits":  # lineage may be told later, as in every list
        known = changed.get(f"{PRICES}/{path}", params=BOTH, headers={"If-None-Match": response.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize(
    ("case", "path", "query", "status", "code"),
    [
        ("no from_version", "commits", {}, 400, "INVALID_ARGUMENT"),
        ("unknown parameter", "commits", {**BOTH, "key": "id"}, 400, "INVALID_ARGUMENT"),
        ("no side", "commits", {**BOTH, "side": "left"}, 400, "INVALID_ARGUMENT"),
        ("no cursor", "commits", {**BOTH, "after": "x"}, 400, "INVALID_PAGE"),
        ("a page too large", "commits", {**BOTH, "first": "101"}, 400, "INVALID_PAGE"),
        ("unknown version", "commits", {"from_version": "nope"}, 404, "VERSION_NOT_FOUND"),
        ("no partitions", "files", {**BOTH, "partitions": "0"}, 400, "INVALID_ARGUMENT"),
        ("too many partitions", "files", {**BOTH, "partitions": "1001"}, 400, "INVALID_ARGUMENT"),
        ("partitions of many digits", "files", {**BOTH, "partitions": "9" * 5000}, 400, "INVALID_ARGUMENT"),
        ("two datasets", "files", {**BOTH, "to_version": TAG, "to_dataset": ORDERS}, 422, "UNSUPPORTED_TABLE"),
        ("unknown tag", "files", {"from_version": "tag:nope"}, 404, "TAG_NOT_FOUND"),
        ("unknown column", "stats", {**BOTH, "columns": "nmae"}, 400, "UNKNOWN_COLUMN"),
        ("a column twice", "stats", {**BOTH, "columns": "id,id"}, 400, "INVALID_ARGUMENT"),
        ("unknown second dataset", "stats", {**BOTH, "to_dataset": "sales.nope"}, 404, "DATASET_NOT_FOUND"),
    ],
)
def test_bad_input_is_a_problem_document(
    changed: TestClient, case: str, path: str, query: dict[str, Any], status: int, code: str
) -> None:
    response = changed.get(f"{PRICES}/{path}", params=query)

    assert (response.status_code, response.json()["code"]) == (status, code), (case, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    if code == "INVALID_ARGUMENT" and path == "files":
        assert response.json()["argument"] == "partitions"


@pytest.mark.parametrize("path", ["schema", "data", "commits", "files", "stats"])
@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/csv", 406),
        ("application/json;q=0, text/csv", 406),
        ("text/csv, */*;q=0.1", 200),
        ("application/*", 200),
        ("", 200),
    ],
)
def test_json_is_all_that_there_is(changed: TestClient, path: str, accept: str, status: int) -> None:
    response = changed.get(f"{PRICES}/{path}", params=BOTH, headers={"Accept": accept})

    assert response.status_code == status, response.text
    if status == 406:
        assert response.json()["code"] == "NOT_ACCEPTABLE"
        assert (response.headers["content-type"], response.headers["vary"]) == ("application/problem+json", "Accept")


def test_a_snapshot_that_another_engine_expired_is_gone_where_anything_of_ours_knew_it(
    own_api: TestClient, own_lake: SmallLake
) -> None:
    # Given snapshots that a run wrote, that a model was trained on, and that nobody spoke of; and two after them
    ids = [append_elsewhere(own_lake.catalog, number) for number in (10, 11, 12, 13, 14)]
    record(own_api, ids[0])
    trained = own_api.post(
        "/api/v1/models/churn/versions", json={"training_data": [{"dataset": ORDERS, "at": f"snapshot:{ids[1]}"}]}
    )
    assert trained.status_code == 201, trained.text
    # When another engine expires them all
    table = own_lake.catalog.load_table(ORDERS)
    table.manage_snapshots().remove_tag("model_training_churn_v1").commit()
    for snapshot_id in ids[:4]:
        own_lake.catalog.load_table(ORDERS).maintenance.expire_snapshots().by_id(snapshot_id).commit()

    # Then those that are known have expired, as a parent of one that is left too, and the other one is unknown
    def answer(snapshot_id: int) -> tuple[int, str]:
        response = own_api.get(f"{OF_ORDERS}/schema", params={"from_version": str(snapshot_id)})
        return response.status_code, response.json()["code"]

    assert answer(ids[0]) == answer(ids[1]) == answer(ids[3]) == (410, "SNAPSHOT_EXPIRED")
    assert answer(ids[2]) == (404, "VERSION_NOT_FOUND")
    # and what is known of another table is no matter
    elsewhere = own_api.get("/api/v1/compare/datasets/sales/empty/schema", params={"from_version": str(ids[0])})
    assert elsewhere.json()["code"] in ("VERSION_NOT_FOUND", "NO_SNAPSHOT")
