"""What compaction would do to a table, and the same in sentences; nothing is changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypedDict

from app.domain.compaction.explaining import explain_plan
from app.domain.compaction.planning import CompactionPlan
from app.domain.compaction.policy import MIB, CompactionPolicy
from app.domain.compaction.ranking import Ranked, benefit_of, rank
from app.domain.names import DatasetName
from app.errors import AppError, BackendUnavailableError, JsonValue
from app.lake.compact.planning import PlannedTable
from app.lake.store import Lake
from app.services.datasets import Datasets

logger = logging.getLogger(__name__)


class PlanEntry(TypedDict):
    """A plan of compaction, as JSON; MB are 1,048,576 bytes."""

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


class TableEntry(TypedDict):
    """A table with its plan, or with the error that there is none for."""

    namespace: str
    table: str
    plan: PlanEntry | None
    error: dict[str, JsonValue] | None


class CompactionPlanning:
    """Plans compactions.

    Every method raises DatasetNotFoundError, UnsupportedTableError (format version 3; rows deleted by value),
    MissingFileError, UnreadableTableError and BackendUnavailableError.
    """

    def __init__(self, lake: Lake, datasets: Datasets) -> None:
        self._lake = lake
        self._datasets = datasets

    def default_policy(self) -> CompactionPolicy:
        """The policy where nothing else is asked for."""
        return CompactionPolicy()

    async def plan(self, name: DatasetName, policy: CompactionPolicy) -> PlannedTable:
        """The plan for the head of main. Costs reading its manifests."""
        return await self._lake.plan_compaction(await self._datasets.load(name), policy)

    async def survey(self, names: Sequence[DatasetName], policy: CompactionPolicy) -> list[TableEntry]:
        """The plans of these tables, those that gain most for what is rewritten first, then those that fail.

        Raises:
            BackendUnavailableError: the catalog does not answer; what fails at one table is told with it.
        """
        ranked: list[Ranked[CompactionPlan]] = []
        failed: list[TableEntry] = []
        named = {str(name): name for name in names}
        for name in names:
            try:
                plan = (await self.plan(name, policy)).plan
            except BackendUnavailableError:
                raise
            except AppError as error:
                logger.warning("%s cannot be planned for: %s", name, error.message)
                failed.append(_entry(name, None, error))
            else:
                ranked.append(Ranked(name=str(name), of=plan, benefit=benefit_of(plan.bins)))
        return [*(_entry(named[each.name], each.of) for each in rank(ranked)), *failed]

    async def explain(self, name: DatasetName, policy: CompactionPolicy) -> list[str]:
        """Whether it would help, and why files stay as they are."""
        planned = await self.plan(name, policy)
        return explain_plan(planned.plan, planned.table_files)


def plan_entry(plan: CompactionPlan) -> PlanEntry:
    """A plan as JSON."""
    counts = plan.counts
    return PlanEntry(
        needs_compaction=plan.needs_compaction,
        reason=plan.reason,
        total_files=counts.files,
        total_size_mb=round(counts.size_bytes / MIB, 2),
        avg_file_size_mb=round(float(counts.average_bytes) / MIB, 2),
        small_files=counts.small_files,
        min_file_size_mb=plan.policy.min_file_size_mb,
        delete_files=counts.delete_files,
        estimated_files_after=plan.files_after,
        bins=len(plan.bins),
        rewrite_size_mb=round(plan.bytes_to_rewrite / MIB, 2),
        requests_saved=plan.requests_saved,
    )


def _entry(name: DatasetName, plan: CompactionPlan | None, error: AppError | None = None) -> TableEntry:
    return TableEntry(
        namespace=name.namespace,
        table=name.name,
        plan=None if plan is None else plan_entry(plan),
        error=None if error is None else {"code": error.code, "message": error.message, **error.fields},
    )
