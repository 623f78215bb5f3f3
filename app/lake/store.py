"""The lake as the services see it: asynchronous, in this project's words, a span at its border."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
from pyiceberg.catalog import Catalog

from app.domain.column_stats import ColumnStats
from app.domain.compaction.policy import CompactionPolicy
from app.domain.expiry import Expiry
from app.domain.file_diffs import FileDiff
from app.domain.names import DatasetName
from app.domain.ref_plans import RefPlan
from app.domain.row_diffs import RowDiff, RowDiffRequest
from app.domain.version_relation import Kinship
from app.domain.versions import ResolvedVersion
from app.lake import recovery, statistics
from app.lake.catalog import open_configured_catalog, open_embedded_catalog, reading_files, translated_errors
from app.lake.commits import check_writable, commit_plan
from app.lake.compact.planning import KnownPlan, PlannedTable, plan_current
from app.lake.expire.commit import BaseJudgement, ExpiryCommit, commit_expiry, judge_base
from app.lake.expire.deletion import Deletion, delete_files
from app.lake.expire.reachable import ExpiryPlan, measure_expiry, still_unreachable
from app.lake.file_diffs import diff_files
from app.lake.metadata_cache import MetadataCache
from app.lake.names import Listing, list_all_names, list_names_of
from app.lake.neighbours import Neighbours, list_neighbours
from app.lake.orphans import find_orphans
from app.lake.reading import RowRequest, RowStream, plan_scan
from app.lake.row_diff.columns import compared_columns
from app.lake.row_diff.planning import RowDiffPlan, TableVersion, plan_row_diff
from app.lake.row_diff.resources import Resources
from app.lake.table import LakeTable, to_state
from app.lake.threads import LakeThreads
from app.settings import Settings
from app.telemetry.tracing import span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.domain.orphans import Orphan, OrphanTally
    from app.lake.compact.jobs import CompactionJob
    from app.lake.compact.outcomes import CompactionOutcome
    from app.lake.compact.running import OnCommit, OnProgress
    from app.lake.sample.lineage import MadeSnapshot
    from app.lake.sample.load import SampleReport, SampleStep
    from app.lake.sample.models import SampleModel, TrainedModel
    from app.lake.sample.tags import SampleTag
    from app.lake.spark.session import SparkAddress

Answer = TypeVar("Answer")


class Lake:
    """All Iceberg tables of one catalog."""

    def __init__(self, catalog: Catalog, cache: MetadataCache, threads: LakeThreads) -> None:
        self._catalog = catalog
        self._cache = cache
        self._threads = threads

    @classmethod
    async def open(cls, settings: Settings, database_url: str) -> Lake:
        """Connect to the catalog that the settings name.

        Raises:
            InvalidSettingError: it is not configured rightly.
            BackendUnavailableError: it does not answer.
        """
        threads = LakeThreads(settings.lake_threads, timeout_s=settings.lake_timeout_s)
        cache = MetadataCache(settings.metadata_cache_bytes)
        try:
            if settings.catalog is None:
                warehouse = f"file://{settings.warehouse}"  # pyiceberg takes paths unescaped
                catalog = await threads.run(open_embedded_catalog, database_url, warehouse, cache)
            else:
                catalog = await threads.run(open_configured_catalog, settings.catalog, cache)
        except BaseException:
            threads.close()
            raise
        return cls(catalog, cache, threads)

    async def close(self) -> None:
        """Give back threads and connections."""
        self._threads.close()
        self._catalog.close()

    @property
    def catalog_name(self) -> str:
        """The catalog's name in pyiceberg's configuration."""
        return str(self._catalog.name)

    async def list_names(self, namespace: str | None = None) -> list[DatasetName]:
        """The names of all tables, or of those in one namespace (not in those below it), sorted.

        Costs as `app.lake.names.list_all_names` and `list_names_of`.

        Raises:
            NamespaceNotFoundError: no such namespace.
            NamespaceForbiddenError: the catalog does not tell what is in it; of all, what is in one of them.
            BackendUnavailableError: the catalog does not answer.
        """
        if namespace is None:
            listing = await self.list_visible()
            if listing.hidden:
                raise listing.hidden[0]
            return listing.names
        with span("catalog.list_tables", namespace=namespace):
            return await self._threads.run(list_names_of, self._catalog, namespace)

    async def list_visible(self) -> Listing:
        """All tables whose names the catalog tells, and where it does not; raises as `list_all_names`."""
        with span("catalog.list_tables", namespace=""):
            return await self._threads.run(list_all_names, self._catalog)

    async def load(self, name: DatasetName) -> LakeTable:
        """The table as it is now.

        Costs one catalog call, and reading the metadata file where its location is new to us.

        Raises:
            DatasetNotFoundError, DatasetForbiddenError: no such table, or none that we may look at.
            UnreadableTableError: its metadata is missing or broken.
            BackendUnavailableError: the catalog does not answer.
        """
        with span("catalog.load_table", dataset=str(name)):
            return await self._threads.run(self._load, name)

    async def commit(self, table: LakeTable, plan: RefPlan) -> LakeTable:
        """Commit a plan; raises as `app.lake.commits.commit_plan`."""
        with span("catalog.commit_table", dataset=str(table.state.name)):
            return await self._threads.run_to_end(commit_plan, self._catalog, table, plan, self._cache)

    def check_writable(self, table: LakeTable) -> None:
        """That refs of this table can be changed here. Raises UnsupportedTableError."""
        check_writable(self._catalog, table)

    async def find_commit(
        self, table: LakeTable, plan: RefPlan, base_location: str, *, claimed: Collection[str] = ()
    ) -> tuple[recovery.Finding, str | None]:
        """Whether a plan decided on `base_location` was committed; see `app.lake.recovery.find_commit`."""
        with span("lake.find_commit", dataset=str(table.state.name)):
            return await self._threads.run(self._find_commit, table, plan, base_location, claimed)

    async def measure_expiry(
        self,
        table: LakeTable,
        snapshot_ids: Collection[int],
        removed_refs: Collection[str] = (),
        holders: Mapping[str, Collection[int]] | None = None,
        neighbours: Neighbours | None = None,
    ) -> ExpiryPlan:
        """What taking snapshots out frees; raises as `app.lake.expire.reachable.measure_expiry`."""
        with span("lake.measure_expiry", dataset=str(table.state.name), snapshots=len(snapshot_ids)):
            return await self._threads.run_to_end(
                measure_expiry, table, snapshot_ids, removed_refs, holders, neighbours or {}
            )

    async def commit_expiry(self, table: LakeTable, expiry: Expiry) -> ExpiryCommit:
        """Take snapshots out, and delete nothing; raises as `app.lake.expire.commit.commit_expiry`."""
        with span("catalog.commit_expiry", dataset=str(table.state.name)):
            return await self._threads.run_to_end(commit_expiry, self._catalog, table, expiry, self._cache)

    async def judge_base(self, table: LakeTable, expiry: Expiry) -> BaseJudgement:
        """What an expiry that is done was applied to; see `app.lake.expire.commit.judge_base`."""
        with span("lake.judge_base", dataset=str(table.state.name)):
            return await self._threads.run(judge_base, table, expiry, self._cache)

    async def still_unreachable(self, table: LakeTable, paths: Sequence[str]) -> list[str]:
        """Which of the files nothing reaches now; raises as `app.lake.expire.reachable.still_unreachable`."""
        with span("lake.still_unreachable", dataset=str(table.state.name), files=len(paths)):
            return await self._threads.run_to_end(still_unreachable, table, paths)

    async def delete_files(
        self, table: LakeTable, paths: Sequence[str], on_progress: Callable[[int], None] | None = None
    ) -> Deletion:
        """Delete these files; see `app.lake.expire.deletion.delete_files`.

        Where the caller is cancelled the batches under way are waited for, and no other is begun.
        """
        stopped = threading.Event()
        with span("lake.delete_files", dataset=str(table.state.name), files=len(paths)):
            return await self._run_stoppable(
                lambda: delete_files(table.io, paths, on_progress=on_progress, is_stopped=stopped.is_set), stopped.set
            )

    async def list_neighbours(self) -> Neighbours:
        """Where each table of the catalog has its files. Costs loading all of them.

        Raises:
            UnreadableTableError: one cannot be loaded, and the catalog itself does not say where it is.
            BackendUnavailableError: the catalog does not answer.
        """
        with span("catalog.list_neighbours"):
            return await self._threads.run_to_end(
                list_neighbours, self._catalog, lambda: list_all_names(self._catalog), self._load, self._cache
            )

    async def find_orphans(
        self,
        table: LakeTable,
        neighbours: Neighbours,
        modified_before_ms: int,
        take: Callable[[list[Orphan]], None],
    ) -> OrphanTally:
        """Files that the table does not reach, given to `take` in a thread; see `app.lake.orphans.find_orphans`.

        Where the caller is cancelled the listing is stopped, and waited for.
        """
        stopped = threading.Event()
        with span("lake.find_orphans", dataset=str(table.state.name)):
            return await self._run_stoppable(
                lambda: find_orphans(table, neighbours, modified_before_ms, take, is_stopped=stopped.is_set),
                stopped.set,
            )

    async def plan_compaction(
        self, name: DatasetName, policy: CompactionPolicy, known: KnownPlan | None = None
    ) -> PlannedTable:
        """What compaction would do to the head of main, as is `known` if that is still so.

        Raises: as `load` and `app.lake.compact.planning.plan_table`.
        """
        with span("lake.plan_compaction", dataset=str(name)):
            return await self._threads.run_to_end(plan_current, lambda: self._load(name), policy, known=known)

    async def compact(
        self, planned: PlannedTable, job: CompactionJob, on_progress: OnProgress, on_commit: OnCommit
    ) -> CompactionOutcome:
        """Carry a plan out, told of in threads; raises as `app.lake.compact.jobs.carry_out`.

        Where the caller is cancelled the run is stopped, and waited for: `on_commit` has told then what was committed.
        """
        # Imported where it is needed: it takes a while.
        from app.lake.compact.jobs import carry_out, prepare_run

        name = planned.table.state.name
        with span("lake.compact", dataset=str(name), bytes=planned.plan.bytes_to_rewrite):
            run = prepare_run(
                self._catalog,
                lambda: self._load(name),
                self._cache,
                job,
                on_progress=on_progress,
                on_commit=on_commit,
            )
            return await self._run_stoppable(lambda: carry_out(run, planned), run.stop)

    async def find_spark_application(self, planned: PlannedTable, address: SparkAddress) -> str | None:
        """The id of the Spark that has this very table; raises as `app.lake.compact.spark.SparkCheck.run`."""
        from app.lake.compact.spark import SparkCheck

        with span("lake.find_spark_application", dataset=str(planned.table.state.name)):
            check = SparkCheck(planned, address)
            return await self._run_stoppable(check.run, check.stop)

    async def stream_rows(self, table: LakeTable, version: ResolvedVersion, request: RowRequest) -> RowStream:
        """Plan a read; the rows come as the stream is read. Raises as `app.lake.reading.plan_scan`."""
        with span("lake.plan_scan", dataset=str(table.state.name)):
            scan = await self._threads.run(plan_scan, table, version, request)
        return RowStream(scan, request.limit, self._threads)

    async def plan_row_diff(
        self,
        before: TableVersion,
        after: TableVersion,
        request: RowDiffRequest,
        kinship: Kinship | None,
        *,
        is_waited_for: bool = True,
    ) -> RowDiffPlan:
        """What comparing the rows of two versions takes; raises as `app.lake.row_diff.planning.plan_row_diff`.

        Where nobody waits for it, it may take as long as it takes.
        """
        run = self._threads.run if is_waited_for else self._threads.run_to_end
        with span("lake.plan_row_diff", dataset=str(after.table.state.name)):
            return await run(plan_row_diff, before, after, request, kinship)

    async def check_row_diff(self, before: TableVersion, after: TableVersion, request: RowDiffRequest) -> None:
        """That two versions have columns to compare; raises as `app.lake.row_diff.columns.compared_columns`."""
        with span("lake.check_row_diff", dataset=str(after.table.state.name)):
            await self._threads.run(compared_columns, before.columns, after.columns, request.keys)

    async def run_row_diff(
        self, plan: RowDiffPlan, resources: Resources, on_progress: Callable[[float], None] | None = None
    ) -> RowDiff:
        """Compare the rows as planned; raises as `app.lake.row_diff.running.RowDiffRun.run`.

        Where the caller is cancelled the comparison is stopped, and waited for.
        """
        # Imported where it is needed: its engine takes a while.
        from app.lake.row_diff.running import RowDiffRun

        with span("lake.run_row_diff", dataset=str(plan.to_side.table.state.name), bytes=plan.size_bytes):
            comparison = RowDiffRun(plan, resources, on_progress)
            return await self._run_stoppable(comparison.run, comparison.stop)

    async def run_row_diff_in_spark(
        self,
        plan: RowDiffPlan,
        before: TableVersion,
        after: TableVersion,
        address: SparkAddress,
        on_progress: Callable[[float], None] | None = None,
    ) -> RowDiff:
        """As `run_row_diff`, in Spark; raises as `app.lake.row_diff.spark.running.SparkRowDiffRun.run`."""
        from app.lake.row_diff.spark.running import SparkRowDiffRun

        with span("lake.run_row_diff_in_spark", dataset=str(after.table.state.name), bytes=plan.size_bytes):
            comparison = SparkRowDiffRun(plan, before, after, address, on_progress)
            return await self._run_stoppable(comparison.run, comparison.stop)

    async def diff_files(self, table: LakeTable, from_id: int, to_id: int, kinship: Kinship) -> FileDiff:
        """What files two versions differ in; raises as `app.lake.file_diffs.diff_files`."""
        with span("lake.diff_files", dataset=str(table.state.name)):
            return await self._threads.run(diff_files, table, from_id, to_id, kinship)

    async def column_stats(self, table: LakeTable, snapshot_id: int, names: Sequence[str] | None) -> list[ColumnStats]:
        """Statistics from manifests; raises as `app.lake.statistics.column_stats`."""
        with span("lake.column_stats", dataset=str(table.state.name)):
            return await self._threads.run(statistics.column_stats, table, snapshot_id, names)

    async def load_sample(
        self, work_dir: Path, scale: float, progress: Callable[[SampleStep], None]
    ) -> tuple[SampleReport, list[tuple[SampleTag, int]]]:
        """Build the sample lake; answers what was built and which tags belong on which snapshots."""
        from app.lake.sample.load import load_sample_lake
        from app.lake.sample.tags import find_sample_targets

        with translated_errors():
            report = await self._threads.run_to_end(
                lambda: load_sample_lake(self._catalog, work_dir, scale=scale, progress=progress)
            )
            return report, await self._threads.run(find_sample_targets, self._catalog)

    @property
    def properties(self) -> Mapping[str, str]:
        """The catalog's properties, credentials of object stores among them."""
        return self._catalog.properties

    async def find_sample_snapshots(self) -> dict[tuple[str, str], MadeSnapshot]:
        """What each step of the sample lake's history left, by (dataset, step)."""
        from app.lake.sample.lineage import find_made

        with translated_errors():
            return await self._threads.run(find_made, self._catalog)

    async def train_sample_model(self, plan: SampleModel) -> TrainedModel | None:
        """Train a model of the sample; None where its snapshot is not there."""
        from app.lake.sample.models import train

        with translated_errors():
            return await self._threads.run_to_end(lambda: train(self._catalog, plan))

    async def _run_stoppable(self, call: Callable[[], Answer], stop: Callable[[], None]) -> Answer:
        running = self._threads.begin(call)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            stop()
            # The scope is for callers under anyio, which cancels again at every await.
            with anyio.CancelScope(shield=True):
                await asyncio.wait([running])
            # Looked at, or asyncio would complain that nobody did.
            running.exception()
            raise

    def _load(self, name: DatasetName) -> LakeTable:
        with reading_files(name):
            handle = self._catalog.load_table((*name.namespace.split("."), name.name))
            location = handle.metadata_location
            state = self._cache.find_state(location, str(name))
            if state is None:
                state = to_state(handle.metadata, location, name)
                self._cache.put_state(state)
        return LakeTable(state=state, handle=handle)

    def _find_commit(
        self, table: LakeTable, plan: RefPlan, base: str, claimed: Collection[str]
    ) -> tuple[recovery.Finding, str | None]:
        with translated_errors(table.state.name):
            return recovery.find_commit(table, plan, base, self._cache, claimed=claimed)
