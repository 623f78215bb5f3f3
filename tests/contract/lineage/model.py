"""What a store of the lineage graph has to answer, in dictionaries: the reference for all stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.domain.lineage import (
    DOWNSTREAM_IN,
    ROOT_DOWNSTREAM_OUT,
    ROOT_UPSTREAM_OUT,
    UPSTREAM_OUT,
    ColumnEdge,
    Direction,
    Edge,
    EdgeKind,
    EntityKind,
    FoundVertex,
    Grain,
    Projection,
    Subgraph,
    TruncationReason,
    Vertex,
    Walk,
    roll_up,
)

NO_LIMIT = 2**31
_ONE_WAY = (Direction.UPSTREAM, Direction.DOWNSTREAM)


@dataclass(frozen=True)
class Hops:
    """One way through one graph: where each node leads, and by which edge."""

    edges: Sequence[Edge]
    kinds: dict[str, EntityKind]
    roots: frozenset[str]
    direction: Direction

    def ends(self, edge: Edge) -> tuple[str, str] | None:
        """From where to where a walk passes the edge, if it does."""
        is_up = self.direction is Direction.UPSTREAM
        is_root_pipeline = self.kinds[edge.from_id] is EntityKind.PIPELINE and edge.from_id in self.roots
        if is_root_pipeline and edge.kind in (ROOT_UPSTREAM_OUT if is_up else ROOT_DOWNSTREAM_OUT):
            return edge.from_id, edge.to_id
        near, far = (edge.from_id, edge.to_id) if is_up else (edge.to_id, edge.from_id)
        if edge.kind in (UPSTREAM_OUT if is_up else DOWNSTREAM_IN) and self.kinds[near] is not EntityKind.PIPELINE:
            return near, far
        return None

    def depths(self, limit: int) -> dict[str, int]:
        """Every node within so many hops, by its least number of them."""
        passed = [ends for edge in self.edges if (ends := self.ends(edge))]
        found = dict.fromkeys(self.roots, 0)
        frontier = set(self.roots)
        for depth in range(1, limit + 1):
            frontier = {far for near, far in passed if near in frontier} - found.keys()
            found |= dict.fromkeys(frontier, depth)
        return found


class Model:
    """The graph as all that its owners say."""

    def __init__(self) -> None:
        self.said: dict[str, Projection] = {}

    def apply(self, projections: Iterable[Projection]) -> None:
        for projection in projections:
            self.said.pop(projection.owner, None)
            if projection.edges:
                self.said[projection.owner] = projection

    @property
    def edges(self) -> list[Edge]:
        # Of what an owner says twice in one projection, the last counts.
        found = {edge.order: edge for said in self.said.values() for edge in said.edges}
        return [edge for _, edge in sorted(found.items())]

    @property
    def vertices(self) -> dict[str, Vertex]:
        return {
            end: said.vertices[end]
            for said in self.said.values()
            for edge in said.edges
            for end in (edge.from_id, edge.to_id)
        }

    def walk(self, walk: Walk) -> Subgraph:
        if walk.direction is Direction.BOTH:
            return _union([self.walk(replace(walk, direction=way)) for way in _ONE_WAY], walk.max_nodes)
        hops, nodes = self._hops(walk)
        shown, has_more = self._shown(walk, hops, nodes)
        kept = shown[: walk.max_nodes]
        ids = {node.vertex.vertex_id for node in kept}
        edges = [edge for edge in hops.edges if {edge.from_id, edge.to_id} <= ids and hops.ends(edge)]
        truncated = set()
        if len(shown) > walk.max_nodes:
            truncated.add(TruncationReason.NODE_LIMIT)
        elif has_more:
            truncated.add(TruncationReason.DEPTH)
        return Subgraph(
            nodes=tuple(kept),
            edges=tuple(replace(edge, columns=()) for edge in edges),
            truncated=frozenset(truncated),
        )

    def count(self, walk: Walk) -> int:
        found = set()
        for way in _ONE_WAY if walk.direction is Direction.BOTH else (walk.direction,):
            hops, nodes = self._hops(replace(walk, direction=way))
            shown, _ = self._shown(walk, hops, nodes)
            found |= {node.vertex.vertex_id for node in shown} - hops.roots
        return len(found)

    def neighbours(
        self, vertex_ids: Sequence[str], direction: Direction, limit: int, *, with_columns: bool = False
    ) -> list[Edge]:
        found = {}
        for way in _ONE_WAY if direction is Direction.BOTH else (direction,):
            vertices = self.vertices
            roots = frozenset(key for key, it in vertices.items() if {key, it.entity} & set(vertex_ids))
            hops = Hops(self.edges, {key: vertex.kind for key, vertex in vertices.items()}, roots, way)
            for edge in hops.edges:
                ends = hops.ends(edge)
                if ends and ends[0] in roots:
                    found[edge.order] = edge if with_columns else replace(edge, columns=())
        return [edge for _, edge in sorted(found.items())][:limit]

    def column_edges(
        self, root: str, column: str, direction: Direction, *, depth: int, limit: int
    ) -> tuple[list[ColumnEdge], bool]:
        if direction is Direction.BOTH:
            both = [self.column_edges(root, column, way, depth=depth, limit=limit) for way in _ONE_WAY]
            steps = _first([edge for edges, _ in both for edge in edges])
            return steps[:limit], all(is_complete for _, is_complete in both) and len(steps) <= limit
        links = self._links()
        frontier = {(vertex_id, column) for vertex_id in self._roots(root)}
        met, found = set(frontier), list[ColumnEdge]()
        for hops in range(1, depth + 1):
            leaving = [link for link in links if _near(link, direction) in frontier]
            found += [replace(link, depth=hops) for link in leaving]
            frontier = {_far(link, direction) for link in leaving} - met
            met |= frontier
        steps = _first(found)
        has_more = any(_near(link, direction) in frontier for link in links)
        return steps[:limit], len(steps) <= limit and not has_more

    def totals(self) -> tuple[dict[str, int], dict[str, int]]:
        labels, edges = dict[str, int](), dict[str, int]()
        vertices = self.vertices.values()
        for vertex in vertices:
            _add(labels, f"{vertex.kind.capitalize()}Version")
            _add(edges, "VERSION_OF")
        for entity in {vertex.as_entity for vertex in vertices}:
            _add(labels, entity.kind.capitalize())
        for edge in self.edges:
            _add(edges, edge.kind.value)
        return labels, edges

    def _roots(self, root: str) -> frozenset[str]:
        if root in self.vertices:
            return frozenset({root})
        return frozenset(key for key, vertex in self.vertices.items() if vertex.entity == root)

    def _hops(self, walk: Walk) -> tuple[Hops, dict[str, Vertex]]:
        vertices, edges, roots = self.vertices, self.edges, self._roots(walk.root)
        if walk.grain is Grain.ENTITY:
            edges = roll_up(edges, vertices)
            roots = frozenset(vertices[root].entity for root in roots)
            vertices = {vertex.entity: vertex.as_entity for vertex in vertices.values()}
        kinds = {key: vertex.kind for key, vertex in vertices.items()}
        return Hops(edges, kinds, roots, walk.direction), vertices

    def _shown(self, walk: Walk, hops: Hops, nodes: dict[str, Vertex]) -> tuple[list[FoundVertex], bool]:
        depths = hops.depths(walk.depth + 1)
        beyond = {hops.kinds[key] for key, depth in depths.items() if depth > walk.depth}
        shown = [
            FoundVertex(vertex=nodes[key], depth=depth)
            for key, depth in depths.items()
            if depth <= walk.depth and (not depth or hops.kinds[key] in walk.kinds)
        ]
        return sorted(shown, key=_node_order), bool(beyond - ({EntityKind.PIPELINE} - walk.kinds))

    def _links(self) -> list[ColumnEdge]:
        vertices = self.vertices
        return [
            ColumnEdge(
                from_vertex=vertices[edge.to_id],
                from_column=link.to_column,
                to_vertex=vertices[edge.from_id],
                to_column=link.from_column,
                depth=0,
                transformation=link.transformation,
                description=link.description,
            )
            for edge in self.edges
            if edge.kind is EdgeKind.DERIVED_FROM
            for link in edge.columns
        ]


def _union(answers: Sequence[Subgraph], max_nodes: int) -> Subgraph:
    depths: dict[Vertex, int] = {}
    for node in (node for answer in answers for node in answer.nodes):
        depths[node.vertex] = min(node.depth, depths.get(node.vertex, node.depth))
    nodes = sorted((FoundVertex(vertex=vertex, depth=depth) for vertex, depth in depths.items()), key=_node_order)
    ids = {node.vertex.vertex_id for node in nodes[:max_nodes]}
    edges = {edge.order: edge for answer in answers for edge in answer.edges if {edge.from_id, edge.to_id} <= ids}
    truncated = frozenset[TruncationReason]().union(*(answer.truncated for answer in answers))
    return Subgraph(
        nodes=tuple(nodes[:max_nodes]),
        edges=tuple(edge for _, edge in sorted(edges.items())),
        truncated=truncated | ({TruncationReason.NODE_LIMIT} if len(nodes) > max_nodes else frozenset()),
    )


def _first(edges: Iterable[ColumnEdge]) -> list[ColumnEdge]:
    """Each step once, at its least depth, in order."""
    found: dict[ColumnEdge, ColumnEdge] = {}
    for edge in sorted(edges, key=_step_order):
        found.setdefault(replace(edge, depth=0), edge)
    return sorted(found.values(), key=_step_order)


def _step_order(edge: ColumnEdge) -> tuple[object, ...]:
    return (
        edge.depth,
        edge.from_vertex.vertex_id,
        edge.from_column,
        edge.to_vertex.vertex_id,
        edge.to_column,
        edge.transformation or "",
        edge.description or "",
        edge.transformation is not None,
        edge.description is not None,
    )


def _node_order(node: FoundVertex) -> tuple[int, str]:
    return (node.depth, node.vertex.vertex_id)


def _near(link: ColumnEdge, direction: Direction) -> tuple[str, str]:
    if direction is Direction.UPSTREAM:
        return link.to_vertex.vertex_id, link.to_column
    return link.from_vertex.vertex_id, link.from_column


def _far(link: ColumnEdge, direction: Direction) -> tuple[str, str]:
    other = Direction.DOWNSTREAM if direction is Direction.UPSTREAM else Direction.UPSTREAM
    return _near(link, other)


def _add(counts: dict[str, int], label: str) -> None:
    counts[label] = counts.get(label, 0) + 1
