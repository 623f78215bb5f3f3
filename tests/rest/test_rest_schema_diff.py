"""`GET …/compare/datasets/{ns}/{table}/schema`: to the letter of the contract, and what a hostile client meets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.types import StringType
from starlette.testclient import TestClient

from tests.evolving_fixtures import EvolvingLake, evolving_lake
from tests.lake_tables import ORDERS, TAG, SmallLake
from tests.rest.conftest import rest_client
from tests.schema_evolutions import AFTER, BEFORE

__all__ = ["evolving_lake"]

GOLDEN = Path(__file__).parents[1] / "fixtures" / "compare"
SCHEMA = "/api/v1/compare/datasets/sales/evolving/schema"
OF_ORDERS = "/api/v1/compare/datasets/sales/orders/schema"


@pytest.fixture(scope="module")
def evolved(evolving_lake: EvolvingLake) -> Iterator[TestClient]:
    with rest_client(evolving_lake.lake.settings) as client:
        yield client


def compare(api: TestClient, path: str = SCHEMA, **query: Any) -> dict[str, Any]:
    response = api.get(path, params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.parametrize(
    ("golden", "path", "query"),
    [
        ("schema_of_two_tags", SCHEMA, {"from_version": BEFORE, "to_version": AFTER}),
        ("schema_of_two_tags_swapped", SCHEMA, {"from_version": AFTER, "to_version": BEFORE}),
        ("schema_of_a_tag_and_latest", SCHEMA, {"from_version": BEFORE}),
        ("schema_of_the_same", SCHEMA, {"from_version": AFTER, "to_version": AFTER}),
        (
            "schema_of_two_datasets",
            SCHEMA,
            {"from_version": "main", "to_version": "latest", "to_dataset": ORDERS},
        ),
    ],
)
def test_answer_is_the_golden_one(evolved: TestClient, golden: str, path: str, query: dict[str, str]) -> None:
    expected = json.loads((GOLDEN / f"{golden}.json").read_text())

    assert compare(evolved, path, **query) == expected


def test_every_kind_of_reference_names_its_schema(evolved: TestClient, evolving_lake: EvolvingLake) -> None:
    by_tag = compare(evolved, from_version=BEFORE, to_version=AFTER)
    ids = evolving_lake.evolving

    for from_version, to_version in (
        (str(ids.first), str(ids.second)),
        (f"snapshot:{ids.first}", f"tag:{AFTER}"),
        ("main~1", "main~0"),
    ):
        found = compare(evolved, from_version=from_version, to_version=to_version)
        assert (found["from_version"], found["to_version"]) == (from_version, to_version)
        assert {**found, "from_version": BEFORE, "to_version": AFTER} == by_tag


def test_latest_and_branches_have_the_schema_of_now_and_their_snapshot_its_own(
    evolved: TestClient, evolving_lake: EvolvingLake
) -> None:
    head = str(evolving_lake.evolving.second)

    assert compare(evolved, from_version=head, to_version="latest")["added_columns"] == ["late"]
    assert compare(evolved, from_version=head, to_version="main")["added_columns"] == ["late"]
    assert compare(evolved, from_version=head, to_version=head)["added_columns"] == []


def test_what_iceberg_does_not_record_is_null_and_not_guessed(evolved: TestClient) -> None:
    of_tags = compare(evolved, from_version=BEFORE, to_version=AFTER)
    of_now = compare(evolved, from_version="main", to_version="latest")
    never_split = compare(evolved, OF_ORDERS, from_version=TAG, to_version="latest")

    assert of_tags["partition_spec"] == of_tags["sort_order"] == {"from": None, "to": None, "changed": None}
    assert of_now["partition_spec"]["to"] == ["day(at) as at_day", "id"]
    assert of_now["partition_spec"]["changed"] is of_now["sort_order"]["changed"] is False
    assert never_split["partition_spec"] == {"from": [], "to": [], "changed": False}


@pytest.mark.parametrize("reference", ["{first}", BEFORE, "main"])
def test_a_client_that_has_the_answer_gets_a_304(
    evolved: TestClient, evolving_lake: EvolvingLake, reference: str
) -> None:
    query = {"from_version": reference.format(first=evolving_lake.evolving.first), "to_version": AFTER}
    first = evolved.get(SCHEMA, params=query)
    etag = first.headers["etag"]

    again = evolved.get(SCHEMA, params=query, headers={"If-None-Match": etag})
    stale = evolved.get(SCHEMA, params=query, headers={"If-None-Match": '"another"'})
    head = evolved.head(SCHEMA, params=query)

    assert etag.startswith('"') and first.headers["cache-control"] == "private, no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert (stale.status_code, stale.json()) == (200, first.json())
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)


def test_a_schema_change_without_a_snapshot_is_another_answer(own_api: TestClient, own_lake: SmallLake) -> None:
    query = {"from_version": TAG, "to_version": "latest"}
    before = own_api.get(OF_ORDERS, params=query)
    with own_lake.catalog.load_table(ORDERS).update_schema() as update:
        update.add_column("later", StringType())

    after = own_api.get(OF_ORDERS, params=query, headers={"If-None-Match": before.headers["etag"]})

    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]
    assert after.json()["added_columns"] == [*before.json()["added_columns"], "later"]


def test_a_second_partition_spec_makes_that_of_a_snapshot_unknown(own_api: TestClient, own_lake: SmallLake) -> None:
    ids = own_lake.orders
    query = {"from_version": str(ids.first), "to_version": str(ids.third)}
    before = own_api.get(OF_ORDERS, params=query)
    with own_lake.catalog.load_table(ORDERS).update_spec() as spec:
        spec.add_identity("id")

    after = own_api.get(OF_ORDERS, params=query, headers={"If-None-Match": before.headers["etag"]})

    assert before.json()["partition_spec"] == {"from": [], "to": [], "changed": False}
    assert (after.status_code, after.json()["partition_spec"]) == (200, {"from": None, "to": None, "changed": None})


@pytest.mark.parametrize(
    ("case", "path", "query", "status", "code"),
    [
        ("no from_version", SCHEMA, {"to_version": AFTER}, 400, "INVALID_ARGUMENT"),
        ("an empty one", SCHEMA, {"from_version": ""}, 400, "INVALID_ARGUMENT"),
        ("unknown parameter", SCHEMA, {"from_version": "main", "form_version": "main"}, 400, "INVALID_ARGUMENT"),
        ("twice", SCHEMA, {"from_version": ["main", "main"]}, 400, "INVALID_ARGUMENT"),
        ("no reference", SCHEMA, {"from_version": "a b"}, 400, "INVALID_REFERENCE"),
        ("a number of 65 bits", SCHEMA, {"from_version": str(2**64)}, 400, "INVALID_REFERENCE"),
        ("thousands of digits", SCHEMA, {"from_version": "9" * 5000}, 400, "INVALID_REFERENCE"),
        ("control characters", SCHEMA, {"from_version": "a\x00b"}, 400, "INVALID_REFERENCE"),
        ("unknown tag", SCHEMA, {"from_version": "tag:production_2026_02_16"}, 404, "TAG_NOT_FOUND"),
        ("unknown version", SCHEMA, {"from_version": BEFORE, "to_version": "nope"}, 404, "VERSION_NOT_FOUND"),
        ("unknown snapshot", SCHEMA, {"from_version": "12345"}, 404, "VERSION_NOT_FOUND"),
        (
            "unknown dataset",
            "/api/v1/compare/datasets/sales/evolvin/schema",
            {"from_version": "main"},
            404,
            "DATASET_NOT_FOUND",
        ),
        ("unknown second dataset", SCHEMA, {"from_version": "main", "to_dataset": "sales.x"}, 404, "DATASET_NOT_FOUND"),
        ("second dataset without a name", SCHEMA, {"from_version": "main", "to_dataset": "x"}, 400, "INVALID_NAME"),
        (
            "version of the first in the second",
            SCHEMA,
            {"from_version": BEFORE, "to_version": AFTER, "to_dataset": ORDERS},
            404,
            "VERSION_NOT_FOUND",
        ),
        ("no snapshot", "/api/v1/compare/datasets/sales/empty/schema", {"from_version": "latest"}, 422, "NO_SNAPSHOT"),
        (
            "broken",
            "/api/v1/compare/datasets/sales/broken/schema",
            {"from_version": "latest"},
            503,
            "UNREADABLE_TABLE",
        ),
    ],
)
def test_bad_input_is_a_problem_document(
    evolved: TestClient, case: str, path: str, query: dict[str, Any], status: int, code: str
) -> None:
    response = evolved.get(path, params=query)

    assert (response.status_code, response.json()["code"]) == (status, code), case
    assert response.headers["content-type"] == "application/problem+json"


def test_a_tag_that_is_misspelt_is_told_with_the_closest(evolved: TestClient) -> None:
    problem = evolved.get(SCHEMA, params={"from_version": "tag:production_2026_02_16"}).json()

    assert BEFORE in problem["suggestions"]


def test_other_methods_are_refused(evolved: TestClient) -> None:
    response = evolved.post(SCHEMA, params={"from_version": "main"})

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
