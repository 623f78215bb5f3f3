"""Compaction as JSON: the shapes of REST, the CLI and Python. MB are 1,048,576 bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypedDict

from app.domain.compaction.packing import Bin
from app.domain.compaction.planning import CompactionPlan
from app.domain.compaction.policy import MIB, CompactionPolicy
from app.domain.compaction.ranking import best_bins
from app.domain.names import DatasetName
from app.errors import AppError, JsonValue, NamespaceForbiddenError

# Of each list of a table, in the result of an operation: that of a thousand tables has to be kept and sent.
MAX_LISTED = 100


class PlanEntry(TypedDict):
    """A plan of compaction."""

    needs_compaction: bool
    reason: str
    total_files: int
    total_size_mb: float
    avg_file_size_mb: float
    small_files: int
    min_file_size_mb: int
    delete_files: int
    estimated_files_after: int
    bins: int
    rewrite_size_mb: float
    requests_saved: int


class PolicyEntry(TypedDict):
    """How large files are to be."""

    target_file_size_mb: int
    min_file_size_mb: int
    max_concurrent_files: int
    rewrite_all: bool


class PlannedBinEntry(TypedDict):
    """So many files and bytes of a partition that would be brought together. In which way is known once they are."""

    partition: str
    files: int
    files_after: int
    bytes: int


class ExplainedEntry(PlanEntry):
    """A table with its plan and policy, `verdict` (`NEEDED`, `FINE`, `IN_VAIN`, `EMPTY`), and the same in sentences.

    Of the bins those that make most files fewer come first; there are 100 at most.
    """

    namespace: str
    table: str
    verdict: str
    policy: PolicyEntry
    planned_bins: list[PlannedBinEntry]
    planned_bins_truncated: bool
    explanation: list[str]


class AnalysisEntry(TypedDict):
    """A table with its plan, or the error that there is none for; with both where no engine can carry it out.

    `table` is null where the error is that of a namespace, in which no table can be looked for.
    """

    namespace: str
    table: str | None
    plan: PlanEntry | None
    error: dict[str, JsonValue] | None


class BinEntry(TypedDict):
    """So many files and bytes that were brought together. `why` they were not copied is null where they were."""

    way: str
    partition: str
    files: int
    files_after: int
    bytes: int
    bytes_after: int
    why: str | None
    snapshot_id: str


class StorageEntry(TypedDict):
    """What the table's earlier snapshots still hold until retention runs.

    `earlier_bytes` are those of files that its head does not read; `expirable_bytes` those of them that retention by
    the policy of the settings would free now; `pinned` is what each tag, model or hold alone keeps.
    """

    earlier_bytes: int | None
    expirable_bytes: int
    pinned: dict[str, int]
    pinned_truncated: bool


class TableEntry(TypedDict):
    """What was done to a table, or would be; `plan` is what was found before, null where even that failed.

    In a dry run `files_after` is as planned, `size_after_mb` what it is now, and `planned_bins` are what would be done,
    100 at most, those that make most files fewer first; else `bins` are what was done. `engine` is what did it, or
    would: `local` or `spark`. `overtaken_bins` were changed by others each time they were made; `leftover_files` could
    not be removed, and are in no snapshot. `skipped` says why nothing was done, `error` what failed; `is_partial` is
    true where some of what is done is not all that was to be done.

    `table` is null where the error is that of a namespace, in which no table can be looked for.
    """

    namespace: str
    table: str | None
    dry_run: bool
    plan: PlanEntry | None
    engine: str | None
    files_before: int
    files_after: int
    size_before_mb: float
    size_after_mb: float
    duration_s: float
    planned_bins: list[PlannedBinEntry]
    planned_bins_truncated: bool
    bins: list[BinEntry]
    bins_truncated: bool
    snapshot_id: str | None
    snapshot_ids: list[str]
    dropped_delete_files: int
    overtaken_bins: int
    leftover_files: list[str]
    leftover_files_truncated: bool
    storage: StorageEntry | None
    warnings: list[str]
    run_id: str | None
    skipped: str | None
    is_partial: bool
    error: dict[str, JsonValue] | None


class SummaryEntry(TypedDict):
    """All tables of a run, in the order in which they were done: those that gain most first."""

    tables: list[TableEntry]
    files_before: int
    files_after: int
    size_before_mb: float
    size_after_mb: float


def plan_entry(plan: CompactionPlan) -> PlanEntry:
    """A plan."""
    counts = plan.counts
    return PlanEntry(
        needs_compaction=plan.needs_compaction,
        reason=plan.reason,
        total_files=counts.files,
        total_size_mb=to_mb(counts.size_bytes),
        avg_file_size_mb=to_mb(float(counts.average_bytes)),
        small_files=counts.small_files,
        min_file_size_mb=plan.policy.min_file_size_mb,
        delete_files=counts.delete_files,
        estimated_files_after=plan.files_after,
        bins=len(plan.bins),
        rewrite_size_mb=to_mb(plan.bytes_to_rewrite),
        requests_saved=plan.requests_saved,
    )


def policy_entry(policy: CompactionPolicy) -> PolicyEntry:
    """A policy."""
    return PolicyEntry(
        target_file_size_mb=policy.target_file_size_mb,
        min_file_size_mb=policy.min_file_size_mb,
        max_concurrent_files=policy.max_concurrent_files,
        rewrite_all=policy.rewrite_all,
    )


def explained_entry(name: DatasetName, plan: CompactionPlan, explanation: list[str]) -> ExplainedEntry:
    """A table with its plan in full."""
    return ExplainedEntry(
        namespace=name.namespace,
        table=name.name,
        verdict=plan.verdict.value,
        **plan_entry(plan),
        policy=policy_entry(plan.policy),
        planned_bins=planned_bin_entries(plan.bins),
        planned_bins_truncated=len(plan.bins) > MAX_LISTED,
        explanation=explanation,
    )


def analysis_entry(name: DatasetName, plan: CompactionPlan | None, error: AppError | None = None) -> AnalysisEntry:
    """A table that was looked at."""
    return AnalysisEntry(
        namespace=name.namespace,
        table=name.name,
        plan=None if plan is None else plan_entry(plan),
        error=None if error is None else error_entry(error),
    )


def planned_entry(name: DatasetName, plan: CompactionPlan, *, dry_run: bool) -> TableEntry:
    """A table to which nothing is done: what would be, in a dry run."""
    entry = blank_entry(name, dry_run=dry_run)
    size_mb = to_mb(plan.counts.size_bytes)
    entry["plan"] = plan_entry(plan)
    entry["files_before"] = plan.counts.files
    entry["files_after"] = plan.files_after if dry_run else plan.counts.files
    entry["size_before_mb"] = entry["size_after_mb"] = size_mb
    return entry


def planned_bin_entries(bins: Collection[Bin]) -> list[PlannedBinEntry]:
    """The best of these bins, as many as are listed."""
    return [
        PlannedBinEntry(
            partition=some.place.partition, files=len(some.files), files_after=some.outputs, bytes=some.size_bytes
        )
        for some in best_bins(bins, MAX_LISTED)
    ]


def failed_entry(name: DatasetName, error: AppError, *, dry_run: bool) -> TableEntry:
    """A table that could not be planned for or compacted."""
    entry = blank_entry(name, dry_run=dry_run)
    entry["error"] = error_entry(error)
    return entry


def hidden_entry(error: NamespaceForbiddenError, *, dry_run: bool) -> TableEntry:
    """A namespace whose tables could not be listed."""
    entry = _blank(str(error.fields["namespace"]), None, dry_run=dry_run)
    entry["error"] = error_entry(error)
    return entry


def hidden_analysis_entry(error: NamespaceForbiddenError) -> AnalysisEntry:
    """A namespace whose tables could not be listed, and so are not looked at."""
    return AnalysisEntry(namespace=str(error.fields["namespace"]), table=None, plan=None, error=error_entry(error))


def error_entry(error: AppError) -> dict[str, JsonValue]:
    """What failed, as the faces tell errors."""
    return {"code": error.code, "message": error.message, **error.fields}


def blank_entry(name: DatasetName, *, dry_run: bool) -> TableEntry:
    """A table of which nothing is known yet."""
    return _blank(name.namespace, name.name, dry_run=dry_run)


def _blank(namespace: str, table: str | None, *, dry_run: bool) -> TableEntry:
    return TableEntry(
        namespace=namespace,
        table=table,
        dry_run=dry_run,
        plan=None,
        engine=None,
        files_before=0,
        files_after=0,
        size_before_mb=0.0,
        size_after_mb=0.0,
        duration_s=0.0,
        planned_bins=[],
        planned_bins_truncated=False,
        bins=[],
        bins_truncated=False,
        snapshot_id=None,
        snapshot_ids=[],
        dropped_delete_files=0,
        overtaken_bins=0,
        leftover_files=[],
        leftover_files_truncated=False,
        storage=None,
        warnings=[],
        run_id=None,
        skipped=None,
        is_partial=False,
        error=None,
    )


def cut_entry(entry: TableEntry, limit: int = MAX_LISTED) -> TableEntry:
    """The entry with at most so many items in each list."""
    entry = entry.copy()
    entry["bins_truncated"] = entry["bins_truncated"] or len(entry["bins"]) > limit
    entry["bins"] = entry["bins"][:limit]
    entry["leftover_files_truncated"] = entry["leftover_files_truncated"] or len(entry["leftover_files"]) > limit
    entry["leftover_files"] = entry["leftover_files"][:limit]
    if (storage := entry["storage"]) is not None:
        costly = sorted(storage["pinned"].items(), key=lambda pin: (-pin[1], pin[0]))
        entry["storage"] = StorageEntry(
            **{
                **storage,
                "pinned": dict(costly[:limit]),
                "pinned_truncated": storage["pinned_truncated"] or len(costly) > limit,
            }
        )
    return entry


def summary_entry(tables: Sequence[TableEntry]) -> SummaryEntry:
    """All tables together; those that failed count with what is known of them."""
    return SummaryEntry(
        tables=list(tables),
        files_before=sum(table["files_before"] for table in tables),
        files_after=sum(table["files_after"] for table in tables),
        size_before_mb=round(sum(table["size_before_mb"] for table in tables), 2),
        size_after_mb=round(sum(table["size_after_mb"] for table in tables), 2),
    )


def to_mb(size_bytes: float) -> float:
    """Bytes in MB of 1,048,576, to two places."""
    return round(size_bytes / MIB, 2)
