"""What compaction would do to a table, and the same in sentences; nothing is changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.compaction.engines import EngineRules, choose_engine
from app.domain.compaction.explaining import explain_plan
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.compaction.planning import CompactionPlan
from app.domain.compaction.policy import CompactionPolicy
from app.domain.compaction.ranking import Ranked, benefit_of, rank
from app.domain.names import DatasetName
from app.errors import AppError, BackendUnavailableError, DatasetNotFoundError, NamespaceForbiddenError
from app.lake.compact.planning import KnownPlan, PlannedTable
from app.lake.store import Lake
from app.lake.table import LakeTable
from app.services.compaction.entries import AnalysisEntry, analysis_entry, hidden_analysis_entry
from app.services.datasets import Datasets
from app.settings import Settings

logger = logging.getLogger(__name__)

# As the setting says that it depends on the table.
_EACH = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPlan:
    """A plan, the table that it is of, and the same in sentences."""

    table: LakeTable
    plan: CompactionPlan
    explanation: list[str]


class CompactionPlanning:
    """Plans compactions.

    Every method raises DatasetForbiddenError, DatasetNotFoundError, MissingFileError, UnreadableTableError and
    BackendUnavailableError.
    """

    def __init__(self, lake: Lake, datasets: Datasets, settings: Settings) -> None:
        self._lake = lake
        self._datasets = datasets
        stated = settings.compaction_engine
        self._rules = EngineRules(
            stated=None if stated == _EACH else CompactionEngine(stated),
            has_spark=settings.spark_remote is not None,
            spark_bytes=settings.compaction_spark_bytes,
        )

    def default_policy(self) -> CompactionPolicy:
        """The policy where nothing else is asked for."""
        return CompactionPolicy()

    async def plan(self, name: DatasetName, policy: CompactionPolicy, known: KnownPlan | None = None) -> PlannedTable:
        """The plan for the head of main. Costs reading its manifests, unless what is `known` of it is still so."""
        try:
            return await self._lake.plan_compaction(name, policy, known)
        except DatasetNotFoundError:
            # Which may know a name like it.
            await self._datasets.load(name)
            raise

    def engine_of(self, planned: PlannedTable, *, is_whole: bool = True) -> CompactionEngine | None:
        """What would carry a plan out; None where there is nothing to do. Raises as `choose_engine`."""
        state = planned.table.state
        if not planned.plan.bins:
            return None
        return choose_engine(state.name, state.properties, planned.plan, self._rules, is_whole=is_whole)

    async def survey(
        self,
        names: Sequence[DatasetName],
        policy: CompactionPolicy,
        hidden: Sequence[NamespaceForbiddenError] = (),
    ) -> list[AnalysisEntry]:
        """The plans of these tables, those that gain most for what is rewritten first, then those that fail: with the
        plan where it is known that it cannot be carried out. Last the namespaces in which tables were looked for in
        vain.

        Raises:
            BackendUnavailableError: the catalog does not answer; what fails at one table is told with it.
        """
        ranked: list[Ranked[CompactionPlan]] = []
        failed: list[AnalysisEntry] = []
        named = {str(name): name for name in names}
        for name in names:
            plan: CompactionPlan | None = None
            try:
                planned = await self.plan(name, policy)
                plan = planned.plan
                self.engine_of(planned)
            except BackendUnavailableError:
                raise
            except AppError as error:
                logger.warning("%s cannot be compacted: %s", name, error.message)
                failed.append(analysis_entry(name, plan, error))
            else:
                ranked.append(Ranked(name=str(name), of=plan, benefit=benefit_of(plan.bins)))
        told = [analysis_entry(named[each.name], each.of) for each in rank(ranked)]
        return [*told, *failed, *map(hidden_analysis_entry, hidden)]

    async def explain(self, name: DatasetName, policy: CompactionPolicy) -> list[str]:
        """Whether it would help, and why files stay as they are. Raises as `explained`."""
        return (await self.explained(name, policy)).explanation

    async def explained(self, name: DatasetName, policy: CompactionPolicy) -> ExplainedPlan:
        """The plan, and in sentences whether it would help and why files stay as they are. Raises as `engine_of`."""
        planned = await self.plan(name, policy)
        self.engine_of(planned)
        # In a thread: each file is looked at several times, and a table may have hundreds of thousands.
        explanation = await asyncio.to_thread(lambda: explain_plan(planned.plan, planned.table_files))
        return ExplainedPlan(table=planned.table, plan=planned.plan, explanation=explanation)
