"""Snapshots: the versions of a dataset."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.domain import history
from app.domain.lineage import Direction
from app.domain.versions import get_branch
from app.errors import SnapshotExpiredError
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.pages import FORWARD_PAGE, After, Connection, First, connect, page_request
from app.graphql.retention_loaders import plan_key
from app.graphql.scalars import BigInt, SnapshotId
from app.graphql.types.enums import Availability, SnapshotOperation
from app.graphql.types.interfaces import Version
from app.graphql.types.lineage import DirectionArgument, LineageGraph, OptionsArgument, show_lineage
from app.graphql.types.runs import PipelineRun, show_run
from app.graphql.types.schema_version import ColumnStats, SchemaVersion, show_column_stats, show_schema
from app.graphql.types.summary import SnapshotSummary, show_summary
from app.graphql.types.tag import Tag, tag_of
from app.lake.table import LakeTable

if TYPE_CHECKING:
    from app.graphql.types.dataset import Dataset
    from app.graphql.types.models import ModelVersion
    from app.graphql.types.retention import RetentionVerdict


@strawberry.federation.type(
    keys=["id", "dataset { id } snapshotId"], description="One immutable state of a dataset: an Iceberg snapshot."
)
class Snapshot(Version):
    """One immutable state of a dataset."""

    table: strawberry.Private[LakeTable]
    snapshot: strawberry.Private[history.Snapshot]

    @field(description="Opaque, and stable as long as the snapshot exists.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return ids.snapshot_id(self.table.state.table_uuid, self.snapshot.snapshot_id)

    @field(description="Iceberg's id of the snapshot.")
    def snapshot_id(self) -> SnapshotId:
        """Iceberg's id."""
        return SnapshotId(self.snapshot.snapshot_id)

    @field(description="The snapshot id as text; it is a version reference.")
    def label(self) -> str:
        """The snapshot id as text."""
        return str(self.snapshot.snapshot_id)

    @field(description="The dataset that this is a version of.")
    def dataset(self) -> Annotated[Dataset, strawberry.lazy("app.graphql.types.dataset")]:
        """The dataset that this is a version of."""
        # Datasets have snapshots, and snapshots a dataset: one of the two modules has to wait for the other.
        from app.graphql.types.dataset import dataset_of

        return dataset_of(self.table)

    @field(description="The snapshot it was made from; null for a first one, or where that has expired.")
    def parent(self) -> Snapshot | None:
        """The snapshot it was made from."""
        return find_snapshot(self.table, self.snapshot.parent_id)

    @field(description="Iceberg's sequence number of the commit; null in format version 1.")
    def sequence_number(self) -> BigInt | None:
        """Iceberg's sequence number."""
        number = self.snapshot.sequence_number
        return None if number is None else BigInt(number)

    @field(description="When it was committed.")
    def created_at(self) -> datetime:
        """When it was committed."""
        return history.to_instant(self.snapshot.timestamp_ms)

    @field(description="What kind of commit made it.")
    def operation(self) -> SnapshotOperation:
        """What kind of commit made it."""
        return self.snapshot.operation

    @field(description="What the commit said about itself.")
    def summary(self) -> SnapshotSummary:
        """What the commit said about itself."""
        return show_summary(self.snapshot.summary)

    @field(description="The schema in force when it was committed.")
    def schema(self) -> SchemaVersion | None:
        """The schema in force when it was committed."""
        return show_schema(self.table.state.schema_of_snapshot(self.snapshot))

    @field(description="The tags that name it, by name.")
    def tags(self) -> list[Tag]:
        """The tags that name it."""
        refs = self.table.state.history.tags_by_snapshot.get(self.snapshot.snapshot_id, ())
        return [tag_of(self.table, ref) for ref in refs]

    @field(description="Whether it is the head of `main`.")
    def is_current(self) -> bool:
        """Whether it is the head of main."""
        return self.table.state.history.head_id == self.snapshot.snapshot_id

    @field(description="Whether it is the head of `main`, or the head was made from it.")
    def is_ancestor_of_current(self) -> bool:
        """Whether it is in the lineage of main's head."""
        return self.snapshot.snapshot_id in self.table.state.history.current_lineage

    @field(description="Whether it can be reached.")
    def availability(self) -> Availability:
        """A snapshot in the table's metadata is available."""
        return Availability.AVAILABLE

    @field(
        description="What it was made from, or what was made from it. A `replace` snapshot holds its ancestor's rows, "
        "and has its lineage. Null, and an error, while the store of the graph is away."
    )
    async def lineage(
        self, info: Info, direction: DirectionArgument = Direction.UPSTREAM, options: OptionsArgument = None
    ) -> LineageGraph | None:
        """The lineage graph around it."""
        root = info.context.lineage.snapshot_root(self.table, self.snapshot.snapshot_id)
        return await show_lineage(info, root, direction, options)

    @field(
        description="The run that made it; of a `replace` snapshot, the one that made its rows. Null where none was "
        "reported."
    )
    async def produced_by(self, info: Info) -> PipelineRun | None:
        """The run that made it."""
        root = info.context.lineage.snapshot_root(self.table, self.snapshot.snapshot_id)
        return show_run(await info.context.loaders.registry.producers.load(root))

    @field(
        description="The runs that read it, latest first; of a `replace` snapshot, those that read its rows.",
        directives=[FORWARD_PAGE],
    )
    async def consumed_by(self, info: Info, first: First = None, after: After = None) -> Connection[PipelineRun] | None:
        """The runs that read it."""
        root = info.context.lineage.snapshot_root(self.table, self.snapshot.snapshot_id)
        pages = info.context.loaders.registry.pages_of_consumers
        page = await pages.load((root, page_request(first, after)))
        return connect(page, lambda run: PipelineRun(run=run))

    @field(
        description="The model versions that were trained on this very snapshot, in whatever role, by model and "
        "number; archived ones too."
    )
    async def trained_models(
        self, info: Info
    ) -> list[Annotated[ModelVersion, strawberry.lazy("app.graphql.types.models")]] | None:
        """The model versions that were trained on it."""
        from app.graphql.types.models import ModelVersion

        key = (self.table.state.table_uuid, self.snapshot.snapshot_id)
        found = await info.context.loaders.registry.trained_models.load(key)
        return [ModelVersion(version=version) for version in found or ()]

    @field(
        description="Whether it stays or would expire by its dataset's own rules, why, and until when. Many snapshots "
        "of one dataset cost no more than one."
    )
    async def retention(
        self, info: Info
    ) -> Annotated[RetentionVerdict, strawberry.lazy("app.graphql.types.retention")] | None:
        """Whether it stays, why, and until when."""
        from app.graphql.types.retention import show_verdict

        key = plan_key(self.table, info.context.retention_planning.default_policy())
        plan = await info.context.loaders.retention.plans.load(key)
        return show_verdict(self.table, plan, self.snapshot.snapshot_id)

    @field(description="What the manifests tell of the columns, without reading data.")
    async def column_stats(
        self,
        info: Info,
        names: Annotated[
            list[str] | None, strawberry.argument(description="Paths of the columns; all where left out.")
        ] = None,
    ) -> list[ColumnStats] | None:
        """What the manifests tell of the columns."""
        stats = await info.context.datasets.column_stats(self.table, self.snapshot.snapshot_id, names)
        return [show_column_stats(column) for column in stats]


def find_snapshot(table: LakeTable, number: int | None) -> Snapshot | None:
    """The snapshot of that id, None where the table does not hold it."""
    found = None if number is None else table.state.history.snapshots.get(number)
    return None if found is None else Snapshot(table=table, snapshot=found)


def snapshots_of(table: LakeTable, branch: str | None) -> list[history.Snapshot]:
    """All snapshots of a table, or those that lead to the head of a branch; newest first.

    Raises:
        BranchNotFoundError: there is no such branch.
    """
    if branch is None:
        return list(table.state.history.newest_first)
    head = get_branch(branch, table.state.history, str(table.state.name))
    return sorted(table.state.history.ancestors(head.snapshot_id), key=history.newest_first)


def snapshot_of(table: LakeTable, number: int) -> Snapshot:
    """The snapshot of that id. Raises SnapshotExpiredError."""
    found = find_snapshot(table, number)
    if found is None:
        raise SnapshotExpiredError(str(table.state.name), number)
    return found
