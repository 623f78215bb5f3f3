"""A walk from version to version, put together level by level; and the versions that Iceberg alone joins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.domain.datasets import TableState
from app.domain.history import same_rows_as, to_instant
from app.domain.lineage import (
    DOWNSTREAM_IN,
    ROOT_DOWNSTREAM_OUT,
    ROOT_UPSTREAM_OUT,
    UPSTREAM_OUT,
    Direction,
    Edge,
    EdgeKind,
    EntityKind,
    FoundVertex,
    Subgraph,
    TruncationReason,
    Vertex,
    Walk,
    snapshot_vertex,
)

ICEBERG = "iceberg"


class OneWay:
    """One walk upstream or downstream at grain VERSION, as `Walk` says, by edges that are given to it.

    Ask for the edges that leave `frontier` and give them to `advance`, until `frontier` is empty. That is once more
    than there are levels: only then are the edges among the nodes of the last one known, and whether there is more.
    """

    def __init__(self, walk: Walk, direction: Direction, roots: Iterable[Vertex]) -> None:
        self._walk = walk
        self._is_up = direction is Direction.UPSTREAM
        self._vertices: dict[str, Vertex] = {}
        self._depths: dict[str, int] = {}
        self._edges: dict[tuple[str, str, str, str], Edge] = {}
        self._has_more = False
        self._is_last = False
        level = {vertex.vertex_id: vertex for vertex in roots}
        self._roots = frozenset(level)
        self.frontier: frozenset[str] = frozenset()
        self._enter(level, 0)

    @property
    def vertices(self) -> Mapping[str, Vertex]:
        """All that was met, by id."""
        return self._vertices

    def advance(self, edges: Iterable[Edge], vertices: Mapping[str, Vertex]) -> None:
        """One level: edges, of which those that leave the frontier count, with the vertices at their ends."""
        if not self.frontier:
            return
        level: dict[str, Vertex] = {}
        for edge in edges:
            passed = self._passed(edge, vertices)
            if passed is not None and passed[0] in self.frontier:
                self._edges[edge.order] = edge
                if passed[1] not in self._depths:
                    level[passed[1]] = vertices[passed[1]]
        if self._is_last:
            leaf_counts = EntityKind.PIPELINE in self._walk.kinds
            self._has_more = any(vertex.kind is not EntityKind.PIPELINE or leaf_counts for vertex in level.values())
            self.frontier = frozenset()
        else:
            self._enter(level, max(self._depths.values()) + 1 if level else 0)

    def answer(self, truncated: Collection[TruncationReason] = ()) -> Subgraph:
        """What was met; `truncated` is why the walk was ended before its frontier was empty."""
        shown = self._shown()
        kept = shown[: self._walk.max_nodes]
        ids = set(kept)
        reasons = set(truncated)
        if len(shown) > len(kept):
            reasons.add(TruncationReason.NODE_LIMIT)
        elif self._has_more and not reasons:
            reasons.add(TruncationReason.DEPTH)
        return Subgraph(
            nodes=tuple(FoundVertex(vertex=self._vertices[key], depth=self._depths[key]) for key in kept),
            edges=tuple(edge for _, edge in sorted(self._edges.items()) if {edge.from_id, edge.to_id} <= ids),
            truncated=frozenset(reasons),
        )

    def _enter(self, level: Mapping[str, Vertex], depth: int) -> None:
        self._vertices |= level
        self._depths |= dict.fromkeys(level, depth)
        shown = self._shown()
        is_full = len(shown) > self._walk.max_nodes
        # Once there are too many, only the edges among those that are kept are still to be known.
        entered = level.keys() & shown[: self._walk.max_nodes] if is_full else level.keys()
        self._is_last = is_full or depth == self._walk.depth
        self.frontier = frozenset(
            key for key in entered if key in self._roots or level[key].kind is not EntityKind.PIPELINE
        )

    def _passed(self, edge: Edge, vertices: Mapping[str, Vertex]) -> tuple[str, str] | None:
        """From where to where the walk passes an edge, if it does."""
        if edge.from_id in self._roots and vertices[edge.from_id].kind is EntityKind.PIPELINE:
            is_left = edge.kind in (ROOT_UPSTREAM_OUT if self._is_up else ROOT_DOWNSTREAM_OUT)
            return (edge.from_id, edge.to_id) if is_left else None
        near, far = (edge.from_id, edge.to_id) if self._is_up else (edge.to_id, edge.from_id)
        is_followed = edge.kind in (UPSTREAM_OUT if self._is_up else DOWNSTREAM_IN)
        return (near, far) if is_followed and vertices[near].kind is not EntityKind.PIPELINE else None

    def _shown(self) -> list[str]:
        """What would be shown without a limit, in order."""
        kinds = self._walk.kinds
        shown = [key for key, vertex in self._vertices.items() if key in self._roots or vertex.kind in kinds]
        return sorted(shown, key=lambda key: (self._depths[key], key))


def unite(answers: Sequence[Subgraph], max_nodes: int, truncated: Collection[TruncationReason] = ()) -> Subgraph:
    """The union of the answers to one or two walks from one root, cut once more."""
    nodes: dict[str, FoundVertex] = {}
    for found in (found for answer in answers for found in answer.nodes):
        known = nodes.setdefault(found.vertex.vertex_id, found)
        if found.depth < known.depth:
            nodes[found.vertex.vertex_id] = found
    in_order = sorted(nodes.values(), key=lambda found: (found.depth, found.vertex.vertex_id))
    kept = {found.vertex.vertex_id for found in in_order[:max_nodes]}
    edges = {edge.order: edge for answer in answers for edge in answer.edges}
    reasons = frozenset(truncated).union(*(answer.truncated for answer in answers))
    return Subgraph(
        nodes=tuple(in_order[:max_nodes]),
        edges=tuple(edge for _, edge in sorted(edges.items()) if {edge.from_id, edge.to_id} <= kept),
        truncated=reasons | ({TruncationReason.NODE_LIMIT} if len(in_order) > max_nodes else frozenset()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentEdges:
    """The snapshots of one table as a graph: each is DERIVED_FROM its parent.

    `vertices` has every snapshot that stands for itself, and those that have expired where another one names them as
    its parent: the graph may remember what they were made from. A `replace` snapshot is its nearest ancestor that is
    none.
    """

    vertices: Mapping[str, Vertex]
    to_parent: Mapping[str, Edge]
    to_children: Mapping[str, tuple[Edge, ...]]

    def around(self, vertex_id: str) -> tuple[Edge, ...]:
        """The edges that end at a snapshot."""
        parent = self.to_parent.get(vertex_id)
        return (*(() if parent is None else (parent,)), *self.to_children.get(vertex_id, ()))


def parent_edges(state: TableState) -> ParentEdges:
    """The parent edges of a table. Costs some microseconds a snapshot."""
    history = state.history
    own = {number: same_rows_as(history, number) for number in history.snapshots}
    vertices: dict[str, Vertex] = {}
    to_parent: dict[str, Edge] = {}
    to_children: defaultdict[str, list[Edge]] = defaultdict(list)

    def vertex_of(number: int) -> str:
        vertex = snapshot_vertex(state.table_uuid, number, str(state.name))
        return vertices.setdefault(vertex.vertex_id, vertex).vertex_id

    for number, snapshot in history.snapshots.items():
        if own[number] != number:
            continue
        child = vertex_of(number)
        if snapshot.parent_id is None:
            continue
        parent = vertex_of(own.get(snapshot.parent_id, snapshot.parent_id))
        if parent == child:  # parents that run in a circle
            continue
        to_parent[child] = Edge(
            kind=EdgeKind.DERIVED_FROM,
            from_id=child,
            to_id=parent,
            owner=ICEBERG,
            source=ICEBERG,
            recorded_at=to_instant(snapshot.timestamp_ms),
        )
        to_children[parent].append(to_parent[child])
    return ParentEdges(
        vertices=vertices,
        to_parent=to_parent,
        to_children={key: tuple(sorted(edges, key=_order)) for key, edges in to_children.items()},
    )


def _order(edge: Edge) -> tuple[str, str, str, str]:
    return edge.order
