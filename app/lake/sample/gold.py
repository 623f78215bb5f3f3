"""gold: aggregates."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
)

from app.lake.sample import shapes
from app.lake.sample.plans import SampleTable, schema_of
from app.lake.sample.steps import Step, append, delete, evolve, overwrite
from app.lake.sample.tpch import TpchFiles

YEARS = range(1992, 1999)
_EVERYTHING = "customer_id >= 0"

_CUSTOMERS_FIRST_NAMES = {"order_count": "orders", "lifetime_revenue": "revenue"}


def _customers_steps(parts: int) -> list[Step]:
    def so_far(files: TpchFiles, quarter: int) -> pa.Table:
        return shapes.customers(files, range(quarter * files.parts // 4))

    return [
        append("refresh-1", lambda files: shapes.named(so_far(files, 1), _CUSTOMERS_FIRST_NAMES)),
        evolve(
            "rename-measures",
            lambda update: (
                update.update_column("orders", LongType())
                .rename_column("orders", "order_count")
                .update_column("revenue", DecimalType(20, 2), doc="Sum of all orders' totals")
                .rename_column("revenue", "lifetime_revenue")
            ),
        ),
        overwrite("refresh-2", _EVERYTHING, lambda files: so_far(files, 2)),
        overwrite("refresh-3", _EVERYTHING, lambda files: so_far(files, 3)),
        evolve("add-last-order-date", lambda update: update.add_column("last_order_date", DateType())),
        overwrite("refresh-4", _EVERYTHING, lambda files: so_far(files, 4)),
        delete("remove-inactive", "order_count = 0"),
    ]


CUSTOMERS = SampleTable(
    namespace="gold",
    name="customers",
    comment="What each customer ordered, refreshed as orders come in",
    schema=schema_of(
        ("customer_id", LongType()),
        ("name", StringType()),
        ("segment", StringType()),
        ("orders", IntegerType()),
        ("revenue", DecimalType(18, 2)),
        key=("customer_id",),
    ),
    steps=_customers_steps,
)


def _revenue_steps(_parts: int) -> list[Step]:
    def year(of_year: int) -> Callable[[TpchFiles], pa.Table]:
        return lambda files: shapes.daily_revenue(files, of_year)

    last = YEARS[-1]
    return [
        *(append(f"year-{of_year}", year(of_year)) for of_year in YEARS),
        evolve(
            "add-average",
            lambda update: update.add_column("average_order_value", DoubleType(), doc="revenue / order_count"),
        ),
        overwrite(
            f"restate-{last}",
            f"order_date >= '{last}-01-01' and order_date < '{last + 1}-01-01'",
            year(last),
        ),
    ]


REVENUE = SampleTable(
    namespace="gold",
    name="daily_revenue",
    comment="Orders and revenue of each day",
    schema=schema_of(
        ("order_date", DateType()), ("order_count", LongType()), ("revenue", DecimalType(20, 2)), key=("order_date",)
    ),
    sort_order=SortOrder(SortField(1, IdentityTransform())),
    steps=_revenue_steps,
)
