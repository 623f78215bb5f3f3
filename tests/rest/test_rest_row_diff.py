"""`GET …/compare/datasets/{ns}/{table}/data`: to the letter of the contract, and what a hostile client meets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.changed_tables import (
    CHANGED,
    DOUBLED,
    OPENED,
    OTHER,
    PRICES,
    ChangedLake,
    changed_lake,
    create_prices,
)
from tests.lake_tables import ORDERS, TAG, SmallLake
from tests.rest.conftest import rest_client

__all__ = ["changed_lake"]

GOLDEN = Path(__file__).parents[1] / "fixtures" / "compare"
DATA = "/api/v1/compare/datasets/sales/prices/data"
BOTH = {"from_version": OPENED, "to_version": CHANGED}


@pytest.fixture(scope="module")
def changed(changed_lake: ChangedLake) -> Iterator[TestClient]:
    with rest_client(changed_lake.lake.settings) as client:
        yield client


@pytest.mark.parametrize(
    ("golden", "query"),
    [
        ("data_of_two_tags", BOTH),
        ("data_of_two_tags_swapped", {"from_version": CHANGED, "to_version": OPENED}),
        ("data_of_the_same", {"from_version": CHANGED, "to_version": CHANGED}),
        ("data_with_keys_that_are_not_unique", {"from_version": CHANGED, "to_version": DOUBLED}),
        ("data_by_another_key", {**BOTH, "key": "id,price"}),
        ("data_without_a_sample", {**BOTH, "sample_size": "0"}),
    ],
)
def test_answer_is_the_golden_one(changed: TestClient, golden: str, query: dict[str, str]) -> None:
    expected = json.loads((GOLDEN / f"{golden}.json").read_text())

    response = changed.get(DATA, params=query)

    assert response.status_code == 200, response.text
    found = response.json()
    # Whether another test asked before is none of this one's business.
    assert (found.pop("cached") in (True, False)) and expected.pop("cached") is False
    # The size of files is their writer's.
    assert (found.pop("bytes_read") > 0) is (expected.pop("bytes_read") > 0)
    assert found == expected


def test_what_was_found_once_is_the_same_again_and_known_to_the_client(changed: TestClient) -> None:
    query = {**BOTH, "to_version": DOUBLED, "key": "name"}
    first = changed.get(DATA, params=query)
    again = changed.get(DATA, params=query)
    known = changed.get(DATA, params=query, headers={"If-None-Match": first.headers["etag"]})

    assert (first.json()["cached"], again.json()["cached"]) == (False, True)
    assert {**again.json(), "cached": False} == first.json()
    assert first.headers["etag"] == again.headers["etag"]
    assert first.headers["etag"].startswith('W/"')
    assert (known.status_code, known.content) == (304, b"")


def test_an_empty_key_compares_multisets(changed: TestClient) -> None:
    by_own = changed.get(DATA, params=BOTH).json()
    by_none = changed.get(DATA, params={**BOTH, "key": ""}).json()

    assert (by_own["keys"], by_own["method"], by_own["rows_changed"]) == (["id"], "keys", 1)
    assert (by_none["keys"], by_none["method"], by_none["rows_changed"]) == ([], "multiset", None)
    assert (by_none["rows_added"], by_none["rows_removed"]) == (3, 2)


def test_two_datasets_are_compared_by_name(changed: TestClient) -> None:
    response = changed.get(DATA, params={**BOTH, "to_version": TAG, "to_dataset": ORDERS, "key": "id"})

    assert response.status_code == 200, response.text
    found = response.json()
    # `price` is compared in the wider type; `at` is one of the other dataset's columns.
    assert (found["rows_from"], found["rows_to"]) == (4, 3)
    assert (found["rows_added"], found["rows_removed"], found["rows_changed"]) == (0, 1, 3)
    assert found["columns_not_compared"] == ["at"]
    assert found["sample_diff"]["changed"][0]["after"] == {"id": 1, "name": 'say "hi", all', "price": "0.25"}


def test_two_datasets_of_different_types_are_refused(changed: TestClient) -> None:
    response = changed.get(DATA, params={"from_version": "latest", "to_dataset": OTHER})

    assert (response.status_code, response.json()["code"]) == (422, "UNSUPPORTED_TABLE"), response.text
    assert "name is of type string in one and long in the other" in response.json()["detail"]


def test_a_file_that_is_gone_is_named_and_not_worth_a_second_try(own_api: TestClient, own_lake: SmallLake) -> None:
    # Given a version whose only file is gone from its storage
    ids = create_prices(own_lake.catalog)
    (task,) = own_lake.catalog.load_table(PRICES).scan(snapshot_id=ids.opened).plan_files()
    Path(task.file.file_path.removeprefix("file://")).unlink()

    # When its rows are compared, or read
    compared = own_api.get(DATA, params=BOTH)
    read = own_api.get("/api/v1/datasets/sales/prices/data", params={"version": OPENED})

    # Then the file is told, and nobody is asked to come again
    for response in (compared, read):
        problem = response.json()
        assert (response.status_code, problem["code"], problem["category"]) == (422, "MISSING_FILE", "UNSUPPORTED")
        assert (problem["dataset"], problem["file"]) == (PRICES, task.file.file_path)
        assert "retry-after" not in response.headers


@pytest.mark.parametrize("kind", ["data file", "manifest", "manifest list"])
def test_a_file_that_cannot_be_had_now_is_named_and_worth_a_second_try(
    own_api: TestClient, own_lake: SmallLake, kind: str
) -> None:
    ids = create_prices(own_lake.catalog)
    table = own_lake.catalog.load_table(PRICES)
    opened = table.snapshot_by_id(ids.opened)
    assert opened is not None
    location = {
        "data file": next(iter(table.scan(snapshot_id=ids.opened).plan_files())).file.file_path,
        "manifest": opened.manifests(table.io)[0].manifest_path,
        "manifest list": opened.manifest_list,
    }[kind]
    path = Path(location.removeprefix("file://"))
    path.write_bytes(path.read_bytes()[:-9])

    response = own_api.get(DATA, params=BOTH)

    assert (response.status_code, response.json()["code"]) == (503, "UNREADABLE_TABLE")
    assert response.json()["file"] == location
    assert "retry-after" in response.headers


def test_what_reads_too_much_is_a_413_with_the_way_to_start_it(changed_lake: ChangedLake) -> None:
    settings = changed_lake.lake.settings.model_copy(update={"diff_sync_budget_bytes": 1, "diff_cache_bytes": 0})
    # what no other test asks for, whose answer would be kept
    query = {"from_version": DOUBLED, "to_version": OPENED, "sample_size": "7", "key": ""}
    with rest_client(settings) as client:
        response = client.get(DATA, params=query)

    problem = response.json()
    assert (response.status_code, problem["code"], problem["limitBytes"]) == (413, "DIFF_TOO_LARGE", "1")
    assert int(problem["bytes"]) > 1
    assert problem["operation"]["method"] == "POST"
    assert problem["operation"]["href"].startswith(DATA + "?")
    assert "key=&" in problem["operation"]["href"] + "&"
    assert problem["operation"]["href"] in response.headers["link"]


@pytest.mark.parametrize(
    ("case", "query", "status", "code"),
    [
        ("no from_version", {"to_version": CHANGED}, 400, "INVALID_ARGUMENT"),
        ("sample below 0", {**BOTH, "sample_size": "-1"}, 400, "INVALID_ARGUMENT"),
        ("sample too large", {**BOTH, "sample_size": "1001"}, 400, "INVALID_ARGUMENT"),
        ("sample that is no number", {**BOTH, "sample_size": "x"}, 400, "INVALID_ARGUMENT"),
        ("sample of many digits", {**BOTH, "sample_size": "9" * 5000}, 400, "INVALID_ARGUMENT"),
        ("unknown key", {**BOTH, "key": "nmae"}, 400, "UNKNOWN_COLUMN"),
        ("an empty key", {**BOTH, "key": "id,,name"}, 400, "INVALID_ARGUMENT"),
        ("a key twice", {**BOTH, "key": "id,id"}, 400, "INVALID_ARGUMENT"),
        ("too many keys", {**BOTH, "key": ",".join(f"c{n}" for n in range(33))}, 400, "INVALID_ARGUMENT"),
        ("unknown parameter", {**BOTH, "samplesize": "1"}, 400, "INVALID_ARGUMENT"),
        ("unknown version", {"from_version": "nope"}, 404, "VERSION_NOT_FOUND"),
        ("unknown second dataset", {**BOTH, "to_dataset": "sales.nope"}, 404, "DATASET_NOT_FOUND"),
    ],
)
def test_bad_input_is_a_problem_document(
    changed: TestClient, case: str, query: dict[str, Any], status: int, code: str
) -> None:
    response = changed.get(DATA, params=query)

    assert (response.status_code, response.json()["code"]) == (status, code), (case, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    assert "sampleSize" not in response.text
