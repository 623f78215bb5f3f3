"""Making the lineage graph again from the log, and comparing the two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from app.domain.lineage import Edge
from app.lineage.store import LineageStore
from app.registry.events import EventLog
from app.services.interpreting import Interpreting
from app.services.projecting import Projector

MAX_SHOWN = 20
WAIT_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """How the graph differs from what the log says.

    `differing` are runs whose edges are others than their events say, `unknown` owners of edges of which the log knows
    nothing; the first `MAX_SHOWN` of each, beside their numbers. `pending` runs are not compared: they are not due yet.
    """

    compared: int
    pending: int
    differing_count: int
    differing: tuple[str, ...]
    unknown_count: int
    unknown: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether there is no drift."""
        return not self.differing_count and not self.unknown_count


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildReport:
    """How many runs the graph is made of, and how many more wait: what they speak of cannot be read now."""

    runs: int
    waiting: int


class GraphUpkeep:
    """The graph as a projection of the log: made anew, and checked."""

    def __init__(self, log: EventLog, store: LineageStore, projector: Projector, interpreting: Interpreting) -> None:
        self._log = log
        self._store = store
        self._projector = projector
        self._interpreting = interpreting

    async def rebuild(self, progress: Callable[[int, int], None]) -> RebuildReport:
        """Drop the graph and make it again from the log. `progress` takes (done, total).

        Answers are incomplete meanwhile, and their watermark says so. It may be killed at any moment: what is left is
        pending, and done by any projector. Others may report and project at the same time.

        Raises:
            LineageUnavailableError, BackendUnavailableError: a store is away.
        """
        await self._store.prepare()
        # Twice: before, so that the watermark steps back ahead of what it speaks of, and after, because others may have
        # projected in between what was then dropped.
        await self._log.reopen_all()
        await self._store.drop()
        await self._store.prepare()
        total = await self._log.reopen_all()
        progress(0, total)
        while left := await self._log.count_pending():
            progress(max(0, total - left), total)
            if not await self._projector.project_pending():
                # Others are at work on the rest, or a run waits for a table that cannot be read now.
                if await self._log.count_waiting() == await self._log.count_pending():
                    break
                await asyncio.sleep(WAIT_S)
        waiting = await self._log.count_pending()
        progress(max(0, total - waiting), total)
        return RebuildReport(runs=max(0, total - waiting), waiting=waiting)

    async def check(self) -> DriftReport:
        """Compare the graph with what the events of each run say. Costs a projection of every run.

        Raises: as `rebuild`.
        """
        compared = pending = 0
        differing: list[str] = []
        known: set[str] = set()
        runs = self._log.read_all()
        async with aclosing(runs):
            async for run_key, events in runs:
                known.add(run_key)
                if await self._log.is_pending(run_key):
                    pending += 1
                    continue
                compared += 1
                wanted = (await self._interpreting.interpret(run_key, events)).projection
                edges, _ = await self._store.edges_of(run_key)
                if _said(edges) != _said(wanted.edges):
                    differing.append(run_key)
        unknown = [owner async for owner in self._store.owners() if owner not in known]
        return DriftReport(
            compared=compared,
            pending=pending,
            differing_count=len(differing),
            differing=tuple(differing[:MAX_SHOWN]),
            unknown_count=len(unknown),
            unknown=tuple(unknown[:MAX_SHOWN]),
        )


def _said(edges: Iterable[Edge]) -> set[tuple[object, ...]]:
    return {(edge.order, edge.run_id, edge.is_inferred, edge.recorded_at, edge.columns) for edge in edges}
