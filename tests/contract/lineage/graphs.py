"""Small words for graphs: versions of datasets, models and pipelines, and edges between them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from app.domain.lineage import (
    ColumnLink,
    Direction,
    Edge,
    EdgeKind,
    EntityKind,
    Projection,
    Subgraph,
    Vertex,
    Walk,
)

NOW = datetime(2026, 2, 15, 10, tzinfo=UTC)
UP, DOWN, BOTH = Direction.UPSTREAM, Direction.DOWNSTREAM, Direction.BOTH
DERIVED, GENERATED, CONSUMES, PRODUCES, TRAINED = (
    EdgeKind.DERIVED_FROM,
    EdgeKind.GENERATED_BY,
    EdgeKind.CONSUMES,
    EdgeKind.PRODUCES,
    EdgeKind.TRAINED_ON,
)
_PREFIXES = {"m": EntityKind.MODEL, "p": EntityKind.PIPELINE, "f": EntityKind.FEATURE}


def v(text: str) -> Vertex:
    """`orders@1` is version 1 of dataset `orders`; `m:`, `p:`, `f:` in front are for models, pipelines and features."""
    entity, _, version = text.rpartition("@")
    prefix, colon, _ = entity.partition(":")
    kind = _PREFIXES.get(prefix, EntityKind.DATASET) if colon else EntityKind.DATASET
    return Vertex(entity=entity, version=version, kind=kind, name=f"the {entity}")


def edge(from_id: str, kind: EdgeKind, to_id: str, *columns: tuple[str, str], owner: str = "run:1", **facts) -> Edge:
    links = tuple(ColumnLink(from_column=near, to_column=far) for near, far in columns)
    values = {"source": "test", "recorded_at": NOW, "run_id": UUID(int=7), "columns": links, **facts}
    return Edge(kind=kind, from_id=from_id, to_id=to_id, owner=owner, **values)


def said(edges: Iterable[Edge], owner: str = "run:1") -> Projection:
    """All that an owner says, with the vertices of the edges."""
    edges = tuple(edges)
    ends = {end for item in edges for end in (item.from_id, item.to_id)}
    return Projection(owner=owner, vertices={end: v(end) for end in ends}, edges=edges)


def derived(*pairs: tuple[str, str], owner: str = "run:1") -> Projection:
    """`(a, b)`: a is derived from b."""
    return said([edge(near, DERIVED, far, owner=owner) for near, far in pairs], owner)


def walk(root: str, direction: Direction = UP, **options) -> Walk:
    return Walk(root=root, direction=direction, **{"depth": 10, "timeout_s": 30.0, **options})


def depths(graph: Subgraph) -> dict[str, int]:
    """Nodes by id, in the order of the answer."""
    return {node.vertex.vertex_id: node.depth for node in graph.nodes}


def pairs(graph: Subgraph) -> list[tuple[str, str, str]]:
    """Edges without who said them."""
    return [(item.from_id, item.kind.value, item.to_id) for item in graph.edges]
