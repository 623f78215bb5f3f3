"""How two versions of datasets differ."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.domain import versions
from app.domain.history import newest_first
from app.domain.pages import cut_page
from app.domain.row_diffs import DEFAULT_SAMPLE, RowDiffRequest
from app.domain.version_relation import Kinship
from app.graphql.context import MAX_ROW_DIFFS, Info
from app.graphql.fields import field
from app.graphql.pages import FORWARD_PAGE, After, Connection, First, connect, page_request
from app.graphql.types.enums import DiffSide, VersionRelation
from app.graphql.types.inputs import DatasetRef, VersionSelector
from app.graphql.types.interfaces import Diff
from app.graphql.types.row_diff import ColumnStatsDelta, FileDiff, RowDiff
from app.graphql.types.schema_diff import SchemaDiff
from app.graphql.types.snapshot import Snapshot, find_snapshot, snapshot_of
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
        description="Whether they are known to be the same, from metadata alone: one schema, and the same live files, "
        "or files that were rewritten with the same rows. Where it is false, `rows` may still find no difference."
    )
    async def identical(self, info: Info) -> bool:
        """Whether they are known to be the same."""
        is_one_schema = info.context.comparing.schema(self.compared).is_empty
        return is_one_schema and await info.context.row_diffs.are_same(self.compared)

    @field(description="How their schemas differ; from metadata alone.")
    def schema(self, info: Info) -> SchemaDiff:
        """How their schemas differ."""
        return SchemaDiff(diff=info.context.comparing.schema(self.compared))

    @field(description="The files that differ, from manifests alone; null for versions of two datasets.")
    async def files(self, info: Info) -> FileDiff | None:
        """The files that differ."""
        if not self.compared.is_one_table:
            return None
        return FileDiff.of(await info.context.row_diffs.files(self.compared))

    @field(
        description="The rows that differ. Reads the files that differ, and no others; what would read more than the "
        "server allows is null and an error of code DIFF_TOO_LARGE: `startRowDiff` has no such limit. One operation "
        f"answers at most {MAX_ROW_DIFFS} of them."
    )
    async def rows(
        self,
        info: Info,
        keys: Annotated[
            list[str] | None,
            strawberry.argument(
                description="Columns that identify rows; the identifier fields of the table unless given, and none of "
                "them for an empty list."
            ),
        ] = None,
        sample_size: Annotated[
            int | None, strawberry.argument(description="How many rows of each kind to show, 0 to 1,000.")
        ] = DEFAULT_SAMPLE,
    ) -> RowDiff | None:
        """The rows that differ."""
        info.context.count_row_diff()
        size = DEFAULT_SAMPLE if sample_size is None else sample_size
        asked = RowDiffRequest(keys=None if keys is None else tuple(keys), sample_size=size)
        return RowDiff.of(await info.context.row_diffs.compare(self.compared, asked))

    @field(
        description="The statistics of columns on both sides, from manifests alone; matched by field id, those of two "
        "datasets by name."
    )
    async def stats(
        self,
        info: Info,
        names: Annotated[
            list[str] | None, strawberry.argument(description="Paths of the columns; all where left out.")
        ] = None,
    ) -> list[ColumnStatsDelta] | None:
        """The statistics of columns on both sides."""
        return [ColumnStatsDelta.of(delta) for delta in await info.context.row_diffs.stats(self.compared, names)]

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
        chosen = [snapshot for _, snapshot in self.kinship.commits(side)]
        table = self.compared.after.table
        page = cut_page(chosen, page_request(first, after), kind="commits", key=newest_first)
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


async def diff_snapshots(info: Info, table: LakeTable, from_id: int, to_id: int) -> DatasetDiff | None:
    """How two snapshots of a table differ; None where it has one of them no more."""
    if not {from_id, to_id} <= table.state.history.snapshots.keys():
        return None
    comparing = info.context.comparing
    before, after = (versions.VersionSelector(snapshot_id=number) for number in (from_id, to_id))
    compared = await comparing.resolve(table, before, table, after)
    return DatasetDiff(compared=compared, kinship=comparing.relate(compared))
