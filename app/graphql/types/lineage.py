"""The lineage graph around something, and column lineage."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from app.domain import lineage
from app.domain.lineage import DEFAULT_DEPTH, DEFAULT_NODES, Direction, EdgeKind, EntityKind, Grain, TruncationReason
from app.errors import AppError, NotFound
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.scalars import JSON
from app.graphql.types.external import ExternalDataset
from app.graphql.types.interfaces import Entity, Version
from app.graphql.types.runs import PipelineRun, show_run
from app.graphql.vertices import find_registered, find_registered_version, registry_id, registry_subject, version_number
from app.services.lineage import Consistency, LineageAnswer

if TYPE_CHECKING:
    from app.graphql.types.dataset import Dataset

strawberry.enum(EdgeKind, description="What an edge says of its `from`: that it is derived from its `to`, and so on.")
strawberry.enum(EntityKind, description="What lineage passes through.")
strawberry.enum(Grain, description="Whether nodes are versions, or the entities that they roll up to.")
strawberry.enum(
    TruncationReason,
    description="Why an answer is not the whole. DEPTH: there is more beyond the depth. NODE_LIMIT, TIMEOUT: there may "
    "be.",
)
strawberry.enum(
    Consistency,
    description="EVENTUAL: as the graph is; `watermark` says up to when all is in it. READ_YOUR_WRITES: waits until "
    "all that was reported before this request is in it.",
)


@strawberry.input(description="How far to look, and at what.")
class LineageOptions:
    """How far to look, and at what."""

    depth: int | None = strawberry.field(default=DEFAULT_DEPTH, description="Hops, 0 to 50; the root's depth is 0.")
    max_nodes: int | None = strawberry.field(
        default=DEFAULT_NODES, description="At most so many nodes, 1 to 10,000; the nearest ones."
    )
    grain: Grain | None = strawberry.field(default=Grain.VERSION, description="Versions, or entities.")
    kinds: list[EntityKind] | None = strawberry.field(
        default=None, description="Only nodes of these kinds are shown; the others are passed through all the same."
    )
    history: bool | None = strawberry.field(
        default=False,
        description="Whether snapshots of our datasets are also derived from their Iceberg parent (edges of source "
        "`iceberg`). Changes nothing at grain ENTITY.",
    )
    consistency: Consistency | None = strawberry.field(
        default=Consistency.EVENTUAL, description="Whether to wait for what was just reported."
    )

    def to_walk(self, root: str, direction: Direction) -> lineage.Walk:
        """The walk that is asked for. Raises InvalidArgumentError."""
        return lineage.Walk(
            root=root,
            direction=direction,
            depth=DEFAULT_DEPTH if self.depth is None else self.depth,
            max_nodes=DEFAULT_NODES if self.max_nodes is None else self.max_nodes,
            grain=self.grain or Grain.VERSION,
            kinds=frozenset(EntityKind) if self.kinds is None else frozenset(self.kinds),
        )


DirectionArgument = Annotated[Direction, strawberry.argument(description="Which way to look.")]
OptionsArgument = Annotated[LineageOptions | None, strawberry.argument(description="How far to look, and at what.")]


@strawberry.type(description="A version, or with grain ENTITY an entity, in the lineage graph.")
class LineageNode:
    """A vertex of an answer."""

    # Attributes and no methods: an answer may have thousands of nodes, and a resolver costs ten times as much.
    vertex: strawberry.Private[lineage.Vertex]
    id: strawberry.ID = strawberry.field(
        description="Node id of the version or entity; of what is not ours, an id within the graph."
    )
    kind: EntityKind = strawberry.field(description="What it is.")
    name: str = strawberry.field(description="The name it had when it was last reported.")
    version_label: str | None = strawberry.field(
        description="Snapshot id or number of the version; null for an entity, or where the version is not known."
    )
    depth: int = strawberry.field(description="The least number of hops from the root.")

    @classmethod
    def of(cls, vertex: lineage.Vertex, hops: int) -> LineageNode:
        """A vertex of the graph, so many hops from the root."""
        return cls(
            vertex=vertex,
            id=node_id(vertex),
            kind=vertex.kind,
            name=vertex.name,
            version_label=vertex.version or None,
            depth=hops,
        )

    @field(description="The dataset, model or pipeline, where it is one of ours and still there.")
    async def entity(self, info: Info) -> Entity | None:
        """The entity, where it is one of ours."""
        subject = registry_subject(self.vertex)
        if subject is not None:
            return await find_registered(info, subject)
        return await _find_dataset(info, self.vertex)

    @field(description="What events told of it, where it is a dataset in no catalog of ours; null for all else.")
    async def external(self, info: Info) -> ExternalDataset | None:
        """What events told of a dataset that is none of ours."""
        dataset = lineage.parse_external(self.vertex)
        if dataset is None:
            return None
        try:
            return ExternalDataset.of(await info.context.loaders.externals.load(dataset))
        except AppError as error:
            info.context.report(error, info.path)
            return None

    @field(description="The version, where it is one of ours and still there.")
    async def version(self, info: Info) -> Version | None:
        """The version, where it is one of ours."""
        from app.graphql.types.snapshot import find_snapshot

        subject, counted = registry_subject(self.vertex), version_number(self.vertex)
        if subject is not None:
            return None if counted is None else await find_registered_version(info, subject, counted)
        dataset = await _find_dataset(info, self.vertex)
        number = lineage.snapshot_id_of(self.vertex)
        if dataset is None or number is None:
            return None
        table = await dataset.find_table(info)
        return None if table is None else find_snapshot(table, number)


@strawberry.type(description="A statement about two nodes.")
class LineageEdge:
    """A statement about two nodes."""

    from_: strawberry.ID = strawberry.field(name="from", description="Id of the node that the statement is about.")
    to: strawberry.ID = strawberry.field(description="Id of the other node.")
    kind: EdgeKind = strawberry.field(description="What is stated.")
    run_id: strawberry.ID | None = strawberry.field(description="UUID of that run.")
    inferred: bool = strawberry.field(
        description="Whether a version was not reported, but taken from the time at which it happened."
    )
    recorded_at: datetime = strawberry.field(description="When it happened.")
    source: str = strawberry.field(description="What it is known from, such as `openlineage` or `iceberg`.")

    @field(description="The run that told of it; null where none did, such as for what a model was trained on.")
    async def run(self, info: Info) -> PipelineRun | None:
        """The run that told of it."""
        if self.run_id is None:
            return None
        return show_run(await info.context.loaders.registry.runs.load(UUID(self.run_id)))


@strawberry.type(description="Whether an answer is the whole of what was asked for.")
class Completeness:
    """Whether an answer is the whole."""

    complete: bool = strawberry.field(description="Whether nothing was left out.")
    reasons: list[TruncationReason] = strawberry.field(description="Why something was left out.")


@strawberry.type(description="A part of the lineage graph. Nodes are ordered by depth and id, edges by their ends.")
class LineageGraph:
    """A part of the lineage graph."""

    answer: strawberry.Private[LineageAnswer]

    @field(description="What was asked about.")
    def root(self) -> LineageNode:
        """What was asked about."""
        return LineageNode.of(self.answer.root, 0)

    @field(description="What was found, the root or its versions among it.")
    def nodes(self) -> list[LineageNode]:
        """What was found."""
        return [LineageNode.of(found.vertex, found.depth) for found in self.answer.graph.nodes]

    @field(description="How the nodes are joined.")
    def edges(self) -> list[LineageEdge]:
        """How the nodes are joined."""
        known = {found.vertex.vertex_id: node_id(found.vertex) for found in self.answer.graph.nodes}
        return [
            LineageEdge(
                from_=known[edge.from_id],
                to=known[edge.to_id],
                kind=edge.kind,
                run_id=None if edge.run_id is None else strawberry.ID(str(edge.run_id)),
                inferred=edge.is_inferred,
                recorded_at=edge.recorded_at,
                source=edge.source,
            )
            for edge in self.answer.graph.edges
        ]

    @field(description="Number of nodes.")
    def node_count(self) -> int:
        """Number of nodes."""
        return len(self.answer.graph.nodes)

    @field(description="Number of edges.")
    def edge_count(self) -> int:
        """Number of edges."""
        return len(self.answer.graph.edges)

    @field(
        description="The same graph as columns, far cheaper for thousands of nodes: `nodes` with `id`, `kind`, `name`, "
        "`version`, `depth`, and `edges` with `from`, `to` (places in the nodes' columns), `kind`."
    )
    def compact(self) -> JSON:
        """The same graph as columns."""
        nodes, edges = self.answer.graph.nodes, self.answer.graph.edges
        place = {found.vertex.vertex_id: number for number, found in enumerate(nodes)}
        return JSON(
            {
                "nodes": {
                    "id": [node_id(found.vertex) for found in nodes],
                    "kind": [found.vertex.kind.value for found in nodes],
                    "name": [found.vertex.name for found in nodes],
                    "version": [found.vertex.version or None for found in nodes],
                    "depth": [found.depth for found in nodes],
                },
                "edges": {
                    "from": [place[edge.from_id] for edge in edges],
                    "to": [place[edge.to_id] for edge in edges],
                    "kind": [edge.kind.value for edge in edges],
                },
            }
        )

    @field(description="Whether this is all.")
    def completeness(self) -> Completeness:
        """Whether this is all."""
        return show_completeness(self.answer.graph.truncated)

    @field(description="Everything that was reported up to this moment is in the graph.")
    def watermark(self) -> datetime | None:
        """Up to when everything is in the graph."""
        return self.answer.watermark


@strawberry.type(description="A column that was made from another one.")
class ColumnEdge:
    """A column that was made from another one."""

    edge: strawberry.Private[lineage.ColumnEdge]

    @field(description="What it was made from; null where that is none of our datasets.")
    async def from_dataset(self, info: Info) -> Annotated[Dataset, strawberry.lazy("app.graphql.types.dataset")] | None:
        """The dataset that it was made from."""
        return await _find_dataset(info, self.edge.from_vertex)

    @field(description="The version that it was made from, as the graph has it.")
    def from_node(self) -> LineageNode:
        """The version that it was made from."""
        return LineageNode.of(self.edge.from_vertex, self.edge.depth)

    @field(description="Column that it was made from.")
    def from_column(self) -> str:
        """Column that it was made from."""
        return self.edge.from_column

    @field(description="What was made; null where that is none of our datasets.")
    async def to_dataset(self, info: Info) -> Annotated[Dataset, strawberry.lazy("app.graphql.types.dataset")] | None:
        """The dataset that was made."""
        return await _find_dataset(info, self.edge.to_vertex)

    @field(description="The version that was made, as the graph has it.")
    def to_node(self) -> LineageNode:
        """The version that was made."""
        return LineageNode.of(self.edge.to_vertex, self.edge.depth)

    @field(description="Column that was made.")
    def to_column(self) -> str:
        """Column that was made."""
        return self.edge.to_column

    @field(description="Hops from the column that was asked about.")
    def depth(self) -> int:
        """Hops from the column that was asked about."""
        return self.edge.depth

    @field(description="How it was made, such as `DIRECT/IDENTITY`.")
    def transformation(self) -> str | None:
        """How it was made."""
        return self.edge.transformation

    @field(description="How it was made, in the producer's words.")
    def description(self) -> str | None:
        """How it was made, in words."""
        return self.edge.description


async def show_lineage(
    info: Info, root: lineage.Vertex, direction: Direction, options: LineageOptions | None
) -> LineageGraph:
    """The graph around a root. Raises InvalidArgumentError, LineageUnavailableError."""
    asked = options or LineageOptions()
    walk = asked.to_walk(root.vertex_id, direction)
    answer = await info.context.lineage.walk(
        root, walk, consistency=asked.consistency or Consistency.EVENTUAL, history=bool(asked.history)
    )
    return LineageGraph(answer=answer)


def show_completeness(truncated: Collection[TruncationReason]) -> Completeness:
    """Whether an answer that was cut for these reasons is the whole."""
    return Completeness(complete=not truncated, reasons=sorted(truncated, key=lambda reason: reason.value))


def node_id(vertex: lineage.Vertex) -> strawberry.ID:
    """The id under which a vertex is a node of this API, where it is one; else the graph's own."""
    if (registered := registry_id(vertex)) is not None:
        return registered
    table_uuid = lineage.table_uuid_of(vertex)
    if table_uuid is None:
        return strawberry.ID(vertex.vertex_id)
    number = lineage.snapshot_id_of(vertex)
    if number is not None:
        return ids.snapshot_id(table_uuid, number)
    return ids.dataset_id(table_uuid) if vertex.version is None else strawberry.ID(vertex.vertex_id)


async def _find_dataset(info: Info, vertex: lineage.Vertex) -> Dataset | None:
    from app.graphql.types.dataset import Dataset

    table_uuid = lineage.table_uuid_of(vertex)
    if table_uuid is None:
        return None
    try:
        name = await info.context.loaders.names.load(table_uuid)
    except NotFound:
        return None
    except AppError as error:
        info.context.report(error, info.path)
        return None
    return None if name is None else Dataset(dataset_name=name, known_uuid=table_uuid)
