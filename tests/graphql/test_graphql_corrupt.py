"""Tables that are broken, each in its own way: they keep their place in a listing, and all others are shown."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from sqlalchemy import update

from tests.graphql.api import Api
from tests.lake_tables import Orders, create_orders

pytestmark = pytest.mark.anyio

LISTING = """{ datasets(first: 100) { nodes {
    name availability current { snapshotId createdAt }
    tags(first: 100) { nodes { name createdAt createdBy { subject } target { id createdAt } } }
    branches { name head { id createdAt } }
    snapshots(first: 100) { nodes { createdAt parent { id } } }
} } }"""
VICTIM = "sales.victim"

Break = Callable[[SqlCatalog, Path], None]


def edit(change: Callable[[dict[str, Any]], None]) -> Break:
    def apply(catalog: SqlCatalog, path: Path) -> None:
        metadata = orjson.loads(path.read_bytes())
        change(metadata)
        path.write_bytes(orjson.dumps(metadata))

    return apply


def move_to(location: str) -> Break:
    def apply(catalog: SqlCatalog, path: Path) -> None:
        statement = update(IcebergTables).where(IcebergTables.table_name == "victim").values(metadata_location=location)
        with catalog.engine.begin() as connection:
            connection.execute(statement)

    return apply


def truncated_gzip(catalog: SqlCatalog, path: Path) -> None:
    other = path.with_name(path.name.replace(".metadata.json", ".gz.metadata.json"))
    other.write_bytes(gzip.compress(path.read_bytes())[:-20] + b"garbage of some length")
    move_to(other.as_uri())(catalog, path)


def dangling_ref(metadata: dict[str, Any]) -> None:
    metadata["refs"]["gone"] = {"snapshot-id": 12345, "type": "tag"}


def dangling_main(metadata: dict[str, Any]) -> None:
    metadata["refs"]["main"]["snapshot-id"] = 12345


def schema_without_fields(metadata: dict[str, Any]) -> None:
    metadata["schemas"] = []


UNREADABLE: dict[str, Break] = {
    "deleted": lambda catalog, path: path.unlink(),
    "empty": lambda catalog, path: path.write_bytes(b"") and None,
    "half": lambda catalog, path: path.write_bytes(path.read_bytes()[:100]) and None,
    "a directory": lambda catalog, path: path.unlink() or path.mkdir(),
    "broken gzip": truncated_gzip,
    "a tag to a snapshot that is gone": edit(dangling_ref),
    "main at a snapshot that is gone": edit(dangling_main),
    "no schema": edit(schema_without_fields),
    "a file system that nobody knows": move_to("weird://x/metadata.json"),
    "a file system that is not installed": move_to("abfss://c@a.dfs.core.windows.net/x.metadata.json"),
    "no location": move_to(""),
}


@pytest.fixture
def victim(catalog: Catalog, orders: Orders) -> Path:
    create_orders(catalog, VICTIM)
    return Path(catalog.load_table(VICTIM).metadata_location.removeprefix("file://"))


@pytest.mark.parametrize("damage", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_table_that_cannot_be_read_keeps_its_place(
    api: Api, catalog: SqlCatalog, orders: Orders, victim: Path, damage: Break
) -> None:
    damage(catalog, victim)

    answer = await api.run(LISTING)

    found = {node["name"]: node for node in answer.data["datasets"]["nodes"]}
    assert found["victim"]["availability"] == "UNREACHABLE"
    assert found["orders"]["current"]["snapshotId"] == str(orders.third)
    assert set(answer.codes) == {"UNREADABLE_TABLE"}


@pytest.mark.parametrize("timestamp_ms", [10**18, -(10**18), 2**63 - 1])
async def test_a_time_beyond_all_calendars_is_the_nearest_one(
    api: Api, victim: Path, catalog: SqlCatalog, timestamp_ms: int
) -> None:
    def put(metadata: dict[str, Any]) -> None:
        metadata["snapshots"][0]["timestamp-ms"] = timestamp_ms

    edit(put)(catalog, victim)

    data = await api.data(LISTING)

    (node,) = [node for node in data["datasets"]["nodes"] if node["name"] == "victim"]
    assert {snapshot["createdAt"][:4] for snapshot in node["snapshots"]["nodes"]} & {"9999", "0001"}


async def test_a_tag_whose_name_no_record_can_hold_costs_nothing(
    api: Api, victim: Path, catalog: SqlCatalog, orders: Orders
) -> None:
    def put(metadata: dict[str, Any]) -> None:
        snapshot_id = metadata["snapshots"][0]["snapshot-id"]
        metadata["refs"]["a\x00b"] = {"snapshot-id": snapshot_id, "type": "tag"}

    edit(put)(catalog, victim)

    data = await api.data(LISTING)

    names = {tag["name"] for node in data["datasets"]["nodes"] for tag in node["tags"]["nodes"]}
    assert "a\x00b" in names


async def test_rows_whose_field_is_given_up_in_the_middle_are_closed_quietly(
    api: Api, orders: Orders, caplog: pytest.LogCaptureFixture
) -> None:
    query = """{ dataset(namespace: "sales", name: "orders") { rows(first: 100) { rows } }
                 datasets(namespace: "nope") { totalCount } }"""

    for _ in range(20):
        answer = await api.run(query)
        assert "INTERNAL_ERROR" not in answer.codes
        await asyncio.sleep(0)

    assert [record for record in caplog.records if record.exc_info] == []
