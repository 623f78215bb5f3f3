"""The field of datasets about compaction: what it would do."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.graphql.compaction_loaders import compaction_key
from app.graphql.context import Info
from app.graphql.types.compaction import CompactionPlan, CompactionPolicyInput
from app.graphql.types.dataset_pages import DatasetSource

PolicyArgument = Annotated[
    CompactionPolicyInput | None,
    strawberry.argument(description="What to ask of the policy; else as the server has it."),
]


async def plan_dataset_compaction(
    self: DatasetSource, info: Info, policy: PolicyArgument = None
) -> CompactionPlan | None:
    """What compaction would do; nothing comes of it."""
    overrides = (policy or CompactionPolicyInput()).overrides()
    asked = overrides.applied_to(info.context.compaction_planning.default_policy())
    table = await self.find_table(info)
    if table is None:
        return None
    return await info.context.loaders.compaction.plans.load(compaction_key(table, asked))
