"""Holds over GraphQL: placed, listed, released, and what stands in the way."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from tests.graphql.api import Api
from tests.graphql.registry import ERRORS
from tests.integration.format_v3 import upgrade_to_v3
from tests.lake_tables import ORDERS, Orders, append_elsewhere, create_orders

pytestmark = pytest.mark.anyio

HOLD = """id holdId snapshotId snapshot { snapshotId } dataset { name } tagName state placedBy { subject } placedAt
  reason releasedBy { subject } releasedAt releaseReason"""
PLACE = f"mutation($input: PlaceHoldInput!) {{ placeHold(input: $input) {{ hold {{ {HOLD} }} {ERRORS} }} }}"
RELEASE = f"mutation($input: ReleaseHoldInput!) {{ releaseHold(input: $input) {{ hold {{ {HOLD} }} {ERRORS} }} }}"
ON = {"namespace": "sales", "name": "orders"}


async def place(api: Api, **given: Any) -> Any:
    payload = (await api.data(PLACE, input={"on": ON, "reason": "case 7/2026", **given}))["placeHold"]
    assert payload["userErrors"] == []
    return payload["hold"]


async def test_a_hold_is_placed_seen_and_released(api: Api, catalog: Catalog, orders: Orders) -> None:
    # When a hold is placed
    hold = await place(api, at={"snapshotId": str(orders.second)})

    # Then its tag is in the table, and the snapshot is kept for it
    assert (hold["snapshotId"], hold["snapshot"]) == (str(orders.second), {"snapshotId": str(orders.second)})
    assert (hold["state"], hold["placedBy"], hold["reason"]) == ("LIVE", {"subject": "ada"}, "case 7/2026")
    assert (hold["dataset"], hold["releasedBy"], hold["releasedAt"]) == ({"name": "orders"}, None, None)
    assert catalog.load_table(ORDERS).metadata.refs[hold["tagName"]].snapshot_id == orders.second
    reasons = await api.data(
        """query($id: SnapshotId!) { dataset(namespace: "sales", name: "orders") {
             version(at: {snapshotId: $id}) { retention { reasons explanation } } } }""",
        id=str(orders.second),
    )
    verdict = reasons["dataset"]["version"]["retention"]
    assert f"hold {hold['holdId']}" in verdict["reasons"]
    assert any("case 7/2026; by ada" in sentence for sentence in verdict["explanation"])
    # And it is found by its id and in the lists
    node = await api.data(f"query($id: ID!) {{ node(id: $id) {{ ... on Hold {{ {HOLD} }} }} }}", id=hold["id"])
    assert node["node"] == hold

    # When it is released, twice
    given = {"holdId": hold["holdId"], "reason": "settled"}
    done = (await api.data(RELEASE, input=given, actor="bo"))["releaseHold"]["hold"]
    again = (await api.data(RELEASE, input=given))["releaseHold"]["hold"]

    # Then its tag is gone, and who released it is remembered
    assert (done["state"], done["releasedBy"], done["releaseReason"]) == ("RELEASED", {"subject": "bo"}, "settled")
    assert done == again
    assert hold["tagName"] not in catalog.load_table(ORDERS).metadata.refs
    lists = await api.data(
        f"""{{ holds {{ totalCount nodes {{ {HOLD} }} }} keeping: holds(keepingOnly: true) {{ totalCount }}
              dataset(namespace: "sales", name: "orders") {{ holds {{ nodes {{ holdId }} }}
                keeping: holds(keepingOnly: true) {{ totalCount }} }} }}"""
    )
    assert lists["holds"] == {"totalCount": 1, "nodes": [done]}
    assert lists["keeping"] == {"totalCount": 0}
    assert lists["dataset"] == {"holds": {"nodes": [{"holdId": hold["holdId"]}]}, "keeping": {"totalCount": 0}}


async def test_holds_are_listed_in_pages_of_each_dataset(api: Api, catalog: Catalog, orders: Orders) -> None:
    create_orders(catalog, "sales.other")
    mine = [(await place(api, reason=f"case {n}"))["holdId"] for n in range(5)]
    other = (await place(api, on={"namespace": "sales", "name": "other"}))["holdId"]
    query = """query($after: String) { dataset(namespace: "sales", name: "orders") {
        holds(first: 2, after: $after) { totalCount nodes { holdId } pageInfo { hasNextPage endCursor } } } }"""
    seen: list[str] = []
    after = None
    while True:
        page = (await api.data(query, after=after))["dataset"]["holds"]
        assert page["totalCount"] == 5
        seen += [node["holdId"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == mine[::-1]
    everywhere = await api.data("{ holds(first: 1) { totalCount nodes { holdId } } }")
    assert everywhere["holds"] == {"totalCount": 6, "nodes": [{"holdId": other}]}


async def test_the_same_key_places_one_hold(api: Api, catalog: Catalog, orders: Orders) -> None:
    first = await place(api, idempotencyKey="once")
    # Also once the latest is another one: it is the same request.
    append_elsewhere(catalog, 7)
    assert await place(api, idempotencyKey="once") == first
    for other in ({"reason": "another"}, {"at": {"snapshotId": str(orders.first)}}):
        given = {"on": ON, "reason": "case 7/2026", "idempotencyKey": "once", **other}
        error = await api.refused(PLACE, input=given)
        assert (error["errorCode"], error["path"]) == ("IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"on": {"namespace": "sales", "name": "order"}}, "DATASET_NOT_FOUND", ["input", "on"]),
        ({"on": {"namespace": "sales", "name": ""}}, "INVALID_NAME", ["input", "on", "name"]),
        ({"at": {"tag": "no"}}, "TAG_NOT_FOUND", ["input", "at", "tag"]),
        ({"at": {"snapshotId": "77"}}, "VERSION_NOT_FOUND", ["input", "at", "snapshotId"]),
        ({"at": {}}, "AMBIGUOUS_REFERENCE", ["input", "at"]),
        ({"at": {"number": 1}}, "INVALID_ARGUMENT", ["input", "at", "number"]),
        ({"reason": ""}, "INVALID_ARGUMENT", ["input", "reason"]),
        ({"reason": " "}, "INVALID_ARGUMENT", ["input", "reason"]),
        ({"reason": "x" * 2001}, "INVALID_ARGUMENT", ["input", "reason"]),
        ({"idempotencyKey": ""}, "INVALID_ARGUMENT", ["input", "idempotencyKey"]),
    ],
)
async def test_what_cannot_be_held_is_told_by_its_field(
    api: Api, orders: Orders, given: dict[str, Any], code: str, path: list[str]
) -> None:
    error = await api.refused(PLACE, input={"on": ON, "reason": "why", **given})
    assert (error["errorCode"], error["path"]) == (code, path)
    assert (await api.data("{ holds { totalCount } }"))["holds"]["totalCount"] == 0


async def test_a_table_whose_refs_cannot_be_changed_has_no_hold_left_behind(
    api: Api, catalog: Catalog, orders: Orders
) -> None:
    upgrade_to_v3(catalog, catalog.load_table(ORDERS))
    error = await api.refused(PLACE, input={"on": ON, "reason": "why"})
    assert (error["__typename"], error["errorCode"]) == ("UnsupportedTableError", "UNSUPPORTED_TABLE")
    assert (await api.data("{ holds { totalCount } }"))["holds"]["totalCount"] == 0


@pytest.mark.parametrize("hold_id", ["", "nothere", "a\x00b", "\ud800", "x" * 100_000, "'; DROP TABLE holds"])
async def test_a_hold_that_is_none_is_not_found(api: Api, orders: Orders, hold_id: str) -> None:
    error = await api.refused(RELEASE, input={"holdId": hold_id, "reason": "why"})
    assert (error["__typename"], error["errorCode"], error["path"]) == (
        "NotFoundError",
        "HOLD_NOT_FOUND",
        ["input", "holdId"],
    )
    assert len(json.dumps(error)) < 2000
    node_id = base64.urlsafe_b64encode(json.dumps(["hold", hold_id]).encode()).rstrip(b"=").decode()
    answer = await api.run("query($id: ID!) { node(id: $id) { id } }", id=node_id)
    assert set(answer.codes) <= {"HOLD_NOT_FOUND", "INVALID_ARGUMENT"} and answer.codes
