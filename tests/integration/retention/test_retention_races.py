"""Expiry in a race with everything else that changes a table: what stays is whole, and what went is gone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from pyiceberg.table import Table

from tests.integration.races.checks import read_ledgers
from tests.integration.races.table import MAIN, NAME, STAGE, append, make_settings, make_table, our_catalog
from tests.integration.races.workers import CONTEXT, LATE_S, ROLES, append_on, start, version
from tests.integration.retention.racing import expire_on
from tests.unit.lake.expire.naive import local, on_disk, reached

GRACE_S = LATE_S + 60


@pytest.mark.parametrize(
    "duration_s", [pytest.param(5.0, id="short"), pytest.param(60.0, id="full", marks=pytest.mark.long)]
)
def test_what_stays_is_whole_and_what_went_is_gone(database_url: str, tmp_path: Path, duration_s: float) -> None:
    # Given a table without retention settings of its own
    settings = make_settings(database_url, tmp_path / "home")
    with our_catalog(settings) as catalog:
        table = make_table(catalog, NAME)
        made = [append(table, "setup", n) for n in range(3)]
        table.manage_snapshots().create_branch(made[-1], STAGE).commit()
    ledger_folder = tmp_path / "ledger"
    ledger_folder.mkdir()

    # When two expiries work on it beside appenders, taggers, rollbacks and undos
    begin = CONTEXT.Event()
    race = (settings, ledger_folder, begin, duration_s)
    processes = [
        start(append_on, "ours", race, "ours", MAIN),
        start(append_on, "stock", race, "stock", MAIN),
        start(append_on, "stock-stage", race, "stock", STAGE),
        *(start(version, role, race, role) for role in ROLES),
        start(expire_on, "expire-1", race),
        start(expire_on, "expire-2", race),
    ]
    begin.set()
    for process in processes:
        process.join(timeout=duration_s + GRACE_S)
    exit_codes = {process.name: process.exitcode for process in processes}
    assert exit_codes == dict.fromkeys(exit_codes, 0)

    # Then every tag, every snapshot and every append that is in one reads
    ledger = read_ledgers(ledger_folder)
    done = Counter(entry["op"] for entry in ledger if "refused" not in entry)
    assert done["expire"] > 1
    assert {"append", "tag", "roll_back"} <= set(done), "some never got their turn"
    with our_catalog(settings) as catalog:
        table = catalog.load_table(str(NAME))
        check_whole(table)
        gone = {int(number) for entry in ledger if entry.get("op") == "expire" for number in entry["snapshots"]}
        assert gone
        assert gone.isdisjoint(snapshot.snapshot_id for snapshot in table.metadata.snapshots)
        check_gone(table)
        # And each append that was acknowledged is in every ref that was made from it
        appends = {entry["snapshot"]: (entry["writer"], entry["n"]) for entry in ledger if "writer" in entry}
        check_appends(table, appends)


def check_whole(table: Table) -> None:
    """Each snapshot has as many rows as its summary says, each data file opened; each ref has its snapshot."""
    ids = {snapshot.snapshot_id for snapshot in table.metadata.snapshots}
    assert {ref.snapshot_id for ref in table.metadata.refs.values()} <= ids
    assert reached(table) <= on_disk(table), "a file that is needed was deleted"
    for snapshot in table.metadata.snapshots:
        assert snapshot.summary is not None
        found = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        assert len(found) == int(snapshot.summary["total-records"] or 0)


def check_appends(table: Table, appends: dict[int, tuple[str, int]]) -> None:
    parents = {each["snapshot-id"]: each.get("parent-snapshot-id") for each in every_snapshot(table)}
    seen = 0
    for snapshot_id in {ref.snapshot_id for ref in table.metadata.refs.values()}:
        rows = table.scan(snapshot_id=snapshot_id).to_arrow().to_pylist()
        found = {(row["writer"], row["n"]) for row in rows}
        at: int | None = snapshot_id
        while at is not None:
            if at in appends:
                assert appends[at] in found
                seen += 1
            at = parents.get(at)
    assert seen


def check_gone(table: Table) -> None:
    """Of every snapshot that was ever there and is not any more, no manifest list is left: they were deleted."""
    lists = {local(each["manifest-list"]) for each in every_snapshot(table)}
    left = lists & on_disk(table)
    assert left == {local(snapshot.manifest_list) for snapshot in table.metadata.snapshots}


def every_snapshot(table: Table) -> list[dict[str, Any]]:
    """All snapshots that were ever in the table, by all of its metadata files."""
    locations = [entry.metadata_file for entry in table.metadata.metadata_log] + [table.metadata_location]
    return [
        snapshot
        for location in locations
        for snapshot in orjson.loads(local(location).read_bytes()).get("snapshots", [])
    ]
