"""Rows of the server's answers as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from app.domain.lineage import (
    ColumnEdge,
    ColumnLink,
    Edge,
    EdgeKind,
    EntityKind,
    FoundVertex,
    Subgraph,
    TruncationReason,
    Vertex,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KINDS = {kind.value: kind for kind in EntityKind}
_EDGE_KINDS = {kind.value: kind for kind in EdgeKind}
_ORDER = attrgetter("order")


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def to_subgraph(answer: Mapping[str, Any]) -> Subgraph:
    """The answer to a walk, in order."""
    vertices = to_vertices(answer)
    nodes = [FoundVertex(vertex=vertex, depth=row[0]) for vertex, row in zip(vertices, answer["nodes"], strict=True)]
    return Subgraph(
        nodes=tuple(sorted(nodes, key=_node_order)),
        edges=tuple(to_edges(answer, vertices)),
        truncated=frozenset(map(TruncationReason, answer["truncated"])),
    )


def to_vertices(answer: Mapping[str, Any]) -> list[Vertex]:
    """The vertices of an answer, by their place in it."""
    return [
        Vertex(entity=entity, version=version, kind=_KINDS[kind], name=name)
        for _, entity, version, kind, name in answer["nodes"]
    ]


def to_edges(answer: Mapping[str, Any], vertices: Sequence[Vertex]) -> list[Edge]:
    """The edges of an answer, in order, with the columns that it tells."""
    ids = [vertex.vertex_id for vertex in vertices]
    links = _links(answer.get("columns", ()))
    edges = [
        Edge(
            kind=_EDGE_KINDS[kind],
            from_id=ids[from_place],
            to_id=ids[to_place],
            owner=owner,
            source=source,
            recorded_at=_EPOCH + timedelta(microseconds=recorded_at),
            run_id=None if run_id is None else UUID(run_id),
            is_inferred=is_inferred,
            columns=tuple(links.get((from_place, to_place, kind, owner), ())),
        )
        for from_place, to_place, kind, owner, source, recorded_at, run_id, is_inferred in answer["edges"]
    ]
    return sorted(edges, key=_ORDER)


def to_column_edges(answer: Mapping[str, Any]) -> list[ColumnEdge]:
    """The steps of column lineage, in order, each at its least depth."""
    vertices = to_vertices(answer)
    found: dict[tuple[Any, ...], ColumnEdge] = {}
    for depth, from_place, to_place, from_column, to_column, transformation, description in answer["steps"]:
        # Data flows against the edge: its `to` is where the step begins.
        edge = ColumnEdge(
            from_vertex=vertices[to_place],
            from_column=to_column,
            to_vertex=vertices[from_place],
            to_column=from_column,
            depth=depth,
            transformation=transformation,
            description=description,
        )
        key = edge.order[1:]
        if key not in found or depth < found[key].depth:
            found[key] = edge
    return sorted(found.values(), key=lambda edge: edge.order)


def _links(rows: Sequence[Sequence[Any]]) -> dict[tuple[int, int, str, str], list[ColumnLink]]:
    found: dict[tuple[int, int, str, str], list[ColumnLink]] = {}
    for from_place, to_place, kind, _, from_column, to_column, transformation, description, owner in sorted(
        rows, key=lambda row: int(row[3])
    ):
        link = ColumnLink(
            from_column=from_column, to_column=to_column, transformation=transformation, description=description
        )
        found.setdefault((from_place, to_place, kind, owner), []).append(link)
    return found


def _node_order(node: FoundVertex) -> tuple[int, str]:
    return (node.depth, node.vertex.vertex_id)
