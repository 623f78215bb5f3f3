"""Compactions in the record of changes: who, when and why, beside the tags and rollbacks of the same table.

A run is claimed before it begins, and settled by the snapshots that it has made. Where its process died before that,
the next run of the table settles it. Tables are told apart by their ids: one of the same name may be another one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.domain.changes import ChangeKind, ChangeState, Command, DatasetSubject
from app.domain.compaction.claims import RUN_ID, RunClaim, snapshots_of
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.history import Snapshot
from app.domain.names import DatasetName
from app.errors import JsonValue
from app.lake.compact.outcomes import CommittedBin
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
_SNAPSHOT_IDS = "snapshotIds"
# What the record of a claim has, and what of it stays: earlier runs are told apart by where the later ones began.
_ENGINE, _OPERATION_ID, _BASE_ID, _APPLICATION = "engine", "operationId", "baseSnapshotId", "sparkApplication"
_KEPT = (_ENGINE, _OPERATION_ID, _BASE_ID)
# Of a run that left some of what was to be done, or that nobody knows the end of; others have it not.
_IS_PARTIAL = "isPartial"

# Why a run that is settled without snapshots has none, where nobody can look for them.
GONE = "the table is gone: it was dropped before it was written down what had been committed, if anything"


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
        details = _kept(claim, operation_id)
        if claim.application is not None:
            details[_APPLICATION] = claim.application
        subject = DatasetSubject(dataset=state.name, table_uuid=state.table_uuid)
        await self._changes.intend(
            Intent.without_plan(claim.run_id, ChangeKind.COMPACTED, subject, command, state.metadata_location, details)
        )

    async def list_open(self) -> dict[UUID, DatasetName]:
        """The tables with a run that is not settled: it is under way, or its process has died; as they were called."""
        return await self._changes.list_tables_of_open_compactions()

    async def find_last(self, table_uuid: UUID) -> datetime | None:
        """When a run of the table last did all that was to be done."""
        return await self._changes.find_last_compaction(table_uuid, without=_IS_PARTIAL)

    async def settle_left(
        self, table_uuid: UUID, table: LakeTable | None, *, failure: str, younger_stay: timedelta = timedelta(0)
    ) -> None:
        """Write down what every run that is not settled yet has made of the table; None where it is gone.

        For whoever holds the lock, before a run of its own: those that are open are of nobody then. One that has made
        nothing is settled with that failure, unless it is younger than so; all of them are where nobody can tell any
        more what they made.
        """
        found = await self._changes.list_open_compactions(table_uuid)
        if table is None:
            for stored in found:
                await self._fail(stored.change.change_id, GONE)
            return
        if not found:
            return
        for stored, snapshots in await self._list_made(table, _claim_of(found[-1])):
            change_id = stored.change.change_id
            if snapshots:
                logger.info("compaction %s of %s is written down", change_id, table.state.name)
                kept = {name: value for name, value in stored.change.details.items() if name in _KEPT}
                await self._done(change_id, {**kept, **_of_snapshots(snapshots), _IS_PARTIAL: True})
            elif datetime.now(UTC) - stored.change.intended_at >= younger_stay:
                await self._fail(change_id, failure)

    async def settle_own(
        self,
        table: LakeTable,
        claim: RunClaim,
        operation_id: UUID | None,
        *,
        is_partial: bool,
        failure: str | None,
    ) -> None:
        """Write down what a run has made of its table, whatever others have said of it meanwhile, and of no other run.

        One that has made nothing is settled where `failure` says why, and else left open: what it was about to commit
        may still come. Where its lock was lost, others are at work: their claims are theirs.
        """
        *_, (_, snapshots) = await self._list_made(table, claim)
        if snapshots:
            details = {**_kept(claim, operation_id), **_of_snapshots(snapshots), **_partial(is_partial)}
            await self._done(claim.run_id, details, is_own=True)
        elif failure is not None:
            await self._fail(claim.run_id, failure)

    async def settle_gone(
        self, claim: RunClaim, operation_id: UUID | None, committed: Sequence[CommittedBin], *, is_partial: bool
    ) -> None:
        """Write down what a run knows that it has made of a table that is gone since."""
        if committed:
            details = {**_kept(claim, operation_id), **_of_bins(committed), **_partial(is_partial)}
            await self._done(claim.run_id, details, is_own=True)
        else:
            await self._fail(claim.run_id, GONE)

    async def _list_made(self, table: LakeTable, first: RunClaim) -> list[tuple[StoredChange, list[Snapshot]]]:
        """What that run and all later ones that are not settled have made of the table, the newest first."""
        found: list[tuple[StoredChange, list[Snapshot]]] = []
        taken: set[int] = set()
        later: RunClaim | None = None
        # Newest first: what was made after the base of a later run was made by that one, or after it.
        for stored in await self._changes.list_compactions_since(table.state.table_uuid, first.run_id):
            is_first = stored.change.change_id == first.run_id
            claim = first if is_first else _claim_of(stored)
            if is_first or stored.change.state is ChangeState.INTENDED:
                snapshots = snapshots_of(claim, table.state.history, taken, later=later)
                found.append((stored, snapshots))
                taken.update(snapshot.snapshot_id for snapshot in snapshots)
            else:
                taken |= _recorded(stored)
            later = claim if claim.base_id is not None else later
        return found

    async def _done(self, run_id: UUID, details: Mapping[str, JsonValue], *, is_own: bool = False) -> None:
        await self._changes.settle(run_id, ChangeState.DONE, by=worker_name(), details=details)
        if is_own:
            # Another run may have taken this one for dead, and have written down what there was then.
            await self._changes.complete(run_id, details)

    async def _fail(self, run_id: UUID, failure: str) -> None:
        await self._changes.settle(run_id, ChangeState.FAILED, by=worker_name(), failure=failure[:1000])


def _claim_of(stored: StoredChange) -> RunClaim:
    details = stored.change.details
    base_id, application = details.get(_BASE_ID), details.get(_APPLICATION)
    return RunClaim(
        run_id=stored.change.change_id,
        engine=CompactionEngine(str(details[_ENGINE])),
        base_id=None if base_id is None else int(str(base_id)),
        application=None if application is None else str(application),
    )


def _recorded(stored: StoredChange) -> set[int]:
    """The snapshots that a run was settled with."""
    found = stored.change.details.get(_SNAPSHOT_IDS)
    return {int(str(snapshot_id)) for snapshot_id in found} if isinstance(found, list) else set()


def _kept(claim: RunClaim, operation_id: UUID | None) -> dict[str, JsonValue]:
    """What of a claim stays once its run is settled."""
    found: dict[str, JsonValue] = {_ENGINE: claim.engine.value}
    if operation_id is not None:
        found[_OPERATION_ID] = str(operation_id)
    if claim.base_id is not None:
        found[_BASE_ID] = str(claim.base_id)
    return found


def _partial(is_partial: bool) -> dict[str, JsonValue]:
    return {_IS_PARTIAL: True} if is_partial else {}


def _of_snapshots(made: Sequence[Snapshot]) -> dict[str, JsonValue]:
    return {
        _SNAPSHOT_IDS: [str(snapshot.snapshot_id) for snapshot in made],
        **{name: str(_total(made, counted)) for name, counted in _COUNTED.items()},
    }


def _of_bins(committed: Sequence[CommittedBin]) -> dict[str, JsonValue]:
    counted = {
        "filesBefore": sum(len(each.some.files) for each in committed),
        "filesAfter": sum(len(each.made.added) for each in committed),
        "bytesBefore": sum(each.some.size_bytes for each in committed),
        "bytesAfter": sum(each.made.size_bytes for each in committed),
    }
    return {
        _SNAPSHOT_IDS: list(dict.fromkeys(str(each.snapshot_id) for each in committed)),
        **{name: str(total) for name, total in counted.items()},
    }


def _total(snapshots: Iterable[Snapshot], counted: str) -> int:
    found = (snapshot.summary.get(counted, "0") for snapshot in snapshots)
    return sum(int(text) for text in found if text.isascii() and text.isdigit())
