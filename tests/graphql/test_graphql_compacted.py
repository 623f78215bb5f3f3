"""What a compaction changes for who reads a dataset over GraphQL: nothing but its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from pyiceberg.catalog import Catalog

from app.domain.changes import Actor, Command
from tests.graphql.api import Api
from tests.graphql.test_graphql_compaction import EVENTS, run
from tests.integration.compaction.tables import NAME, ROWS, append, create
from tests.integration.lineage.events import body, name, of_table, run_event
from tests.lake_tables import ORDERS, Orders

pytestmark = pytest.mark.anyio

MADE, READ = (UUID(f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}") for digit in "12")
TAG = "audit_Q1_2026"
FILES = 3
BY_ADA = Command(actor=Actor(subject="ada"))
GRAPH = """lineage(direction: $direction, options: $options) {
  nodes { name kind versionLabel depth } edges { kind source runId } }"""
LINEAGE = f"""query($before: SnapshotId!, $direction: Direction! = UPSTREAM, $options: LineageOptions) {{
  dataset(namespace: "bronze", name: "events") {{
    before: version(at: {{snapshotId: $before}}) {{ producedBy {{ runId }} {GRAPH} }}
    after: current {{ producedBy {{ runId }} {GRAPH} }} }} }}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """`bronze.events`, made of `sales.orders` and compacted: the snapshots ahead of it and after it."""

    before: str
    after: str


@pytest.fixture
async def compacted(api: Api, catalog: Catalog, orders: Orders) -> Compacted:
    table = create(catalog, files=FILES)
    before = str(table.metadata.current_snapshot_id)
    await tell(api, MADE, read=(ORDERS, orders.second), written=(str(NAME), int(before)))
    await api.services.versioning.create_tag(NAME, TAG, before, BY_ADA)
    (told,) = (await run(api, dataset=EVENTS, dryRun=False))["result"]["tables"]
    assert (told["files_after"], told["error"]) == (1, None)
    return Compacted(before=before, after=told["snapshot_id"])


async def tell(api: Api, run_id: UUID, *, read: tuple[str, int], written: tuple[str, int]) -> None:
    """A run that read one snapshot and wrote another one, reported and projected."""
    services = api.services
    source, target = [
        of_table(await services.datasets.load(name(table)), snapshot_id) for table, snapshot_id in (read, written)
    ]
    await services.ingesting.ingest(
        body(
            run_event("START", run_id, "2026-02-15T10:00:00Z", [source], job=f"job {run_id}"),
            run_event("COMPLETE", run_id, "2026-02-15T10:00:02Z", [], [target], job=f"job {run_id}"),
        )
    )
    await services.projector.project_pending()


@pytest.mark.parametrize("options", [{}, {"history": True}, {"grain": "ENTITY"}])
async def test_its_lineage_is_that_of_what_was_compacted(
    api: Api, catalog: Catalog, compacted: Compacted, options: dict[str, Any]
) -> None:
    upstream = (await api.data(LINEAGE, before=compacted.before, options=options))["dataset"]

    assert upstream["after"] == upstream["before"]
    assert upstream["after"]["producedBy"] == {"runId": str(MADE)}
    assert {"bronze.events", ORDERS} <= {node["name"] for node in upstream["after"]["lineage"]["nodes"]}
    # And an append after it has not
    append(catalog.load_table(str(NAME)), FILES)
    appended = (await api.data(LINEAGE, before=compacted.before, options={"depth": 1}))["dataset"]
    assert (appended["after"]["producedBy"], appended["after"]["lineage"]["nodes"]) == (None, [])


async def test_what_was_made_of_it_was_made_of_what_was_compacted(
    api: Api, orders: Orders, compacted: Compacted
) -> None:
    await tell(api, READ, read=(str(NAME), int(compacted.after)), written=(ORDERS, orders.third))

    found = (await api.data(LINEAGE, before=compacted.before, direction="DOWNSTREAM"))["dataset"]

    assert found["after"]["lineage"] == found["before"]["lineage"]
    made = [node["versionLabel"] for node in found["before"]["lineage"]["nodes"] if node["name"] == ORDERS]
    assert made == [str(orders.third)]


async def test_a_difference_across_it_is_empty_and_read_from_metadata(
    api: Api, catalog: Catalog, compacted: Compacted
) -> None:
    query = """query($from: VersionSelector!, $to: VersionSelector) {
      dataset(namespace: "bronze", name: "events") { diff(from: $from, to: $to) {
        identical relation schema { changes { path } } files { filesAdded filesRemoved rewrittenOnly }
        commits { nodes { snapshotId operation } }
        rows { rowsFrom rowsTo rowsAdded rowsRemoved method bytesRead filesRead sample { added removed } } } } }"""
    versions = {"from": {"tag": TAG}, "to": {"snapshotId": compacted.after}}

    found = (await api.data(query, **versions))["dataset"]["diff"]

    assert (found["identical"], found["relation"], found["schema"]["changes"]) == (True, "ANCESTOR", [])
    assert found["files"] == {"filesAdded": "1", "filesRemoved": str(FILES), "rewrittenOnly": True}
    assert found["commits"]["nodes"] == [{"snapshotId": compacted.after, "operation": "REPLACE"}]
    assert found["rows"] == {
        "rowsFrom": str(FILES * ROWS),
        "rowsTo": str(FILES * ROWS),
        "rowsAdded": "0",
        "rowsRemoved": "0",
        "method": "METADATA",
        "bytesRead": "0",
        "filesRead": "0",
        "sample": {"added": [], "removed": []},
    }
    # And of a difference to what comes after it, only that is told
    append(catalog.load_table(str(NAME)), FILES)
    later = (await api.data(query, **{"from": {"tag": TAG}}))["dataset"]["diff"]
    assert (later["identical"], later["rows"]["rowsAdded"], later["rows"]["rowsRemoved"]) == (False, str(ROWS), "0")


async def test_earlier_versions_read_every_row(api: Api, catalog: Catalog, compacted: Compacted) -> None:
    snapshots = catalog.load_table(str(NAME)).metadata.snapshots
    query = """query($at: VersionSelector!) { dataset(namespace: "bronze", name: "events") {
      rows(at: $at, first: 100, columns: ["id"]) { rows truncated } } }"""

    async def ids(**at: str) -> list[int]:
        page = (await api.data(query, at=at))["dataset"]["rows"]
        assert page["truncated"] is False
        return sorted(row["id"] for row in page["rows"])

    assert await ids(tag=TAG) == await ids(snapshotId=compacted.after) == list(range(FILES * ROWS))
    for number, snapshot in enumerate(snapshots[:FILES], start=1):
        assert await ids(snapshotId=str(snapshot.snapshot_id)) == list(range(number * ROWS))
    tags = """{ dataset(namespace: "bronze", name: "events") { tags { nodes { name target {
        ... on Snapshot { snapshotId availability } } } } } }"""
    (tag,) = (await api.data(tags))["dataset"]["tags"]["nodes"]
    assert tag == {"name": TAG, "target": {"snapshotId": compacted.before, "availability": "AVAILABLE"}}


async def test_what_it_left_is_told_with_the_pins_that_hold_it(api: Api, catalog: Catalog, orders: Orders) -> None:
    table = create(catalog, files=FILES)
    before = table.metadata.current_snapshot_id
    await api.services.versioning.create_tag(NAME, TAG, str(before), BY_ADA)
    sizes = table.inspect.files()["file_size_in_bytes"].to_pylist()

    (told,) = (await run(api, dataset=EVENTS, dryRun=False))["result"]["tables"]

    assert told["storage"]["earlier_bytes"] >= sum(sizes)
    assert told["storage"]["pinned"].keys() == {f"tagged ({TAG})"}
    # By the plan of retention too
    plan = """{ dataset(namespace: "bronze", name: "events") { retention(policy: {keepLastN: 0, keepDays: 0}) {
        pinned { pin bytes } } } }"""
    (pin,) = (await api.data(plan))["dataset"]["retention"]["pinned"]
    assert pin["pin"] == f"tagged ({TAG})"
    assert int(pin["bytes"]) >= sum(sizes)
