"""TPC-H rows in the shape of each sample table. Every function takes one part and answers in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.schema import Schema

from app.lake.sample.tpch import TpchFiles

OPEN_STATUS = "P"
_MONEY = pa.decimal128(15, 2)
_NET = pa.decimal128(18, 4)


def fit(rows: pa.Table, schema: Schema) -> pa.Table:
    """The rows with the columns, order and types of a table's schema; a column they lack is null.

    Nested columns come in the schema's shape already: their fields are matched by name and cast.
    """
    target = schema.as_arrow()
    columns = [
        rows.column(field.name) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in target
    ]
    return pa.table(columns, names=target.names).cast(target)


def raw(table: str) -> Callable[[TpchFiles, int], pa.Table]:
    """Reads a part of a TPC-H table as it is."""
    return lambda files, part: files.read(table, part)


def with_column(rows: pa.Table, name: str, value: int) -> pa.Table:
    """The rows with one more column, the same value in each row."""
    return rows.append_column(name, pa.repeat(pa.scalar(value, pa.int32()), rows.num_rows))


def sales(files: TpchFiles, part: int) -> pa.Table:
    """Order lines joined to their orders, under the column names that silver.sales has now (see `named`)."""
    lines, orders = files.read("lineitem", part), files.read("orders", part)
    # Parts are aligned, so every line finds its order here; take() keeps the lines' order, a hash join would not.
    orders = orders.take(pc.index_in(lines.column("l_orderkey"), value_set=orders.column("o_orderkey")))
    price, discount = lines.column("l_extendedprice"), lines.column("l_discount")
    paid = pc.subtract(pa.scalar(1, pa.decimal128(3, 0)), discount)
    return pa.table(
        {
            "order_id": lines.column("l_orderkey"),
            "line_number": lines.column("l_linenumber"),
            "customer_id": orders.column("o_custkey"),
            "order_date": orders.column("o_orderdate"),
            "ship_date": lines.column("l_shipdate"),
            "status": orders.column("o_orderstatus"),
            "quantity": lines.column("l_quantity"),
            "net_amount": pc.multiply(price, paid).cast(_NET),
            "discount_rate": discount.cast(pa.float64()),
            "part_id": lines.column("l_partkey"),
            "ship_mode": lines.column("l_shipmode"),
        }
    )


def order_documents(files: TpchFiles, part: int, *, total: str = "total_price") -> pa.Table:
    """One document per order: a struct for the payment, a list of its lines, a map of labels.

    `total` names the payment's amount: a later step renames it.
    """
    orders, lines = files.read("orders", part), files.read("lineitem", part)
    # Both are sorted by order key, and no order is without lines: the counts give the lists' offsets. Grouping keeps
    # no order beyond its first batch (32,768 rows), so its result is sorted again.
    per_order = lines.group_by("l_orderkey").aggregate([([], "count_all")]).sort_by("l_orderkey")
    if per_order.column("l_orderkey") != orders.column("o_orderkey"):
        raise ValueError(f"part {part}: orders and lineitem do not hold the same orders")
    ends = pc.cumulative_sum(per_order.column("count_all")).combine_chunks()
    line = _struct(
        lines,
        {
            "line_number": "l_linenumber",
            "part_id": "l_partkey",
            "quantity": "l_quantity",
            "price": "l_extendedprice",
            "discount": "l_discount",
        },
    )
    count = orders.num_rows
    labels = pa.concat_arrays([orders.column(name).combine_chunks() for name in ("o_orderpriority", "o_clerk")])
    pairs = pa.array([i + j * count for i in range(count) for j in range(2)], pa.int64())
    return pa.table(
        {
            "order_id": orders.column("o_orderkey"),
            "order_date": orders.column("o_orderdate"),
            "status": orders.column("o_orderstatus"),
            "payment": _struct(orders, {"customer_id": "o_custkey", total: "o_totalprice"}),
            "lines": pa.ListArray.from_arrays(_offsets(ends), line),
            "labels": pa.MapArray.from_arrays(
                pa.array(range(0, 2 * count + 1, 2), pa.int32()),
                pa.array(["priority", "clerk"] * count),
                labels.take(pairs),
            ),
        }
    )


def customers(files: TpchFiles, order_parts: Iterable[int]) -> pa.Table:
    """One row per customer with what it ordered in these parts; memory grows with the customers (SF 1: 30 MB)."""
    sums = [
        files.read("orders", part, ["o_custkey", "o_totalprice", "o_orderdate"])
        .group_by("o_custkey")
        .aggregate([("o_totalprice", "sum"), ("o_orderdate", "max"), ([], "count_all")])
        for part in order_parts
    ]
    merged = (
        pa.concat_tables(sums)
        .group_by("o_custkey")
        .aggregate([("o_totalprice_sum", "sum"), ("o_orderdate_max", "max"), ("count_all", "sum")])
    )
    known = pa.concat_tables(
        files.read("customer", part, ["c_custkey", "c_name", "c_mktsegment"]) for part in range(files.parts)
    )
    ordered = merged.take(pc.index_in(known.column("c_custkey"), value_set=merged.column("o_custkey")))
    return pa.table(
        {
            "customer_id": known.column("c_custkey"),
            "name": known.column("c_name"),
            "segment": known.column("c_mktsegment"),
            "order_count": pc.fill_null(ordered.column("count_all_sum"), 0),
            "lifetime_revenue": pc.fill_null(ordered.column("o_totalprice_sum_sum").cast(_MONEY), pa.scalar(0, _MONEY)),
            "last_order_date": ordered.column("o_orderdate_max_max"),
        }
    )


def daily_revenue(files: TpchFiles, year: int) -> pa.Table:
    """One row per day of a year on which something was ordered."""
    in_year = (pc.field("o_orderdate") >= date(year, 1, 1)) & (pc.field("o_orderdate") <= date(year, 12, 31))
    sums = [
        files.read("orders", part, ["o_orderdate", "o_totalprice"])
        .filter(in_year)
        .group_by("o_orderdate")
        .aggregate([("o_totalprice", "sum"), ([], "count_all")])
        for part in range(files.parts)
    ]
    merged = (
        pa.concat_tables(sums)
        .group_by("o_orderdate")
        .aggregate([("o_totalprice_sum", "sum"), ("count_all", "sum")])
        .sort_by("o_orderdate")
    )
    revenue, count = merged.column("o_totalprice_sum_sum").cast(pa.decimal128(20, 2)), merged.column("count_all_sum")
    return pa.table(
        {
            "order_date": merged.column("o_orderdate"),
            "order_count": count,
            "revenue": revenue,
            "average_order_value": pc.divide(revenue.cast(pa.float64()), count.cast(pa.float64())),
        }
    )


def named(rows: pa.Table, names: dict[str, str]) -> pa.Table:
    """The rows with columns renamed: the current name to the one that a table had at an earlier step."""
    return rows.rename_columns([names.get(name, name) for name in rows.column_names])


def select(
    read: Callable[[TpchFiles, int], pa.Table], condition: pc.Expression
) -> Callable[[TpchFiles, Iterable[int]], pa.Table]:
    """Reads the rows of several parts that meet a condition, one part at a time."""
    return lambda files, parts: pa.concat_tables(read(files, part).filter(condition) for part in parts)


def _struct(rows: pa.Table, fields: dict[str, str]) -> pa.StructArray:
    return pa.StructArray.from_arrays(
        [rows.column(source).combine_chunks() for source in fields.values()], list(fields)
    )


def _offsets(ends: pa.Array) -> pa.Array:
    return pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
