"""The difference of two versions of datasets in rows: looked up, found at once, or too large to wait for."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from app.domain.column_stats import ColumnStatsDelta, pair_stats
from app.domain.file_diffs import FileDiff
from app.domain.row_diffs import KEPT_SAMPLES, RowDiff, RowDiffRequest
from app.domain.version_relation import Kinship, relate
from app.domain.versions import ResolvedVersion, closest
from app.errors import BackendUnavailableError, DiffTooLargeError, UnknownColumnError, UnsupportedTableError
from app.lake.row_diff.planning import RowDiffPlan, TableVersion
from app.lake.row_diff.resources import Resources
from app.lake.row_diff.spark.columns import is_readable
from app.lake.spark.session import SparkAddress
from app.lake.store import Lake
from app.lake.table import are_of_one_table
from app.registry.row_diffs import RowDiffCache
from app.services.comparing import ComparedVersions
from app.services.shared_work import SharedWork
from app.settings import Settings

# Goes up whenever the same versions would have another answer than before.
_RULES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDiffAnswer:
    """A difference, and whether it had been found before: what it tells of reading is then of that time."""

    diff: RowDiff
    is_cached: bool


class RowDiffs:
    """Compares rows; at most `diffs_at_once` comparisons at a time."""

    def __init__(self, lake: Lake, cache: RowDiffCache, settings: Settings) -> None:
        self._lake = lake
        self._cache = cache
        self._settings = settings
        self._turns = asyncio.Semaphore(settings.diffs_at_once)
        self._shared: SharedWork[RowDiff] = SharedWork()

    async def compare(self, compared: ComparedVersions, request: RowDiffRequest) -> RowDiffAnswer:
        """The difference of two versions, of one table or of two.

        Costs reading manifests, and the data files that differ; nothing but one statement, where it was found before,
        be it with a larger sample. Looked for is a sample of the next of `KEPT_SAMPLES`.

        Raises:
            DiffTooLargeError: it would read more than `diff_sync_budget_bytes`.
            BackendUnavailableError: so many others are under way that its turn does not come in time.
            UnknownColumnError, InvalidArgumentError: a key that is none.
            UnsupportedTableError, SnapshotExpiredError, RowDiffMemoryError: it cannot be told.
            MissingFileError, UnreadableTableError: a file is missing or broken.
        """
        before, after = table_versions(compared)
        found = await self._find(before, after, request)
        if found is not None:
            return RowDiffAnswer(diff=found, is_cached=True)
        kept = _as_kept(request)
        key = diff_key(before, after, kept)

        async def work() -> RowDiff:
            plan = await self._plan(before, after, kept)
            limit_bytes = self._settings.diff_sync_budget_bytes
            if plan.size_bytes > limit_bytes:
                raise DiffTooLargeError(str(after.table.state.name), plan.size_bytes, limit_bytes)
            diff = await self._in_turn(plan, lambda: self._run(plan, None))
            await self._cache.keep(key, after.table.state.table_uuid, diff)
            return diff

        diff = await self._shared.do(key, work)
        return RowDiffAnswer(diff=diff.with_sample(request.sample_size), is_cached=False)

    async def check(self, compared: ComparedVersions, request: RowDiffRequest) -> None:
        """That the rows can be compared as asked, from metadata alone. Raises as `compare`, but for the reading."""
        await self._lake.check_row_diff(*table_versions(compared), request)

    async def files(self, compared: ComparedVersions) -> FileDiff:
        """What files two versions of one table differ in; costs reading manifests.

        Raises:
            UnsupportedTableError: they are of two tables, or rows are deleted by value.
            MissingFileError, UnreadableTableError, SnapshotExpiredError: it cannot be told.
        """
        before, after = table_versions(compared)
        kinship = kinship_of(before, after)
        if kinship is None:
            raise UnsupportedTableError(
                str(after.table.state.name), "files of two tables", "only versions of one table have files in common"
            )
        return await self._lake.diff_files(after.table, before.snapshot_id, after.snapshot_id, kinship)

    async def are_same(self, compared: ComparedVersions) -> bool:
        """Whether two versions are known to have the same rows, from metadata alone; raises as `files`.

        A rewrite that applied deletes by value is taken at its word: its rows cannot be counted.
        """
        before, after = table_versions(compared)
        kinship = kinship_of(before, after)
        if kinship is None:
            return False
        try:
            files = await self.files(compared)
        except UnsupportedTableError:
            if kinship.is_rewrite:
                return True
            raise
        return files.is_empty or files.is_rewritten_only

    async def stats(self, compared: ComparedVersions, names: Sequence[str] | None) -> list[ColumnStatsDelta]:
        """The statistics of the named columns (None: all leaves) on both sides; costs reading their data manifests.

        A name may be of one version only. Columns are matched by field id, those of two tables by name.

        Raises:
            UnknownColumnError: a name that neither version has.
        """
        sides = table_versions(compared)
        known = [_paths(side) for side in sides]
        for name in names or ():
            if not any(name in paths for paths in known):
                every = sorted(known[0] | known[1])
                raise UnknownColumnError(str(compared.after.table.state.name), name[:120], closest(name, every))
        found = []
        for side, paths in zip(sides, known, strict=True):
            wanted = None if names is None else [name for name in names if name in paths]
            is_none = wanted is not None and not wanted
            found.append([] if is_none else await self._lake.column_stats(side.table, side.snapshot_id, wanted))
        return pair_stats(*found, by_id=compared.is_one_table)

    async def compare_at_any_cost(
        self,
        before: TableVersion,
        after: TableVersion,
        request: RowDiffRequest,
        on_progress: Callable[[float], None],
    ) -> RowDiffAnswer:
        """As `compare`, however much it reads; `on_progress` gets the share of the work, from another thread.

        What reads more than `diff_spark_bytes` runs in Spark, where there is one that can read both versions.

        Raises:
            MissingExtraError, InvalidSettingError, BackendUnavailableError: it was to run in Spark, which failed.
        """
        found = await self._find(before, after, request)
        if found is not None:
            return RowDiffAnswer(diff=found, is_cached=True)
        kept = _as_kept(request)
        plan = await self._lake.plan_row_diff(before, after, kept, kinship_of(before, after), is_waited_for=False)
        async with self._turns:
            diff = await self._run_anywhere(before, after, plan, on_progress)
        await self._cache.keep(diff_key(before, after, kept), after.table.state.table_uuid, diff)
        return RowDiffAnswer(diff=diff.with_sample(request.sample_size), is_cached=False)

    async def _find(self, before: TableVersion, after: TableVersion, request: RowDiffRequest) -> RowDiff | None:
        """The difference where it was found before, with a sample that is large enough or has all rows."""
        enough = request.kept_sizes
        # Of the smaller ones the largest: where that has not all rows, no other has.
        smaller = [size for size in reversed(KEPT_SAMPLES) if size not in enough]
        keys = [diff_key(before, after, replace(request, sample_size=size)) for size in (*enough, *smaller)]
        found = await self._cache.find(keys)
        if found is None:
            return None
        place, diff = found
        if place >= len(enough) and diff.sample.is_truncated:
            return None
        return diff.with_sample(request.sample_size)

    async def _plan(self, before: TableVersion, after: TableVersion, request: RowDiffRequest) -> RowDiffPlan:
        return await self._lake.plan_row_diff(before, after, request, kinship_of(before, after))

    async def _in_turn(self, plan: RowDiffPlan, run: Callable[[], Awaitable[RowDiff]]) -> RowDiff:
        """Run a comparison when its turn comes; what joins no rows needs none."""
        if not plan.to_join:
            return await run()
        try:
            async with asyncio.timeout(self._settings.lake_timeout_s):
                await self._turns.acquire()
        except TimeoutError as error:
            reason = f"{self._settings.diffs_at_once} comparisons are under way, and none ended in time"
            raise BackendUnavailableError("comparing rows", reason) from error
        try:
            return await run()
        finally:
            self._turns.release()

    async def _run_anywhere(
        self, before: TableVersion, after: TableVersion, plan: RowDiffPlan, on_progress: Callable[[float], None]
    ) -> RowDiff:
        remote = self._settings.spark_remote
        is_large = plan.size_bytes > self._settings.diff_spark_bytes
        if remote is None or not is_large or not (is_readable(before) and is_readable(after)):
            return await self._run(plan, on_progress)
        address = SparkAddress(remote=remote, catalog=self._settings.spark_catalog or self._lake.catalog_name)
        return await self._lake.run_row_diff_in_spark(plan, before, after, address, on_progress)

    async def _run(self, plan: RowDiffPlan, on_progress: Callable[[float], None] | None) -> RowDiff:
        scratch = self._settings.home / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        resources = Resources(
            scratch=scratch, memory_bytes=self._settings.diff_memory_bytes, threads=min(4, os.cpu_count() or 1)
        )
        return await self._lake.run_row_diff(plan, resources, on_progress)


def table_versions(compared: ComparedVersions) -> tuple[TableVersion, TableVersion]:
    """Both sides as the lake compares them."""
    before, after = compared.before, compared.after
    return TableVersion.of(before.table, before.version), TableVersion.of(after.table, after.version)


def kinship_of(before: TableVersion, after: TableVersion) -> Kinship | None:
    """How the two are related; None where they are of two tables."""
    if not are_of_one_table(before.table, before.snapshot_id, after.table, after.snapshot_id):
        return None
    return relate(after.table.state.history, before.snapshot_id, after.snapshot_id)


def diff_key(before: TableVersion, after: TableVersion, request: RowDiffRequest) -> bytes:
    """All that an answer depends on, as a digest: the same for ever, as snapshots and schemas never change."""
    sides = [side.identity for side in (before, after)]
    keys = None if request.keys is None else list(request.keys)
    # Escaped to ASCII: a key that argv spells in what is no UTF-8 is a column that there is not, and no reason to fail.
    text = json.dumps([_RULES, sides, keys, request.sample_size], separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def _as_kept(request: RowDiffRequest) -> RowDiffRequest:
    return replace(request, sample_size=request.kept_sizes[0])


def _paths(side: TableVersion) -> set[str]:
    # Statistics are those of a snapshot in its own schema, whatever the reference was.
    state = side.table.state
    own = state.schema_of(ResolvedVersion(snapshot_id=side.snapshot_id, uses_current_schema=False))
    return {field.path for field in own.walk()}
