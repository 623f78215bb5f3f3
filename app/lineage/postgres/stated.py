"""What projections state, made ready for the tables: each thing once, found by digests and fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from app.domain.lineage import Edge, Projection, Vertex
from app.lineage.postgres.keys import DIGEST_BYTES, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedEdge:
    """An edge, and what tells whether the tables have it as it is."""

    edge: Edge
    from_digest: bytes
    to_digest: bytes
    owner_digest: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """All that some projections say. An owner without edges is in `owners` alone."""

    owners: dict[bytes, str]
    # With the time at which the entity's name was last told.
    entities: dict[bytes, tuple[Vertex, datetime]]
    vertices: dict[bytes, Vertex]
    edges: tuple[StatedEdge, ...]


def gather(projections: Sequence[Projection]) -> Stated:
    """What these projections say, of each owner its last."""
    last = {projection.owner: projection for projection in projections}
    digests: dict[str, bytes] = {}
    vertices: dict[bytes, Vertex] = {}
    entities: dict[bytes, tuple[Vertex, datetime]] = {}
    edges: list[StatedEdge] = []
    for projection in last.values():
        for edge in _distinct(projection.edges):
            for end in (edge.from_id, edge.to_id):
                vertex = projection.vertices[end]
                vertices[digests.setdefault(end, digest(end))] = vertex
                _name(entities, digests.setdefault(vertex.entity, digest(vertex.entity)), vertex, edge.recorded_at)
            edges.append(
                StatedEdge(
                    edge=edge,
                    from_digest=digests[edge.from_id],
                    to_digest=digests[edge.to_id],
                    owner_digest=digests.setdefault(edge.owner, digest(edge.owner)),
                    fingerprint=fingerprint(edge),
                )
            )
    return Stated(
        owners={digest(owner): owner for owner in last},
        entities=entities,
        vertices=vertices,
        edges=tuple(edges),
    )


def fingerprint(edge: Edge) -> bytes:
    """A digest of what an edge says besides its identity."""
    facts = [
        edge.source,
        edge.recorded_at,
        edge.run_id,
        edge.is_inferred,
        [[link.from_column, link.to_column, link.transformation, link.description] for link in edge.columns],
    ]
    return hashlib.blake2b(orjson.dumps(facts, option=orjson.OPT_UTC_Z), digest_size=DIGEST_BYTES).digest()


def _distinct(edges: Iterable[Edge]) -> list[Edge]:
    # One owner may say a thing twice in one projection; the last counts, as it does between projections.
    return list({edge.order: edge for edge in edges}.values())


def _name(
    entities: dict[bytes, tuple[Vertex, datetime]], entity_digest: bytes, vertex: Vertex, named_at: datetime
) -> None:
    # Of two names told at one time the greater counts, so that the order in which they come does not.
    known = entities.get(entity_digest)
    if known is None or (known[1], known[0].name) < (named_at, vertex.name):
        entities[entity_digest] = (vertex, named_at)
