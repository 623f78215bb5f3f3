"""Tables of many small files, and what is asked of compaction in these tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import IntegerType, LongType, NestedField, StringType

from app.bootstrap import Services
from app.domain.changes import Actor, Change, ChangeKind, Command
from app.domain.compaction.policy import CompactionPolicy
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.services.compaction.entries import TableEntry
from app.services.compaction.sweeps import Limits

NAME = DatasetName(namespace="bronze", name="events")
COMMAND = Command(actor=Actor(subject="maria"), reason="reads are slow")
SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "part", IntegerType()), NestedField(3, "name", StringType())
)
BY_PART = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="part"))
ROWS = 20


def create(catalog: Catalog, name: DatasetName = NAME, *, files: int = 12, parts: int = 1) -> Table:
    """A table of so many appends of `ROWS` rows, each of a file in each of its partitions."""
    catalog.create_namespace_if_not_exists(name.namespace)
    table = catalog.create_table(str(name), SCHEMA, partition_spec=BY_PART)
    for number in range(files):
        append(table, number, parts=parts)
    return table


def append(table: Table, number: int, *, parts: int = 1) -> None:
    rows = [{"id": ROWS * number + place, "part": place % parts, "name": f"row {place}"} for place in range(ROWS)]
    table.append(pa.Table.from_pylist(rows, schema_to_pyarrow(table.schema(), include_field_ids=False)))


def ids_of(table: Table, snapshot_id: int | None = None) -> list[int]:
    return sorted(table.scan(snapshot_id=snapshot_id).to_arrow()["id"].to_pylist())


def on_disk(table: Table) -> set[Path]:
    return set(Path(table.location().removeprefix("file://")).rglob("*.parquet"))


def reached(table: Table) -> set[Path]:
    files = table.inspect.all_data_files()["file_path"].to_pylist()
    return {Path(path.removeprefix("file://")) for path in files}


async def compact(
    services: Services,
    *names: DatasetName,
    policy: CompactionPolicy | None = None,
    limits: Limits | None = None,
    is_dry_run: bool = False,
) -> list[TableEntry]:
    sweep = services.compaction_sweeps.sweep(
        names or [NAME],
        policy or CompactionPolicy(),
        limits or Limits(),
        COMMAND,
        lambda *_: None,
        is_dry_run=is_dry_run,
    )
    return [entry async for entry in sweep]


async def changes_of(services: Services, table: Table) -> list[Change]:
    page = await services.datasets.changes_page(PageRequest(), table_uuid=table.metadata.table_uuid)
    return [change for change in page.items if change.kind is ChangeKind.COMPACTED]


async def next_operation(services: Services) -> None:
    await services.operation_runner.run_next(asyncio.Event())
