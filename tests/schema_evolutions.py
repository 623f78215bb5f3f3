"""A table whose schema pyiceberg evolved in every way that it can, for the tests of the faces."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

EVOLVING = "sales.evolving"
BEFORE, AFTER = "production_2026_02_15", "production_2026_03_15"

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "amount", IntegerType()),
    NestedField(3, "price", DecimalType(9, 2)),
    NestedField(4, "name", StringType()),
    NestedField(5, "fax", StringType()),
    NestedField(
        6,
        "address",
        StructType(NestedField(7, "zip", IntegerType()), NestedField(8, "city", StringType(), required=False)),
    ),
    NestedField(9, "tags", ListType(10, IntegerType(), element_required=False)),
    NestedField(11, "sizes", MapType(12, StringType(), 13, IntegerType(), value_required=False)),
    NestedField(14, "at", TimestamptzType(), required=True),
    NestedField(15, "day", DateType(), doc="When it was sent"),
    identifier_field_ids=[1],
)
SPEC = PartitionSpec(PartitionField(14, 1000, DayTransform(), "at_day"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolving:
    """`first` has `SCHEMA` and is tagged `BEFORE`; `second` has what it became, and is tagged `AFTER`.

    After `second`, `late` was added, and the table was split by `id` too, which made no snapshot.
    """

    first: int
    second: int


def create_evolving(catalog: Catalog, name: str = EVOLVING) -> Evolving:
    catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
    table = catalog.create_table(name, SCHEMA, partition_spec=SPEC)
    first = _append_nothing(table)
    table.manage_snapshots().create_tag(first, BEFORE).commit()
    with table.update_schema() as update:
        update.delete_column("amount")
        update.delete_column("fax")
    with table.update_schema() as update:
        update.add_column("amount", StringType())
        update.update_column("price", DecimalType(12, 2))
        update.rename_column("name", "label")
        update.update_column("day", doc="When it was sent out")
        update.update_column(("address", "zip"), LongType())
        update.add_column(("address", "land"), StringType(), doc="ISO 3166")
        update.update_column(("tags", "element"), LongType())
        update.update_column(("sizes", "value"), LongType())
        update.make_column_optional("at")
        update.add_column("note", StringType())
    with table.update_schema() as update:
        update.move_first("day")
    second = _append_nothing(table)
    table.manage_snapshots().create_tag(second, AFTER).commit()
    with table.update_schema() as update:
        update.add_column("late", StringType())
    with table.update_spec() as spec:
        spec.add_field("id", IdentityTransform(), "id")
    with table.update_sort_order() as order:
        order.asc("id", IdentityTransform())
    return Evolving(first=first, second=second)


def _append_nothing(table: Table) -> int:
    # Two snapshots of one millisecond would have no order in time.
    time.sleep(0.002)
    table.append(schema_to_pyarrow(table.schema(), include_field_ids=False).empty_table())
    head = table.current_snapshot()
    assert head is not None
    return head.snapshot_id
