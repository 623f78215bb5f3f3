"""Walks: what the levels met, as nodes and edges."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.domain.lineage import Edge, EntityKind, FoundVertex, Grain, Subgraph, TruncationReason, Walk
from app.errors import LineageUnavailableError
from app.lineage.postgres.keys import KIND_MASK, entity_code, entity_codes
from app.lineage.postgres.levels import NO_LIMIT, Levels, Way, find_levels, ways
from app.lineage.postgres.rows import EDGE_COLUMNS, to_edge, to_vertex
from app.lineage.postgres.snapshots import reading

_LEAF = entity_code(EntityKind.PIPELINE)

_NODES = {
    Grain.VERSION: """
        SELECT n.id, n.depth, n.version, e.entity, e.name
        FROM (
            SELECT m.id, m.depth, v.key, v.version, v.entity_id
            FROM unnest($1::bigint[], $2::integer[]) AS m (id, depth) JOIN lineage_vertices v ON v.vertex_id = m.id
            ORDER BY m.depth, v.key LIMIT $3
        ) AS n JOIN lineage_entities e USING (entity_id)
        ORDER BY n.depth, n.key
    """,
    Grain.ENTITY: """
        SELECT m.id, m.depth, NULL AS version, e.entity, e.name
        FROM unnest($1::bigint[], $2::integer[]) AS m (id, depth) JOIN lineage_entities e ON e.entity_id = m.id
        ORDER BY m.depth, e.entity LIMIT $3
    """,
}
_EDGES = {
    # Found from where they come: what a version was made from is bounded by a run's inputs, what was made from it is
    # not. IS TRUE, because a plain IN would become a join, which compares each edge with every node.
    Grain.VERSION: """
        SELECT {columns}, e.from_id, e.to_id
        FROM unnest($1::bigint[]) AS f (id)
        CROSS JOIN LATERAL (SELECT * FROM lineage_edges WHERE from_id = f.id OFFSET 0) AS e
        WHERE (e.to_id IN (SELECT unnest($1::bigint[]))) IS TRUE AND ({passable})
    """,
    Grain.ENTITY: """
        SELECT {columns}, r.from_id, r.to_id
        FROM unnest($1::bigint[]) AS f (id)
        CROSS JOIN LATERAL (SELECT * FROM lineage_entity_edges WHERE from_id = f.id OFFSET 0) AS r
        CROSS JOIN LATERAL (SELECT * FROM lineage_edges WHERE edge_id = r.first_edge_id OFFSET 0) AS e
        WHERE (r.to_id IN (SELECT unnest($1::bigint[]))) IS TRUE AND ({passable})
    """,
}


def _edges_statement(grain: Grain, way: Way) -> str:
    # A pipeline is left only as the root, and then by the edges in $3; $4 are the roots.
    edge = "e" if grain is Grain.VERSION else "r"
    left = f"{edge}.from_id" if way is Way.UP else f"{edge}.to_id"
    passable = f"""
        ({edge}.kind = ANY ($2) AND {left} & {KIND_MASK} <> {_LEAF})
        OR ({edge}.kind = ANY ($3) AND {edge}.from_id & {KIND_MASK} = {_LEAF} AND {edge}.from_id = ANY ($4))
    """
    return _EDGES[grain].format(columns=EDGE_COLUMNS, passable=passable)


_EDGES_STATEMENTS = {(grain, way): _edges_statement(grain, way) for grain in Grain for way in Way}


@dataclass(slots=True, kw_only=True)
class _Found:
    """The answer to one or two walks, by id."""

    nodes: dict[int, FoundVertex]
    edges: dict[int, asyncpg.Record]
    truncated: set[TruncationReason]


async def find_subgraph(pool: asyncpg.Pool, walk: Walk) -> Subgraph:
    """The answer to a walk, as of one moment."""
    found = _Found(nodes={}, edges={}, truncated=set())
    try:
        async with reading(pool, timeout_s=walk.timeout_s) as connection:
            for way in ways(walk.direction):
                await _follow(connection, walk, way, found)
    except asyncpg.QueryCanceledError:
        # One level was too much: of what was met before it, the server tells nothing any more.
        found.truncated.add(TruncationReason.TIMEOUT)
    return _to_subgraph(found, walk.max_nodes)


async def count_nodes(pool: asyncpg.Pool, walk: Walk) -> int:
    """How many nodes a walk would show if it could show any number, its root left out."""
    shown = set(entity_codes(walk.kinds))
    met: set[int] = set()
    try:
        async with reading(pool, timeout_s=walk.timeout_s) as connection:
            for way in ways(walk.direction):
                levels = await find_levels(connection, walk, way, max_nodes=NO_LIMIT)
                if TruncationReason.TIMEOUT in levels.truncated:
                    raise LineageUnavailableError(_not_in_time(walk))
                met.update(number for number, depth in levels.depths.items() if depth and number & KIND_MASK in shown)
    except asyncpg.QueryCanceledError as error:
        raise LineageUnavailableError(_not_in_time(walk)) from error
    return len(met)


async def _follow(connection: PoolConnectionProxy, walk: Walk, way: Way, found: _Found) -> None:
    levels = await find_levels(connection, walk, way, max_nodes=walk.max_nodes)
    found.truncated |= levels.truncated
    shown = _shown(levels, walk)
    rows = await connection.fetch(_NODES[walk.grain], list(shown), list(shown.values()), walk.max_nodes)
    for row in rows:
        number, depth = row["id"], row["depth"]
        if number not in found.nodes or found.nodes[number].depth > depth:
            found.nodes[number] = FoundVertex(vertex=to_vertex(row, number), depth=depth)
    edges = await connection.fetch(
        _EDGES_STATEMENTS[walk.grain, way], [row["id"] for row in rows], way.passed, way.root_passed, levels.roots
    )
    found.edges.update((row["edge_id"], row) for row in edges)


def _shown(levels: Levels, walk: Walk) -> dict[int, int]:
    shown = set(entity_codes(walk.kinds))
    return {number: depth for number, depth in levels.depths.items() if not depth or number & KIND_MASK in shown}


def _to_subgraph(found: _Found, max_nodes: int) -> Subgraph:
    nodes = sorted(found.nodes.items(), key=lambda item: (item[1].depth, item[1].vertex.vertex_id))
    truncated = found.truncated
    if len(nodes) > max_nodes:
        truncated.add(TruncationReason.NODE_LIMIT)
    kept = nodes[:max_nodes]
    ids = {number: node.vertex.vertex_id for number, node in kept}
    edges = [
        to_edge(row, ids[row["from_id"]], ids[row["to_id"]])
        for row in found.edges.values()
        if row["from_id"] in ids and row["to_id"] in ids
    ]
    return Subgraph(
        nodes=tuple(node for _, node in kept),
        edges=tuple(sorted(edges, key=_order)),
        truncated=frozenset(truncated),
    )


def _order(edge: Edge) -> tuple[str, str, str, str]:
    return edge.order


def _not_in_time(walk: Walk) -> str:
    return f"the nodes could not be counted within {walk.timeout_s:g} s"
