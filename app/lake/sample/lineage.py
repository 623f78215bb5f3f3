"""How the sample lake came to be, as data: its pipelines, and which step of which table each of their runs made.

What is said is true of the rows: totals of customers and days are those of the order documents, the documents and sales
are those of the orders and their lines.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.catalog import Catalog

from app.lake.sample.gold import YEARS
from app.lake.sample.tags import find_step_snapshot_id, find_table

Columns = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePipeline:
    """A pipeline with its versions, oldest first: each its tasks in order, and its code."""

    pipeline_id: str
    name: str
    description: str
    versions: tuple[tuple[tuple[str, ...], str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRun:
    """A run: the step that it made, the steps that it read, files from outside, and columns as (to, dataset, from)."""

    pipeline_id: str
    version: int
    made: tuple[str, str]
    read: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
    columns: Columns = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSnapshot:
    """A snapshot that a step of a sample table left, and when."""

    snapshot_id: int
    timestamp_ms: int


PIPELINES: tuple[SamplePipeline, ...] = (
    SamplePipeline(
        pipeline_id="ingest_tpch",
        name="Ingest TPC-H",
        description="Takes deliveries of orders, lines and customers as they come",
        versions=(
            (("list_files", "load"), "INSERT INTO bronze.{table} SELECT * FROM delivery"),
            (
                ("list_files", "check_schema", "load"),
                "INSERT INTO bronze.{table} SELECT * FROM delivery WHERE batch NOT IN (SELECT batch FROM loaded)",
            ),
        ),
    ),
    SamplePipeline(
        pipeline_id="build_sales",
        name="Build sales",
        description="Joins order lines to their orders",
        versions=(
            (
                ("join_lines", "write_sales"),
                "SELECT * FROM bronze.lineitem JOIN bronze.orders ON o_orderkey = l_orderkey",
            ),
            (
                ("join_lines", "compute_net", "write_sales"),
                (
                    "SELECT *, l_extendedprice * (1 - l_discount) AS net_amount\n"
                    "FROM bronze.lineitem JOIN bronze.orders ON o_orderkey = l_orderkey"
                ),
            ),
            (
                ("join_lines", "compute_net", "drop_open", "write_sales"),
                (
                    "SELECT *, l_extendedprice * (1 - l_discount) AS net_amount\n"
                    "FROM bronze.lineitem JOIN bronze.orders ON o_orderkey = l_orderkey\nWHERE o_orderstatus <> 'O'"
                ),
            ),
        ),
    ),
    SamplePipeline(
        pipeline_id="build_documents",
        name="Build order documents",
        description="One document for each order, with its lines",
        versions=(
            (("group_lines", "write_documents"), "SELECT o_orderkey, collect_list(line) FROM bronze.orders JOIN lines"),
        ),
    ),
    SamplePipeline(
        pipeline_id="refresh_gold",
        name="Refresh gold",
        description="What each customer ordered, and what each day brought in",
        versions=(
            (("sum_customers", "sum_days"), "SELECT customer_id, count(*), sum(total) FROM silver.order_documents"),
            (
                ("sum_customers", "sum_days", "check_totals"),
                "SELECT customer_id, count(*), sum(total), max(order_date) FROM silver.order_documents",
            ),
        ),
    ),
    SamplePipeline(
        pipeline_id="train_models",
        name="Train models",
        description="Trains what the sample predicts, on snapshots of gold",
        versions=((("read_snapshot", "fit", "evaluate", "register"), "model.fit(catalog.time_travel(...))"),),
    ),
)

_ORDER_COLUMNS: Columns = (
    ("order_id", "bronze.orders", "o_orderkey"),
    ("customer_id", "bronze.orders", "o_custkey"),
    ("order_date", "bronze.orders", "o_orderdate"),
    ("status", "bronze.orders", "o_orderstatus"),
    ("line_number", "bronze.lineitem", "l_linenumber"),
    ("quantity", "bronze.lineitem", "l_quantity"),
    ("net_amount", "bronze.lineitem", "l_extendedprice"),
    ("net_amount", "bronze.lineitem", "l_discount"),
)
_DOCUMENT_COLUMNS: Columns = (
    ("order_id", "bronze.orders", "o_orderkey"),
    ("order_date", "bronze.orders", "o_orderdate"),
    ("payment", "bronze.orders", "o_custkey"),
    ("payment", "bronze.orders", "o_totalprice"),
    ("lines", "bronze.lineitem", "l_extendedprice"),
    ("lines", "bronze.lineitem", "l_quantity"),
)
_CUSTOMER_COLUMNS: Columns = (
    ("customer_id", "bronze.customer", "c_custkey"),
    ("name", "bronze.customer", "c_name"),
    ("segment", "bronze.customer", "c_mktsegment"),
    ("order_count", "silver.order_documents", "order_id"),
    ("lifetime_revenue", "silver.order_documents", "payment"),
)
_REVENUE_COLUMNS: Columns = (
    ("order_date", "silver.order_documents", "order_date"),
    ("order_count", "silver.order_documents", "order_id"),
    ("revenue", "silver.order_documents", "payment"),
)


def sample_runs() -> tuple[SampleRun, ...]:
    """All runs that made the sample lake, in their order."""
    quarters = range(1, 5)
    ingests = [
        SampleRun(
            pipeline_id="ingest_tpch",
            version=1 if quarter < 3 else 2,
            made=(f"bronze.{table}", f"load-{quarter}"),
            files=(f"tpch/{table}/quarter={quarter}",),
        )
        for table in ("orders", "lineitem", "customer")
        for quarter in quarters
    ]
    sales = [
        SampleRun(
            pipeline_id="build_sales",
            version=1 if quarter < 3 else 2,
            made=("silver.sales", f"load-{quarter}"),
            read=(("bronze.orders", f"load-{quarter}"), ("bronze.lineitem", f"load-{quarter}")),
            columns=_ORDER_COLUMNS,
        )
        for quarter in quarters
    ]
    restated = SampleRun(
        pipeline_id="build_sales",
        version=3,
        made=("silver.sales", "restate-open-sales"),
        read=(("bronze.orders", "load-4"), ("bronze.lineitem", "load-4")),
        columns=_ORDER_COLUMNS,
    )
    documents = [
        SampleRun(
            pipeline_id="build_documents",
            version=1,
            made=("silver.order_documents", f"load-{quarter}"),
            read=(("bronze.orders", f"load-{quarter}"), ("bronze.lineitem", f"load-{quarter}")),
            columns=_DOCUMENT_COLUMNS,
        )
        for quarter in quarters
    ]
    customers = [
        SampleRun(
            pipeline_id="refresh_gold",
            version=1 if quarter < 4 else 2,
            made=("gold.customers", f"refresh-{quarter}"),
            read=(("silver.order_documents", f"load-{quarter}"), ("bronze.customer", "load-4")),
            columns=_CUSTOMER_COLUMNS,
        )
        for quarter in quarters
    ]
    revenue = [
        SampleRun(
            pipeline_id="refresh_gold",
            version=2,
            made=("gold.daily_revenue", step),
            read=(("silver.order_documents", "load-4"),),
            columns=_REVENUE_COLUMNS,
        )
        for step in (*(f"year-{year}" for year in YEARS), f"restate-{YEARS[-1]}")
    ]
    return (*ingests, *sales, restated, *documents, *customers, *revenue)


def find_made(catalog: Catalog) -> dict[tuple[str, str], MadeSnapshot]:
    """The snapshot that each step named by a run left, as far as it is there. Costs one `load_table` per table."""
    wanted = {step for run in sample_runs() for step in (run.made, *run.read)}
    found: dict[tuple[str, str], MadeSnapshot] = {}
    for dataset in sorted({dataset for dataset, _ in wanted}):
        table = find_table(catalog, dataset)
        for _, step in sorted(step for step in wanted if step[0] == dataset):
            snapshot_id = find_step_snapshot_id(table, step) if table is not None else None
            snapshot = table.snapshot_by_id(snapshot_id) if table is not None and snapshot_id is not None else None
            if snapshot is not None:
                found[dataset, step] = MadeSnapshot(
                    snapshot_id=snapshot.snapshot_id, timestamp_ms=snapshot.timestamp_ms
                )
    return found
