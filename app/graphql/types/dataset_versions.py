"""Fields of datasets about their versions, and the names of these."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.domain.history import Ref, newest_first
from app.domain.pages import cut_page
from app.errors import AppError
from app.graphql.context import Info
from app.graphql.pages import After, Before, Connection, First, Last, connect, connect_nothing, page_request
from app.graphql.types.branch import Branch
from app.graphql.types.dataset_pages import DatasetSource
from app.graphql.types.enums import SnapshotOperation
from app.graphql.types.inputs import TimeRange, VersionSelector
from app.graphql.types.snapshot import Snapshot, snapshot_of, snapshots_of
from app.graphql.types.tag import Tag, tag_of

OfBranch = Annotated[
    str | None, strawberry.argument(description="Only the head of this branch and what it was made from.")
]
OfOperation = Annotated[SnapshotOperation | None, strawberry.argument(description="Only commits of this kind.")]
Committed = Annotated[TimeRange | None, strawberry.argument(description="Only what was committed in this span.")]
Prefix = Annotated[str | None, strawberry.argument(description="Only names that begin so.")]


async def find_version(self: DatasetSource, info: Info, at: VersionSelector) -> Snapshot | None:
    """One version."""
    at.check()
    table = await self.find_table(info)
    if table is None:
        return None
    found = await info.context.datasets.resolve_with_record(table, at.to_domain(table.state))
    return snapshot_of(table, found.snapshot_id)


async def list_snapshots(
    self: DatasetSource,
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    branch: OfBranch = None,
    operation: OfOperation = None,
    committed: Committed = None,
) -> Connection[Snapshot]:
    """All its versions, newest first."""
    request = page_request(first, after, last, before)
    table = await self.find_table(info)
    if table is None:
        return connect_nothing()
    try:
        snapshots = snapshots_of(table, branch)
    except AppError as error:  # an unknown branch of one dataset must not cost the listing of the others
        info.context.report(error, info.path)
        return connect_nothing()
    chosen = [
        snapshot
        for snapshot in snapshots
        if (operation is None or snapshot.operation is operation)
        and (committed is None or committed.contains_ms(snapshot.timestamp_ms))
    ]
    page = cut_page(chosen, request, kind="snapshots", key=newest_first)
    return connect(page, lambda snapshot: Snapshot(table=table, snapshot=snapshot))


async def list_tags(
    self: DatasetSource,
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    prefix: Prefix = None,
) -> Connection[Tag]:
    """Its tags, by name."""
    request = page_request(first, after, last, before)
    table = await self.find_table(info)
    if table is None:
        return connect_nothing()
    refs = [ref for ref in table.state.history.tags if ref.name.startswith(prefix or "")]
    return connect(cut_page(refs, request, kind="tags", key=_by_name), lambda ref: tag_of(table, ref))


async def list_branches(self: DatasetSource, info: Info) -> list[Branch]:
    """Its branches."""
    table = await self.find_table(info)
    return [Branch(table=table, ref=ref) for ref in table.state.history.branches] if table else []


def _by_name(ref: Ref) -> tuple[str]:
    return (ref.name,)
