"""Datasets: what the lake holds."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import strawberry

from app.domain.changes import Change as HistoryChange
from app.domain.lineage import Direction
from app.domain.names import DatasetName
from app.domain.pages import Page, PageRequest
from app.errors import AppError, DatasetNotFoundError, NotFound
from app.graphql import ids
from app.graphql.compaction_loaders import MAX_PLANS
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.pages import (
    FORWARD_PAGE,
    PAGE,
    After,
    Connection,
    First,
    connect,
    connect_nothing,
    page_request,
)
from app.graphql.scalars import JSON, BigInt
from app.graphql.types.branch import Branch
from app.graphql.types.change import Change
from app.graphql.types.compaction import CompactionPlan
from app.graphql.types.dataset_columns import trace_column
from app.graphql.types.dataset_compaction import plan_dataset_compaction
from app.graphql.types.dataset_diff import DatasetDiff, diff_versions
from app.graphql.types.dataset_pages import find_page
from app.graphql.types.dataset_retention import find_past_expiry, list_holds, list_runs, plan_dataset
from app.graphql.types.dataset_versions import find_version, list_branches, list_snapshots, list_tags
from app.graphql.types.enums import Availability, Layer
from app.graphql.types.hold import Hold
from app.graphql.types.impact import Impact, ImpactInput
from app.graphql.types.inputs import DatasetRef, VersionSelector
from app.graphql.types.interfaces import Entity
from app.graphql.types.lineage import ColumnEdge, DirectionArgument, LineageGraph, OptionsArgument, show_lineage
from app.graphql.types.retention import RetentionPlan
from app.graphql.types.retention_run import PastExpiry, RetentionRun
from app.graphql.types.rows import RowPage
from app.graphql.types.schema_version import SchemaVersion, show_schema
from app.graphql.types.snapshot import Snapshot, find_snapshot
from app.graphql.types.tag import Tag
from app.lake.reading import RowRequest
from app.lake.table import LakeTable


@strawberry.federation.type(
    keys=["id", "namespace name"],
    description="One Iceberg table. Where it cannot be read, `availability` says so, what is read from it is null or "
    "empty, and `errors` has an entry with the path of the dataset.",
)
class Dataset(Entity):
    """One Iceberg table, loaded when a field needs it."""

    dataset_name: strawberry.Private[DatasetName]
    known_uuid: strawberry.Private[UUID | None] = None

    @field(
        description="Opaque, and stable: a rename does not change it. Of a table that never could be read it is made "
        "of the name alone."
    )
    async def id(self, info: Info) -> strawberry.ID:
        """Node id."""
        uuid = await self.find_uuid(info)
        return ids.dataset_id(uuid) if uuid else ids.named_dataset_id(self.dataset_name)

    @field(description="The levels of the namespace, joined by dots.")
    def namespace(self) -> str:
        """The namespace."""
        return self.dataset_name.namespace

    @field(description="The table's own name.")
    def name(self) -> str:
        """The table's own name."""
        return self.dataset_name.name

    @field(description="Whether it can be reached: EXPIRED once the table was dropped.")
    async def availability(self, info: Info) -> Availability:
        """Whether it can be reached."""
        try:
            await self.get_table(info)
        except AppError as error:
            info.context.report(error, info.path.prev)
            return Availability.EXPIRED if isinstance(error, NotFound) else Availability.UNREACHABLE
        return Availability.AVAILABLE

    @field(description="Iceberg's id of the table.")
    async def table_uuid(self, info: Info) -> strawberry.ID | None:
        """Iceberg's id of the table."""
        table = await self.find_table(info)
        return strawberry.ID(str(table.state.table_uuid)) if table else None

    @field(description="Where its files are.")
    async def location(self, info: Info) -> str | None:
        """Where its files are."""
        table = await self.find_table(info)
        return table.state.location if table else None

    @field(description="Version of Iceberg's table format.")
    async def format_version(self, info: Info) -> int | None:
        """Version of Iceberg's table format."""
        table = await self.find_table(info)
        return table.state.format_version if table else None

    @field(description="The table's properties, as an object of texts.")
    async def properties(self, info: Info) -> JSON | None:
        """The table's properties."""
        table = await self.find_table(info)
        return JSON(dict(table.state.properties)) if table else None

    @field(description="The layer that its property `stratigraph.layer` or its namespace names.")
    async def layer(self, info: Info) -> Layer | None:
        """Layer of the medallion architecture."""
        return info.context.datasets.layer(self.dataset_name, await self.find_table(info))

    @field(description="Whether it counts as production, by its property `stratigraph.production` or its namespace.")
    async def is_production(self, info: Info) -> bool:
        """Whether it counts as production; by the namespace alone where the table cannot be read."""
        return info.context.datasets.is_production(self.dataset_name, await self.find_table(info))

    @field(description="Head of `main`; null where there is no snapshot yet.")
    async def current(self, info: Info) -> Snapshot | None:
        """Head of main."""
        table = await self.find_table(info)
        return find_snapshot(table, table.state.history.head_id) if table else None

    @field(
        description="The schema of a version; without `at` the current one. A schema change makes no snapshot: "
        "`latest` and branches have the table's current schema, every other version has its own."
    )
    async def schema(self, info: Info, at: VersionSelector | None = None) -> SchemaVersion | None:
        """The schema of a version."""
        if at is not None:
            at.check()
        table = await self.find_table(info)
        if table is None:
            return None
        if at is None:
            return show_schema(table.state.current_schema)
        found = await info.context.datasets.resolve_with_record(table, at.to_domain(table.state))
        return show_schema(table.state.schema_of(found))

    @field(description="The first rows of a version.")
    async def rows(
        self,
        info: Info,
        at: Annotated[VersionSelector | None, strawberry.argument(description="The version; else the latest.")] = None,
        columns: Annotated[
            list[str] | None, strawberry.argument(description="Paths of the columns; all where left out.")
        ] = None,
        filter: Annotated[  # noqa: A002  (the schema's name)
            str | None,
            strawberry.argument(description="An SQL-like predicate: `amount > 10 and region in ('eu', 'us')`."),
        ] = None,
        first: Annotated[int | None, strawberry.argument(description="At most so many rows, 1 to 100.")] = 20,
    ) -> RowPage | None:
        """The first rows of a version."""
        request = RowRequest(
            columns=None if columns is None else tuple(columns), row_filter=filter, limit=page_request(first, None).size
        )
        if at is not None:
            at.check()
        table = await self.find_table(info)
        if table is None:
            return None
        version = None if at is None else at.to_domain(table.state)
        preview = await info.context.datasets.preview_rows(table, version, request)
        return RowPage(
            columns=list(preview.columns),
            rows=[JSON(row) for row in preview.rows],
            truncated=preview.truncated,
            bytes_read=BigInt(preview.bytes_read),
        )

    @field(
        description="How two versions differ; with `toDataset`, one of this and one of another dataset. Either may be "
        "the older: swapped, the answer is the mirror."
    )
    async def diff(
        self,
        info: Info,
        from_: Annotated[VersionSelector, strawberry.argument(name="from", description="The version compared from.")],
        to: Annotated[
            VersionSelector | None, strawberry.argument(description="The version compared to; else the latest.")
        ] = None,
        to_dataset: Annotated[
            DatasetRef | None,
            strawberry.argument(description="The dataset that `to` is a version of; else this one."),
        ] = None,
    ) -> DatasetDiff | None:
        """How two versions differ."""
        for selector in (from_, to):
            if selector is not None:
                selector.check()
        table = await self.find_table(info)
        return None if table is None else await diff_versions(info, table, from_, to, to_dataset)

    @field(
        description="What its versions were made from, or what was made from them. Null, and an error, while the store "
        "of the graph is away."
    )
    async def lineage(
        self, info: Info, direction: DirectionArgument = Direction.UPSTREAM, options: OptionsArgument = None
    ) -> LineageGraph | None:
        """The lineage graph around all its versions."""
        uuid = await self.find_uuid(info)
        if uuid is None:
            return None
        root = info.context.lineage.dataset_root(uuid, str(self.dataset_name))
        return await show_lineage(info, root, direction, options)

    @field(
        description="Which columns a column was made from, or with DOWNSTREAM, which were made from it; nearest first. "
        "Without `at` of all versions. More than 5,000 are an error."
    )
    async def column_lineage(
        self,
        info: Info,
        column: Annotated[str, strawberry.argument(description="The column.")],
        at: Annotated[VersionSelector | None, strawberry.argument(description="The version.")] = None,
        direction: DirectionArgument = Direction.UPSTREAM,
        depth: Annotated[int | None, strawberry.argument(description="Hops, 1 to 20.")] = 3,
    ) -> list[ColumnEdge] | None:
        """Column lineage from one column."""
        if at is not None:
            at.check()
        table = await self.find_table(info)
        hops = 3 if depth is None else depth
        return None if table is None else await trace_column(info, table, column, at, direction, hops)

    @field(
        description="What a change of it would affect: every dataset, model and pipeline downstream once, at its "
        "nearest. Null, and an error, while the store of the graph is away."
    )
    async def impact(
        self,
        info: Info,
        change: Annotated[ImpactInput | None, strawberry.argument(description="The change; else any.")] = None,
    ) -> Impact | None:
        """What a change of it would affect."""
        asked = change or ImpactInput()
        if asked.rollback_to is not None:
            asked.rollback_to.check()
        table = await self.find_table(info)
        return None if table is None else Impact(found=await asked.ask(info, table))

    @field(description="What was done to it, newest first.", directives=[FORWARD_PAGE])
    async def changes(self, info: Info, first: First = None, after: After = None) -> Connection[Change]:
        """What was done to it, newest first."""

        async def find(uuid: UUID, request: PageRequest) -> Page[HistoryChange]:
            return await info.context.datasets.changes_page(request, table_uuid=uuid)

        page = await find_page(self, info, page_request(first, after), find)
        return connect_nothing() if page is None else connect(page, lambda change: Change(change=change))

    version: Snapshot | None = strawberry.field(resolver=find_version, description="One version.")
    snapshots: Connection[Snapshot] = strawberry.field(
        resolver=list_snapshots, directives=[PAGE], description="All its versions, newest first."
    )
    tags: Connection[Tag] = strawberry.field(resolver=list_tags, directives=[PAGE], description="Its tags, by name.")
    branches: list[Branch] = strawberry.field(
        resolver=list_branches, description="Its branches: `main` first, the others by name."
    )
    retention: RetentionPlan | None = strawberry.field(
        resolver=plan_dataset,
        description="What stays of it and what would expire by its own rules, or by another policy. Nothing is "
        "changed; `runRetention` does that.",
    )
    retention_runs: Connection[RetentionRun] = strawberry.field(
        resolver=list_runs,
        directives=[FORWARD_PAGE],
        description="The runs of retention that took snapshots out of it, the newest first.",
    )
    past_expiry: PastExpiry | None = strawberry.field(
        resolver=find_past_expiry,
        description="Who had a snapshot expired, when, why and by which rules; null where no run of ours did.",
    )
    compaction: CompactionPlan | None = strawberry.field(
        resolver=plan_dataset_compaction,
        description="Whether its files had better be brought together, why, and what that would change. Nothing is "
        "changed; `runCompaction` does that. Reads manifests: "
        f"at most {MAX_PLANS} plans of one operation.",
    )
    holds: Connection[Hold] = strawberry.field(
        resolver=list_holds,
        directives=[FORWARD_PAGE],
        description="The holds on its snapshots, those placed last first.",
    )

    async def find_uuid(self, info: Info) -> UUID | None:
        """The table's id, also where it cannot be read, if it was ever seen. For resolvers of this type."""
        if self.known_uuid is not None:
            return self.known_uuid
        table = await self.find_table(info)
        if table is not None:
            return table.state.table_uuid
        try:
            return await info.context.datasets.find_uuid(self.dataset_name)
        except AppError as error:
            info.context.report(error, info.path)
            return None

    async def get_table(self, info: Info) -> LakeTable:
        """The table, loaded once an operation.

        Raises:
            DatasetNotFoundError: there is none, or another one has taken its name.
            UnreadableTableError, BackendUnavailableError: it cannot be read.
        """
        table = await info.context.loaders.tables.load(self.dataset_name)
        if self.known_uuid is not None and table.state.table_uuid != self.known_uuid:
            raise DatasetNotFoundError(str(self.dataset_name))
        return table

    async def find_table(self, info: Info) -> LakeTable | None:
        """The table; None, and an error beside the answer, where it cannot be read. For resolvers of this type."""
        try:
            return await self.get_table(info)
        except AppError as error:
            info.context.report(error, info.path.prev)
            return None


def dataset_of(table: LakeTable) -> Dataset:
    """The dataset of a table that is loaded already."""
    return Dataset(dataset_name=table.state.name, known_uuid=table.state.table_uuid)
