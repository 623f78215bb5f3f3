"""What is read of the graph besides walks: one hop, what an owner says, numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.domain.lineage import ColumnLink, Direction, Edge, EntityKind, Vertex
from app.lineage.postgres.keys import KIND_MASK, digest, edge_kind, entity_code, kind_of
from app.lineage.postgres.levels import Way, ways
from app.lineage.postgres.rows import EDGE_COLUMNS, END_COLUMNS, END_JOINS, to_edge, to_ends

OWNERS_PER_PAGE = 1000
VERSION_OF = "VERSION_OF"

_LEAF = entity_code(EntityKind.PIPELINE)


def _passed(way: Way) -> str:
    near = "from_id" if way is Way.UP else "to_id"
    return f"""
        SELECT e.edge_id FROM given g
        CROSS JOIN LATERAL (SELECT edge_id, kind FROM lineage_edges WHERE {near} = g.id OFFSET 0) AS e
        WHERE e.kind = ANY ('{{{_listed(way.passed)}}}') AND g.id & {KIND_MASK} <> {_LEAF}
        UNION
        SELECT e.edge_id FROM given g
        CROSS JOIN LATERAL (SELECT edge_id, kind FROM lineage_edges WHERE from_id = g.id OFFSET 0) AS e
        WHERE e.kind = ANY ('{{{_listed(way.root_passed)}}}') AND g.id & {KIND_MASK} = {_LEAF}
    """


def _listed(codes: Iterable[int]) -> str:
    return ",".join(map(str, codes))


_NEIGHBOURS = {
    direction: f"""
        WITH given (id) AS (
                 SELECT vertex_id FROM lineage_vertices WHERE digest = ANY ($1)
                 UNION
                 SELECT v.vertex_id FROM lineage_entities e JOIN lineage_vertices v USING (entity_id)
                 WHERE e.digest = ANY ($1)
             ),
             passed (edge_id) AS ({" UNION ".join(map(_passed, ways(direction)))})
        SELECT {EDGE_COLUMNS}, {END_COLUMNS}
        FROM passed p
        CROSS JOIN LATERAL (SELECT * FROM lineage_edges WHERE edge_id = p.edge_id OFFSET 0) AS e {END_JOINS}
        ORDER BY a.key, b.key, e.kind, owner LIMIT $2
    """
    for direction in Direction
}
_EDGES_OF = f"""
    SELECT {EDGE_COLUMNS}, {END_COLUMNS}
    FROM lineage_owners o JOIN lineage_edges e USING (owner_id) {END_JOINS}
    WHERE o.digest = $1
    ORDER BY a.key, b.key, e.kind
"""
_COLUMNS_OF = """
    SELECT c.edge_id, c.from_column, c.to_column, c.transformation, c.description
    FROM (
        SELECT edge_id FROM lineage_edges
        WHERE owner_id = (SELECT owner_id FROM lineage_owners WHERE digest = $1) OFFSET 0
    ) AS e
    CROSS JOIN LATERAL (SELECT * FROM lineage_columns WHERE edge_id = e.edge_id OFFSET 0) AS c
    ORDER BY c.edge_id, c.ordinal
"""
_COLUMNS_OF_EDGES = """
    SELECT c.edge_id, c.from_column, c.to_column, c.transformation, c.description
    FROM unnest($1::bigint[]) AS f (id)
    CROSS JOIN LATERAL (SELECT * FROM lineage_columns WHERE edge_id = f.id OFFSET 0) AS c
    ORDER BY c.edge_id, c.ordinal
"""
_OWNERS = """
    SELECT owner FROM lineage_owners
    WHERE left(owner, 100) >= left($1::text, 100) AND owner > $1 ORDER BY left(owner, 100), owner LIMIT $2
"""
_TOTALS = f"""
    SELECT 'entity' AS what, (entity_id & {KIND_MASK})::integer AS code, count(*) AS number
    FROM lineage_entities GROUP BY code
    UNION ALL
    SELECT 'version', (vertex_id & {KIND_MASK})::integer AS code, count(*) FROM lineage_vertices GROUP BY code
    UNION ALL
    SELECT 'edge', kind, count(*) FROM lineage_edges GROUP BY kind
"""


async def find_neighbours(
    connection: PoolConnectionProxy,
    vertex_ids: Sequence[str],
    direction: Direction,
    *,
    limit: int,
    with_columns: bool,
) -> tuple[list[Edge], dict[str, Vertex]]:
    """The edges that lead one hop on from these versions or entities, and what they join."""
    rows = await connection.fetch(_NEIGHBOURS[direction], [digest(vertex_id) for vertex_id in vertex_ids], limit)
    if not with_columns:
        return _with_ends(rows, {})
    links = await connection.fetch(_COLUMNS_OF_EDGES, [row["edge_id"] for row in rows])
    return _with_ends(rows, _by_edge(links))


async def find_edges_of(connection: PoolConnectionProxy, owner: str) -> tuple[list[Edge], dict[str, Vertex]]:
    """All that an owner says; two statements, which should see one state."""
    rows = await connection.fetch(_EDGES_OF, digest(owner))
    return _with_ends(rows, _by_edge(await connection.fetch(_COLUMNS_OF, digest(owner))))


async def find_owners(pool: asyncpg.Pool, after: str) -> list[str]:
    """The next page of owners in order."""
    return [row["owner"] for row in await pool.fetch(_OWNERS, after, OWNERS_PER_PAGE)]


async def count_all(pool: asyncpg.Pool) -> tuple[dict[str, int], dict[str, int]]:
    """Vertices and edges by label; reads both tables whole."""
    vertices: dict[str, int] = {}
    edges: dict[str, int] = {}
    for row in await pool.fetch(_TOTALS):
        match row["what"]:
            case "entity":
                vertices[_label(row["code"])] = row["number"]
            case "version":
                vertices[_label(row["code"]) + "Version"] = row["number"]
                edges[VERSION_OF] = edges.get(VERSION_OF, 0) + row["number"]
            case _:
                edges[edge_kind(row["code"]).value] = row["number"]
    return vertices, edges


def _label(code: int) -> str:
    return kind_of(code).value.capitalize()


def _by_edge(rows: Sequence[asyncpg.Record]) -> dict[int, list[ColumnLink]]:
    columns: defaultdict[int, list[ColumnLink]] = defaultdict(list)
    for row in rows:
        columns[row["edge_id"]].append(
            ColumnLink(
                from_column=row["from_column"],
                to_column=row["to_column"],
                transformation=row["transformation"],
                description=row["description"],
            )
        )
    return columns


def _with_ends(
    rows: Sequence[asyncpg.Record], columns: dict[int, list[ColumnLink]]
) -> tuple[list[Edge], dict[str, Vertex]]:
    edges: list[Edge] = []
    vertices: dict[str, Vertex] = {}
    for row in rows:
        from_vertex, to_vertex = to_ends(row)
        vertices[from_vertex.vertex_id] = from_vertex
        vertices[to_vertex.vertex_id] = to_vertex
        edges.append(to_edge(row, from_vertex.vertex_id, to_vertex.vertex_id, columns.get(row["edge_id"], ())))
    return edges, vertices
