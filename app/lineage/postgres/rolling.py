"""Keeping the edges between entities in step with those between versions, as `app.domain.lineage.roll_up` has them."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg.pool import PoolConnectionProxy

# From, to, kind of an edge between versions.
End = tuple[int, int, int]

# Which entities (`a`, `b`) the ends of an edge (`e`) belong to.
_ENDS = """
    JOIN lineage_vertices a ON a.vertex_id = e.from_id JOIN lineage_vertices b ON b.vertex_id = e.to_id
"""

# The first edge of each pair, where it is a new one.
_JOIN = f"""
    WITH new AS (
        SELECT a.entity_id AS from_id, b.entity_id AS to_id, e.kind, e.edge_id, a.key AS from_key, b.key AS to_key,
               o.owner
        FROM unnest($1::bigint[]) AS n (edge_id) JOIN lineage_edges e USING (edge_id) {_ENDS}
        JOIN lineage_owners o USING (owner_id)
        WHERE a.entity_id <> b.entity_id
    ), best AS (
        SELECT DISTINCT ON (from_id, to_id, kind) *
        FROM new ORDER BY from_id, to_id, kind, from_key, to_key, owner
    ), known AS (
        SELECT r.from_id, r.to_id, r.kind, a.key AS from_key, b.key AS to_key, o.owner
        FROM best JOIN lineage_entity_edges r USING (from_id, to_id, kind)
        JOIN lineage_edges e ON e.edge_id = r.first_edge_id {_ENDS} JOIN lineage_owners o USING (owner_id)
    )
    INSERT INTO lineage_entity_edges (from_id, to_id, kind, first_edge_id)
    SELECT best.from_id, best.to_id, best.kind, best.edge_id FROM best LEFT JOIN known USING (from_id, to_id, kind)
    WHERE known.owner IS NULL
       OR (best.from_key, best.to_key, best.owner) < (known.from_key, known.to_key, known.owner)
    ON CONFLICT (from_id, to_id, kind) DO UPDATE SET first_edge_id = excluded.first_edge_id
"""

# Pairs whose first edge is gone: another one is first, or there is none left. Costs the versions of the two entities.
_LEAVE = f"""
    WITH pairs AS (
        SELECT DISTINCT a.entity_id AS from_id, b.entity_id AS to_id, e.kind
        FROM unnest($1::bigint[], $2::bigint[], $3::smallint[]) AS e (from_id, to_id, kind) {_ENDS}
    ), orphans AS (
        SELECT r.* FROM pairs JOIN lineage_entity_edges r USING (from_id, to_id, kind)
        WHERE NOT EXISTS (SELECT FROM lineage_edges e WHERE e.edge_id = r.first_edge_id)
    ), heirs AS (
        SELECT p.from_id, p.to_id, p.kind, heir.edge_id
        FROM orphans p LEFT JOIN LATERAL (
            SELECT e.edge_id
            FROM lineage_vertices a JOIN lineage_edges e ON e.from_id = a.vertex_id AND e.kind = p.kind
            JOIN lineage_vertices b ON b.vertex_id = e.to_id JOIN lineage_owners o USING (owner_id)
            WHERE a.entity_id = p.from_id AND b.entity_id = p.to_id
            ORDER BY a.key, b.key, o.owner LIMIT 1
        ) AS heir ON true
    ), left_alone AS (
        DELETE FROM lineage_entity_edges r USING heirs h
        WHERE (r.from_id, r.to_id, r.kind) = (h.from_id, h.to_id, h.kind) AND h.edge_id IS NULL
    )
    UPDATE lineage_entity_edges r SET first_edge_id = h.edge_id FROM heirs h
    WHERE (r.from_id, r.to_id, r.kind) = (h.from_id, h.to_id, h.kind) AND h.edge_id IS NOT NULL
"""


async def roll_up_again(connection: PoolConnectionProxy, *, gone: Sequence[End], new: Sequence[int]) -> None:
    """Bring up to date what changed because these edges went, and because those came, by their ids.

    To be called after they did, and before vertices without edges go.
    """
    if gone:
        await connection.execute(_LEAVE, *(list(column) for column in zip(*gone, strict=True)))
    if new:
        await connection.execute(_JOIN, list(new))
