"""Replacing what owners say, in one transaction.

One call writes at a time, for the whole graph: what two calls share (vertices that come and go, roll-ups of the same
entities) is then never in dispute, and there is no order of locks to get wrong. What an owner says again is compared by
fingerprints, so that it costs no write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.domain.lineage import Projection
from app.lineage.postgres import writes as sql
from app.lineage.postgres.keys import edge_code, entity_code
from app.lineage.postgres.rolling import roll_up_again
from app.lineage.postgres.stated import Stated, StatedEdge, gather
from app.postgres.pool import advisory_key

LOCK_KEY = "stratigraph:lineage"

# Owner, from, to, kind.
_Identity = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    gone: list[asyncpg.Record]
    changed: dict[int, tuple[_Identity, StatedEdge]]
    new: dict[_Identity, StatedEdge]


async def apply_projections(connection: PoolConnectionProxy, projections: Sequence[Projection]) -> None:
    """Replace what the owners said; within a transaction of the caller."""
    stated = gather(projections)
    await connection.execute(sql.LOCK, advisory_key(LOCK_KEY))
    said = await connection.fetch(sql.FIND_SAID, list(stated.owners))
    changes = _compare(said, await _identify(connection, stated))
    if changes.gone:
        await connection.execute(sql.DELETE_EDGES, [row["edge_id"] for row in changes.gone])
    if changes.changed:
        await _update(connection, changes.changed)
    added = await _insert(connection, changes.new) if changes.new else {}
    columns = [
        *changes.changed.items(),
        *((added[identity], (identity, edge)) for identity, edge in changes.new.items()),
    ]
    await _insert_columns(connection, columns)
    gone = [(row["from_id"], row["to_id"], row["kind"]) for row in changes.gone]
    await roll_up_again(connection, gone=gone, new=list(added.values()))
    if changes.gone:
        await _forget(connection, changes.gone)


async def _identify(connection: PoolConnectionProxy, stated: Stated) -> dict[_Identity, StatedEdge]:
    """The stated edges by the ids that they have or get in the tables."""
    if not stated.edges:
        return {}
    speaking = {edge.owner_digest: edge.edge.owner for edge in stated.edges}
    owners = _ids(await connection.fetch(sql.MAKE_OWNERS, list(speaking), list(speaking.values())))
    named = list(stated.entities.values())
    entities = _ids(
        await connection.fetch(
            sql.MAKE_ENTITIES,
            list(stated.entities),
            [vertex.entity for vertex, _ in named],
            [vertex.name for vertex, _ in named],
            [entity_code(vertex.kind) for vertex, _ in named],
            [named_at for _, named_at in named],
        )
    )
    of_entity = {vertex.entity: entities[key] for key, (vertex, _) in stated.entities.items()}
    vertices = _ids(
        await connection.fetch(
            sql.MAKE_VERTICES,
            list(stated.vertices),
            [of_entity[vertex.entity] for vertex in stated.vertices.values()],
            [vertex.vertex_id for vertex in stated.vertices.values()],
            [vertex.version for vertex in stated.vertices.values()],
            [entity_code(vertex.kind) for vertex in stated.vertices.values()],
        )
    )
    return {
        (
            owners[edge.owner_digest],
            vertices[edge.from_digest],
            vertices[edge.to_digest],
            edge_code(edge.edge.kind),
        ): edge
        for edge in stated.edges
    }


def _ids(rows: Iterable[asyncpg.Record]) -> dict[bytes, int]:
    return {row["digest"]: row["id"] for row in rows}


def _identity(row: asyncpg.Record) -> _Identity:
    return (row["owner_id"], row["from_id"], row["to_id"], row["kind"])


def _compare(said: Iterable[asyncpg.Record], stated: dict[_Identity, StatedEdge]) -> _Changes:
    gone: list[asyncpg.Record] = []
    changed: dict[int, tuple[_Identity, StatedEdge]] = {}
    new = dict(stated)
    for row in said:
        edge = new.pop(_identity(row), None)
        if edge is None:
            gone.append(row)
        elif edge.fingerprint != row["fingerprint"]:
            changed[row["edge_id"]] = (_identity(row), edge)
    return _Changes(gone=gone, changed=changed, new=new)


async def _update(connection: PoolConnectionProxy, changed: dict[int, tuple[_Identity, StatedEdge]]) -> None:
    stated = [edge for _, edge in changed.values()]
    await connection.execute(sql.UPDATE_EDGES, list(changed), *_facts(stated))


async def _insert(connection: PoolConnectionProxy, new: dict[_Identity, StatedEdge]) -> dict[_Identity, int]:
    rows = await connection.fetch(
        sql.INSERT_EDGES, *(list(column) for column in zip(*new, strict=True)), *_facts(list(new.values()))
    )
    return {_identity(row): row["edge_id"] for row in rows}


def _facts(stated: Sequence[StatedEdge]) -> tuple[list[object], ...]:
    edges = [item.edge for item in stated]
    return (
        [edge.source for edge in edges],
        [edge.recorded_at for edge in edges],
        [edge.run_id for edge in edges],
        [edge.is_inferred for edge in edges],
        [item.fingerprint for item in stated],
    )


async def _insert_columns(
    connection: PoolConnectionProxy, edges: Iterable[tuple[int, tuple[_Identity, StatedEdge]]]
) -> None:
    rows = [
        (edge_id, from_id, to_id, at, kind, link.from_column, link.to_column, link.transformation, link.description)
        for edge_id, ((_, from_id, to_id, kind), stated) in edges
        for at, link in enumerate(stated.edge.columns)
    ]
    if rows:
        await connection.execute(sql.INSERT_COLUMNS, *(list(column) for column in zip(*rows, strict=True)))


async def _forget(connection: PoolConnectionProxy, gone: Sequence[asyncpg.Record]) -> None:
    """Vertices, entities and owners that lost their last edge."""
    ends = {row["from_id"] for row in gone} | {row["to_id"] for row in gone}
    rows = await connection.fetch(sql.FORGET_VERTICES, list(ends))
    if rows:
        await connection.execute(sql.FORGET_ENTITIES, [row["entity_id"] for row in rows])
    await connection.execute(sql.FORGET_OWNERS, list({row["owner_id"] for row in gone}))
