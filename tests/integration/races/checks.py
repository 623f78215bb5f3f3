"""What must hold after a race: the table's own metadata log, step by step, against what everybody was told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
from pyiceberg.table import Table

from app import errors
from tests.integration.races.table import MAIN

NINETY_DAYS_MS = 90 * 86_400_000
OPERATIONS = {
    "tag": "TAG_CREATED",
    "move": "TAG_MOVED",
    "untag": "TAG_DELETED",
    "roll_back": "ROLLED_BACK",
    "undo": "ROLLBACK_UNDONE",
}
# What a change of refs may touch; of these only `refs` is ours to decide.
REF_CHANGE_KEYS = {"refs", "current-snapshot-id", "snapshot-log", "last-updated-ms", "metadata-log"}
APPEND_KEYS = REF_CHANGE_KEYS | {"snapshots", "last-sequence-number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One commit: the metadata before and after it, and where the latter is."""

    location: str
    before: dict[str, Any]
    after: dict[str, Any]

    def changed_keys(self) -> set[str]:
        return {key for key in self.before | self.after if self.before.get(key) != self.after.get(key)}

    def changed_refs(self) -> dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None]]:
        old, new = self.before["refs"], self.after["refs"]
        return {name: (old.get(name), new.get(name)) for name in old | new if old.get(name) != new.get(name)}


def read_ledgers(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines()]


def walk(table: Table, since: str) -> list[Step]:
    """Every commit from the metadata file `since` to the present."""
    locations = [entry.metadata_file for entry in table.metadata.metadata_log] + [table.metadata_location]
    locations = locations[locations.index(since) :]
    found = [orjson.loads(Path(location.removeprefix("file://")).read_bytes()) for location in locations]
    return [
        Step(location=location, before=before, after=after)
        for location, before, after in zip(locations[1:], found[:-1], found[1:], strict=True)
    ]


def check_refusals(ledger: list[dict[str, Any]]) -> None:
    # The processes die of everything else, so that this is about what they took for an answer.
    known = {cls.__name__ for cls in errors.concrete_errors().values()} | {"CommitFailedException"}
    refused = Counter(entry["refused"] for entry in ledger if "refused" in entry)
    assert set(refused) <= known
    # Nothing in the race may be a failure of a backend, or an answer that leaves the caller in doubt.
    assert not {"BackendUnavailableError", "UnreadableTableError", "CommitStateUnknownError"} & set(refused)


def check_records(ledger: list[dict[str, Any]], rows: list[dict[str, Any]], steps: list[Step]) -> None:
    """One DONE change for each acknowledgment, about the same thing; each made a step of its own; nothing is open."""
    # UNCHANGED is what was found as it was to be, kept for its key.
    assert {row["state"] for row in rows} <= {"DONE", "FAILED", "UNCHANGED"}
    done = {str(row["change_id"]): row for row in rows if row["state"] == "DONE"}
    told = {entry["change"]: entry for entry in ledger if entry.get("change")}
    assert told.keys() == done.keys()
    assert Counter(row["settled_metadata"] for row in done.values()).most_common(1)[0][1] == 1
    assert {row["settled_metadata"] for row in done.values()} <= {step.location for step in steps}
    for change_id, entry in told.items():
        row = done[change_id]
        assert row["kind"] == OPERATIONS[entry["op"]]
        details = row["details"]
        if entry["op"] in ("tag", "move", "untag"):
            assert (details["tag"], details["snapshotId"]) == (entry["tag"], str(entry["snapshot"]))
        else:
            assert (details["from"], details["to"]) == (str(entry["from"]), str(entry["to"]))
            assert details["undoTag"] == entry["undo_tag"]


def check_steps(steps: list[Step], rows: list[dict[str, Any]], ledger: list[dict[str, Any]]) -> None:
    """Each step is one acknowledged thing, and does that and nothing else."""
    changes = {row["settled_metadata"]: row for row in rows if row["state"] == "DONE"}
    appends = {entry["snapshot"]: entry for entry in ledger if entry.get("op") == "append" and "snapshot" in entry}
    seen: set[int] = set()
    for step in steps:
        assert step.after["metadata-log"][: len(step.before["metadata-log"])] == step.before["metadata-log"]
        if (row := changes.get(step.location)) is not None:
            _check_change(step, row)
        else:
            seen.add(_check_append(step, appends))
    assert seen == appends.keys()


def _check_change(step: Step, row: dict[str, Any]) -> None:
    assert step.changed_keys() <= REF_CHANGE_KEYS
    assert step.changed_keys() >= {"refs", "metadata-log"}
    planned = {
        update["name"]: (update["before"], update["after"] and update["after"]["snapshotId"])
        for update in row["plan"]["updates"]
    }
    assert _targets(step.before["refs"], planned) == {name: before for name, (before, _) in planned.items()}
    assert _targets(step.after["refs"], planned) == {name: after for name, (_, after) in planned.items()}
    # An undo asserts the undo tag without changing it.
    assert step.changed_refs().keys() == {name for name, (before, after) in planned.items() if before != after}
    for name, (old, new) in step.changed_refs().items():
        if old and new:
            assert old | {"snapshot-id": None} == new | {"snapshot-id": None}, "retention settings were lost"
        if new and name.startswith("pre_rollback_"):
            _check_pin(step, new)
    assert step.after["current-snapshot-id"] == step.after["refs"][MAIN]["snapshot-id"]
    # Whatever becomes of ordinary tags: branches and undo tags alone reach all that they reached before.
    assert reached(step.before) <= reached(step.after)


def _check_pin(step: Step, pin: dict[str, Any]) -> None:
    """It lasts ninety days from when it was set; engines count the age of a ref from its snapshot's timestamp."""
    (made_at_ms,) = [s["timestamp-ms"] for s in step.after["snapshots"] if s["snapshot-id"] == pin["snapshot-id"]]
    elapsed_ms = step.after["last-updated-ms"] - made_at_ms
    assert NINETY_DAYS_MS <= pin["max-ref-age-ms"] <= NINETY_DAYS_MS + elapsed_ms


def _check_append(step: Step, appends: dict[int, dict[str, Any]]) -> int:
    assert step.changed_keys() <= APPEND_KEYS
    (added,) = [s for s in step.after["snapshots"] if s not in step.before["snapshots"]]
    assert added["snapshot-id"] in appends, "a snapshot that nobody was told of"
    branch = appends[added["snapshot-id"]]["branch"]
    assert step.changed_refs().keys() == {branch}
    # On top of what was there, not beside it.
    assert added["parent-snapshot-id"] == step.before["refs"][branch]["snapshot-id"]
    assert step.after["refs"][branch]["snapshot-id"] == added["snapshot-id"]
    return int(added["snapshot-id"])


def check_present(steps: list[Step], ledger: list[dict[str, Any]]) -> None:
    """Acknowledged appends are in the table as it is now, reached by a branch or an undo tag; so are all undo tags."""
    now = steps[-1].after
    appends = {entry["snapshot"] for entry in ledger if entry.get("op") == "append" and "snapshot" in entry}
    assert appends <= reached(now)
    undo_tags = {entry["undo_tag"]: entry["from"] for entry in ledger if entry.get("undo_tag")}
    assert {name: now["refs"][name]["snapshot-id"] for name in undo_tags} == undo_tags


def check_rows(table: Table, ledger: list[dict[str, Any]]) -> None:
    """Each acknowledged append's row is in the files its snapshot added, and heads have the rows of their ancestors."""
    appends = {entry["snapshot"]: entry for entry in ledger if entry.get("op") == "append" and "snapshot" in entry}

    @cache
    def files_of(manifest_list: str) -> list[tuple[int, str]]:
        (snapshot,) = [s for s in table.metadata.snapshots if s.manifest_list == manifest_list]
        return [
            (entry.snapshot_id or 0, entry.data_file.file_path)
            for manifest in snapshot.manifests(table.io)
            if manifest.added_snapshot_id == snapshot.snapshot_id
            for entry in manifest.fetch_manifest_entry(table.io)
        ]

    rows_of: dict[int, tuple[str, int]] = {}
    for snapshot in table.metadata.snapshots:
        added = [path for made_by, path in files_of(snapshot.manifest_list) if made_by == snapshot.snapshot_id]
        (row,) = [row for path in added for row in pq.read_table(path.removeprefix("file://")).to_pylist()]
        rows_of[snapshot.snapshot_id] = (row["writer"], row["n"])
    assert {sid: (entry["writer"], entry["n"]) for sid, entry in appends.items()}.items() <= rows_of.items()
    parents = {s.snapshot_id: s.parent_snapshot_id for s in table.metadata.snapshots}
    for name, ref in table.metadata.refs.items():
        if str(ref.snapshot_ref_type) == "branch":
            scanned = table.scan(snapshot_id=ref.snapshot_id).to_arrow().to_pylist()
            expected = [rows_of[sid] for sid in _ancestors(ref.snapshot_id, parents)]
            assert sorted((row["writer"], row["n"]) for row in scanned) == sorted(expected), name


def reached(metadata: dict[str, Any]) -> set[int]:
    """Snapshots that a branch or an undo tag reaches."""
    parents = {s["snapshot-id"]: s.get("parent-snapshot-id") for s in metadata["snapshots"]}
    found: set[int] = set()
    for name, ref in metadata["refs"].items():
        if ref["type"] == "branch" or name.startswith("pre_rollback_"):
            found.update(_ancestors(ref["snapshot-id"], parents, known=found))
    return found


def _ancestors(snapshot_id: int, parents: dict[int, int | None], known: set[int] | None = None) -> list[int]:
    found: list[int] = []
    at: int | None = snapshot_id
    while at is not None and at not in (known or ()):
        found.append(at)
        at = parents[at]
    return found


def _targets(refs: dict[str, dict[str, Any]], names: dict[str, Any]) -> dict[str, str | None]:
    return {name: str(refs[name]["snapshot-id"]) if name in refs else None for name in names}
