"""Connections: both directions, stable cursors, typed refusals."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from tests.graphql.api import Api
from tests.lake_tables import Orders, append_elsewhere, create_empty

pytestmark = pytest.mark.anyio

SNAPSHOTS = """query($first: Int, $after: String, $last: Int, $before: String) {
  dataset(namespace: "sales", name: "orders") {
    page: snapshots(first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { snapshotId } } nodes { snapshotId } totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
TAGS = SNAPSHOTS.replace("snapshots(", "tags(").replace("snapshotId", "name")
DATASETS = """query($first: Int, $after: String, $last: Int, $before: String) {
  page: datasets(first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { name } } nodes { name } totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


async def _page(api: Api, query: str, **arguments: Any) -> dict[str, Any]:
    data = await api.data(query, **arguments)
    page: dict[str, Any] = (data.get("dataset") or data)["page"]
    assert [edge["node"] for edge in page["edges"]] == page["nodes"]
    cursors = [edge["cursor"] for edge in page["edges"]]
    info = page["pageInfo"]
    assert (info["startCursor"], info["endCursor"]) == ((cursors[0], cursors[-1]) if cursors else (None, None))
    return page


@pytest.fixture
def full(catalog: Catalog, orders: Orders) -> None:
    table = catalog.load_table("sales.orders")
    for number in range(6):
        create_empty(catalog, f"sales.t{number}")
        table.manage_snapshots().create_tag(orders.first, f"t{number}").commit()
    for number in range(7, 11):
        append_elsewhere(catalog, number)


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("query", [SNAPSHOTS, TAGS, DATASETS], ids=["snapshots", "tags", "datasets"])
async def test_forward_and_backward_walks_see_the_same_list(api: Api, query: str) -> None:
    for size in (1, 3, 7, 100):
        await _walk_both_ways(api, query, size)


async def _walk_both_ways(api: Api, query: str, size: int) -> None:
    whole = (await _page(api, query))["nodes"]
    assert len(whole) == 7
    forward: list[Any] = []
    page = await _page(api, query, first=size)
    while True:
        forward += page["nodes"]
        assert page["totalCount"] == len(whole)
        assert page["pageInfo"]["hasNextPage"] == (len(forward) < len(whole))
        if not page["pageInfo"]["hasNextPage"]:
            break
        page = await _page(api, query, first=size, after=page["pageInfo"]["endCursor"])
        assert page["pageInfo"]["hasPreviousPage"]
    backward: list[Any] = []
    page = await _page(api, query, last=size)
    while True:
        backward = page["nodes"] + backward
        assert page["pageInfo"]["hasPreviousPage"] == (len(backward) < len(whole))
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        page = await _page(api, query, last=size, before=page["pageInfo"]["startCursor"])
    assert forward == backward == whole


async def test_cursor_holds_its_place_while_snapshots_and_tags_come(api: Api, catalog: Catalog, orders: Orders) -> None:
    first = await _page(api, SNAPSHOTS, first=1)
    append_elsewhere(catalog, 7)
    rest = await _page(api, SNAPSHOTS, first=10, after=first["pageInfo"]["endCursor"])
    assert [node["snapshotId"] for node in rest["nodes"]] == [str(orders.second), str(orders.first)]
    newer = await _page(api, SNAPSHOTS, last=10, before=first["pageInfo"]["startCursor"])
    assert len(newer["nodes"]) == 1


BAD_PAGES: list[dict[str, Any]] = [
    {"first": -1},
    {"first": 0},
    {"first": 101},
    {"last": -1},
    {"last": 0},
    {"last": 101},
    {"first": 1, "last": 1},
    {"after": "nonsense"},
    {"after": ""},
    {"before": "ü"},
    {"after": "W10"},
    {"after": "A" * 10_000},
]


@pytest.mark.parametrize("query", [SNAPSHOTS, TAGS, DATASETS], ids=["snapshots", "tags", "datasets"])
async def test_bad_page_is_refused_and_says_which_argument(api: Api, orders: Orders, query: str) -> None:
    for arguments in BAD_PAGES:
        answer = await api.run(query, **arguments)
        assert answer.codes == ["INVALID_PAGE"], arguments
        extensions = answer.errors[0]["extensions"]
        assert next(iter(arguments)) in extensions["fields"]["argument"]
        assert extensions["category"] == "INVALID"


async def test_cursor_of_another_list_is_refused(api: Api, orders: Orders) -> None:
    cursor = (await _page(api, DATASETS, first=1))["pageInfo"]["endCursor"]
    for query in (SNAPSHOTS, TAGS):
        assert (await api.run(query, after=cursor)).codes == ["INVALID_PAGE"]


async def test_rows_and_changes_hold_to_the_same_bounds(api: Api, orders: Orders) -> None:
    query = """query($first: Int) { changes(first: $first) { totalCount }
        dataset(namespace: "sales", name: "orders") { rows(first: $first) { truncated } } }"""
    for first in (-1, 0, 101):
        answer = await api.run(query, first=first)
        assert set(answer.codes) == {"INVALID_PAGE"}


async def test_rows_without_a_number_are_twenty(api: Api, orders: Orders, catalog: Catalog) -> None:
    append_elsewhere(catalog, *range(10, 40))
    query = 'query($n: Int) { dataset(namespace: "sales", name: "orders") { rows(first: $n) { rows truncated } } }'
    for rows in ((await api.data(query)), (await api.data(query, n=None))):
        assert len(rows["dataset"]["rows"]["rows"]) == 20 and rows["dataset"]["rows"]["truncated"] is True
