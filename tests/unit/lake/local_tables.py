"""Real Iceberg tables in a folder, and their rows as this project's reader answers them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from app.domain.names import DatasetName
from app.domain.versions import ResolvedVersion
from app.lake.reading import RowRequest, RowStream, plan_scan
from app.lake.sample.snapshots import delete_by_position
from app.lake.sample.steps import Marks
from app.lake.sample.tpch import TpchFiles
from app.lake.table import LakeTable, to_state
from app.lake.threads import LakeThreads

NAME = DatasetName(namespace="sales", name="orders")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a stream answered, whole."""

    rows: list[dict[str, Any]]
    batch_rows: list[int]
    schema: pa.Schema
    truncated: bool
    bytes_read: int


def open_catalog(folder: Path) -> SqlCatalog:
    catalog = SqlCatalog("local", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace_if_not_exists(NAME.namespace)
    return catalog


def create_table(catalog: SqlCatalog, schema: Schema, rows: list[dict[str, Any]] | None = None) -> Table:
    """`sales.orders`, with one file of these rows."""
    table = catalog.create_table(str(NAME), schema)
    if rows is not None:
        append(table, rows)
    return table


def append(table: Table, rows: list[dict[str, Any]]) -> None:
    """One more file, in the current schema."""
    # Two snapshots of one millisecond would have no order in time.
    time.sleep(0.002)
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    table.append(pa.Table.from_pylist(rows, pa.schema([_storage(field) for field in schema])).cast(schema))


def rewrite(table: Table, rows: list[dict[str, Any]]) -> None:
    """Have Arrow write the table's only file: pyiceberg writes empty lists and maps for some that are null."""
    (task,) = table.scan().plan_files()
    with table.io.new_output(task.file.file_path).create(overwrite=True) as stream:
        pq.write_table(pa.Table.from_pylist(rows, schema_to_pyarrow(table.schema())), stream)


def _storage(field: pa.Field) -> pa.Field:
    # Arrow makes no arrays of extension types out of Python's values.
    kind = field.type
    if isinstance(kind, pa.UuidType):
        kind = kind.storage_type
    elif pa.types.is_struct(kind):
        kind = pa.struct([_storage(child) for child in kind])
    return pa.field(field.name, kind, field.nullable)


def as_lake_table(table: Table) -> LakeTable:
    return LakeTable(state=to_state(table.metadata, table.metadata_location, NAME), handle=table)


def read(
    table: Table,
    row_filter: str | None = None,
    *columns: str,
    limit: int | None = None,
    snapshot_id: int | None = None,
) -> Answer:
    """The rows of the head in the current schema, or of a snapshot in its own."""
    request = RowRequest(columns=columns or None, row_filter=row_filter, limit=limit)
    head = table.metadata.current_snapshot_id
    version = ResolvedVersion(snapshot_id=snapshot_id or head or 0, uses_current_schema=snapshot_id is None)
    scan = plan_scan(as_lake_table(table), version, request)

    async def gathered() -> Answer:
        threads = LakeThreads(1, timeout_s=60)
        try:
            async with RowStream(scan, limit, threads) as stream:
                batches = [batch async for batch in stream]
            return Answer(
                rows=[row for batch in batches for row in batch.to_pylist()],
                batch_rows=[batch.num_rows for batch in batches],
                schema=stream.schema,
                truncated=stream.truncated,
                bytes_read=stream.bytes_read,
            )
        finally:
            threads.close()

    return asyncio.run(gathered())


def delete_rows(table: Table, column: str, condition: pc.Expression) -> None:
    """Delete rows by position, merge-on-read: data files stay as they are."""
    delete_by_position("delete", [column], condition).commit(
        table, TpchFiles(root=Path(), parts=1), Marks(step="delete", is_last=False)
    )
    table.refresh()
