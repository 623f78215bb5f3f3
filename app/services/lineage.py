"""Asking the lineage graph: what was made from what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.events import DatasetId
from app.domain.external import ExternalDataset
from app.domain.history import same_rows_as
from app.domain.lineage import (
    ColumnEdge,
    Direction,
    EntityKind,
    Grain,
    Subgraph,
    Vertex,
    Walk,
    dataset_entity,
    model_vertex,
    pipeline_vertex,
    snapshot_vertex,
)
from app.errors import InvalidArgumentError, LineageUnavailableError
from app.lake.table import LakeTable
from app.lineage.store import LineageStore
from app.registry.events import EventLog
from app.registry.externals import Externals
from app.services.history_walks import HistoryWalks
from app.settings import Settings
from app.telemetry.tracing import span

MAX_COLUMN_DEPTH = 20
MAX_COLUMN_EDGES = 5_000


class Consistency(StrEnum):
    """Whether an answer may lag behind what was reported, or waits for it up to a deadline."""

    EVENTUAL = "EVENTUAL"
    READ_YOUR_WRITES = "READ_YOUR_WRITES"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageAnswer:
    """A part of the graph: what was found around `root`, and up to which moment everything reported is in it."""

    root: Vertex
    graph: Subgraph
    watermark: datetime


class Lineage:
    """Questions to the lineage graph."""

    def __init__(
        self,
        store: LineageStore,
        histories: HistoryWalks,
        log: EventLog,
        externals: Externals,
        settings: Settings,
    ) -> None:
        self._store = store
        self._histories = histories
        self._log = log
        self._externals = externals
        self._settings = settings

    def snapshot_root(self, table: LakeTable, snapshot_id: int) -> Vertex:
        """The vertex that stands for a snapshot: of a `replace` snapshot, its nearest ancestor that is none."""
        state = table.state
        return snapshot_vertex(state.table_uuid, same_rows_as(state.history, snapshot_id), str(state.name))

    def dataset_root(self, table_uuid: UUID, name: str) -> Vertex:
        """The vertex that stands for all versions of a dataset."""
        return Vertex(entity=dataset_entity(table_uuid), version=None, kind=EntityKind.DATASET, name=name)

    def model_root(self, name: str, number: int | None = None) -> Vertex:
        """The vertex that stands for a model version, or for all versions of a model."""
        vertex = model_vertex(name, number or 0)
        return vertex if number is not None else vertex.as_entity

    def pipeline_root(self, pipeline_id: str, number: int | None = None) -> Vertex:
        """The vertex that stands for a pipeline version, or for all versions of a pipeline."""
        vertex = pipeline_vertex(pipeline_id, "" if number is None else str(number))
        return vertex if number is not None else vertex.as_entity

    async def walk(
        self,
        root: Vertex,
        walk: Walk,
        *,
        consistency: Consistency = Consistency.EVENTUAL,
        history: bool = False,
    ) -> LineageAnswer:
        """What a walk from the root meets. One statement or traversal, and three for the watermark.

        With `history` snapshots of our tables are joined by their Iceberg parents too, at the cost that `HistoryWalks`
        tells. At grain ENTITY that changes nothing: edges within an entity roll up to none.

        Raises:
            LineageUnavailableError: the store is away.
            BackendUnavailableError: Postgres is away; with `history`, or the catalog.
            UnreadableTableError: with `history`, a table that is met cannot be read.
        """
        with span("lineage.walk", direction=walk.direction.value, depth=walk.depth):
            if consistency is Consistency.READ_YOUR_WRITES:
                await self._catch_up()
            # Before the walk: what is projected in between is in the answer, and not promised.
            watermark = await self._log.watermark()
            if history and walk.grain is Grain.VERSION:
                graph = await self._histories.walk(root, walk)
            else:
                graph = await self._store.walk(walk)
        return LineageAnswer(root=root, graph=graph, watermark=watermark)

    async def column_lineage(self, root: Vertex, column: str, direction: Direction, *, depth: int) -> list[ColumnEdge]:
        """Which columns a column was made from, or which were made from it; nearest first.

        Raises:
            InvalidArgumentError: the depth or direction, or more edges than are answered.
            LineageUnavailableError: the store is away.
        """
        if not 1 <= depth <= MAX_COLUMN_DEPTH:
            raise InvalidArgumentError("depth", f"{depth} is not between 1 and {MAX_COLUMN_DEPTH}")
        if direction is Direction.BOTH:
            raise InvalidArgumentError("direction", "columns are followed upstream or downstream")
        edges, is_all = await self._store.column_edges(
            root.vertex_id, column, direction, depth=depth, limit=MAX_COLUMN_EDGES
        )
        if not is_all and len(edges) >= MAX_COLUMN_EDGES:
            raise InvalidArgumentError("depth", f"more than {MAX_COLUMN_EDGES} columns are found; ask for fewer hops")
        return edges

    async def find_external(self, datasets: Sequence[DatasetId]) -> dict[DatasetId, ExternalDataset]:
        """What events told of datasets that are in no catalog of ours; without those of which nothing is known.

        Raises:
            BackendUnavailableError: Postgres is away.
        """
        return await self._externals.find(datasets)

    async def _catch_up(self) -> None:
        now = await self._log.clock()
        if not await self._log.wait_until(now, timeout_s=self._settings.lineage_wait_s):
            raise LineageUnavailableError(
                f"what was reported before is not in the graph after {self._settings.lineage_wait_s:g} s"
            )
