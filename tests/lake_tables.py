"""A small lake of real Iceberg tables for the tests of the faces, written with pyiceberg alone."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DecimalType, LongType, NestedField, StringType, TimestamptzType

from app.lake.catalog import open_embedded_catalog
from app.lake.metadata_cache import MetadataCache
from app.settings import Settings

ORDERS = "sales.orders"
TAG = "production_2026_02_15"
BRANCH = "dev"
AT = dt.datetime(2026, 2, 15, 10, 0, 0, 5, tzinfo=dt.UTC)

ARROW_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("price", pa.decimal128(12, 2)),
        pa.field("name", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """`sales.orders`: rows 1-3 at `first` (tagged), 4-5 added at `second` (branch dev), 6 at `third` (main's head).

    Between `second` and `third`, `name` was renamed to `label`, and `note` was added.
    """

    first: int
    second: int
    third: int

    @property
    def ids(self) -> list[int]:
        return [self.first, self.second, self.third]


def rows(*ids: int) -> pa.Table:
    names = {1: 'say "hi", all', 2: "", 3: None}
    return pa.Table.from_pylist(
        [{"id": n, "price": Decimal(n) / 4, "name": names.get(n, f"order {n}"), "at": AT} for n in ids], ARROW_SCHEMA
    )


@contextmanager
def open_catalog(settings: Settings) -> Iterator[Catalog]:
    """The embedded catalog of these settings, as another program would open it."""
    if settings.database_url is None:
        raise ValueError("the tests' lakes live in the tests' Postgres")
    settings.warehouse.mkdir(parents=True, exist_ok=True)
    catalog = open_embedded_catalog(settings.database_url, settings.warehouse.as_uri(), MetadataCache(0))
    try:
        yield catalog
    finally:
        catalog.close()


def create_orders(catalog: Catalog, name: str = ORDERS) -> Orders:
    catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "price", DecimalType(12, 2)),
        NestedField(3, "name", StringType()),
        NestedField(4, "at", TimestamptzType()),
    )
    table = catalog.create_table(name, schema)
    first = _append(table, rows(1, 2, 3))
    second = _append(table, rows(4, 5))
    table.manage_snapshots().create_tag(first, TAG).commit()
    table.manage_snapshots().create_branch(second, BRANCH).commit()
    with table.update_schema() as update:
        update.rename_column("name", "label")
        update.add_column("note", StringType())
    third = _append(table, rows(6).rename_columns(["id", "price", "label", "at"]))
    return Orders(first=first, second=second, third=third)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallLake:
    """`sales.orders`, `sales.broken`, `sales.empty` and `two.levels.t ü`, and the settings that lead to them."""

    settings: Settings
    catalog: Catalog
    orders: Orders

    @property
    def location(self) -> str:
        """Where the metadata of `sales.orders` is now: the same as before means that nothing was changed."""
        return self.catalog.load_table(ORDERS).metadata_location


@contextmanager
def small_lake(database_url: str, home: Path) -> Iterator[SmallLake]:
    settings = Settings(home=home, database_url=database_url)
    with open_catalog(settings) as catalog:
        orders = create_orders(catalog)
        create_broken(catalog)
        create_empty(catalog)
        create_empty(catalog, "two.levels.t ü")
        yield SmallLake(settings=settings, catalog=catalog, orders=orders)


def create_broken(catalog: Catalog, name: str = "sales.broken") -> None:
    """A table whose metadata file is gone."""
    catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
    table = catalog.create_table(name, Schema(NestedField(1, "id", LongType())))
    table.io.delete(table.metadata_location)


def create_empty(catalog: Catalog, name: str = "sales.empty") -> None:
    catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
    catalog.create_table(name, Schema(NestedField(1, "id", LongType())))


def append_elsewhere(catalog: Catalog, *ids: int, name: str = ORDERS) -> int:
    """Another writer's append to a table of `create_orders`; answers the new head."""
    return _append(catalog.load_table(name), rows(*ids).rename_columns(["id", "price", "label", "at"]))


def set_tag(catalog: Catalog, tag: str, snapshot_id: int, max_ref_age_ms: int | None, *, name: str = ORDERS) -> None:
    """As another tool sets a tag or changes it: whole, with the age that is given or none."""
    with catalog.load_table(name).transaction() as transaction:
        transaction._apply(*transaction._set_ref_snapshot(snapshot_id, tag, "tag", max_ref_age_ms=max_ref_age_ms))


def age_of(catalog: Catalog, tag: str, *, name: str = ORDERS) -> int | None:
    """The max-ref-age-ms that another program reads of a tag; a KeyError where there is no such tag."""
    return catalog.load_table(name).metadata.refs[tag].max_ref_age_ms


def _append(table: Table, data: pa.Table) -> int:
    # Two snapshots of one millisecond would have no order in time.
    time.sleep(0.002)
    table.append(data)
    head = table.current_snapshot()
    assert head is not None
    return head.snapshot_id
