"""Holds over REST: placed, listed, released, refused."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.lake_tables import ORDERS, TAG, SmallLake
from tests.rest.test_rest_registry_hostile import refused

PATH = "/api/v1/datasets/sales/orders/holds"
HOLDS = "/api/v1/holds"


def test_a_hold_is_placed_looked_at_and_released(own_api: TestClient, own_lake: SmallLake) -> None:
    # When a hold is placed on what a tag names
    placed = own_api.post(PATH, json={"version": TAG, "reason": "case 7/2026"}, headers={"X-Actor": "maria"})

    # Then its tag is in the table
    hold = placed.json()
    assert placed.status_code == 201
    assert hold == {
        "hold_id": hold["hold_id"],
        "dataset": ORDERS,
        "snapshot_id": str(own_lake.orders.first),
        "tag": f"hold_{hold['hold_id']}",
        "state": "LIVE",
        "placed_by": "maria",
        "placed_at": hold["placed_at"],
        "reason": "case 7/2026",
        "released_by": None,
        "released_at": None,
        "release_reason": None,
    }
    assert own_lake.catalog.load_table(ORDERS).metadata.refs[hold["tag"]].snapshot_id == own_lake.orders.first
    assert own_api.get(placed.headers["location"]).json() == hold
    kept = own_api.get(f"/api/v1/datasets/sales/orders/retention/snapshots/{own_lake.orders.first}").json()
    assert f"hold {hold['hold_id']}" in kept["reasons"]

    # When it is released, twice
    path = f"{HOLDS}/{hold['hold_id']}/release"
    released = own_api.post(path, json={"reason": "settled"}, headers={"X-Actor": "bo"})
    again = own_api.post(path, json={"reason": "settled again"})

    # Then it is remembered by whom and why, and the tag is gone
    assert (released.status_code, released.json()) == (again.status_code, again.json())
    found = released.json()
    assert (found["state"], found["released_by"], found["release_reason"]) == ("RELEASED", "bo", "settled")
    assert hold["tag"] not in own_lake.catalog.load_table(ORDERS).metadata.refs
    assert own_api.get(PATH).json() == own_api.get(HOLDS).json() == {"holds": [found], "total": 1, "next": None}
    assert own_api.get(PATH, params={"keeping": "true"}).json()["total"] == 0


def test_lists_are_paged_and_the_same_key_places_one(own_api: TestClient) -> None:
    made = [own_api.post(PATH, json={"reason": f"case {n}"}).json()["hold_id"] for n in range(3)]
    once = {"Idempotency-Key": "once"}
    first, again = (own_api.post(PATH, json={"reason": "once"}, headers=once) for _ in range(2))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    refused(own_api.post(PATH, json={"reason": "other"}, headers=once), 400, "IDEMPOTENCY_KEY_REUSED")
    seen: list[str] = []
    path = f"{PATH}?first=2&keeping=true"
    while path:
        page = own_api.get(path).json()
        assert page["total"] == 4
        seen += [hold["hold_id"] for hold in page["holds"]]
        path = page["next"]
    assert seen == [first.json()["hold_id"], *made[::-1]]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "INVALID_BODY"),
        ({"reason": ""}, 400, "INVALID_ARGUMENT"),
        ({"reason": " \n"}, 400, "INVALID_ARGUMENT"),
        ({"reason": None}, 400, "INVALID_BODY"),
        ({"reason": 7}, 400, "INVALID_BODY"),
        ({"reason": "x" * 2001}, 400, "INVALID_ARGUMENT"),
        ({"reason": "why", "version": "no_such_tag"}, 404, "VERSION_NOT_FOUND"),
        ({"reason": "why", "version": "1234"}, 404, "VERSION_NOT_FOUND"),
        ({"reason": "why", "version": 0}, 400, "INVALID_REFERENCE"),
        ({"reason": "why", "version": "main~99"}, 404, "VERSION_NOT_FOUND"),
        ({"reason": "why", "version": True}, 400, "INVALID_BODY"),
        ({"reason": "why", "at": "latest"}, 400, "INVALID_BODY"),
    ],
)
def test_what_cannot_be_held_is_refused(api: TestClient, body: dict[str, Any], status: int, code: str) -> None:
    refused(api.post(PATH, json=body), status, code)
    assert api.get(HOLDS).json()["total"] == 0


def test_what_is_not_there_is_told(api: TestClient) -> None:
    for hold_id in ("nothere", "a%00b", "%ED%A0%80", "x" * 5000, "%27;--"):
        refused(api.get(f"{HOLDS}/{hold_id}"), 404, "HOLD_NOT_FOUND")
        refused(api.post(f"{HOLDS}/{hold_id}/release", json={"reason": "why"}), 404, "HOLD_NOT_FOUND")
    refused(api.post(f"{HOLDS}/nothere/release", json={}), 400, "INVALID_BODY")
    refused(api.post("/api/v1/datasets/sales/none/holds", json={"reason": "why"}), 404, "DATASET_NOT_FOUND")
    refused(api.post("/api/v1/datasets/sales/empty/holds", json={"reason": "why"}), 422, "NO_SNAPSHOT")
    refused(api.post("/api/v1/datasets/sales/broken/holds", json={"reason": "why"}), 503, "UNREADABLE_TABLE")
    refused(api.get(f"{HOLDS}?keeping=1"), 400, "INVALID_ARGUMENT")
    refused(api.get(f"{HOLDS}?after=x"), 400, "INVALID_PAGE")
