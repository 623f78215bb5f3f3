"""silver: joined and cleaned."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.transforms import IdentityTransform, MonthTransform, YearTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
)

from app.lake.sample import shapes
from app.lake.sample.plans import SampleTable, loads, schema_of
from app.lake.sample.shapes import OPEN_STATUS
from app.lake.sample.steps import Step, append, branch_off, delete, evolve, overwrite, repartition

EXPERIMENT_BRANCH = "experiment"
_KEPT_FROM = date(1993, 1, 1)

_SALES_FIRST_NAMES = {"line_number": "line_no", "quantity": "qty", "net_amount": "net"}


def _sales_steps(parts: int) -> list[Step]:
    open_sales = shapes.select(shapes.sales, pc.field("status") == OPEN_STATUS)
    first_year = shapes.select(shapes.sales, pc.field("order_date") < pa.scalar(_KEPT_FROM))
    return [
        *loads(lambda files, part: shapes.named(shapes.sales(files, part), _SALES_FIRST_NAMES), 1, 2)(parts),
        evolve(
            "widen-types",
            lambda update: (
                update.update_column("part_id", LongType())
                .update_column("discount_rate", DoubleType())
                .update_column("net", DecimalType(20, 4))
            ),
        ),
        evolve("rename-columns", _rename_sales),
        repartition(
            "partition-by-year-and-status", lambda update: update.add_field("status", IdentityTransform(), "status")
        ),
        *loads(shapes.sales, 3)(parts),
        evolve(
            "add-ship-mode",
            lambda update: update.add_column("ship_mode", StringType(), doc="How it was shipped; null before load-4"),
        ),
        repartition(
            "partition-by-month",
            lambda update: (
                update.remove_field("order_year")
                .remove_field("status")
                .add_field("order_date", MonthTransform(), "order_month")
            ),
        ),
        *loads(shapes.sales, 4)(parts),
        overwrite(
            "restate-open-sales",
            f"status = '{OPEN_STATUS}'",
            lambda files: open_sales(files, range(files.parts)),
        ),
        delete("purge-1992", f"order_date < '{_KEPT_FROM}'"),
        branch_off("branch-experiment", EXPERIMENT_BRANCH),
        append("restore-1992-in-experiment", lambda files: first_year(files, (0,)), branch=EXPERIMENT_BRANCH),
    ]


def _rename_sales(update: UpdateSchema) -> UpdateSchema:
    for name, earlier in _SALES_FIRST_NAMES.items():
        update.rename_column(earlier, name)
    update.set_identifier_fields("order_id", "line_number")
    return update


SALES = SampleTable(
    namespace="silver",
    name="sales",
    comment="Order lines joined to their orders: one row per line",
    schema=schema_of(
        ("order_id", LongType()),
        ("line_no", IntegerType()),
        ("customer_id", LongType()),
        ("order_date", DateType()),
        ("ship_date", DateType()),
        ("status", StringType()),
        ("qty", DecimalType(15, 2)),
        ("net", DecimalType(18, 4)),
        ("discount_rate", FloatType()),
        ("part_id", IntegerType()),
        required=("order_id", "line_no", "order_date"),
    ),
    spec=PartitionSpec(PartitionField(4, 1000, YearTransform(), "order_year")),
    steps=_sales_steps,
)


def _documents_steps(parts: int) -> list[Step]:
    open_documents = shapes.select(shapes.order_documents, pc.field("status") == OPEN_STATUS)
    return [
        *loads(lambda files, part: shapes.order_documents(files, part, total="total"), 1, 2)(parts),
        evolve(
            "evolve-nested-fields",
            lambda update: (
                update.rename_column("payment.total", "total_price")
                .update_column(("lines", "element", "line_number"), LongType())
                .add_column(
                    ("lines", "discount"), DecimalType(15, 2), doc="Share of the price, 0 to 1; null before load-3"
                )
            ),
        ),
        *loads(shapes.order_documents, 3, 4)(parts),
        overwrite(
            "restate-open-orders",
            f"status = '{OPEN_STATUS}'",
            lambda files: open_documents(files, range(files.parts)),
        ),
        delete("purge-1992", f"order_date < '{_KEPT_FROM}'"),
    ]


_LINE = StructType(
    NestedField(10, "line_number", IntegerType(), required=False),
    NestedField(11, "part_id", LongType(), required=False),
    NestedField(12, "quantity", DecimalType(15, 2), required=False),
    NestedField(13, "price", DecimalType(15, 2), required=False),
)
_PAYMENT = StructType(
    NestedField(14, "customer_id", LongType(), required=False),
    NestedField(15, "total", DecimalType(15, 2), required=False),
)
DOCUMENTS = SampleTable(
    namespace="silver",
    name="order_documents",
    comment="One document per order: struct, list and map columns",
    schema=Schema(
        NestedField(1, "order_id", LongType(), required=True),
        NestedField(2, "order_date", DateType(), required=False),
        NestedField(3, "status", StringType(), required=False),
        NestedField(4, "payment", _PAYMENT, required=False),
        NestedField(5, "lines", ListType(7, _LINE, element_required=False), required=False),
        NestedField(6, "labels", MapType(8, StringType(), 9, StringType(), value_required=False), required=False),
        identifier_field_ids=[1],
    ),
    steps=_documents_steps,
)
