from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.lake_tables import BRANCH, ORDERS, TAG, Orders, SmallLake, append_elsewhere

BASE = "/api/v1/datasets/sales/orders"


def test_snapshots_are_listed_oldest_first_with_text_ids(api: TestClient, orders: Orders) -> None:
    page = api.get(f"{BASE}/snapshots").json()

    first, second, third = page["snapshots"]
    assert [first["snapshot_id"], second["snapshot_id"], third["snapshot_id"]] == [str(n) for n in orders.ids]
    assert first["parent_snapshot_id"] is None
    assert third["parent_snapshot_id"] == str(orders.second)
    assert first["tags"] == [TAG]
    assert first["summary"]["tag"] == TAG
    assert "tag" not in second["summary"]
    assert second["summary"]["added-records"] == "2"
    assert [entry["is_current"] for entry in page["snapshots"]] == [False, False, True]
    assert {entry["operation"] for entry in page["snapshots"]} == {"append"}
    assert isinstance(first["timestamp_ms"], int)
    assert page["total"] == 3
    assert page["next"] is None


@pytest.mark.parametrize("size", ["first", "limit"])
def test_next_leads_through_all_pages_whatever_is_added_meanwhile(
    own_api: TestClient, own_lake: SmallLake, size: str
) -> None:
    page = own_api.get(f"{BASE}/snapshots", params={size: 1}).json()
    found = [page["snapshots"][0]["snapshot_id"]]
    added = append_elsewhere(own_lake.catalog, 7)
    while page["next"]:
        response = own_api.get(page["next"])
        page = response.json()
        found += [entry["snapshot_id"] for entry in page["snapshots"]]

    assert found == [str(n) for n in [*own_lake.orders.ids, added]]


def test_the_next_page_is_a_link_header_too(api: TestClient) -> None:
    response = api.get(f"{BASE}/snapshots", params={"first": 2})

    assert response.headers["link"] == f'<{response.json()["next"]}>; rel="next"'


def test_a_branch_lists_what_leads_to_its_head(api: TestClient, orders: Orders) -> None:
    page = api.get(f"{BASE}/snapshots", params={"branch": BRANCH}).json()

    assert [entry["snapshot_id"] for entry in page["snapshots"]] == [str(orders.first), str(orders.second)]


def test_tags_tell_what_is_known_of_them(api: TestClient, orders: Orders) -> None:
    page = api.get(f"{BASE}/tags").json()

    assert page == {
        "tags": [
            {
                "name": TAG,
                "snapshot_id": str(orders.first),
                "convention": "PRODUCTION",
                "protected": True,
                # Another program set it.
                "created_at": None,
                "created_by": None,
                "reason": None,
                "max_ref_age_ms": None,
                "endless": False,
            }
        ],
        "total": 1,
        "next": None,
    }


def test_ages_of_tags_are_numbers_as_long_as_javascript_reads_them(own_api: TestClient, own_lake: SmallLake) -> None:
    table = own_lake.catalog.load_table(ORDERS)
    for name, age_ms in (("a", 2**53 - 1), ("b", 2**53), ("c", 86_400_000)):
        table.manage_snapshots().create_tag(own_lake.orders.second, name, max_ref_age_ms=age_ms).commit()
    hold = own_api.post(f"{BASE}/holds", json={"reason": "case 7/2026"}).json()

    page = own_api.get(f"{BASE}/tags").json()

    assert {tag["name"]: (tag["max_ref_age_ms"], tag["endless"]) for tag in page["tags"]} == {
        "a": (9007199254740991, True),
        "b": ("9007199254740992", True),
        "c": (86_400_000, False),
        hold["tag"]: ("9223372036854775807", True),
        TAG: (None, False),
    }


def test_tags_are_paged_by_name(own_api: TestClient, own_lake: SmallLake) -> None:
    table = own_lake.catalog.load_table(ORDERS)
    for name in ("b", "a", "c"):
        table.manage_snapshots().create_tag(own_lake.orders.second, name).commit()

    page = own_api.get(f"{BASE}/tags", params={"first": 2}).json()
    rest = own_api.get(page["next"]).json()

    assert [tag["name"] for tag in page["tags"]] == ["a", "b"]
    assert [tag["name"] for tag in rest["tags"]] == ["c", TAG]


def test_an_empty_table_has_no_snapshots(api: TestClient) -> None:
    page = api.get("/api/v1/datasets/sales/empty/snapshots").json()

    assert page == {"snapshots": [], "total": 0, "next": None}


BAD = {
    "first 0": ("snapshots?first=0", 400, "INVALID_PAGE"),
    "first -1": ("snapshots?first=-1", 400, "INVALID_PAGE"),
    "first 101": ("snapshots?first=101", 400, "INVALID_PAGE"),
    "first 1e1": ("tags?first=1e1", 400, "INVALID_ARGUMENT"),
    "first of many digits": (f"tags?first={'9' * 5000}", 400, "INVALID_ARGUMENT"),
    "limit 101": ("tags?limit=101", 400, "INVALID_PAGE"),
    "both sizes": ("tags?limit=1&first=1", 400, "INVALID_ARGUMENT"),
    "no cursor": ("snapshots?after=abc", 400, "INVALID_PAGE"),
    "unicode cursor": ("snapshots?after=%C3%BC", 400, "INVALID_PAGE"),
    "unknown parameter": ("snapshots?version=1", 400, "INVALID_ARGUMENT"),
    "unknown branch": ("snapshots?branch=nope", 404, "BRANCH_NOT_FOUND"),
    "a tag is no branch": (f"snapshots?branch={TAG}", 404, "BRANCH_NOT_FOUND"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_queries_are_typed_problems(api: TestClient, case: str) -> None:
    query, status, code = BAD[case]

    response = api.get(f"{BASE}/{query}")

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_cursor_of_another_list_is_refused(api: TestClient) -> None:
    page: dict[str, Any] = api.get(f"{BASE}/snapshots", params={"first": 1}).json()
    after = page["next"].rpartition("after=")[2]

    response = api.get(f"{BASE}/tags?after={after}")

    assert response.status_code == 400
    assert response.json()["code"] == "INVALID_PAGE"
