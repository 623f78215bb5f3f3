"""Breadth-first search in one statement: a row for each level, whose nodes are an array of ids.

Each node is left once, and each level knows what was met before it. A recursion over (node, depth) has to leave a node
once for every depth at which it is met, and cannot stop once there are nodes enough.

The planner does not know how long an array is, and of a table that was just filled not how many edges a node has: it
would rather read the whole table for each level. So here and in what reads the edges found, each node's are asked for
by themselves (LATERAL), and OFFSET 0 keeps the planner from seeing a join in that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.domain.lineage import (
    DOWNSTREAM_IN,
    ROOT_DOWNSTREAM_OUT,
    ROOT_UPSTREAM_OUT,
    UPSTREAM_OUT,
    Direction,
    EntityKind,
    Grain,
    TruncationReason,
    Walk,
)
from app.lineage.postgres.keys import KIND_MASK, digest, edge_codes, entity_code, entity_codes

# The rest is for reading what was met, and for the level in which this time ends.
TIME_SHARE = 0.8
NO_LIMIT = 2**62

_LEAF = entity_code(EntityKind.PIPELINE)


class Way(StrEnum):
    """One way through the graph; BOTH is two walks."""

    UP = "UP"
    DOWN = "DOWN"

    @property
    def passed(self) -> list[int]:
        """Codes of the edges that it passes: from `from` to `to` upwards, from `to` to `from` downwards."""
        return edge_codes(UPSTREAM_OUT if self is Way.UP else DOWNSTREAM_IN)

    @property
    def root_passed(self) -> list[int]:
        """Codes of the edges along which it leaves a pipeline that is the root, always from `from` to `to`."""
        return edge_codes(ROOT_UPSTREAM_OUT if self is Way.UP else ROOT_DOWNSTREAM_OUT)


def ways(direction: Direction) -> list[Way]:
    """The one or two walks that a direction asks for."""
    return {Direction.UPSTREAM: [Way.UP], Direction.DOWNSTREAM: [Way.DOWN], Direction.BOTH: list(Way)}[direction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What one walk met.

    `depths` has every id that was met, also what is not shown, and may go beyond the limit of nodes, by the rest of
    the last level.
    """

    roots: tuple[int, ...]
    depths: dict[int, int]
    truncated: frozenset[TruncationReason]


_EDGES = {Grain.VERSION: "lineage_edges", Grain.ENTITY: "lineage_entity_edges"}
# The ids that a root stands for.
ROOTS = {
    # A version by its id, else all versions of the entity.
    Grain.VERSION: """
        SELECT vertex_id FROM lineage_vertices WHERE digest = $1
        UNION ALL
        SELECT v.vertex_id FROM lineage_entities e JOIN lineage_vertices v USING (entity_id)
        WHERE e.digest = $1 AND NOT EXISTS (SELECT FROM lineage_vertices WHERE digest = $1)
    """,
    Grain.ENTITY: """
        SELECT entity_id FROM lineage_vertices WHERE digest = $1
        UNION ALL
        SELECT entity_id FROM lineage_entities
        WHERE digest = $1 AND NOT EXISTS (SELECT FROM lineage_vertices WHERE digest = $1)
    """,
}


def _hop(edges: str, way: Way, level: str) -> str:
    """Where one hop from the nodes of a level leads, with repetitions."""
    near, far = ("from_id", "to_id") if way is Way.UP else ("to_id", "from_id")
    return f"""
        SELECT e.{far} AS id
        FROM unnest({level}.ids) AS f (id)
        CROSS JOIN LATERAL (SELECT {far}, kind FROM {edges} WHERE {near} = f.id OFFSET 0) AS e
        WHERE e.kind = ANY ($5) AND f.id & {KIND_MASK} <> {_LEAF}
        UNION ALL
        SELECT e.to_id
        FROM unnest({level}.ids) AS f (id)
        CROSS JOIN LATERAL (SELECT to_id, kind FROM {edges} WHERE from_id = f.id OFFSET 0) AS e
        WHERE {level}.depth = 0 AND e.kind = ANY ($6) AND f.id & {KIND_MASK} = {_LEAF}
    """


def _statement(grain: Grain, way: Way) -> str:
    # $1 root, $2 depth, $3 nodes at most, $4 kinds shown, $5 kinds passed, $6 those from a pipeline as root, $7 time.
    edges = _EDGES[grain]
    is_shown = f"(n.id & {KIND_MASK})::integer = ANY ($4)"
    return f"""
        WITH RECURSIVE levels (depth, ids, met, shown) AS (
            SELECT 0, r.ids, r.ids, cardinality(r.ids)::bigint
            FROM (SELECT array_agg(vertex_id) AS ids FROM ({ROOTS[grain]}) AS found (vertex_id)) AS r
            WHERE r.ids IS NOT NULL
            UNION ALL
            SELECT l.depth + 1, next.ids, l.met || next.ids, l.shown + next.shown
            FROM levels l CROSS JOIN LATERAL (
                SELECT array_agg(n.id) AS ids, count(*) FILTER (WHERE {is_shown}) AS shown
                FROM (({_hop(edges, way, "l")}) EXCEPT SELECT unnest(l.met)) AS n (id)
            ) AS next
            WHERE l.depth < $2 AND l.shown <= $3 AND next.ids IS NOT NULL
              AND clock_timestamp() < statement_timestamp() + make_interval(secs => $7)
        )
        SELECT l.depth, l.ids, l.shown, l.shown <= $3 AND l.depth = (SELECT max(depth) FROM levels) AND EXISTS (
            SELECT FROM ({_hop(edges, way, "l")}) AS n (id)
            WHERE ({is_shown} OR n.id & {KIND_MASK} <> {_LEAF})
              AND NOT EXISTS (SELECT FROM unnest(l.met) AS met (id) WHERE met.id = n.id)
        ) AS has_more
        FROM levels l ORDER BY l.depth
    """


_STATEMENTS = {(grain, way): _statement(grain, way) for grain in Grain for way in Way}


async def find_levels(connection: PoolConnectionProxy, walk: Walk, way: Way, *, max_nodes: int) -> Levels:
    """All that a walk meets, level by level, until there are more than `max_nodes` or its time is over."""
    rows = await connection.fetch(
        _STATEMENTS[walk.grain, way],
        digest(walk.root),
        walk.depth,
        max_nodes,
        entity_codes(walk.kinds),
        way.passed,
        way.root_passed,
        walk.timeout_s * TIME_SHARE,
    )
    if not rows:
        return Levels(roots=(), depths={}, truncated=frozenset())
    return Levels(
        roots=tuple(rows[0]["ids"]),
        depths={number: row["depth"] for row in rows for number in row["ids"]},
        truncated=_reasons(rows[-1], walk.depth, max_nodes),
    )


def _reasons(last: asyncpg.Record, depth: int, max_nodes: int) -> frozenset[TruncationReason]:
    if last["shown"] > max_nodes:
        return frozenset({TruncationReason.NODE_LIMIT})
    if not last["has_more"]:
        return frozenset()
    return frozenset({TruncationReason.DEPTH if last["depth"] == depth else TruncationReason.TIMEOUT})
