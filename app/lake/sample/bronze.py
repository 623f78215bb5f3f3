"""bronze: TPC-H as it arrives."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.types import (
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
)

from app.lake.sample import shapes
from app.lake.sample.plans import SampleTable, loads, schema_of
from app.lake.sample.shapes import OPEN_STATUS
from app.lake.sample.snapshots import compact, delete_by_position
from app.lake.sample.steps import Step, append, delete, evolve, overwrite

_DUPLICATED_BATCH, _RESTATED_BATCH = 5, 6
_LOWEST_BALANCE = -900


def _orders_steps(parts: int) -> list[Step]:
    read = shapes.raw("orders")
    open_orders = shapes.select(read, pc.field("o_orderstatus") == OPEN_STATUS)
    return [
        *loads(read, 1, 2)(parts),
        evolve(
            "widen-types",
            lambda update: (
                update.update_column("o_orderkey", LongType())
                .update_column("o_custkey", LongType())
                .update_column("o_totalprice", DecimalType(15, 2))
            ),
        ),
        *loads(read, 3, 4)(parts),
        evolve(
            "add-ingest-batch",
            lambda update: update.add_column("ingest_batch", IntegerType(), doc="Which delivery the row came with"),
        ),
        append(
            "load-last-part-again",
            lambda files: shapes.with_column(read(files, files.parts - 1), "ingest_batch", _DUPLICATED_BATCH),
        ),
        delete("remove-duplicates", f"ingest_batch = {_DUPLICATED_BATCH}"),
        overwrite(
            "restate-open-orders",
            f"o_orderstatus = '{OPEN_STATUS}'",
            lambda files: shapes.with_column(open_orders(files, range(files.parts)), "ingest_batch", _RESTATED_BATCH),
        ),
    ]


ORDERS = SampleTable(
    namespace="bronze",
    name="orders",
    comment="Orders of TPC-H as delivered, with a delivery that came twice and was taken back",
    schema=schema_of(
        ("o_orderkey", IntegerType()),
        ("o_custkey", IntegerType()),
        ("o_orderstatus", StringType()),
        ("o_totalprice", DecimalType(12, 2)),
        ("o_orderdate", DateType()),
        ("o_orderpriority", StringType()),
        ("o_clerk", StringType()),
        ("o_shippriority", IntegerType()),
        ("o_comment", StringType()),
        required=("o_orderkey",),
    ),
    steps=_orders_steps,
)


def _lineitem_steps(parts: int) -> list[Step]:
    def withdraw(name: str, mode: str, quantity: int) -> Step:
        condition = (pc.field("l_shipmode") == mode) & (
            pc.field("l_quantity") == pa.scalar(quantity, pa.decimal128(15, 2))
        )
        return delete_by_position(name, ("l_shipmode", "l_quantity"), condition)

    return [
        *loads(shapes.raw("lineitem"), 1, 2, 3, 4)(parts),
        evolve("drop-comment", lambda update: update.delete_column("l_comment")),
        delete("remove-trial-shipments", "l_shipdate < '1992-02-01'"),
        withdraw("withdraw-air-freight", "AIR", 50),
        withdraw("withdraw-rail-freight", "RAIL", 1),
    ]


LINEITEM = SampleTable(
    namespace="bronze",
    name="lineitem",
    comment="Order lines of TPC-H as delivered; some were withdrawn later by merge-on-read deletes",
    schema=schema_of(
        ("l_orderkey", LongType()),
        ("l_partkey", LongType()),
        ("l_suppkey", LongType()),
        ("l_linenumber", IntegerType()),
        ("l_quantity", DecimalType(15, 2)),
        ("l_extendedprice", DecimalType(15, 2)),
        ("l_discount", DecimalType(15, 2)),
        ("l_tax", DecimalType(15, 2)),
        ("l_returnflag", StringType()),
        ("l_linestatus", StringType()),
        ("l_shipdate", DateType()),
        ("l_commitdate", DateType()),
        ("l_receiptdate", DateType()),
        ("l_shipinstruct", StringType()),
        ("l_shipmode", StringType()),
        ("l_comment", StringType()),
        required=("l_orderkey", "l_linenumber"),
    ),
    steps=_lineitem_steps,
)


def _customer_steps(parts: int) -> list[Step]:
    read = shapes.raw("customer")
    building = shapes.select(
        read,
        (pc.field("c_mktsegment") == "BUILDING")
        & (pc.field("c_acctbal") >= pa.scalar(_LOWEST_BALANCE, pa.decimal128(15, 2))),
    )
    return [
        *loads(read, 1, 2, 3, 4)(parts),
        compact("compact"),
        evolve(
            "describe-columns",
            lambda update: (
                update.update_column("c_acctbal", doc="Balance of the account, negative where in debt")
                .update_column("c_mktsegment", doc="Market segment")
                .add_column("c_refresh", IntegerType(), doc="Number of the refresh that wrote the row")
            ),
        ),
        delete("remove-indebted", f"c_acctbal < {_LOWEST_BALANCE}"),
        overwrite(
            "refresh-building-segment",
            "c_mktsegment = 'BUILDING'",
            lambda files: shapes.with_column(building(files, range(files.parts)), "c_refresh", 1),
        ),
    ]


CUSTOMER = SampleTable(
    namespace="bronze",
    name="customer",
    comment="Customers of TPC-H as delivered",
    schema=schema_of(
        ("c_custkey", LongType()),
        ("c_name", StringType()),
        ("c_address", StringType()),
        ("c_nationkey", LongType()),
        ("c_phone", StringType()),
        ("c_acctbal", DecimalType(15, 2)),
        ("c_mktsegment", StringType()),
        ("c_comment", StringType()),
        required=("c_custkey",),
    ),
    steps=_customer_steps,
)
