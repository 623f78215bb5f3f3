"""lineage: the graph around anything that has an id."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.domain.lineage import Direction, parse_vertex_id, snapshot_vertex
from app.errors import Expired, InvalidArgumentError, NotFound
from app.graphql.context import Info
from app.graphql.entities import get_node
from app.graphql.ids import NodeKind, decode_id
from app.graphql.types.dataset import Dataset
from app.graphql.types.lineage import DirectionArgument, LineageGraph, OptionsArgument, show_lineage
from app.graphql.types.models import Model, ModelVersion
from app.graphql.types.pipelines import Pipeline, PipelineVersion
from app.graphql.types.snapshot import Snapshot


async def find_lineage(
    info: Info,
    # strawberry keeps the name `root` for the value that it calls so.
    root_id: Annotated[
        strawberry.ID,
        strawberry.argument(
            name="root",
            description="Id of a dataset, model or pipeline, or of a version of one; or any id of a `LineageNode`.",
        ),
    ],
    direction: DirectionArgument = Direction.BOTH,
    options: OptionsArgument = None,
) -> LineageGraph | None:
    """The lineage graph around a node."""
    # What is none of ours has the graph's own id, in which no id of this API can be mistaken: they have no colon.
    if ":" in root_id:
        vertex = parse_vertex_id(root_id)
        if vertex is None:
            raise InvalidArgumentError("root", f"{root_id[:80]!r} is no id that this API gave out")
        return await show_lineage(info, vertex, direction, options)
    key = decode_id(root_id, "root")
    try:
        node = await get_node(info, key)
    except (Expired, NotFound):
        if key.kind is not NodeKind.SNAPSHOT or key.uuid is None:
            raise
        # The table has dropped it, or was dropped; the graph remembers what it was made from.
        gone = snapshot_vertex(key.uuid, key.snapshot_id, str(key.uuid))
        return await show_lineage(info, gone, direction, options)
    if not isinstance(node, (Dataset, Snapshot, Model, ModelVersion, Pipeline, PipelineVersion)):
        raise InvalidArgumentError("root", "it is the id of something that lineage does not pass through")
    graph: LineageGraph | None = await node.lineage(info, direction, options)
    return graph
