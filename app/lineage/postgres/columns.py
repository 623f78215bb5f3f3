"""Column lineage: breadth-first from column to column, a statement for each hop."""

from __future__ import annotations

from dataclasses import dataclass, field

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.domain.lineage import ColumnEdge, Direction, EdgeKind, Grain
from app.lineage.postgres.keys import digest, edge_code, is_storable
from app.lineage.postgres.levels import ROOTS, Way, ways
from app.lineage.postgres.rows import END_COLUMNS, END_JOINS, to_ends

_Column = tuple[int, str]
_Step = tuple[int, str, int, str, str | None, str | None]


def _leaving(way: Way) -> str:
    near = "from" if way is Way.UP else "to"
    return f"""
        SELECT DISTINCT c.from_id, c.from_column, c.to_id, c.to_column, c.transformation, c.description
        FROM unnest($1::bigint[], $2::text[]) AS f (id, name)
        CROSS JOIN LATERAL (
            SELECT * FROM lineage_columns
            WHERE {near}_id = f.id AND left({near}_column, 100) = left(f.name, 100) AND {near}_column = f.name
            OFFSET 0
        ) AS c
        WHERE c.kind = {edge_code(EdgeKind.DERIVED_FROM)}
    """


# Data flows against the edge: its `to` comes first in the order of a step, and in the answer.
_HOPS = {
    way: f"""
        SELECT {END_COLUMNS}, e.from_column, e.to_column, e.transformation, e.description
        FROM ({_leaving(way)}) AS e {END_JOINS}
        ORDER BY b.key, e.to_column, a.key, e.from_column, coalesce(e.transformation, ''), coalesce(e.description, ''),
                 e.transformation IS NOT NULL, e.description IS NOT NULL
        LIMIT $3
    """
    for way in Way
}
_HAS_MORE = {way: f"SELECT EXISTS ({_leaving(way)})" for way in Way}


@dataclass(slots=True)
class _Found:
    steps: dict[_Step, ColumnEdge] = field(default_factory=dict)
    is_complete: bool = True


async def find_column_edges(
    connection: PoolConnectionProxy, root: str, column: str, direction: Direction, *, depth: int, limit: int
) -> tuple[list[ColumnEdge], bool]:
    """The steps to or from one column, in order, and whether these are all."""
    roots = [row["vertex_id"] for row in await connection.fetch(ROOTS[Grain.VERSION], digest(root))]
    if not roots or not is_storable(column):
        return [], True
    found = _Found()
    for way in ways(direction):
        await _follow(connection, way, [(number, column) for number in roots], found, depth=depth, limit=limit)
    edges = sorted(found.steps.values(), key=lambda edge: edge.order)
    return edges[:limit], found.is_complete and len(edges) <= limit


async def _follow(
    connection: PoolConnectionProxy, way: Way, frontier: list[_Column], found: _Found, *, depth: int, limit: int
) -> None:
    met, steps = set(frontier), 0
    for hops in range(1, depth + 1):
        rows = await connection.fetch(_HOPS[way], *_arrays(frontier), limit - steps + 1)
        frontier = []
        for row in rows[: limit - steps]:
            _add(found, row, hops)
            near = (row["to_id"], row["to_column"]) if way is Way.UP else (row["from_id"], row["from_column"])
            if near not in met:
                met.add(near)
                frontier.append(near)
        if len(rows) > limit - steps:
            found.is_complete = False
            return
        steps += len(rows)
        if not frontier:
            return
    if await connection.fetchval(_HAS_MORE[way], *_arrays(frontier)):
        found.is_complete = False


def _arrays(columns: list[_Column]) -> tuple[list[int], list[str]]:
    return [number for number, _ in columns], [name for _, name in columns]


def _add(found: _Found, row: asyncpg.Record, hops: int) -> None:
    step = (
        row["from_id"],
        row["from_column"],
        row["to_id"],
        row["to_column"],
        row["transformation"],
        row["description"],
    )
    if step in found.steps and found.steps[step].depth <= hops:
        return
    dependent, source = to_ends(row)
    found.steps[step] = ColumnEdge(
        from_vertex=source,
        from_column=row["to_column"],
        to_vertex=dependent,
        to_column=row["from_column"],
        depth=hops,
        transformation=row["transformation"],
        description=row["description"],
    )
