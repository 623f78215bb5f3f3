"""A keyed table whose rows change, with tags on the way, for the tests of the faces."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DecimalType, LongType, NestedField, StringType

from tests.conftest import _temporary_database
from tests.lake_tables import SmallLake, small_lake

PRICES, OTHER = "sales.prices", "sales.others"
# Rows 1-4; 2 changed, 3 gone, 5 and 6 new; then 5 twice.
OPENED, CHANGED, DOUBLED = "prices_opened", "prices_changed", "prices_doubled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Snapshot ids of the tags."""

    opened: int
    changed: int
    doubled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedLake:
    """The small lake with `sales.prices` in it."""

    lake: SmallLake
    prices: Prices


def create_prices(catalog: Catalog) -> Prices:
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "name", StringType()),
        NestedField(3, "price", DecimalType(9, 2)),
        identifier_field_ids=[1],
    )
    table = catalog.create_table(PRICES, schema)
    table.append(_rows(table, (1, "pen", "1.50"), (2, "ink", "8.00"), (3, "cap", None), (4, "box", "0.90")))
    opened = _tagged(table, OPENED)
    table.overwrite(
        _rows(table, (2, "ink", "8.20"), (5, "mug", "4.00"), (6, None, "4.00")), overwrite_filter="id in (2, 3)"
    )
    changed = _tagged(table, CHANGED)
    table.overwrite(_rows(table, (5, "mug", "4.00"), (5, "mug", "4.10")), overwrite_filter="id = 5")
    create_other(catalog)
    return Prices(opened=opened, changed=changed, doubled=_tagged(table, DOUBLED))


def create_other(catalog: Catalog) -> None:
    """`sales.others`, whose `name` is a number."""
    schema = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "name", LongType()))
    table = catalog.create_table(OTHER, schema)
    rows = pa.Table.from_pylist([{"id": 1, "name": 1}], schema_to_pyarrow(schema, include_field_ids=False))
    table.append(rows)


@pytest.fixture(scope="session")
def changed_lake(
    postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ChangedLake]:
    """One lake for all tests that change nothing."""
    databases = _temporary_database(postgres_url, template=template_database)
    with contextlib.closing(databases), small_lake(next(databases), tmp_path_factory.mktemp("home")) as lake:
        yield ChangedLake(lake=lake, prices=create_prices(lake.catalog))


def _rows(table: Table, *rows: tuple[int, str | None, str | None]) -> pa.Table:
    shown = [
        {"id": number, "name": name, "price": None if price is None else Decimal(price)} for number, name, price in rows
    ]
    return pa.Table.from_pylist(shown, schema_to_pyarrow(table.schema(), include_field_ids=False))


def _tagged(table: Table, tag: str) -> int:
    snapshot = table.refresh().current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_tag(snapshot.snapshot_id, tag).commit()
    return snapshot.snapshot_id
