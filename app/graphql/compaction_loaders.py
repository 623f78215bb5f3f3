"""What one operation plans of compaction: each table once a policy, and not without end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from strawberry.dataloader import DataLoader

from app.domain.compaction.policy import CompactionPolicy
from app.errors import DatasetNotFoundError, TooManyCompactionPlansError
from app.graphql.types.compaction import CompactionPlan
from app.lake.table import LakeTable
from app.services.compaction.planning import CompactionPlanning

# Each reads the manifests of a table; a list of datasets would multiply that.
MAX_PLANS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionKey:
    """A table as it was loaded, and a policy. What has the same metadata is the same table in the same state."""

    location: str
    policy: CompactionPolicy
    table: LakeTable = field(compare=False, repr=False)


def compaction_key(table: LakeTable, policy: CompactionPolicy) -> CompactionKey:
    """The key of a plan."""
    return CompactionKey(location=table.state.metadata_location, policy=policy, table=table)


class CompactionLoaders:
    """The dataloaders of compaction of one operation."""

    def __init__(self, planning: CompactionPlanning) -> None:
        self._planning = planning
        self._planned = 0
        self.plans: DataLoader[CompactionKey, CompactionPlan] = DataLoader(self._plan)

    async def _plan(self, keys: list[CompactionKey]) -> Sequence[CompactionPlan | BaseException]:
        return await asyncio.gather(*map(self._plan_one, keys), return_exceptions=True)

    async def _plan_one(self, key: CompactionKey) -> CompactionPlan:
        self._planned += 1
        if self._planned > MAX_PLANS:
            raise TooManyCompactionPlansError(MAX_PLANS)
        name = key.table.state.name
        found = await self._planning.explained(name, key.policy)
        if found.table.state.table_uuid != key.table.state.table_uuid:
            # Dropped, and made again under its name, since the operation has begun.
            raise DatasetNotFoundError(str(name))
        # The numbers alone: what is known of each file may be large, and would be held until the operation ends.
        return CompactionPlan.of(found)
