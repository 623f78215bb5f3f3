"""Compaction of many tables in one go: those that gain most first, as far as a budget reaches.

What fails at one is told with it, and the others are done all the same.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from app.domain.changes import Command
from app.domain.compaction.files import Place
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.compaction.packing import Bin
from app.domain.compaction.planning import CompactionPlan
from app.domain.compaction.policy import CompactionPolicy
from app.domain.compaction.ranking import NO_LIMIT, Budget, Ranked, affordable, benefit_of, parse_budget, rank
from app.domain.compaction.schedule import parse_duration, schedule_of, why_active, why_not_due
from app.domain.names import DatasetName
from app.domain.operations import OperationCancelledError
from app.errors import AppError, BackendUnavailableError, NamespaceForbiddenError
from app.lake.compact.planning import KnownPlan
from app.lake.metadata_cache import passing_by
from app.lake.table import LakeTable
from app.services.compaction.entries import (
    MAX_LISTED,
    TableEntry,
    error_entry,
    failed_entry,
    hidden_entry,
    planned_bin_entries,
    planned_entry,
)
from app.services.compaction.planning import CompactionPlanning
from app.services.compaction.reporting import CompactionReporting
from app.services.compaction.running import Compaction, TableRun
from app.services.datasets import Datasets
from app.services.operation_attempts import INTERNAL_ERROR
from app.services.retention import Report
from app.telemetry.tracing import current_trace_id

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

DUE_SKIP_ACTIVE = "15m"
# Plans know all files of their tables. So much is 30,000 files of eight columns, or 2,000 of two hundred.
KEPT_BYTES = 128 * 1024 * 1024
_UNEXPECTED = "Something went wrong here; the log tells more under the trace id."
_LOOKING_TOOK_IT = (
    "looking at the tables took all of the time, after which no other is begun than the one that gains most"
)
_SOME_PARTITIONS = "the budget is enough for some of its partitions alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Which of the chosen tables are left alone, and how much is done.

    `is_due_only` leaves out those whose turn has not come by their schedule, `skip_active` those that were written to
    so lately; both as the sweep looks at a table, and again right before it is begun.
    """

    budget: Budget = NO_LIMIT
    is_due_only: bool = False
    skip_active: timedelta | None = None

    @classmethod
    def parse(cls, *, budget: str | None = None, is_due_only: bool = False, skip_active: str | None = None) -> Limits:
        """These, of a budget such as `10GB` or `30m` and a time such as `15m`.

        With `is_due_only` those that are being written to are left to the next time: `skip_active` is 15m unless given.

        Raises:
            InvalidArgumentError: one of them is none, by its name in the GraphQL schema.
        """
        if skip_active is None and is_due_only:
            skip_active = DUE_SKIP_ACTIVE
        return cls(
            budget=NO_LIMIT if budget is None else parse_budget(budget),
            is_due_only=is_due_only,
            skip_active=None if skip_active is None else parse_duration("skipActive", skip_active),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A table to be done, by what, and the partitions of it that the budget is enough for; None for all."""

    name: DatasetName
    plan: CompactionPlan
    engine: CompactionEngine
    places: frozenset[Place] | None = None


class _KeptPlans:
    """Plans of tables that were looked at, so far as they have room: planning for the others is done twice."""

    def __init__(self, room_bytes: float) -> None:
        self._room_bytes = room_bytes
        self._plans: dict[str, KnownPlan] = {}

    def keep(self, name: DatasetName, plan: KnownPlan) -> None:
        """Keep the plan of a table, if there is room."""
        if plan.memory_bytes <= self._room_bytes:
            self._room_bytes -= plan.memory_bytes
            self._plans[str(name)] = plan

    def take(self, name: DatasetName) -> KnownPlan | None:
        """The plan of a table, which is kept no longer."""
        return self._plans.pop(str(name), None)


class CompactionSweeps:
    """Plans or carries out compaction of the tables that were chosen, one after the other."""

    def __init__(
        self, datasets: Datasets, planning: CompactionPlanning, compaction: Compaction, reporting: CompactionReporting
    ) -> None:
        self._datasets = datasets
        self._planning = planning
        self._compaction = compaction
        self._reporting = reporting

    async def sweep(
        self,
        names: Sequence[DatasetName],
        policy: CompactionPolicy,
        limits: Limits,
        command: Command,
        report: Report,
        *,
        is_dry_run: bool,
        hidden: Sequence[NamespaceForbiddenError] = (),
        operation_id: UUID | None = None,
        ends_with_failure: bool = False,
        on_begin: Callable[[DatasetName, CompactionPlan], None] | None = None,
    ) -> AsyncIterator[TableEntry]:
        """What was done to each table, or would be, as it is done; first those that are left alone.

        The seconds of a budget are those since this was called, with looking at the tables; one of them is begun
        however long that takes.

        Unless it is a dry run, what runs that died have done is written down before, also of other tables.

        `hidden` are namespaces in which tables were looked for in vain, which is told first. `on_begin` is told of each
        table that is begun, with the plan that it was chosen by.

        Raises:
            AppError: with `ends_with_failure`, what failed first.
            BackendUnavailableError: the catalog does not answer before anything was done.
        """
        begun = time.monotonic()
        if not is_dry_run:
            # Also of tables that are left alone this time, or that nobody can choose any more.
            await self._compaction.catch_up()
        for error in hidden:
            logger.warning("no table there is compacted: %s", error.message)
            yield hidden_entry(error, dry_run=is_dry_run)
        candidates: list[_Candidate] = []
        # The plan of one table alone is needed at once.
        kept = _KeptPlans(0 if is_dry_run else math.inf if len(names) == 1 else KEPT_BYTES)
        for name in names:
            report(0.0, f"{name}: looking at its files")
            found = await self._looked_at(
                name, policy, limits, kept, is_dry_run=is_dry_run, ends_with_failure=ends_with_failure
            )
            if isinstance(found, _Candidate):
                candidates.append(found)
            else:
                yield found
        taken, left = _choose(candidates, limits.budget)
        for candidate in left:
            kept.take(candidate.name)
            why = "the budget is spent on what gains more" if taken else "the budget is not enough for any of it"
            yield _skipped(candidate.name, candidate.plan, why, is_dry_run=is_dry_run)
        why_spent = _LOOKING_TOOK_IT if _is_spent(limits.budget, begun) else "the time is spent on what gains more"
        total, done, is_any_begun = sum(_weight(candidate) for candidate in taken), 0, False
        for candidate in taken:

            def tell(fraction: float, message: str, done: int = done, weight: int = _weight(candidate)) -> None:
                report((done + weight * fraction) / total, message)

            def begin(candidate: _Candidate = candidate, tell: Report = tell) -> Awaitable[TableRun]:
                nonlocal is_any_begun
                is_any_begun = True
                if on_begin is not None:
                    on_begin(candidate.name, candidate.plan)
                return self._compaction.run(
                    candidate.name,
                    policy,
                    command,
                    tell,
                    places=candidate.places,
                    operation_id=operation_id,
                    known=kept.take(candidate.name),
                )

            done += _weight(candidate)
            # Were the best one not done because looking at so many took all the time, none ever would be.
            if is_any_begun and _is_spent(limits.budget, begun):
                yield _skipped(candidate.name, candidate.plan, why_spent, is_dry_run=is_dry_run)
            elif is_dry_run:
                is_any_begun = True
                yield _planned(candidate)
            else:
                yield await self._turn(candidate, limits, begin, ends_with_failure=ends_with_failure)

    async def _turn(
        self,
        candidate: _Candidate,
        limits: Limits,
        begin: Callable[[], Awaitable[TableRun]],
        *,
        ends_with_failure: bool,
    ) -> TableEntry:
        """What is done to a table now that its turn has come; `begin` is not called where it is to be left alone."""
        judged = self._judged_again(candidate, limits)
        if (found := await self._guarded(candidate, judged, ends_with_failure=ends_with_failure)) is not None:
            return found
        told = self._told(candidate, begin())
        entry = await self._guarded(candidate, told, ends_with_failure=ends_with_failure)
        return _marked(entry, candidate)

    async def _judged_again(self, candidate: _Candidate, limits: Limits) -> TableEntry | None:
        """What is told of a table that is to be left alone by now: the others may have taken hours."""
        if limits.skip_active is None and not limits.is_due_only:
            return None
        why = await self._why_skipped(await self._datasets.load(candidate.name), limits)
        return None if why is None else _skipped(candidate.name, candidate.plan, why, is_dry_run=False)

    async def _told(self, candidate: _Candidate, run: Awaitable[TableRun]) -> TableEntry:
        return await self._reporting.tell(candidate.name, await run)

    async def _guarded(
        self, candidate: _Candidate, work: Awaitable[Answer], *, ends_with_failure: bool
    ) -> Answer | TableEntry:
        """What the work at a table answers, or what is told of its failure, which keeps the others from nothing."""
        name = candidate.name
        try:
            return await work
        except AppError as error:
            if ends_with_failure:
                raise
            logger.warning("compaction of %s failed: %s", name, error.message)
            entry = planned_entry(name, candidate.plan, dry_run=False)
            entry["error"] = error_entry(error)
        except OperationCancelledError:
            raise
        except Exception:
            if ends_with_failure:
                raise
            # One table that nobody thought of keeps the others from nothing.
            trace_id = current_trace_id()
            logger.exception("compaction of %s failed unexpectedly, trace %s", name, trace_id)
            entry = planned_entry(name, candidate.plan, dry_run=False)
            entry["error"] = {"code": INTERNAL_ERROR, "message": _UNEXPECTED, "traceId": trace_id}
        return entry

    async def _looked_at(
        self,
        name: DatasetName,
        policy: CompactionPolicy,
        limits: Limits,
        kept: _KeptPlans,
        *,
        is_dry_run: bool,
        ends_with_failure: bool,
    ) -> _Candidate | TableEntry:
        try:
            return await self._look(name, policy, limits, kept, is_dry_run=is_dry_run)
        except BackendUnavailableError:
            raise
        except AppError as error:
            if ends_with_failure:
                raise
            logger.warning("%s cannot be planned for: %s", name, error.message)
            return failed_entry(name, error, dry_run=is_dry_run)

    async def _look(
        self, name: DatasetName, policy: CompactionPolicy, limits: Limits, kept: _KeptPlans, *, is_dry_run: bool
    ) -> _Candidate | TableEntry:
        with passing_by():
            planned = await self._planning.plan(name, policy)
        if (why := await self._why_skipped(planned.table, limits)) is not None:
            return _skipped(name, planned.plan, why, is_dry_run=is_dry_run)
        engine = self._planning.engine_of(planned)
        if engine is None:
            return planned_entry(name, planned.plan, dry_run=is_dry_run)
        kept.keep(name, planned.known)
        return _Candidate(name=name, plan=planned.plan, engine=engine)

    async def _why_skipped(self, table: LakeTable, limits: Limits) -> str | None:
        state, now = table.state, datetime.now(UTC)
        if limits.is_due_only:
            schedule = schedule_of(state.name, state.properties)
            if (why := why_not_due(schedule, await self._compaction.find_last(table), now)) is not None:
                return why
        if limits.skip_active is not None:
            return why_active(state.history, limits.skip_active, now)
        return None


def _choose(candidates: Sequence[_Candidate], budget: Budget) -> tuple[list[_Candidate], list[_Candidate]]:
    """The tables to do, the best first, and those that the budget is not enough for."""
    named = {str(candidate.name): candidate for candidate in candidates}
    ranked = rank(
        Ranked(name=name, of=candidate, benefit=benefit_of(candidate.plan.bins)) for name, candidate in named.items()
    )
    if budget.size_bytes is None:
        return [each.of for each in ranked], []
    parts = rank(part for candidate in candidates for part in _parts(candidate))
    chosen: dict[str, set[Place] | None] = {}
    for each in affordable(parts, budget)[0]:
        name, place = each.of
        if place is None:
            chosen[str(name)] = None
        elif (places := chosen.setdefault(str(name), set())) is not None:
            places.add(place)
    taken = [
        replace(each.of, places=None if (places := chosen[each.name]) is None else frozenset(places))
        for each in ranked
        if each.name in chosen
    ]
    return taken, [each.of for each in ranked if each.name not in chosen]


def _is_spent(budget: Budget, begun: float) -> bool:
    return budget.seconds is not None and time.monotonic() - begun >= budget.seconds


def _weight(candidate: _Candidate) -> int:
    """How much of the work it is: as many bytes as are read and written."""
    places = candidate.places
    return max(1, sum(some.size_bytes for some in candidate.plan.bins if places is None or some.place in places))


def _parts(candidate: _Candidate) -> Iterator[Ranked[tuple[DatasetName, Place | None]]]:
    """What of a table may be done by itself: its partitions, or the whole where its engine takes tables."""
    if candidate.engine is CompactionEngine.SPARK:
        yield Ranked(name=str(candidate.name), of=(candidate.name, None), benefit=benefit_of(candidate.plan.bins))
        return
    for place, bins in _by_place(candidate.plan).items():
        yield Ranked(name=f"{candidate.name} {place}", of=(candidate.name, place), benefit=benefit_of(bins))


def _by_place(plan: CompactionPlan) -> dict[Place, list[Bin]]:
    found: dict[Place, list[Bin]] = defaultdict(list)
    for some in plan.bins:
        found[some.place].append(some)
    return found


def _planned(candidate: _Candidate) -> TableEntry:
    plan, places = candidate.plan, candidate.places
    bins = [some for some in plan.bins if places is None or some.place in places]
    entry = planned_entry(candidate.name, plan, dry_run=True)
    entry["engine"] = candidate.engine.value
    entry["files_after"] = plan.counts.files - sum(some.files_saved for some in bins)
    entry["planned_bins"], entry["planned_bins_truncated"] = planned_bin_entries(bins), len(bins) > MAX_LISTED
    return _marked(entry, candidate)


def _marked(entry: TableEntry, candidate: _Candidate) -> TableEntry:
    """The entry, which says so where the budget was enough for some partitions alone."""
    if candidate.places is not None and len(candidate.places) < len(_by_place(candidate.plan)):
        entry["is_partial"] = True
        entry["warnings"].append(_SOME_PARTITIONS)
    return entry


def _skipped(name: DatasetName, plan: CompactionPlan, why: str, *, is_dry_run: bool) -> TableEntry:
    entry = planned_entry(name, plan, dry_run=is_dry_run)
    entry["files_after"] = entry["files_before"]
    entry["skipped"] = why
    return entry
