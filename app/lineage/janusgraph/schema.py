"""The schema of the graph in JanusGraph, made by whoever comes first."""

from __future__ import annotations

import asyncio
import time

from app.domain.lineage import EdgeKind, EntityKind
from app.errors import LineageUnavailableError
from app.lineage.janusgraph.client import GremlinClient
from app.lineage.janusgraph.traversals import COLUMN_LINK, PREPARE, VERSION_OF

_ENTITIES = [kind.capitalize() for kind in EntityKind]
_INDEXES = [
    # Unique, and with a lock: without it two transactions make the same vertex twice, without an error.
    {"name": "by_vertex_id", "of": "vertex", "key": "vertex_id", "unique": True},
    {"name": "by_entity_id", "of": "vertex", "key": "entity_id", "unique": True},
    {"name": "by_owner_id", "of": "vertex", "key": "owner_id", "unique": True},
    {"name": "by_owner_bucket", "of": "vertex", "key": "owner_bucket", "unique": False},
    {"name": "by_owner", "of": "edge", "key": "owner", "unique": False},
]
SCHEMA = {
    "keys": {
        # A version has `vertex_id`, an entity `entity_id`, an owner `owner_id`: one of a kind cannot be taken for
        # another, whatever is in their names.
        "vertex_id": "string",
        "entity_id": "string",
        "owner_id": "string",
        "owner_bucket": "integer",
        "entity": "string",
        "version": "string",
        "kind": "string",
        "name": "string",
        "named_at": "instant",
        "guard": "long",
        # Of edges.
        "owner": "string",
        "source": "string",
        "recorded_at": "instant",
        "run_id": "uuid",
        "is_inferred": "boolean",
        # Of links between columns; `of_kind` is the kind of the edge that they belong to.
        "of_kind": "string",
        "ordinal": "integer",
        "from_column": "string",
        "to_column": "string",
        "transformation": "string",
        "description": "string",
    },
    "locked_keys": ["guard"],
    # PipelineRun is a name kept for runs: what a run says are edges, of which it is the owner.
    "vertex_labels": [*_ENTITIES, *(f"{name}Version" for name in _ENTITIES), "PipelineRun", "Owner"],
    "edge_labels": [*(kind.value for kind in EdgeKind), VERSION_OF, COLUMN_LINK],
    "indexes": _INDEXES,
    "edge_indexes": [
        {"label": COLUMN_LINK, "name": "by_from_column", "direction": "OUT", "key": "from_column"},
        {"label": COLUMN_LINK, "name": "by_to_column", "direction": "IN", "key": "to_column"},
    ],
}
_PAUSE_S = 0.2


async def make_schema(client: GremlinClient, *, timeout_s: float) -> None:
    """Make what is missing, and wait until all indexes are enabled; any number of processes may do so at once.

    Raises:
        LineageUnavailableError: they are not within `timeout_s`, or the server is away.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = await client.run_until_committed(PREPARE, SCHEMA, timeout_s=timeout_s)
        if not answer["pending"]:
            return
        if time.monotonic() > deadline:
            raise LineageUnavailableError(f"its indexes are not enabled: {', '.join(answer['pending'])}")
        await asyncio.sleep(_PAUSE_S)
