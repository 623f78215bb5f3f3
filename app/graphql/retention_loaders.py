"""What one operation plans of retention: each table once a policy, and measured only where bytes are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from strawberry.dataloader import DataLoader

from app.domain.retention.explaining_tables import TableBytes
from app.domain.retention.holders import Holders
from app.domain.retention.plans import RetentionPlan
from app.domain.retention.policy import RetentionPolicy
from app.errors import TooManyMeasuresError
from app.lake.neighbours import Neighbours
from app.lake.table import LakeTable
from app.services.retention_planning import RetentionPlanning

# Each reads all manifests of a table; a list of datasets would multiply that.
MAX_MEASURES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanKey:
    """A table as it was loaded, and a policy. What has the same metadata is the same table in the same state."""

    location: str
    policy: RetentionPolicy
    table: LakeTable = field(compare=False, repr=False)


def plan_key(table: LakeTable, policy: RetentionPolicy) -> PlanKey:
    """The key of a plan."""
    return PlanKey(location=table.state.metadata_location, policy=policy, table=table)


class RetentionLoaders:
    """The dataloaders of retention of one operation."""

    def __init__(self, planning: RetentionPlanning) -> None:
        self._planning = planning
        self._measures = 0
        self.plans: DataLoader[PlanKey, RetentionPlan] = DataLoader(self._plan)
        self.measures: DataLoader[PlanKey, TableBytes] = DataLoader(self._measure)
        self._neighbours: DataLoader[str, Neighbours] = DataLoader(self._list_neighbours)

    async def _plan(self, keys: list[PlanKey]) -> Sequence[RetentionPlan | BaseException]:
        tables = {key.location: key.table for key in keys}
        holders = dict(zip(tables, await self._planning.holders(list(tables.values())), strict=True))
        return await asyncio.gather(
            *(self._plan_one(key, holders[key.location]) for key in keys), return_exceptions=True
        )

    async def _plan_one(self, key: PlanKey, holders: Holders) -> RetentionPlan:
        return await self._planning.plan_table(key.table, key.policy, holders)

    async def _measure(self, keys: list[PlanKey]) -> Sequence[TableBytes | BaseException]:
        return await asyncio.gather(*map(self._measure_one, keys), return_exceptions=True)

    async def _measure_one(self, key: PlanKey) -> TableBytes:
        self._measures += 1
        if self._measures > MAX_MEASURES:
            raise TooManyMeasuresError(MAX_MEASURES)
        plan = await self.plans.load(key)
        neighbours = await self._neighbours.load("all")
        # The numbers alone: what is known of each file may be large, and would be held until the operation ends.
        return (await self._planning.measure_plan(key.table, plan, neighbours)).table_bytes

    async def _list_neighbours(self, keys: list[str]) -> Sequence[Neighbours]:
        return [await self._planning.neighbours()] * len(keys)
