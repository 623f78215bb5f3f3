"""What a change of a dataset affects: who reads it, what is made from it, which models were trained on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from app.domain.history import same_rows_as
from app.domain.impact import DEFAULT_IMPACT_DEPTH, Impact, ImpactKind, Reach, assess, sum_up
from app.domain.lineage import (
    MAX_DEPTH,
    Direction,
    EntityKind,
    TruncationReason,
    Vertex,
    dataset_entity,
    snapshot_vertex,
)
from app.domain.spreading import Spread, abandoned_by, column_spellings
from app.domain.versions import VersionSelector
from app.errors import InvalidArgumentError, LineageUnavailableError, NoSnapshotError
from app.lake.table import LakeTable
from app.lineage.store import LineageStore
from app.services.datasets import Datasets
from app.services.standing import ModelFacts, Standings
from app.telemetry.tracing import span

MAX_AFFECTED = 2_000
# Edges of one hop. A table of ten thousand versions with a handful of readers stays below it.
MAX_EDGES = 50_000
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of the graph is looked at; an answer says which of them cut it short."""

    max_affected: int = MAX_AFFECTED
    max_edges: int = MAX_EDGES
    timeout_s: float = TIMEOUT_S


class Impacts:
    """Questions about what a change would affect.

    Each costs one query of the lineage graph a hop, one more to tell whether there is more beyond the depth, and
    loading every affected dataset, to tell whether it is production.
    """

    def __init__(
        self,
        store: LineageStore,
        datasets: Datasets,
        *,
        models: ModelFacts | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        """Without `models` every model is taken for live."""
        self._store = store
        self._datasets = datasets
        self._standings = Standings(datasets, models)
        self._bounds = bounds or Bounds()

    async def of_dataset(
        self,
        table: LakeTable,
        kind: ImpactKind = ImpactKind.ANY,
        columns: Collection[str] | None = None,
        rollback_to: VersionSelector | str | None = None,
        *,
        depth: int | None = None,
    ) -> Impact:
        """What a change of a dataset affects: each dataset, model and pipeline once, at its nearest.

        Every reader of any version counts, because what read the versions before will read those to come. With
        `columns` only what may depend on one of them; a rename is followed, and where no column lineage is told a
        thing may be affected. A ROLLBACK is one of main to `rollback_to`, as `of_rollback`.

        Raises:
            InvalidArgumentError: `rollback_to` missing or given with another kind, depth, number of columns.
            UnknownColumnError: a column that the dataset has not now, with the closest names.
            NoSnapshotError, as `Datasets.resolve_with_record`: the version to roll back to.
            LineageUnavailableError: the store of the graph is away, or answers nothing in time.
            BackendUnavailableError: Postgres is away.
        """
        if kind is ImpactKind.ROLLBACK:
            if rollback_to is None:
                raise InvalidArgumentError("rollbackTo", "say to which version the rollback would go")
            head_id = table.state.history.head_id
            if head_id is None:
                raise NoSnapshotError(str(table.state.name))
            to = await self._datasets.resolve_with_record(table, rollback_to)
            return await self.of_rollback(table, head_id, to.snapshot_id, columns, depth=depth)
        if rollback_to is not None:
            raise InvalidArgumentError("rollbackTo", f"it is for the kind ROLLBACK, and this is {kind.value}")
        state = table.state
        root = Vertex(
            entity=dataset_entity(state.table_uuid), version=None, kind=EntityKind.DATASET, name=str(state.name)
        )
        return await self._of([root], kind, _spellings(table, columns), by_entity=True, depth=depth)

    async def of_rollback(
        self,
        table: LakeTable,
        from_id: int,
        to_id: int,
        columns: Collection[str] | None = None,
        *,
        depth: int | None = None,
    ) -> Impact:
        """What depends on the snapshots that a branch abandons when it goes from one snapshot to another.

        Version by version: who read those very snapshots, and what was made from what they made. A compaction
        (`replace`) is its ancestor here, so that going back over one affects nobody. What builds on a snapshot within
        one table is not followed. Nothing is affected where nothing is abandoned.

        Raises: as `of_dataset`.
        """
        spellings = _spellings(table, columns)
        history, uuid, name = table.state.history, table.state.table_uuid, str(table.state.name)
        abandoned = {same_rows_as(history, number) for number in abandoned_by(history, from_id, to_id)}
        kept = {same_rows_as(history, snapshot.snapshot_id) for snapshot in history.ancestors(to_id)}
        roots = [snapshot_vertex(uuid, number, name) for number in sorted(abandoned - kept)]
        return await self._of(roots, ImpactKind.ROLLBACK, spellings, by_entity=False, depth=depth)

    async def _of(
        self,
        roots: Sequence[Vertex],
        kind: ImpactKind,
        columns: frozenset[str] | None,
        *,
        by_entity: bool,
        depth: int | None,
    ) -> Impact:
        depth = DEFAULT_IMPACT_DEPTH if depth is None else depth
        if not 1 <= depth <= MAX_DEPTH:
            raise InvalidArgumentError("depth", f"{depth} is not between 1 and {MAX_DEPTH}")
        spread = Spread(roots, by_entity=by_entity, columns=columns)
        with span("lineage.impact", kind=kind.value, roots=len(roots)):
            truncated = await self._walk(spread, depth, with_columns=columns is not None)
            reached = sorted(spread.reached.values(), key=_nearest_first)
            if len(reached) > self._bounds.max_affected:
                truncated.add(TruncationReason.NODE_LIMIT)
                reached = reached[: self._bounds.max_affected]
            versions = {reach.vertex: sorted(spread.versions[_key(reach, by_entity)]) for reach in reached}
            standings = await self._standings.find(versions)
        found = [assess(kind, reach, standings[reach.vertex]) for reach in reached]
        return sum_up(kind, found, frozenset(truncated))

    async def _walk(self, spread: Spread, depth: int, *, with_columns: bool) -> set[TruncationReason]:
        """Goes as deep as asked; answers why there may be more."""
        bounds, deadline = self._bounds, time.monotonic() + self._bounds.timeout_s
        for hop in range(depth + 1):
            if not spread.frontier:
                break
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    edges, vertices = await self._store.neighbours(
                        spread.frontier, Direction.DOWNSTREAM, limit=bounds.max_edges, with_columns=with_columns
                    )
            except TimeoutError as error:
                if hop == 0:
                    # Not a part of an answer: a store that is frozen, for all that is known.
                    raise LineageUnavailableError(f"it did not answer within {bounds.timeout_s:g} s") from error
                return {TruncationReason.TIMEOUT}
            is_cut = len(edges) >= bounds.max_edges
            if hop == depth:
                if spread.leads_on(edges, vertices):
                    return {TruncationReason.DEPTH}
                return {TruncationReason.NODE_LIMIT} if is_cut else set()
            spread.advance(edges, vertices)
            if is_cut or len(spread.reached) > bounds.max_affected:
                return {TruncationReason.NODE_LIMIT}
        return set()


def _spellings(table: LakeTable, columns: Collection[str] | None) -> frozenset[str] | None:
    if columns is None:
        return None
    state = table.state
    return column_spellings(state.current_schema, state.schemas.values(), columns, str(state.name))


def _key(reach: Reach, by_entity: bool) -> str:
    return reach.vertex.entity if by_entity else reach.vertex.vertex_id


def _nearest_first(reach: Reach) -> tuple[int, str]:
    return (reach.depth, reach.vertex.vertex_id)
