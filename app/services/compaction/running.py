"""Carrying compaction of a table out: one run at a time, recorded whatever becomes of it.

What a crash leaves: files that nothing names, whose names tell the run, and which are orphans; a claim, and snapshots
that were committed, from which the next sweep writes it down, whatever it is of, or the next run of the table. What is
left to do is planned anew then.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from app.domain.changes import Command
from app.domain.compaction.claims import RunClaim
from app.domain.compaction.files import Place
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.compaction.policy import CompactionPolicy
from app.domain.names import DatasetName
from app.domain.operations import OperationCancelledError
from app.errors import (
    AppError,
    BackendUnavailableError,
    CommitConflictError,
    CommitStateUnknownError,
    DatasetNotFoundError,
    Forbidden,
    LockTimeoutError,
    StateUnknown,
    Unavailable,
    UnreadableTableError,
)
from app.lake.commits import CommitOutcomeUnknownError, CommitRefusedError, giving_up
from app.lake.compact.commit import ATTEMPTS
from app.lake.compact.outcomes import CommittedBin, CompactionOutcome
from app.lake.compact.planning import KnownPlan, PlannedTable
from app.lake.compact.spark import SparkJob
from app.lake.spark.session import SparkAddress
from app.lake.store import Lake
from app.lake.table import LakeTable
from app.registry.changes import ChangeLog
from app.services.compaction.planning import CompactionPlanning
from app.services.compaction.records import CompactionRecords, summary_properties
from app.services.datasets import Datasets
from app.services.finishing import finished
from app.services.retention import Report
from app.settings import Settings
from app.telemetry.tracing import span

if TYPE_CHECKING:
    from app.lake.compact.jobs import CompactionJob

logger = logging.getLogger(__name__)

_MAX_THREADS = 4
# A run without snapshots whose process is gone may still have one: by a Spark that goes on, or a late commit.
_MAY_STILL_COME = timedelta(hours=1)
# Where it cannot be told what became of a table; also whether it is gone, or under a name that nobody may look at.
_NOT_TOLD_NOW = (BackendUnavailableError, Forbidden, DatasetNotFoundError, UnreadableTableError)
_PLANNED, _DONE = 0.05, 0.95
# Why runs that are settled without snapshots have none.
_NOTHING, _GIVEN_UP = "nothing was committed", "its process ended, and it had committed nothing when the next run began"


@dataclass(slots=True, kw_only=True)
class TableRun:
    """What was done to a table: `before` is what was planned, `after` the plan for what it is now.

    `committed` counts also where `failure` ended it, or where `why_no_after` tells that there is no plan for what the
    table is now. Where nothing was to be done there is no `run_id`. `is_cut` says that it was asked for some of the
    bins alone.
    """

    before: PlannedTable
    after: PlannedTable | None
    run_id: UUID | None = None
    committed: list[CommittedBin] = field(default_factory=list)
    outcome: CompactionOutcome | None = None
    failure: AppError | None = None
    why_no_after: str | None = None
    is_cut: bool = False
    duration_s: float = 0.0
    engine: CompactionEngine = CompactionEngine.LOCAL

    @property
    def is_whole(self) -> bool:
        """Whether all that was to be done of the table is done, as far as is known."""
        outcome = self.outcome
        is_ended = outcome is not None and not (outcome.is_stopped or outcome.overtaken or outcome.left)
        return is_ended and self.failure is None and not self.is_cut

    @property
    def has_committed(self) -> bool:
        """Whether the table has any snapshot by it."""
        return bool(self.snapshot_ids)

    @property
    def snapshot_ids(self) -> tuple[int, ...]:
        """The snapshots that it made, in their order; those last that only took delete files out."""
        cleaning = () if self.outcome is None else self.outcome.cleaning_snapshot_ids
        return tuple(dict.fromkeys([*(each.snapshot_id for each in self.committed), *cleaning]))

    @property
    def id(self) -> UUID:
        """The run's id. Only where anything is done."""
        if self.run_id is None:
            raise ValueError("nothing was to be done")
        return self.run_id


class Compaction:
    """Compacts tables.

    Every method raises, beside what it names: as `CompactionPlanning`, LockTimeoutError (another compaction of this
    table), BackendUnavailableError (also Postgres).
    """

    def __init__(
        self, lake: Lake, datasets: Datasets, changes: ChangeLog, planning: CompactionPlanning, settings: Settings
    ) -> None:
        self._lake = lake
        self._datasets = datasets
        self._changes = changes
        self._planning = planning
        self._records = CompactionRecords(changes)
        self._settings = settings

    async def run(
        self,
        name: DatasetName,
        policy: CompactionPolicy,
        command: Command,
        report: Report,
        *,
        places: Collection[Place] | None = None,
        operation_id: UUID | None = None,
        known: KnownPlan | None = None,
    ) -> TableRun:
        """Do what the policy asks for; with `places` to those partitions alone, and once.

        A plan that is `known` is carried out where it is still what planning would find, which is not done then.
        What fails after something was committed is told in the answer, with what was committed.

        Raises:
            CommitConflictError: others were always faster.
            CommitStateUnknownError: the catalog did not say what became of a commit.
            DatasetForbiddenError: the catalog does not let us change it; nothing was changed.
            UnsupportedTableError: no engine that may compact the table can, or the catalog cannot change it.
            InvalidTablePropertyError: a property of the table on how files are written, or by what, is none.
            MissingExtraError, InvalidSettingError: it is to be done in Spark, which cannot be.
        """
        table = await self._datasets.load(name)
        table_uuid = table.state.table_uuid
        with span("compaction.run", dataset=str(name)):
            async with self._locked(table_uuid):
                report(0.0, f"{name}: planning")
                planned = await self._planning.plan(name, policy, known)
                if planned.table.state.table_uuid != table_uuid:
                    # Dropped and made again while we waited: the lock that is held is of another table.
                    raise CommitConflictError(str(name), 1)
                await self._records.settle_left(table_uuid, planned.table, failure=_GIVEN_UP)
                bins = planned.plan.bins
                if places is not None:
                    planned = planned.only(places)
                engine = self._planning.engine_of(planned, is_whole=places is None)
                if engine is None:
                    report(1.0, f"{name}: nothing to do")
                    return TableRun(before=planned, after=planned)
                is_cut = len(planned.plan.bins) < len(bins)
                done = TableRun(before=planned, after=None, run_id=uuid4(), engine=engine, is_cut=is_cut)
                await self._claim_and_carry_out(done, command, report, operation_id, is_once=places is not None)
                await self._plan_again(done)
                report(1.0, f"{name}: done")
                return done

    async def catch_up(self) -> None:
        """Write down what runs that died before they could have done, to whatever table, also to one that is gone.

        Costs one statement where there are none, else what `Datasets.find_table` does for each of their tables, and
        another statement for each where a run is under way. What cannot be written down now is another time.
        """
        for table_uuid, name in (await self._records.list_open()).items():
            try:
                async with self._changes.lock_compaction(table_uuid, timeout_s=0.0):
                    # A run may have gone on since it was listed, or the table have got another name.
                    table = await self._datasets.find_table(table_uuid, name, is_certain=True)
                    await self._records.settle_left(table_uuid, table, failure=_GIVEN_UP, younger_stay=_MAY_STILL_COME)
            except LockTimeoutError:
                logger.info("%s is being compacted, which is written down after its end", name)
            except _NOT_TOLD_NOW as error:
                logger.warning("a compaction of %s is yet to be written down: %s", name, error.message)

    async def find_last(self, table: LakeTable) -> datetime | None:
        """When all that was to be done of a table last was; None if it never was here."""
        return await self._records.find_last(table.state.table_uuid)

    def _locked(self, table_uuid: UUID) -> AbstractAsyncContextManager[None]:
        return self._changes.lock_compaction(table_uuid, self._settings.lock_timeout_s)

    async def _claim_and_carry_out(
        self, done: TableRun, command: Command, report: Report, operation_id: UUID | None, *, is_once: bool
    ) -> None:
        planned, spark = done.before, None
        claim = RunClaim(run_id=done.id, engine=done.engine, base_id=planned.base.snapshot_id)
        if done.engine is CompactionEngine.LOCAL:
            self._lake.check_writable(planned.table)
        else:
            address = self._spark_address()
            claim = replace(claim, application=await self._lake.find_spark_application(planned, address))
            spark = SparkJob(address=address, claim=claim)
        await self._records.claim(planned.table, claim, command, operation_id)
        # What may still come of a run that is cut short, the next one looks for.
        why_nothing: str | None = None
        try:
            job = self._job(done, command, operation_id, spark, is_once=is_once)
            await self._carry_out(done, job, report)
            why_nothing = _NOTHING
        except AppError as error:
            why_nothing = None if isinstance(error, (StateUnknown, Unavailable)) else error.message
            raise
        finally:
            # Also where whoever asked for it has gone.
            await finished(self._write_down(done, claim, operation_id, why_nothing))

    async def _plan_again(self, done: TableRun) -> None:
        """What was committed is told also where nobody can tell what the table is now."""
        state = done.before.table.state
        try:
            after = await self._planning.plan(state.name, done.before.plan.policy)
        except AppError as error:
            if not done.has_committed:
                raise
            logger.warning("%s was compacted, and cannot be planned for again: %s", state.name, error.message)
            done.why_no_after = error.message
        else:
            if after.table.state.table_uuid == state.table_uuid:
                done.after = after
            else:
                done.why_no_after = "another table has its name now"

    def _spark_address(self) -> SparkAddress:
        remote = self._settings.spark_remote
        if remote is None:
            raise ValueError("Spark was chosen, and there is none")
        return SparkAddress(remote=remote, catalog=self._settings.spark_catalog or self._lake.catalog_name)

    def _job(
        self, done: TableRun, command: Command, operation_id: UUID | None, spark: SparkJob | None, *, is_once: bool
    ) -> CompactionJob:
        from app.lake.compact.jobs import CompactionJob
        from app.lake.compact.running import MAX_ROUNDS

        scratch = self._settings.home / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        return CompactionJob(
            name=str(done.id),
            properties=summary_properties(done.id, command, operation_id),
            scratch=scratch,
            memory_bytes=self._settings.compaction_memory_bytes,
            threads=min(_MAX_THREADS, os.cpu_count() or 1),
            rounds=1 if is_once else MAX_ROUNDS,
            spark=spark,
        )

    async def _carry_out(self, done: TableRun, job: CompactionJob, report: Report) -> None:
        name, plan = done.before.table.state.name, done.before.plan

        def tell(fraction: float) -> None:
            # One that shall not go on is stopped by its task's being cancelled: bins that are made are committed then.
            with suppress(OperationCancelledError):
                report(_PLANNED + (_DONE - _PLANNED) * fraction, message)

        # Spark may not tell for long how far it is: since when it has been at it tells whether to look there.
        where = f" in Spark since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC" if job.spark is not None else ""
        message = f"{name}: {plan.counts.files:,} files, {len(plan.bins):,} bins{where}"
        tell(0.0)
        begun = time.monotonic()
        try:
            done.outcome = await self._lake.compact(done.before, job, tell, done.committed.extend)
        except CommitOutcomeUnknownError as error:
            self._fail(done, CommitStateUnknownError(str(name), str(done.id), str(error)), error)
        except CommitRefusedError as error:
            logger.info("compaction of %s was refused: %s", name, error)
            self._fail(done, giving_up(name, ATTEMPTS, error), error)
        except AppError as error:
            self._fail(done, error, error)
        finally:
            done.duration_s = time.monotonic() - begun

    @staticmethod
    def _fail(done: TableRun, failure: AppError, cause: Exception) -> None:
        if not done.committed:
            raise failure from cause
        logger.warning("compaction of %s ended early: %s", done.before.table.state.name, failure.message)
        done.failure = failure

    async def _write_down(
        self, done: TableRun, claim: RunClaim, operation_id: UUID | None, why_nothing: str | None
    ) -> None:
        """What cannot be written down now is by the next run: the table is compacted all the same."""
        state = done.before.table.state
        try:
            # By its id: what has its name now may be another table. What the run itself knows is true also where it is
            # not certain that the table is gone.
            table = await self._datasets.find_table(state.table_uuid, state.name, is_certain=not done.committed)
            if table is None:
                await self._records.settle_gone(claim, operation_id, done.committed, is_partial=not done.is_whole)
            else:
                await self._records.settle_own(
                    table, claim, operation_id, is_partial=not done.is_whole, failure=why_nothing
                )
        except _NOT_TOLD_NOW as error:
            logger.warning("a compaction of %s is yet to be written down: %s", state.name, error.message)
