"""What a run did to a table, and what its earlier snapshots hold since, as it is told."""

from __future__ import annotations

import logging

from app.domain.names import DatasetName
from app.errors import AppError
from app.lake.compact.outcomes import CommittedBin
from app.services.compaction.entries import (
    BinEntry,
    StorageEntry,
    TableEntry,
    blank_entry,
    error_entry,
    plan_entry,
    to_mb,
)
from app.services.compaction.running import TableRun
from app.services.retention_planning import RetentionPlanning

logger = logging.getLogger(__name__)


class CompactionReporting:
    """Tells what runs did."""

    def __init__(self, retention_planning: RetentionPlanning) -> None:
        self._retention_planning = retention_planning

    async def tell(self, name: DatasetName, run: TableRun) -> TableEntry:
        """The run as JSON. Costs reading all manifests of the table, where anything was committed."""
        entry = _done_entry(name, run)
        if run.why_no_after is not None:
            entry["warnings"].append(f"what was committed is told, but not what the table is since: {run.why_no_after}")
        elif run.committed:
            try:
                entry["storage"] = await self._storage(name)
            except AppError as error:
                # The table is compacted all the same.
                logger.info("what earlier snapshots of %s hold cannot be told: %s", name, error.message)
                entry["warnings"].append(f"what its earlier snapshots hold cannot be told: {error.message}")
        return entry

    async def _storage(self, name: DatasetName) -> StorageEntry:
        # Nothing is deleted, so whose files lie in one another's folders does not matter.
        measured = await self._retention_planning.measure(name, self._retention_planning.default_policy(), {})
        held = measured.table_bytes
        return StorageEntry(
            earlier_bytes=None if held.live is None else max(0, measured.files.total.size_bytes - held.live),
            expirable_bytes=measured.files.freed.size_bytes,
            pinned=dict(measured.pinned),
            pinned_truncated=False,
        )


def _done_entry(name: DatasetName, run: TableRun) -> TableEntry:
    before = run.before.plan
    entry = blank_entry(name, dry_run=False)
    entry["plan"] = plan_entry(before)
    entry["files_before"], entry["files_after"] = before.counts.files, _files_after(run)
    entry["size_before_mb"], entry["size_after_mb"] = to_mb(before.counts.size_bytes), to_mb(_bytes_after(run))
    if run.run_id is None:
        return entry
    entry["run_id"], entry["engine"], entry["duration_s"] = str(run.run_id), run.engine.value, round(run.duration_s, 2)
    entry["bins"] = [_bin_entry(each) for each in run.committed]
    entry["snapshot_ids"] = list(map(str, run.snapshot_ids))
    entry["snapshot_id"] = entry["snapshot_ids"][-1] if entry["snapshot_ids"] else None
    if (outcome := run.outcome) is not None:
        entry["dropped_delete_files"] = len(outcome.dropped_deletes)
        entry["overtaken_bins"] = len(outcome.overtaken)
        entry["leftover_files"] = list(outcome.leftovers)
        entry["is_partial"] = bool(outcome.overtaken or outcome.left) or outcome.is_stopped
        if outcome.overtaken:
            entry["warnings"].append(
                f"{len(outcome.overtaken):,} bins were changed by others each time they were made; the next run takes "
                "them on"
            )
        if outcome.left:
            entry["warnings"].append(f"Spark left {len(outcome.left):,} bins to be done; the next run takes them on")
        if outcome.leftovers:
            entry["warnings"].append(
                f"{len(outcome.leftovers):,} files that are in no snapshot could not be removed; they are orphans"
            )
    if run.failure is not None:
        entry["is_partial"] = True
        entry["error"] = error_entry(run.failure)
    return entry


def _files_after(run: TableRun) -> int:
    """How many data files the table has, or would have if nobody else had written."""
    if run.after is not None:
        return run.after.plan.counts.files
    made = sum(len(each.made.added) - len(each.some.files) for each in run.committed)
    return run.before.plan.counts.files + made


def _bytes_after(run: TableRun) -> int:
    """As `_files_after`, their bytes."""
    if run.after is not None:
        return run.after.plan.counts.size_bytes
    made = sum(each.made.size_bytes - each.some.size_bytes for each in run.committed)
    return run.before.plan.counts.size_bytes + made


def _bin_entry(committed: CommittedBin) -> BinEntry:
    some, made = committed.some, committed.made
    return BinEntry(
        way=made.way.value,
        partition=some.place.partition,
        files=len(some.files),
        files_after=len(made.added),
        bytes=some.size_bytes,
        bytes_after=made.size_bytes,
        why=made.why,
        snapshot_id=str(committed.snapshot_id),
    )
