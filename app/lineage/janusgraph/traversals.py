"""What is asked of the server: constant scripts, and the requests that they are given.

A script is compiled once by a server and found again by its text; all that differs is in its request.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from app.domain.lineage import (
    DOWNSTREAM_IN,
    ROOT_DOWNSTREAM_OUT,
    ROOT_UPSTREAM_OUT,
    UPSTREAM_OUT,
    Direction,
    Edge,
    Projection,
    Vertex,
    Walk,
)
from app.lineage.janusgraph.values import micros

VERSION_OF = "VERSION_OF"
COLUMN_LINK = "COLUMN_DERIVED_FROM"
BUCKETS = 64

# In one transaction: larger ones are no quicker, and hold their locks for longer.
_BATCH_EDGES = 1_000
# The rest of a walk's time is for the answer's way back.
_BUDGET_SHARE = 0.85


def _script(*names: str) -> str:
    folder = files("app.lineage.janusgraph") / "scripts"
    return "\n".join((folder / f"{name}.groovy").read_text(encoding="utf-8") for name in names)


PING = "groovy.json.JsonOutput.toJson(org.janusgraph.core.JanusGraph.version())"
PREPARE = _script("prepare")
APPLY = _script("apply")
WALK = _script("hops", "walk")
NEIGHBOURS = _script("hops", "neighbours")
COLUMNS = _script("hops", "columns")
OWNER = _script("hops", "owner")
OWNERS = _script("owners")
TOTALS = _script("hops", "totals")
DROP = _script("drop")

_WAYS = {
    Direction.UPSTREAM: {"direction": "OUT", "labels": UPSTREAM_OUT, "root_labels": ROOT_UPSTREAM_OUT},
    Direction.DOWNSTREAM: {"direction": "IN", "labels": DOWNSTREAM_IN, "root_labels": ROOT_DOWNSTREAM_OUT},
}


def one_ways(direction: Direction) -> list[Direction]:
    """The one or two directions that a direction stands for."""
    return list(_WAYS) if direction is Direction.BOTH else [direction]


def budget_ms(timeout_s: float) -> int:
    """How long a script may go on before it answers what it has."""
    return max(1, int(timeout_s * 1000 * _BUDGET_SHARE))


def walk_request(walk: Walk, *, is_count: bool = False) -> dict[str, Any]:
    """The request of `WALK`."""
    return {
        "root": walk.root,
        "ways": [_WAYS[way] for way in one_ways(walk.direction)],
        "depth": walk.depth,
        "max_nodes": walk.max_nodes,
        "grain": walk.grain,
        "kinds": sorted(walk.kinds),
        "is_count": is_count,
        "budget_ms": budget_ms(walk.timeout_s),
    }


def neighbours_request(
    vertex_ids: Sequence[str], direction: Direction, *, limit: int, with_columns: bool, timeout_s: float
) -> dict[str, Any]:
    """The request of `NEIGHBOURS`."""
    return {
        "vertex_ids": list(dict.fromkeys(vertex_ids)),
        "ways": [_WAYS[way] for way in one_ways(direction)],
        "limit": limit,
        "with_columns": with_columns,
        "budget_ms": budget_ms(timeout_s),
    }


def columns_request(
    root: str, column: str, direction: Direction, *, depth: int, limit: int, timeout_s: float
) -> dict[str, Any]:
    """The request of `COLUMNS`."""
    return {
        "root": root,
        "column": column,
        "directions": [_WAYS[way]["direction"] for way in one_ways(direction)],
        "depth": depth,
        "limit": limit,
        "budget_ms": budget_ms(timeout_s),
    }


def apply_requests(projections: Sequence[Projection]) -> Iterator[dict[str, Any]]:
    """Requests of `APPLY`, one for each transaction: small owners share one, none is divided."""
    batch: list[Projection] = []
    weight = 0
    for projection in {projection.owner: projection for projection in projections}.values():
        # Links between columns are edges of their own.
        added = 1 + sum(1 + len(edge.columns) for edge in projection.edges)
        if batch and weight + added > _BATCH_EDGES:
            yield _apply_request(batch)
            batch, weight = [], 0
        batch.append(projection)
        weight += added
    if batch:
        yield _apply_request(batch)


def _apply_request(projections: Sequence[Projection]) -> dict[str, Any]:
    places: dict[str, int] = {}
    rows: list[list[Any]] = []
    owners = []
    for projection in projections:
        edges = []
        # Of what an owner says twice in one projection, the last counts.
        for edge in {edge.order: edge for edge in projection.edges}.values():
            ends = [_place(projection.vertices, end, edge, places, rows) for end in (edge.from_id, edge.to_id)]
            edges.append(_edge_row(edge, *ends))
        owners.append({"owner": projection.owner, "bucket": _bucket(projection.owner), "edges": edges})
    return {"owners": owners, "vertices": rows}


def _place(
    vertices: Mapping[str, Vertex], vertex_id: str, edge: Edge, places: dict[str, int], rows: list[list[Any]]
) -> int:
    vertex, named_at = vertices[vertex_id], micros(edge.recorded_at)
    if vertex_id not in places:
        places[vertex_id] = len(rows)
        rows.append([vertex_id, vertex.entity, vertex.version, vertex.kind, vertex.name, named_at])
    row = rows[places[vertex_id]]
    if (row[5], row[4]) < (named_at, vertex.name):
        row[4:] = [vertex.name, named_at]
    return places[vertex_id]


def _edge_row(edge: Edge, from_place: int, to_place: int) -> list[Any]:
    links = [[link.from_column, link.to_column, link.transformation, link.description] for link in edge.columns]
    run_id = None if edge.run_id is None else str(edge.run_id)
    return [edge.kind, from_place, to_place, edge.source, micros(edge.recorded_at), run_id, edge.is_inferred, links]


def _bucket(owner: str) -> int:
    return zlib.crc32(owner.encode()) % BUCKETS
