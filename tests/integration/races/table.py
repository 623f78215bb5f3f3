"""The one table that everybody fights over, and how each opens it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, StringType

from app.domain.names import DatasetName
from app.lake.catalog import EMBEDDED_CATALOG, open_embedded_catalog
from app.lake.metadata_cache import MetadataCache
from app.settings import Settings

NAME = DatasetName(namespace="race", name="events")
MAIN, STAGE = "main", "stage"
RETENTION = {"min_snapshots_to_keep": 7, "max_snapshot_age_ms": 86_400_000, "max_ref_age_ms": None}

_ARROW = pa.schema([pa.field("writer", pa.string()), pa.field("n", pa.int64())])


def make_settings(database_url: str, home: Path, **overrides: Any) -> Settings:
    return Settings(home=home, database_url=database_url, **overrides)


@contextmanager
def our_catalog(settings: Settings) -> Iterator[Catalog]:
    """As the server opens it."""
    catalog = open_embedded_catalog(settings.database_url or "", _warehouse(settings), MetadataCache(64 * 1024 * 1024))
    with catalog:
        yield catalog


@contextmanager
def stock_catalog(settings: Settings) -> Iterator[Catalog]:
    """As any other program opens it."""
    uri = (settings.database_url or "").replace("postgresql://", "postgresql+psycopg2://", 1)
    with SqlCatalog(EMBEDDED_CATALOG, uri=uri, warehouse=_warehouse(settings)) as catalog:
        yield catalog


def create_table(settings: Settings, *, properties: dict[str, str] | None = None) -> list[int]:
    """The table with three snapshots on main, the last of which begins branch stage too; retention set on both."""
    with our_catalog(settings) as catalog:
        table = make_table(catalog, NAME, properties)
        made = [append(table, "setup", n) for n in range(3)]
        set_retention(catalog, (STAGE, MAIN), made[-1], **RETENTION)
        return made


def make_table(catalog: Catalog, name: DatasetName, properties: dict[str, str] | None = None) -> Table:
    """An empty table."""
    schema = Schema(NestedField(1, "writer", StringType()), NestedField(2, "n", LongType()))
    catalog.create_namespace_if_not_exists(name.namespace)
    # The whole history is to be walked afterwards; and pyiceberg's own retries are few and slow by default.
    wanted = {
        "write.metadata.previous-versions-max": "100000",
        "commit.retry.num-retries": "10",
        "commit.retry.min-wait-ms": "10",
        **(properties or {}),
    }
    return catalog.create_table(str(name), schema, properties=wanted)


def set_retention(
    catalog: Catalog, branches: Sequence[str], snapshot_id: int, *, name: str = str(NAME), **retention: int | None
) -> None:
    """As an operator does with another tool; a branch that is not there yet is made."""
    with catalog.load_table(name).transaction() as transaction:
        for branch in branches:
            updates, requirements = transaction._set_ref_snapshot(snapshot_id, branch, "branch", **retention)
            transaction._apply(updates, requirements)


def append(table: Table, writer: str, n: int, branch: str = MAIN) -> int:
    """One row; answers the snapshot that has it."""
    table.append(pa.table({"writer": [writer], "n": [n]}, _ARROW), branch=branch)
    return table.metadata.refs[branch].snapshot_id


def metadata_location(settings: Settings) -> str:
    with our_catalog(settings) as catalog:
        return catalog.load_table(str(NAME)).metadata_location


def read_metadata(location: str) -> dict[str, Any]:
    return dict(orjson.loads(Path(location.removeprefix("file://")).read_bytes()))


def damage_metadata(location: str, damage: str) -> None:
    """Make a metadata file `deleted`, `broken` or `empty`."""
    file = Path(location.removeprefix("file://"))
    file.unlink()
    if damage != "deleted":
        file.write_text("" if damage == "empty" else '{"format-version": 2, "loca')


def read_refs(settings: Settings) -> dict[str, dict[str, Any]]:
    return dict(read_metadata(metadata_location(settings))["refs"])


async def change_rows(database_url: str) -> list[dict[str, Any]]:
    """Everything that is recorded, oldest first."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=orjson.loads)
        return [dict(row) for row in await connection.fetch("SELECT * FROM changes ORDER BY intended_at")]
    finally:
        await connection.close()


def _warehouse(settings: Settings) -> str:
    settings.warehouse.mkdir(parents=True, exist_ok=True)
    return f"file://{settings.warehouse}"
