"""Compaction of a table in Spark: Iceberg's own procedure, on a Spark that is there.

Spark commits by itself, several times, so that what it has done is found in the table: also where it failed, was
stopped, or could not be asked any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyiceberg.catalog import Catalog

from app.domain.compaction.claims import RunClaim, snapshots_of
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.compaction.packing import Bin
from app.errors import AppError, BackendUnavailableError, CommitConflictError, InvalidSettingError
from app.lake.catalog import reading_files
from app.lake.compact.dangling import drop_dangling_deletes
from app.lake.compact.outcomes import CommittedBin, CompactionOutcome
from app.lake.compact.planning import PlannedTable, plan_current, refuse_obstacle
from app.lake.compact.snapshot_changes import changes_of, committed_bins
from app.lake.compact.spark_progress import SparkProgress
from app.lake.compact.spark_statements import is_sorted, rewrite_statement
from app.lake.metadata_cache import MetadataCache
from app.lake.spark.names import table_name
from app.lake.spark.session import (
    BACKEND,
    SparkAddress,
    SparkRefusedError,
    SparkStoppedError,
    spark_session,
    telling_refusals,
)
from app.lake.table import LakeTable

if TYPE_CHECKING:
    from app.lake.compact.running import OnCommit, OnProgress

_WHY_NOT_COPIED = "Spark copies no files"
# What Iceberg raises where others were faster.
_OVERTAKEN = ("CommitFailedException", "ValidationException", "rewrite commits")


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkJob:
    """Where a table is compacted, and what tells the snapshots of the run."""

    address: SparkAddress
    claim: RunClaim


class SparkCheck:
    """Whether Spark has a table. `run` is called once, in a thread that may block; `stop` from any."""

    def __init__(self, planned: PlannedTable, address: SparkAddress) -> None:
        self._planned = planned
        self._address = address
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let `run` end with SparkStoppedError, soon."""
        self._stopped.set()

    def run(self) -> str | None:
        """The id of the Spark application that would do it; None where it does not tell.

        Raises:
            SparkStoppedError: `stop` was called.
            MissingExtraError, InvalidSettingError, BackendUnavailableError: Spark cannot be reached, or its catalog of
                that name has not this very table.
        """
        with spark_session(self._address.remote, self._stopped) as session:
            return self._ask(session)

    def _ask(self, session: Any) -> str | None:
        name, head = self._planned.table.state.name, self._planned.head
        table = table_name(self._address.catalog, name)
        snapshot_id = -1 if head is None else head.snapshot_id
        try:
            with telling_refusals():
                # Spark's catalogs keep tables for a while.
                session.sql(f"REFRESH TABLE {table}").collect()
                of_snapshot = f"SELECT count(*) FROM {table}.snapshots WHERE snapshot_id = {snapshot_id}"
                ((known,),) = session.sql(of_snapshot).collect()
        except SparkRefusedError as error:
            if self._stopped.is_set():
                # As the session tells it.
                raise
            raise self._not_there(f"has no table {name}: {error.message}") from error
        if not known:
            raise self._not_there(f"has another table of the name {name}: it does not know snapshot {snapshot_id}")
        application: str | None = session.conf.get("spark.app.id", None)
        return application

    def _not_there(self, reason: str) -> InvalidSettingError:
        return InvalidSettingError("STRATIGRAPH_SPARK_CATALOG", f"{self._address.catalog!r} of that Spark {reason}")


class SparkCompactionRun:
    """Compaction of one table. `run` is called once, in a thread that may block; `stop` from any."""

    def __init__(
        self,
        catalog: Catalog,
        load: Callable[[], LakeTable],
        cache: MetadataCache,
        job: SparkJob,
        *,
        properties: Mapping[str, str],
        on_progress: OnProgress,
        on_commit: OnCommit,
    ) -> None:
        self._catalog = catalog
        self._load = load
        self._cache = cache
        self._job = job
        self._properties = properties
        self._on_progress = on_progress
        self._on_commit = on_commit
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let `run` end soon, with what is committed until then."""
        self._stopped.set()

    def run(self, planned: PlannedTable) -> CompactionOutcome:
        """Let Spark do what the policy of the plan asks for, to the table as it is then, and drop the delete files that
        it leaves although they are about nothing any more.

        Raises:
            UnsupportedTableError: Spark cannot compact this table.
            MissingExtraError, InvalidSettingError, BackendUnavailableError: Spark cannot be reached, or failed.
            CommitConflictError, CommitRefusedError: others were always faster.
            CommitOutcomeUnknownError: the catalog did not say.
            DatasetNotFoundError, UnreadableTableError, MissingFileError: what was done cannot be told.
            What was committed before it failed counts all the same.
        """
        refuse_obstacle(planned, CompactionEngine.SPARK)
        failure: AppError | None = None
        is_stopped = False
        try:
            failed = self._call(planned)
            if failed:
                failure = BackendUnavailableError(BACKEND, f"{failed:,} data files could not be rewritten")
        except SparkStoppedError:
            is_stopped = True
        except AppError as error:
            failure = error
        except SparkRefusedError as error:
            is_overtaken = any(text in error.report for text in _OVERTAKEN)
            name = str(planned.table.state.name)
            failure = CommitConflictError(name, 1) if is_overtaken else BackendUnavailableError(BACKEND, error.message)
            failure.__cause__ = error
        outcome = self._find(is_stopped=is_stopped)
        self._on_commit(outcome.committed)
        if failure is not None:
            raise failure
        if is_stopped:
            return outcome
        outcome = replace(outcome, left=self._find_left(planned, outcome))
        dropped = drop_dangling_deletes(
            self._catalog, self._load, str(planned.table.state.table_uuid), self._cache, self._properties
        )
        if dropped.snapshot_id is None:
            return outcome
        return replace(
            outcome,
            dropped_deletes=(*outcome.dropped_deletes, *dropped.paths),
            cleaning_snapshot_ids=(*outcome.cleaning_snapshot_ids, dropped.snapshot_id),
        )

    def _call(self, planned: PlannedTable) -> int:
        """How many files it failed to rewrite: with partial progress it answers although groups of them failed."""
        statement = rewrite_statement(self._job.address.catalog, planned)
        progress = SparkProgress(planned.plan, self._on_progress, is_sorted=is_sorted(planned.table.metadata))
        with spark_session(self._job.address.remote, self._stopped) as session, telling_refusals():
            session.registerProgressHandler(progress)
            (row,) = session.sql(statement).collect()
            return int(row["failed_data_files_count"] or 0)

    def _find_left(self, planned: PlannedTable, outcome: CompactionOutcome) -> tuple[Bin, ...]:
        """What of the plan is still to be done. Where others were faster with a few of its groups, Spark answers as if
        they were done. What others have written since is no part of it. Costs planning, where it did not do all.
        """
        left = _paths_of(planned.plan.bins) - _paths_of(each.some for each in outcome.committed)
        if not left:
            return ()
        bins = plan_current(self._load, planned.plan.policy).plan.bins
        return tuple(some for some in bins if not left.isdisjoint(_paths_of([some])))

    def _find(self, *, is_stopped: bool) -> CompactionOutcome:
        table = self._load()
        committed: list[CommittedBin] = []
        dropped: set[str] = set()
        cleaning: list[int] = []
        with reading_files(table.state.name):
            for made in snapshots_of(self._job.claim, table.state.history):
                snapshot = table.metadata.snapshot_by_id(made.snapshot_id)
                if snapshot is None:
                    raise ValueError(f"{table.state.name} has no snapshot {made.snapshot_id} any more")
                changes = changes_of(table, snapshot)
                dropped |= changes.removed_deletes
                bins = committed_bins(table.metadata, made.snapshot_id, changes, _WHY_NOT_COPIED)
                committed += bins
                if not bins:
                    cleaning.append(made.snapshot_id)
        return CompactionOutcome(
            committed=tuple(committed),
            dropped_deletes=tuple(sorted(dropped)),
            cleaning_snapshot_ids=tuple(cleaning),
            is_stopped=is_stopped,
        )


def _paths_of(bins: Iterable[Bin]) -> set[str]:
    return {found.file.path for some in bins for found in some.files}
