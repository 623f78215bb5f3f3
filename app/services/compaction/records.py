"""Compactions in the record of changes: who, when and why, beside the tags and rollbacks of the same table.

A run's snapshots say themselves whose they are. So the run is written down once, after its end; and where its process
died before that, the next run of the table writes it down from them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from uuid import UUID

from app.domain.changes import Actor, ChangeKind, ChangeState, Command
from app.domain.history import Snapshot, newest_first
from app.domain.ref_plans import RefPlan
from app.errors import InvalidArgumentError, JsonValue
from app.lake.table import LakeTable
from app.registry.change_rows import Intent
from app.registry.changes import ChangeLog
from app.services.executing import worker_name

logger = logging.getLogger(__name__)

# In the summaries of snapshots.
RUN_ID, ACTOR, REASON, OPERATION_ID = (
    "stratigraph.compaction-id",
    "stratigraph.actor",
    "stratigraph.reason",
    "stratigraph.operation-id",
)
# What the summary of a snapshot counts (Iceberg spec, "Optional Snapshot Summary"), by the name in our record.
_COUNTED = {
    "filesBefore": "deleted-data-files",
    "filesAfter": "added-data-files",
    "bytesBefore": "removed-files-size",
    "bytesAfter": "added-files-size",
}


def summary_properties(run_id: UUID, command: Command, operation_id: UUID | None) -> dict[str, str]:
    """What the summaries of a run's snapshots say of it."""
    found = {RUN_ID: str(run_id), ACTOR: command.actor.subject}
    if command.reason is not None:
        found[REASON] = command.reason
    if operation_id is not None:
        found[OPERATION_ID] = str(operation_id)
    return found


class CompactionRecords:
    """Writes compactions to the change log."""

    def __init__(self, changes: ChangeLog) -> None:
        self._changes = changes

    async def find_missing(self, table: LakeTable) -> dict[UUID, list[Snapshot]]:
        """The runs that the table has snapshots of and that are not written down, with these, the newest first.

        Costs a statement a run, of those since the last that is written down.
        """
        runs: dict[UUID, list[Snapshot]] = {}
        for snapshot in sorted(table.state.history.snapshots.values(), key=newest_first):
            if (run_id := _run_of(snapshot.summary)) is not None:
                runs.setdefault(run_id, []).append(snapshot)
        missing: dict[UUID, list[Snapshot]] = {}
        for run_id, snapshots in runs.items():
            if await self._changes.find(run_id) is not None:
                break
            missing[run_id] = snapshots
        return missing

    async def catch_up(self, table: LakeTable) -> None:
        """Write down every run that is missing; under the lock that keeps other compactions of the table out."""
        for run_id, snapshots in reversed((await self.find_missing(table)).items()):
            logger.info("compaction %s of %s is written down", run_id, table.state.name)
            await self._write(table, run_id, snapshots)

    async def _write(self, table: LakeTable, run_id: UUID, snapshots: list[Snapshot]) -> None:
        state, summary = table.state, snapshots[0].summary
        try:
            command = Command(actor=Actor.checked(summary[ACTOR]), reason=summary.get(REASON))
        except InvalidArgumentError as error:
            # By somebody who writes our properties, and not as we do.
            logger.warning("compaction %s of %s cannot be written down: %s", run_id, state.name, error.message)
            return
        details: dict[str, JsonValue] = {
            "snapshotIds": [str(snapshot.snapshot_id) for snapshot in reversed(snapshots)],
            **{name: str(_total(snapshots, counted)) for name, counted in _COUNTED.items()},
        }
        if OPERATION_ID in summary:
            details["operationId"] = summary[OPERATION_ID]
        await self._changes.record(
            Intent(
                change_id=run_id,
                kind=ChangeKind.COMPACTED,
                dataset=state.name,
                table_uuid=state.table_uuid,
                command=command,
                request_hash=b"",
                plan=RefPlan(updates=()),
                base_metadata=state.metadata_location,
                lease_s=0.0,
                details=details,
            ),
            ChangeState.DONE,
            by=worker_name(),
        )


def _run_of(summary: Mapping[str, str]) -> UUID | None:
    try:
        return UUID(summary[RUN_ID]) if ACTOR in summary else None
    except (KeyError, ValueError):
        return None


def _total(snapshots: Iterable[Snapshot], counted: str) -> int:
    found = (snapshot.summary.get(counted, "0") for snapshot in snapshots)
    return sum(int(text) for text in found if text.isascii() and text.isdigit())
