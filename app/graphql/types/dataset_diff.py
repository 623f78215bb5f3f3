"""How two versions of datasets differ."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.domain.pages import cut_page
from app.domain.version_relation import Kinship
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.pages import FORWARD_PAGE, After, Connection, First, connect, page_request
from app.graphql.types.enums import DiffSide, VersionRelation
from app.graphql.types.inputs import DatasetRef, VersionSelector
from app.graphql.types.interfaces import Diff
from app.graphql.types.schema_diff import SchemaDiff
from app.graphql.types.snapshot import Snapshot, find_snapshot, newest_first, snapshot_of
from app.lake.table import LakeTable
from app.services.comparing import ComparedVersions


@strawberry.type(
    description="How two versions of a dataset differ, or a version of it and one of another dataset. What is not "
    "asked for is not looked at."
)
class DatasetDiff(Diff):
    """How two versions of datasets differ."""

    compared: strawberry.Private[ComparedVersions]
    kinship: strawberry.Private[Kinship]

    @field(name="from", description="The version compared from.")
    def from_(self) -> Snapshot:
        """The version compared from."""
        return snapshot_of(self.compared.before.table, self.compared.before.snapshot_id)

    @field(description="The version compared to.")
    def to(self) -> Snapshot:
        """The version compared to."""
        return snapshot_of(self.compared.after.table, self.compared.after.snapshot_id)

    @field(
        description="The latest version that both were made from, or that one of them is; null where none is left, and "
        "for versions of two datasets."
    )
    def merge_base(self) -> Snapshot | None:
        """The latest version that both were made from."""
        return find_snapshot(self.compared.after.table, self.kinship.merge_base_id)

    @field(description="What `from` is to `to`; versions of two datasets are UNRELATED.")
    def relation(self) -> VersionRelation:
        """What `from` is to `to`."""
        return self.kinship.relation

    @field(
        description="Whether they are known to be the same: one schema, and one snapshot or nothing but `replace` "
        "snapshots between the two, which hold the same rows in other files."
    )
    def identical(self, info: Info) -> bool:
        """Whether they are known to be the same."""
        return self.kinship.is_rewrite and info.context.comparing.schema(self.compared).is_empty

    @field(description="How their schemas differ; from metadata alone.")
    def schema(self, info: Info) -> SchemaDiff:
        """How their schemas differ."""
        return SchemaDiff(diff=info.context.comparing.schema(self.compared))

    @field(
        description="The snapshots between the two, newest first: those that `to` has and `from` has not, and the "
        "other way round. None for versions of two datasets.",
        directives=[FORWARD_PAGE],
    )
    def commits(
        self,
        first: First = None,
        after: After = None,
        side: Annotated[
            DiffSide | None,
            strawberry.argument(
                description="TO: only what leads to `to`, and was done since. FROM: only what leads to `from`, and is "
                "not part of `to`, as after a rollback."
            ),
        ] = None,
    ) -> Connection[Snapshot]:
        """The snapshots between the two."""
        chosen = [snapshot for found, snapshot in self.kinship.between if side is None or found is side]
        table = self.compared.after.table
        page = cut_page(sorted(chosen, key=newest_first), page_request(first, after), kind="commits", key=newest_first)
        return connect(page, lambda snapshot: Snapshot(table=table, snapshot=snapshot))

    @field(
        description="Whether `commits` lacks none. False where older snapshots have expired before a common one was "
        "found; the list then ends with the last that is left."
    )
    def commits_complete(self) -> bool:
        """Whether `commits` lacks none."""
        return not self.kinship.is_cut


async def diff_versions(
    info: Info, table: LakeTable, from_: VersionSelector, to: VersionSelector | None, to_dataset: DatasetRef | None
) -> DatasetDiff:
    """Resolve both versions; what differs is looked at by the fields.

    Raises:
        DatasetNotFoundError, UnreadableTableError, BackendUnavailableError: `to_dataset`.
        As `Comparing.resolve`.
    """
    other = table if to_dataset is None else await info.context.loaders.tables.load(to_dataset.to_name())
    to_version = None if to is None else to.to_domain(other.state)
    comparing = info.context.comparing
    compared = await comparing.resolve(table, from_.to_domain(table.state), other, to_version)
    return DatasetDiff(compared=compared, kinship=comparing.relate(compared))
