"""Tables that Spark compacts, and how they are read: by Spark, and by pyiceberg."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortDirection, SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import IntegerType, LongType, NestedField, StringType

from app.bootstrap import Services
from app.domain.changes import Actor, Command
from app.domain.compaction.engines import ENGINE
from app.domain.compaction.policy import CompactionPolicy
from app.domain.names import DatasetName
from app.lake.spark.names import table_name
from app.lake.spark.session import spark_session
from app.services.compaction.entries import TableEntry
from app.services.compaction.sweeps import Limits
from app.services.retention import Report
from tests.integration.spark_connect.conftest import SparkLake
from tests.unit.lake.local_tables import append

COMMAND = Command(actor=Actor(subject="maria"), reason="reads are slow")
SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "part", IntegerType()), NestedField(3, "name", StringType())
)
BY_PART = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="part"))
BY_ID = SortOrder(SortField(source_id=1, transform=IdentityTransform(), direction=SortDirection.DESC))
FILES, ROWS = 12, 20


def fill(lake: SparkLake, table: str, *, parts: int = 1, is_sorted: bool = False, engine: str | None = None) -> Table:
    """A table of `FILES` appends of `ROWS` rows, each of a file in each of its partitions."""
    made = lake.catalog.create_table(
        (lake.namespace, table),
        SCHEMA,
        partition_spec=BY_PART if parts > 1 else PartitionSpec(),
        sort_order=BY_ID if is_sorted else SortOrder(),
        properties={
            **({} if engine is None else {ENGINE: engine}),
            "write.delete.mode": "merge-on-read",
            # One file for all, as older engines write them.
            "write.delete.granularity": "partition",
        },
    )
    for number in range(FILES):
        append(made, [{"id": ROWS * number + n, "part": n % parts, "name": f"row {n}"} for n in range(ROWS)])
    return made


def ask(lake: SparkLake, *statements: str) -> list[tuple[Any, ...]]:
    """What Spark answers to the last one; `{name}` stands for a table in it."""
    with spark_session(lake.url, threading.Event()) as session:
        for statement in statements:
            rows = session.sql(statement).collect()
    return [tuple(row) for row in rows]


def sql_name(lake: SparkLake, table: str) -> str:
    return table_name(lake.address.catalog, DatasetName(namespace=lake.namespace, name=table))


def rows_in_spark(lake: SparkLake, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    name = sql_name(lake, table)
    return ask(lake, f"REFRESH TABLE {name}", f"SELECT {columns} FROM {name} ORDER BY id")


def rows_here(lake: SparkLake, table: str) -> list[tuple[Any, ...]]:
    read = lake.catalog.load_table((lake.namespace, table)).scan().to_arrow().sort_by("id")
    return [tuple(row.values()) for row in read.to_pylist()]


def files_of(lake: SparkLake, table: str) -> Counter[tuple[int, str]]:
    """How many data files (0) and delete files (1) the head has in each partition."""
    files = lake.catalog.load_table((lake.namespace, table)).inspect.files().to_pylist()
    return Counter((file["content"], str(file.get("partition"))) for file in files)


async def compact(
    services: Services,
    lake: SparkLake,
    *tables: str,
    policy: CompactionPolicy | None = None,
    limits: Limits | None = None,
    is_dry_run: bool = False,
    report: Report = lambda *_: None,
) -> dict[str, TableEntry]:
    sweep = services.compaction_sweeps.sweep(
        [DatasetName(namespace=lake.namespace, name=table) for table in tables],
        policy or CompactionPolicy(),
        limits or Limits(),
        COMMAND,
        report,
        is_dry_run=is_dry_run,
    )
    return {entry["table"]: entry async for entry in sweep}
