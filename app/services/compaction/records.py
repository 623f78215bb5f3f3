"""Compactions in the record of changes: who, when and why, beside the tags and rollbacks of the same table.

A run is claimed before it begins, and settled by the snapshots that it has made. Where its process died before that,
the next run of the table settles it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from uuid import UUID

from app.domain.changes import ChangeKind, ChangeState, Command
from app.domain.compaction.claims import RUN_ID, RunClaim, snapshots_of
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.history import Snapshot
from app.domain.ref_plans import RefPlan
from app.errors import JsonValue
from app.lake.table import LakeTable
from app.registry.change_rows import Intent, StoredChange
from app.registry.changes import ChangeLog
from app.services.executing import worker_name

logger = logging.getLogger(__name__)

# In the summaries of snapshots that are made here, beside the run's id.
ACTOR, REASON, OPERATION_ID = ("stratigraph.actor", "stratigraph.reason", "stratigraph.operation-id")
# What the summary of a snapshot counts (Iceberg spec, "Optional Snapshot Summary"), by the name in our record.
_COUNTED = {
    "filesBefore": "deleted-data-files",
    "filesAfter": "added-data-files",
    "bytesBefore": "removed-files-size",
    "bytesAfter": "added-files-size",
}
# What the record of a claim has, of which the first two stay.
_ENGINE, _OPERATION_ID, _BASE_ID, _APPLICATION = "engine", "operationId", "baseSnapshotId", "sparkApplication"


def summary_properties(run_id: UUID, command: Command, operation_id: UUID | None) -> dict[str, str]:
    """What the summaries of a run's snapshots say of it, as far as its engine lets us."""
    found = {RUN_ID: str(run_id), ACTOR: command.actor.subject}
    if command.reason is not None:
        found[REASON] = command.reason
    if operation_id is not None:
        found[OPERATION_ID] = str(operation_id)
    return found


class CompactionRecords:
    """Writes compactions to the change log; all of it under the lock that keeps other compactions of the table out."""

    def __init__(self, changes: ChangeLog) -> None:
        self._changes = changes

    async def claim(self, table: LakeTable, claim: RunClaim, command: Command, operation_id: UUID | None) -> None:
        """Write down that a run is about to begin; durable when this returns."""
        state = table.state
        details: dict[str, JsonValue] = {_ENGINE: claim.engine.value}
        if operation_id is not None:
            details[_OPERATION_ID] = str(operation_id)
        if claim.base_id is not None:
            details[_BASE_ID] = str(claim.base_id)
        if claim.application is not None:
            details[_APPLICATION] = claim.application
        await self._changes.intend(
            Intent(
                change_id=claim.run_id,
                kind=ChangeKind.COMPACTED,
                dataset=state.name,
                table_uuid=state.table_uuid,
                command=Command(actor=command.actor, reason=command.reason),
                request_hash=b"",
                plan=RefPlan(updates=()),
                base_metadata=state.metadata_location,
                lease_s=0.0,
                details=details,
            )
        )

    async def has_open(self, table: LakeTable) -> bool:
        """Whether a run of the table is not settled: it is under way, or its process has died."""
        return bool(await self._changes.list_open_compactions(table.state.table_uuid))

    async def settle(self, table: LakeTable, *, failure: str | None = None) -> None:
        """Write down what every run that is not settled yet has made of the table.

        One that has made nothing is settled where `failure` says why, and else left open: what it was about to commit
        may still come.
        """
        taken: set[int] = set()
        # Newest first: what was made after the base of a later run was made by that one.
        for stored in await self._changes.list_open_compactions(table.state.table_uuid):
            change_id = stored.change.change_id
            snapshots = snapshots_of(_claim_of(stored), table.state.history, taken)
            taken.update(snapshot.snapshot_id for snapshot in snapshots)
            if snapshots:
                logger.info("compaction %s of %s is written down", change_id, table.state.name)
                await self._changes.settle(
                    change_id, ChangeState.DONE, by=worker_name(), details=_details(stored, snapshots)
                )
            elif failure is not None:
                await self._changes.settle(change_id, ChangeState.FAILED, by=worker_name(), failure=failure[:1000])


def _claim_of(stored: StoredChange) -> RunClaim:
    details = stored.change.details
    base_id, application = details.get(_BASE_ID), details.get(_APPLICATION)
    return RunClaim(
        run_id=stored.change.change_id,
        engine=CompactionEngine(str(details[_ENGINE])),
        base_id=None if base_id is None else int(str(base_id)),
        application=None if application is None else str(application),
    )


def _details(stored: StoredChange, snapshots: Iterable[Snapshot]) -> Mapping[str, JsonValue]:
    made = list(snapshots)
    kept = {name: value for name, value in stored.change.details.items() if name in (_ENGINE, _OPERATION_ID)}
    return {
        **kept,
        "snapshotIds": [str(snapshot.snapshot_id) for snapshot in made],
        **{name: str(_total(made, counted)) for name, counted in _COUNTED.items()},
    }


def _total(snapshots: Iterable[Snapshot], counted: str) -> int:
    found = (snapshot.summary.get(counted, "0") for snapshot in snapshots)
    return sum(int(text) for text in found if text.isascii() and text.isdigit())
