"""What one operation loads, each thing once, however many fields ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from strawberry.dataloader import DataLoader

from app.domain.changes import TagRecord
from app.domain.events import DatasetId
from app.domain.external import ExternalDataset
from app.domain.names import DatasetName
from app.errors import JsonValue, NotFound
from app.graphql.compaction_loaders import CompactionLoaders
from app.graphql.registry_loaders import RegistryLoaders
from app.graphql.retention_loaders import RetentionLoaders
from app.lake.table import LakeTable
from app.services.datasets import Datasets
from app.services.lineage import Lineage
from app.services.models import Models
from app.services.operations import Operations

TagKey = tuple[UUID, str]
# A table, the name under which it was seen, and one of its snapshots.
SeenSnapshot = tuple[UUID, DatasetName, int]


class Loaders:
    """The dataloaders of one operation."""

    def __init__(
        self,
        datasets: Datasets,
        lineage: Lineage,
        models: Models,
        operations: Operations,
        registry: RegistryLoaders,
        retention: RetentionLoaders,
        compaction: CompactionLoaders,
    ) -> None:
        self._datasets = datasets
        self._lineage = lineage
        self._models = models
        self._operations = operations
        self.registry = registry
        self.retention = retention
        self.compaction = compaction
        self.tables: DataLoader[DatasetName, LakeTable] = DataLoader(self._load_tables)
        self.names: DataLoader[UUID, DatasetName | None] = DataLoader(self._find_names)
        self.externals: DataLoader[DatasetId, ExternalDataset] = DataLoader(self._find_externals)
        self.tag_records: DataLoader[TagKey, TagRecord | None] = DataLoader(self._find_tag_records)
        self.results: DataLoader[UUID, JsonValue] = DataLoader(self._find_results)
        self.readable: DataLoader[SeenSnapshot, bool] = DataLoader(self._are_readable)

    async def find_table(self, table_uuid: UUID, seen_as: DatasetName) -> LakeTable | None:
        """The table of this id, under whatever name it has now; None where there is none any more.

        Raises:
            UnreadableTableError, BackendUnavailableError: it cannot be read.
        """
        # The search by id is dear where the table was dropped; so it is only made where the name does not lead there.
        table = await self._load_if_there(seen_as)
        if table is None or table.state.table_uuid != table_uuid:
            name = await self.names.load(table_uuid)
            table = await self._load_if_there(name) if name else None
        return table if table and table.state.table_uuid == table_uuid else None

    def renew(self, table: LakeTable) -> None:
        """Let later fields see this state of a table, and what is recorded of its tags now."""
        self.tables.prime(table.state.name, table, force=True)
        self.tag_records.clear_all()

    def forget(self, name: DatasetName) -> None:
        """Let later fields load a table again: someone else changed it."""
        if self.tables.cache_map.get(name) is not None:  # `clear` fails on what was never loaded
            self.tables.clear(name)
        self.tag_records.clear_all()

    async def _load_if_there(self, name: DatasetName) -> LakeTable | None:
        try:
            return await self.tables.load(name)
        except NotFound:
            return None

    async def _load_tables(self, names: list[DatasetName]) -> Sequence[LakeTable | BaseException]:
        return await asyncio.gather(*map(self._datasets.load, names), return_exceptions=True)

    async def _find_names(self, uuids: list[UUID]) -> Sequence[DatasetName | None]:
        names = await self._datasets.find_names(uuids)
        return [names.get(uuid) for uuid in uuids]

    async def _find_externals(self, datasets: list[DatasetId]) -> Sequence[ExternalDataset]:
        found = await self._lineage.find_external(datasets)
        return [found.get(dataset) or ExternalDataset(dataset=dataset) for dataset in datasets]

    async def _find_tag_records(self, keys: list[TagKey]) -> Sequence[TagRecord | None]:
        records = await self._datasets.tag_records(keys)
        return [records.get(key) for key in keys]

    async def _find_results(self, operation_ids: list[UUID]) -> Sequence[JsonValue]:
        found = await self._operations.find_results(operation_ids)
        return [found.get(operation_id) for operation_id in operation_ids]

    async def _are_readable(self, keys: list[SeenSnapshot]) -> Sequence[bool | BaseException]:
        return await asyncio.gather(*(self._is_readable(*key) for key in keys), return_exceptions=True)

    async def _is_readable(self, table_uuid: UUID, seen_as: DatasetName, snapshot_id: int) -> bool:
        return await self._models.is_readable(await self.find_table(table_uuid, seen_as), snapshot_id)
