"""Walks that follow the parents of Iceberg's snapshots beside the edges of the lineage graph."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from app.domain.datasets import TableState
from app.domain.lineage import (
    Direction,
    Edge,
    EntityKind,
    Subgraph,
    TruncationReason,
    Vertex,
    Walk,
    snapshot_id_of,
    table_uuid_of,
)
from app.domain.names import DatasetName
from app.domain.version_walk import OneWay, ParentEdges, parent_edges, unite
from app.errors import InvalidNameError, NotFound
from app.lineage.store import LineageStore
from app.services.datasets import Datasets

# Edges of one hop.
MAX_EDGES = 50_000


class Tables(Protocol):
    """Finds tables by their ids, which no catalog does."""

    async def find(self, hints: Mapping[UUID, str]) -> Mapping[UUID, TableState]:
        """The tables of these ids, each with the name that it was last seen under; without those that are gone.

        Raises:
            UnreadableTableError: one is there and cannot be read.
            BackendUnavailableError: the catalog or Postgres is away.
        """


class TablesOfLake:
    """The tables of the lake; one catalog call for each that is where it was last seen."""

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets

    async def find(self, hints: Mapping[UUID, str]) -> dict[UUID, TableState]:
        """The tables of these ids."""
        states = await asyncio.gather(*map(self._load, hints.values()))
        found = {state.table_uuid: state for state in states if state is not None and state.table_uuid in hints}
        renamed = await self._datasets.find_names([uuid for uuid in hints if uuid not in found])
        for uuid, name in renamed.items():
            state = await self._load(str(name))
            if state is not None and state.table_uuid == uuid:
                found[uuid] = state
        return found

    async def _load(self, hint: str) -> TableState | None:
        try:
            return (await self._datasets.load(DatasetName.parse(hint))).state
        except (NotFound, InvalidNameError):
            return None


class HistoryWalks:
    """Walks with `history`: a snapshot of our tables is also derived from its parent."""

    def __init__(self, store: LineageStore, tables: Tables, *, max_edges: int = MAX_EDGES) -> None:
        self._store = store
        self._tables = tables
        self._max_edges = max_edges

    async def walk(self, root: Vertex, walk: Walk) -> Subgraph:
        """What a walk of grain VERSION from the root meets; of its own tables the root need not be in the graph.

        Costs one query for the root, one a hop and one more, and loading each table that is met once.

        Raises:
            LineageUnavailableError: the store of the graph is away.
            UnreadableTableError, BackendUnavailableError: a table that is met cannot be read.
        """
        joined = _Joined(self._store, self._tables, self._max_edges)
        deadline = asyncio.get_running_loop().time() + walk.timeout_s
        # In the time that the store itself takes for it: one that answers nothing at all is away, not slow.
        known = await self._store.walk(
            replace(walk, direction=Direction.UPSTREAM, depth=0, kinds=frozenset(EntityKind))
        )
        truncated = set(known.truncated - {TruncationReason.DEPTH})
        ways: list[OneWay] = []
        try:
            async with asyncio.timeout_at(deadline):
                roots = await joined.roots(root, [node.vertex for node in known.nodes])
                ways = [OneWay(walk, way, roots) for way in _one_ways(walk.direction)]
                while frontier := frozenset().union(*(way.frontier for way in ways)):
                    met = {key: vertex for way in ways for key, vertex in way.vertices.items()}
                    edges, vertices, is_cut = await joined.hop([met[key] for key in sorted(frontier)], walk.direction)
                    for way in ways:
                        way.advance(edges, vertices)
                    if is_cut:
                        truncated.add(TruncationReason.NODE_LIMIT)
                        break
        except TimeoutError:
            truncated.add(TruncationReason.TIMEOUT)
        return unite([way.answer(truncated) for way in ways], walk.max_nodes, truncated)


class _Joined:
    """The graph and the histories of tables as one; tables are loaded when they are met, once a walk."""

    def __init__(self, store: LineageStore, tables: Tables, max_edges: int) -> None:
        self._store = store
        self._tables = tables
        self._max_edges = max_edges
        self._parents: dict[UUID, ParentEdges | None] = {}

    async def roots(self, root: Vertex, known: Sequence[Vertex]) -> list[Vertex]:
        """The versions that a root stands for: those that the graph knows, and those that its table has."""
        found = {vertex.vertex_id: vertex for vertex in known}
        await self._meet([root])
        uuid = table_uuid_of(root)
        parents = None if uuid is None else self._parents.get(uuid)
        if parents is not None:
            own = parents.vertices
            found |= own if root.version is None else {key: own[key] for key in {root.vertex_id} & own.keys()}
        return list(found.values())

    async def hop(self, near: Sequence[Vertex], direction: Direction) -> tuple[list[Edge], dict[str, Vertex], bool]:
        """All edges that may be passed from these versions; whether there are more of them."""
        ids = [vertex.vertex_id for vertex in near]
        edges, vertices = await self._store.neighbours(ids, direction, limit=self._max_edges)
        is_cut = len(edges) >= self._max_edges
        vertices |= {vertex.vertex_id: vertex for vertex in near}
        await self._meet(near)
        for vertex in near:
            uuid = table_uuid_of(vertex)
            parents = None if uuid is None else self._parents.get(uuid)
            if parents is not None:
                around = parents.around(vertex.vertex_id)
                edges += around
                vertices |= {end: parents.vertices[end] for edge in around for end in (edge.from_id, edge.to_id)}
        return edges, vertices, is_cut

    async def _meet(self, vertices: Iterable[Vertex]) -> None:
        hints = {
            uuid: vertex.name
            for vertex in vertices
            if (uuid := table_uuid_of(vertex)) is not None
            and uuid not in self._parents
            and (vertex.version is None or snapshot_id_of(vertex) is not None)
        }
        if hints:
            states = await self._tables.find(hints)
            self._parents |= {uuid: parent_edges(states[uuid]) if uuid in states else None for uuid in hints}


def _one_ways(direction: Direction) -> Collection[Direction]:
    return (Direction.UPSTREAM, Direction.DOWNSTREAM) if direction is Direction.BOTH else (direction,)
