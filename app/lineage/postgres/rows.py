"""Rows of the graph's tables as values."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from app.domain.lineage import ColumnLink, Edge, Vertex
from app.lineage.postgres.keys import edge_kind, kind_of

# The facts of an edge `e` and its owner; its ends are ids.
EDGE_COLUMNS = """
    e.edge_id, e.kind, e.source, e.recorded_at, e.run_id, e.is_inferred,
    (SELECT o.owner FROM lineage_owners o WHERE o.owner_id = e.owner_id) AS owner
"""

# Both ends of an edge in full, with `a`, `b` their vertices and `ea`, `eb` their entities.
END_COLUMNS = """
    a.vertex_id AS from_id, a.version AS from_version, ea.entity AS from_entity, ea.name AS from_name,
    b.vertex_id AS to_id, b.version AS to_version, eb.entity AS to_entity, eb.name AS to_name
"""
END_JOINS = """
    JOIN lineage_vertices a ON a.vertex_id = e.from_id JOIN lineage_entities ea ON ea.entity_id = a.entity_id
    JOIN lineage_vertices b ON b.vertex_id = e.to_id JOIN lineage_entities eb ON eb.entity_id = b.entity_id
"""


def to_edge(row: asyncpg.Record, from_id: str, to_id: str, columns: Sequence[ColumnLink] = ()) -> Edge:
    """The edge of a row with `EDGE_COLUMNS`."""
    return Edge(
        kind=edge_kind(row["kind"]),
        from_id=from_id,
        to_id=to_id,
        owner=row["owner"],
        source=row["source"],
        recorded_at=row["recorded_at"],
        run_id=row["run_id"],
        is_inferred=row["is_inferred"],
        columns=tuple(columns),
    )


def to_vertex(row: asyncpg.Record, number: int) -> Vertex:
    """The vertex of a row with `entity`, `version` and `name`."""
    return Vertex(entity=row["entity"], version=row["version"], kind=kind_of(number), name=row["name"])


def to_ends(row: asyncpg.Record) -> tuple[Vertex, Vertex]:
    """The two vertices of a row with `END_COLUMNS`."""
    from_vertex, to_vertex = (
        Vertex(
            entity=row[f"{end}_entity"],
            version=row[f"{end}_version"],
            kind=kind_of(row[f"{end}_id"]),
            name=row[f"{end}_name"],
        )
        for end in ("from", "to")
    )
    return from_vertex, to_vertex
