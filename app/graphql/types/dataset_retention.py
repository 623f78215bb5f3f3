"""Fields of datasets about retention: what would expire, what has expired, and what is held."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import strawberry

from app.domain import holds
from app.domain.pages import Page, PageRequest
from app.graphql.context import Info
from app.graphql.pages import After, Connection, First, connect, connect_nothing, page_request
from app.graphql.retention_loaders import plan_key
from app.graphql.scalars import SnapshotId
from app.graphql.types.dataset_pages import DatasetSource, find_page
from app.graphql.types.hold import Hold
from app.graphql.types.retention import RetentionPlan, RetentionPolicyInput
from app.graphql.types.retention_run import PastExpiry, RetentionRun

PolicyArgument = Annotated[
    RetentionPolicyInput | None,
    strawberry.argument(description="What to ask of the policy; else as the server has it."),
]
SnapshotIdArgument = Annotated[SnapshotId, strawberry.argument(description="Its id.")]
KeepingOnly = Annotated[
    bool, strawberry.argument(description="Only those that keep their snapshot still; else all that ever were.")
]


async def plan_dataset(self: DatasetSource, info: Info, policy: PolicyArgument = None) -> RetentionPlan | None:
    """What stays and what would expire; nothing comes of it, and so 0 days may be asked for."""
    overrides = (policy or RetentionPolicyInput()).overrides(allow_zero_days=True)
    asked = overrides.applied_to(info.context.retention_planning.default_policy())
    table = await self.find_table(info)
    if table is None:
        return None
    key = plan_key(table, asked)
    return RetentionPlan(key=key, plan=await info.context.loaders.retention.plans.load(key))


async def list_runs(
    self: DatasetSource, info: Info, first: First = None, after: After = None
) -> Connection[RetentionRun]:
    """The runs of retention that were committed, the newest first."""
    page = await find_page(self, info, page_request(first, after), info.context.past_expiries.page)
    return connect_nothing() if page is None else connect(page, RetentionRun.of)


async def find_past_expiry(self: DatasetSource, info: Info, snapshot_id: SnapshotIdArgument) -> PastExpiry | None:
    """What is known of the expiry of a snapshot."""
    uuid = await self.find_uuid(info)
    found = None if uuid is None else await info.context.past_expiries.find(uuid, snapshot_id)
    return None if found is None else PastExpiry.of(found)


async def list_holds(
    self: DatasetSource, info: Info, first: First = None, after: After = None, keeping_only: KeepingOnly = False
) -> Connection[Hold]:
    """The holds that were placed on it, those placed last first."""

    async def find(uuid: UUID, request: PageRequest) -> Page[holds.Hold]:
        return await info.context.holding.page(request, table_uuid=uuid, keeping_only=keeping_only)

    page = await find_page(self, info, page_request(first, after), find)
    return connect_nothing() if page is None else connect(page, lambda hold: Hold(hold=hold))
