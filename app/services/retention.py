"""Carrying retention out: plan, write down, commit, and only then delete, each step so that the next process goes on.

Order of events, and what a crash after each leaves:

1. the run in Postgres, PLANNED, with every file to be deleted - nothing done: abandoned by the next run
2. one commit that takes the snapshots out of the table        - files too many: deleted by the next run
3. the run is COMMITTED
4. the files are deleted, and crossed off as they go           - the rest is deleted by the next run
5. the run is DONE.

Two locks are held: the run's own, for all of it, so that a table has one run at a time; and the table's from a last
look at it until the commit is recorded, so that whoever tags or rolls back waits for neither the reading of manifests
nor the deletion of files. What was planned beside that lock counts only while the table's metadata, and what Postgres
says of who needs its snapshots, are what they were; else it is planned again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID, uuid4

from app.domain.changes import Command
from app.domain.expiry import Expiry
from app.domain.history import to_instant
from app.domain.names import DatasetName
from app.domain.retention.policy import RetentionPolicy
from app.errors import (
    AppError,
    CommitStateUnknownError,
    DatasetForbiddenError,
    DatasetNotFoundError,
    JsonValue,
    LockTimeoutError,
    MetadataNotWrittenError,
    UnsupportedTableError,
)
from app.lake.commits import CommitDeferredError, CommitOutcomeUnknownError, CommitRefusedError, giving_up
from app.lake.expire.commit import BaseJudgement, ExpiryCommit
from app.lake.neighbours import Neighbours
from app.lake.store import Lake
from app.lake.table import LakeTable
from app.registry.changes import ChangeLog
from app.registry.retention_runs import NewRun, RetentionRun, RetentionRunStore, RunState
from app.services.datasets import Datasets
from app.services.executing import pause_s
from app.services.finishing import finished
from app.services.holding import Holding
from app.services.pinning import Pinning
from app.services.repair import Repair
from app.services.retention_entries import run_document
from app.services.retention_planning import MeasuredPlan, RetentionPlanning
from app.services.retention_records import RetentionRecords
from app.settings import Settings
from app.telemetry.tracing import span

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 8
# The first so many of them are planned while others may change the table.
FREE_ATTEMPTS = 3
# Files that are deleted between two looks at whether to stop, and crossed off together.
BATCH_FILES = 2_000


class Report(Protocol):
    """Told how far a run is; may raise to end it."""

    def __call__(self, fraction: float, message: str) -> None:
        """So far, from 0 to 1, and at this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What runs that did not come to their end had left to delete, and what became of it now."""

    runs: int = 0
    files_deleted: int = 0
    bytes_freed: int = 0
    files_left: int = 0
    examples: tuple[str, ...] = ()

    def __add__(self, other: Leftovers) -> Leftovers:
        return Leftovers(
            runs=self.runs + other.runs,
            files_deleted=self.files_deleted + other.files_deleted,
            bytes_freed=self.bytes_freed + other.bytes_freed,
            files_left=self.files_left + other.files_left,
            examples=(self.examples + other.examples)[:3],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRun:
    """What was done to a table. `done` counts the files of this run, `earlier` those that earlier runs had left.

    `base` is what the commit was applied to, None where there was nothing to commit; unless it was as planned, no file
    was deleted.
    """

    planned: MeasuredPlan
    run_id: UUID | None
    base: BaseJudgement | None
    done: Leftovers
    earlier: Leftovers


class Retention:
    """Expires snapshots of tables.

    Every method raises, beside what it names: DatasetNotFoundError, UnreadableTableError, UnsupportedTableError (the
    catalog cannot change this table, or whose its files are cannot be told), LockTimeoutError (another run of this
    table), CommitConflictError, CommitStateUnknownError, DatasetForbiddenError, MetadataNotWrittenError (nothing was
    changed), BackendUnavailableError (also Postgres: nothing expires then).
    """

    def __init__(
        self,
        lake: Lake,
        datasets: Datasets,
        changes: ChangeLog,
        planning: RetentionPlanning,
        runs: RetentionRunStore,
        pinning: Pinning,
        holding: Holding,
        repair: Repair,
        settings: Settings,
    ) -> None:
        self._lake = lake
        self._datasets = datasets
        self._changes = changes
        self._planning = planning
        self._runs = runs
        self._pinning = pinning
        self._holding = holding
        self._repair = repair
        self._records = RetentionRecords(changes)
        self._lock_timeout_s = settings.lock_timeout_s

    async def run(
        self,
        name: DatasetName,
        policy: RetentionPolicy,
        command: Command,
        neighbours: Neighbours,
        report: Report,
        *,
        operation_id: UUID | None = None,
    ) -> TableRun:
        """Expire what the policy leaves nothing to keep, after finishing what earlier runs have left.

        Raises:
            InvalidTablePropertyError: a property of the table has a value that it cannot have.
        """
        table_uuid = (await self._datasets.load(name)).state.table_uuid
        with span("retention.run", dataset=str(name)):
            async with self._locked_run(table_uuid):
                report(0.0, f"{name}: looking for what is needed")
                await self._pinning.restore(table_uuid)
                await self._holding.restore(table_uuid)
                earlier = await self._finish_open(table_uuid, name, report)
                planned, run_id, base = await self._expire(
                    name, policy, command, neighbours, report, operation_id=operation_id, table_uuid=table_uuid
                )
                done = Leftovers()
                if run_id is not None and base is not None and base.may_delete:
                    done = await self._delete(run_id, planned.files.freed.file_count, name, report)
                report(1.0, f"{name}: done")
                return TableRun(planned=planned, run_id=run_id, base=base, done=done, earlier=earlier)

    def _locked_table(self, table_uuid: UUID) -> AbstractAsyncContextManager[None]:
        return self._changes.lock(table_uuid, self._lock_timeout_s)

    def _locked_run(self, table_uuid: UUID) -> AbstractAsyncContextManager[None]:
        return self._changes.lock_retention(table_uuid, self._lock_timeout_s)

    async def _expire(
        self,
        name: DatasetName,
        policy: RetentionPolicy,
        command: Command,
        neighbours: Neighbours,
        report: Report,
        *,
        operation_id: UUID | None,
        table_uuid: UUID,
    ) -> tuple[MeasuredPlan, UUID | None, BaseJudgement | None]:
        refused: CommitRefusedError | None = None
        for attempt in range(MAX_ATTEMPTS):
            # A table that is tagged or rolled back more often than its manifests can be read in would never be
            # expired. At last they are read while all of that waits, so that it goes on; engines that write past us
            # do not wait, and with those alone it may still be given up.
            is_locked = attempt >= FREE_ATTEMPTS
            async with self._locked_table(table_uuid) if is_locked else nullcontext():
                report(0.05, f"{name}: planning")
                planned = await self._planning.measure(name, policy, neighbours)
                table, expiry = planned.table, planned.files.expiry
                if table.state.table_uuid != table_uuid:
                    # Dropped and made again while we waited: the lock that is held is of another table.
                    break
                if expiry.is_empty:
                    return planned, None, None
                self._lake.check_writable(table)
                if (hidden := planned.why_refused) is not None:
                    raise hidden
                new = _new_run(planned, command, operation_id)
                report(0.3, f"{name}: expiring {len(expiry.snapshot_ids)} snapshots")
                # Once it is begun it is ended, even if whoever asked for it has gone.
                came = await finished(self._carry_out(new, planned, policy, is_locked=is_locked))
            if isinstance(came, BaseJudgement):
                return planned, new.run_id, came
            refused = came
            if isinstance(refused, CommitDeferredError):
                # What others changed is planned for at once; this only time helps against.
                await asyncio.sleep(pause_s(attempt))
        raise giving_up(name, MAX_ATTEMPTS, refused) from refused

    async def _carry_out(
        self, new: NewRun, planned: MeasuredPlan, policy: RetentionPolicy, *, is_locked: bool
    ) -> BaseJudgement | CommitRefusedError:
        """Commit, with what it is about written down before and after; the refusal, after which it is planned again."""
        # Before the lock is taken: of a table with a million files that takes seconds.
        await self._runs.plan(new, planned.files.batches())
        try:
            async with nullcontext() if is_locked else self._locked_table(new.table_uuid):
                await self._repair.settle_overdue(new.table_uuid, is_locked=True)
                done = await self._commit(new, planned, policy)
                await self._record(new.run_id, done.base)
        except CommitRefusedError as refusal:
            logger.info("expiry of %s refused: %s", new.dataset, refusal)
            await self._runs.abandon(new.run_id, str(refusal))
            return refusal
        except (LockTimeoutError, DatasetForbiddenError, MetadataNotWrittenError, UnsupportedTableError) as error:
            await self._runs.abandon(new.run_id, error.message)
            raise
        return done.base

    async def _commit(self, new: NewRun, planned: MeasuredPlan, policy: RetentionPolicy) -> ExpiryCommit:
        """Raises CommitRefusedError where the table, or what needs its snapshots, is not as planned for."""
        expiry = planned.files.expiry
        # Decided once more, as of the same instant: a tag that was there already may have become a model's meanwhile,
        # of which the table knows nothing. Where its metadata is not the planned one, that is refused below. A REST
        # catalog cannot be made to assert that in the moment of the commit: the base that was changed says it after.
        table, plan = await self._planning.plan(new.dataset, policy, now=to_instant(planned.plan.now_ms))
        if plan != planned.plan:
            raise CommitRefusedError(f"{new.dataset}, or what needs its snapshots, has changed since this was planned")
        try:
            return await self._lake.commit_expiry(table, expiry)
        except CommitOutcomeUnknownError as error:
            return await self._look_for(new, expiry, str(error))

    async def _look_for(self, new: NewRun, expiry: Expiry, reason: str) -> ExpiryCommit:
        """The table with the snapshots gone, after a commit whose answer got lost."""
        try:
            table = await self._datasets.find_table(new.table_uuid, new.dataset)
        except AppError as error:
            # Not as what it is: of some errors it is known that nothing was changed.
            reason = f"{reason}; and then {error.message}"
            raise CommitStateUnknownError(str(new.dataset), str(new.run_id), reason) from error
        if table is None or not expiry.is_done_in(table.state):
            # It may yet take place; then its files are orphans, and no harm is done. The next run looks again.
            raise CommitStateUnknownError(str(new.dataset), str(new.run_id), reason)
        return ExpiryCommit(table=table, base=await self._lake.judge_base(table, expiry))

    async def _record(self, run_id: UUID, base: BaseJudgement) -> None:
        run = await self._runs.committed(run_id)
        await self._records.record(run, base)
        if not base.may_delete:
            logger.error(
                "%s was changed by others in the moment of its expiry (%s): its files are kept, and %s with them",
                run.dataset,
                base.finding.value,
                base.base_location,
            )
            await self._runs.end(run_id, _kept_for(base))

    async def _finish_open(self, table_uuid: UUID, name: DatasetName, report: Report) -> Leftovers:
        found = Leftovers()
        for run in await self._runs.list_open(table_uuid):
            table = await self._datasets.find_table(table_uuid, name)
            if table is None:
                raise DatasetNotFoundError(str(name), [])
            if await self._settle(run, table):
                found += await self._finish(run, table, report)
        return found

    async def _settle(self, run: RetentionRun, table: LakeTable) -> bool:
        """Whether a run that has not ended was committed, and its files may go; written down in full either way."""
        expiry = Expiry.from_json(_object(run.document, "expiry"))
        if not expiry.is_done_in(table.state):
            if run.state is RunState.COMMITTED:
                await self._runs.end(run.run_id, "its snapshots are in the table again")
            else:
                await self._runs.abandon(run.run_id, "its process ended before the commit")
            return False
        # Also of one that is known to be committed: its process may have died before it looked at the base.
        base = await self._lake.judge_base(table, expiry)
        await self._record(run.run_id, base)
        return base.may_delete

    async def _finish(self, run: RetentionRun, table: LakeTable, report: Report) -> Leftovers:
        """Delete what a committed run has left, but for files that are needed again since."""
        paths: list[str] = []
        after = None
        while files := await self._runs.next_files(run.run_id, after, limit=BATCH_FILES):
            after = files[-1].path
            paths += [file.path for file in files]
        gone = set(await self._lake.still_unreachable(table, paths))
        if needed := [path for path in paths if path not in gone]:
            logger.warning("%d files of an expiry of %s are needed again, and kept", len(needed), run.dataset)
            await self._runs.keep_files(run.run_id, needed)
        return await self._delete(run.run_id, len(gone), run.dataset, report)

    async def _delete(self, run_id: UUID, count: int, name: DatasetName, report: Report) -> Leftovers:
        table = await self._datasets.load(name)
        deleted = freed = left = 0
        examples: list[str] = []
        after = None
        while files := await self._runs.next_files(run_id, after, limit=BATCH_FILES):
            report(0.4 + 0.6 * min(1.0, (deleted + left) / max(1, count)), f"{name}: deleting {count:,} files")
            after = files[-1].path
            sizes = {file.path: file.size_bytes for file in files}
            done = await self._lake.delete_files(table, list(sizes))
            await self._runs.cross_off(run_id, done.gone, {file.path: file.reason for file in done.left})
            deleted += len(done.gone)
            freed += sum(sizes[path] for path in done.gone)
            left += len(done.left)
            examples += [f"{file.path}: {file.reason}" for file in done.examples]
        if left:
            logger.warning("%d files of %s could not be deleted, and are tried again: %s", left, name, examples[0])
        else:
            await self._runs.end(run_id)
        return Leftovers(
            runs=1, files_deleted=deleted, bytes_freed=freed, files_left=left, examples=tuple(examples[:3])
        )


def _new_run(planned: MeasuredPlan, command: Command, operation_id: UUID | None) -> NewRun:
    state, expiry = planned.table.state, planned.files.expiry
    return NewRun(
        run_id=uuid4(),
        operation_id=operation_id,
        table_uuid=state.table_uuid,
        dataset=state.name,
        requested_by=command.actor,
        reason=command.reason,
        document=run_document(planned),
        base_metadata=expiry.base_location,
        bytes_total=planned.files.total.size_bytes,
        bytes_planned=planned.files.freed.size_bytes,
        files_planned=planned.files.freed.file_count,
    )


def _kept_for(base: BaseJudgement) -> str:
    strangers = ", ".join([*base.refs, *map(str, base.snapshot_ids)][:10])
    return f"{base.finding.value}: the table was changed by others ({strangers or 'unknown'}); see {base.base_location}"


def _object(document: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    found = document[name]
    if not isinstance(found, dict):
        raise TypeError(f"{name} of a run is an object")
    return found
