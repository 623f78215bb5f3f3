"""The sample lake, on a real SQL catalog, judged by DuckDB's own reading of the same TPC-H files."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DateType, LongType, NestedField

from app.domain.tags import TagConvention, find_convention
from app.errors import InvalidArgumentError
from app.lake.sample import (
    EXPERIMENT_BRANCH,
    SAMPLE_TABLES,
    SAMPLE_TAGS,
    SampleReport,
    SampleStep,
    find_step_snapshot_id,
    load,
    load_sample_lake,
    shapes,
    tpch,
)
from app.lake.sample.bronze import ORDERS
from app.lake.sample.gold import CUSTOMERS
from app.lake.sample.tpch import generate, part_count

SCALE, OTHER_SCALE = 0.01, 0.002
DATASETS = tuple(table.dataset for table in SAMPLE_TABLES)
# Ends when its last line of input comes; tells each step, so that the test can kill it in the middle of one.
LOADER = """
import sys
from pathlib import Path
from pyiceberg.catalog.sql import SqlCatalog
from app.lake.sample import load, load_sample_lake
uri, warehouse, work_dir, scale, *wanted = sys.argv[1:]
load.SAMPLE_TABLES = tuple(table for table in load.SAMPLE_TABLES if table.dataset in wanted)
catalog = SqlCatalog("lake", uri=uri, warehouse=warehouse)
print("READY", flush=True)
sys.stdin.readline()
load_sample_lake(catalog, Path(work_dir), scale=float(scale), progress=lambda step: print(step.what, flush=True))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lake:
    root: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.root}/catalog.db"

    @property
    def warehouse(self) -> str:
        return f"file://{self.root}/warehouse"

    def catalog(self) -> SqlCatalog:
        return SqlCatalog("lake", uri=self.uri, warehouse=self.warehouse)

    def table(self, dataset: str) -> Table:
        return self.catalog().load_table(dataset)

    def load(self, scale: float, progress: Callable[[SampleStep], None] = lambda _step: None) -> SampleReport:
        return load_sample_lake(self.catalog(), self.root / "work", scale=scale, progress=progress)

    def locations(self) -> dict[str, str]:
        """Where each table's metadata is now: a commit of any kind changes it."""
        return {dataset: self.table(dataset).metadata_location for dataset in DATASETS}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedLake:
    lake: Lake
    report: SampleReport
    progress: list[SampleStep]
    tpch: duckdb.DuckDBPyConnection

    def table(self, dataset: str) -> Table:
        return self.lake.table(dataset)


def new_lake(root: Path) -> Lake:
    root.mkdir()
    return Lake(root=root)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedLake]:
    root = tmp_path_factory.mktemp("sample")
    lake, progress = new_lake(root / "lake"), []
    report = lake.load(SCALE, progress.append)
    generate(root, SCALE)
    with duckdb.connect() as tpch:
        for name in ("orders", "lineitem", "customer"):
            tpch.execute(f"CREATE VIEW {name} AS FROM '{root}/sf{SCALE:g}/{name}/*.parquet'")
        yield LoadedLake(lake=lake, report=report, progress=progress, tpch=tpch)


def operations(table: Table) -> list[str]:
    return [snapshot.summary.operation.value for snapshot in table.snapshots()]


def snapshot_of(table: Table, step: str) -> int:
    found = find_step_snapshot_id(table, step)
    assert found is not None, f"{table.name()} has no snapshot of step {step}"
    return found


def field_types(schema: Schema) -> dict[int, tuple[str, str]]:
    return {field.field_id: (field.name, str(field.field_type)) for field in schema.fields}


def test_every_table_is_created_and_reported(loaded: LoadedLake):
    assert loaded.report == SampleReport(created=DATASETS, resumed=(), skipped=(), foreign=(), scale=SCALE)
    assert all(loaded.table(dataset).format_version == 2 for dataset in DATASETS)
    assert {loaded.table(dataset).properties["stratigraph.layer"] for dataset in DATASETS} == {
        "bronze",
        "silver",
        "gold",
    }


def test_building_settings_do_not_stay_behind(loaded: LoadedLake):
    for dataset in DATASETS:
        properties = loaded.table(dataset).properties
        assert properties["stratigraph.sample.state"] == "complete"
        assert "commit.retry.num-retries" not in properties


def test_progress_counts_every_step_once(loaded: LoadedLake):
    done = [step.done for step in loaded.progress]
    assert done == list(range(loaded.progress[-1].total + 1))
    assert len({step.what for step in loaded.progress}) == len(loaded.progress)


def test_generated_files_are_removed(loaded: LoadedLake):
    assert [path.name for path in (loaded.lake.root / "work").iterdir()] == ["tpch.lock"]


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_history_is_long_enough_and_every_snapshot_reads(loaded: LoadedLake, dataset: str):
    table = loaded.table(dataset)
    snapshots = table.snapshots()
    assert len(snapshots) >= 6
    for snapshot in snapshots:
        summary = snapshot.summary.additional_properties
        rows = int(summary["total-records"]) - int(summary["total-position-deletes"])
        scan = table.scan(snapshot_id=snapshot.snapshot_id, selected_fields=(table.schema().columns[0].name,))
        assert scan.to_arrow().num_rows == rows


def test_all_operations_occur(loaded: LoadedLake):
    found = {operation for dataset in DATASETS for operation in operations(loaded.table(dataset))}
    assert found == {"append", "overwrite", "delete", "replace"}


# --- the same rows as DuckDB's ---------------------------------------------------------------------------------------

_SALES = """
    SELECT l_orderkey, l_linenumber, o_custkey, o_orderdate, l_shipdate, o_orderstatus, l_quantity,
           CAST(l_extendedprice * (1 - l_discount) AS DECIMAL(20, 4)) AS net, l_discount, l_partkey
    FROM lineitem JOIN orders ON l_orderkey = o_orderkey
"""
_CASES = {
    "bronze.orders": (
        "SELECT count(*), sum(o_orderkey), sum(o_totalprice), max(o_clerk), count(ingest_batch) FROM rows",
        """SELECT count(*), sum(o_orderkey), sum(o_totalprice), max(o_clerk), count(*) FILTER (o_orderstatus = 'P')
           FROM orders""",
    ),
    "bronze.lineitem": (
        "SELECT count(*), sum(l_orderkey * l_linenumber), sum(l_extendedprice), sum(l_tax) FROM rows",
        """SELECT count(*), sum(l_orderkey * l_linenumber), sum(l_extendedprice), sum(l_tax) FROM lineitem
           WHERE l_shipdate >= '1992-02-01' AND NOT (l_shipmode = 'AIR' AND l_quantity = 50)
             AND NOT (l_shipmode = 'RAIL' AND l_quantity = 1)""",
    ),
    "bronze.customer": (
        "SELECT count(*), sum(c_custkey), sum(c_acctbal), count(c_refresh) FROM rows",
        """SELECT count(*), sum(c_custkey), sum(c_acctbal), count(*) FILTER (c_mktsegment = 'BUILDING') FROM customer
           WHERE c_acctbal >= -900""",
    ),
    "silver.sales": (
        """SELECT count(*), sum(order_id * line_number), sum(quantity), sum(net_amount), sum(part_id + customer_id),
                  round(sum(discount_rate), 2), max(ship_date) FROM rows""",
        f"""SELECT count(*), sum(l_orderkey * l_linenumber), sum(l_quantity), sum(net), sum(l_partkey + o_custkey),
                   round(sum(CAST(l_discount AS DOUBLE)), 2), max(l_shipdate) FROM ({_SALES})
            WHERE o_orderdate >= '1993-01-01'""",
    ),
    "silver.order_documents": (
        """SELECT count(*), sum(payment.total_price), sum(len(lines)), max(labels['clerk']),
                  sum(list_sum(list_transform(lines, lambda line: line.price))) FROM rows""",
        """SELECT count(DISTINCT o_orderkey),
                  (SELECT sum(o_totalprice) FROM orders WHERE o_orderdate >= '1993-01-01'),
                  count(*), max(o_clerk), sum(l_extendedprice)
           FROM orders JOIN lineitem ON l_orderkey = o_orderkey WHERE o_orderdate >= '1993-01-01'""",
    ),
    "gold.customers": (
        "SELECT count(*), sum(customer_id), sum(order_count), sum(lifetime_revenue), min(last_order_date) FROM rows",
        """SELECT count(*), sum(o_custkey), sum(n), sum(revenue), min(last) FROM (
               SELECT o_custkey, count(*) n, sum(o_totalprice) revenue, max(o_orderdate) AS last
               FROM orders GROUP BY o_custkey)""",
    ),
    "gold.daily_revenue": (
        """SELECT count(*), sum(order_count), sum(revenue),
                  round(sum(average_order_value) FILTER (order_date >= '1998-01-01'), 2) FROM rows""",
        """SELECT count(*), sum(n), sum(revenue), round(sum(CAST(revenue AS DOUBLE) / n)
                  FILTER (o_orderdate >= '1998-01-01'), 2)
           FROM (SELECT o_orderdate, count(*) n, sum(o_totalprice) revenue FROM orders GROUP BY o_orderdate)""",
    ),
}


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_equal_duckdbs_own_computation(loaded: LoadedLake, dataset: str):
    ours, theirs = _CASES[dataset]
    rows: pa.Table = loaded.table(dataset).scan().to_arrow()
    with duckdb.connect() as judge:
        judge.register("rows", rows)
        found = judge.execute(ours).fetchone()
    assert found == loaded.tpch.execute(theirs).fetchone()


def test_the_same_totals_hold_halfway(loaded: LoadedLake):
    table = loaded.table("bronze.orders")
    rows = table.scan(snapshot_id=snapshot_of(table, "load-4")).to_arrow()
    total: Decimal = pa.compute.sum(rows.column("o_totalprice")).as_py()
    assert (rows.num_rows, total) == loaded.tpch.execute("SELECT count(*), sum(o_totalprice) FROM orders").fetchone()


# --- what the histories show -----------------------------------------------------------------------------------------


def test_position_deletes_hide_exactly_the_withdrawn_rows(loaded: LoadedLake):
    table = loaded.table("bronze.lineitem")
    before, after = snapshot_of(table, "remove-trial-shipments"), snapshot_of(table, "withdraw-rail-freight")
    keys = ("l_orderkey", "l_linenumber")
    gone = {
        tuple(row.values()) for row in table.scan(snapshot_id=before, selected_fields=keys).to_arrow().to_pylist()
    } - {tuple(row.values()) for row in table.scan(snapshot_id=after, selected_fields=keys).to_arrow().to_pylist()}
    expected = loaded.tpch.execute(
        """SELECT l_orderkey, l_linenumber FROM lineitem WHERE l_shipdate >= '1992-02-01'
           AND ((l_shipmode = 'AIR' AND l_quantity = 50) OR (l_shipmode = 'RAIL' AND l_quantity = 1))"""
    ).fetchall()
    assert gone == set(expected)
    assert len(expected) > 0


def test_position_delete_files_are_as_the_specification_has_them(loaded: LoadedLake):
    table = loaded.table("bronze.lineitem")
    data_files = {file["file_path"] for file in table.inspect.data_files().to_pylist()}
    deletes = [file for file in table.inspect.delete_files().to_pylist() if file["content"] == 1]
    assert len(deletes) == 8
    for file in deletes:
        lower, upper = dict(file["lower_bounds"]), dict(file["upper_bounds"])
        assert lower[2147483546] == upper[2147483546]
        assert lower[2147483546].decode() in data_files
        rows = loaded.tpch.execute(f"SELECT file_path, pos FROM '{file['file_path']}'").fetchall()
        assert {path.encode() for path, _ in rows} == {lower[2147483546]}
        positions = [position for _, position in rows]
        assert positions == sorted(set(positions))
        assert (len(positions), positions[0], positions[-1]) == (
            file["record_count"],
            int.from_bytes(lower[2147483545], "little"),
            int.from_bytes(upper[2147483545], "little"),
        )


def test_the_replace_snapshot_changes_files_but_no_row(loaded: LoadedLake):
    table = loaded.table("bronze.customer")
    compacted = table.snapshot_by_id(snapshot_of(table, "compact"))
    before, after = (
        table.scan(snapshot_id=snapshot_id).to_arrow().sort_by("c_custkey")
        for snapshot_id in (compacted.parent_snapshot_id, compacted.snapshot_id)
    )
    assert before.equals(after)
    summary = compacted.summary.additional_properties
    assert compacted.summary.operation.value == "replace"
    assert (summary["deleted-data-files"], summary["added-data-files"], summary["total-data-files"]) == ("4", "1", "1")


def test_renames_and_promotions_keep_field_ids(loaded: LoadedLake):
    table = loaded.table("silver.sales")
    first, last = field_types(table.schemas()[0]), field_types(table.schema())
    changed = {field_id: (first[field_id], last[field_id]) for field_id in first if first[field_id] != last[field_id]}
    assert changed == {
        2: (("line_no", "int"), ("line_number", "int")),
        7: (("qty", "decimal(15, 2)"), ("quantity", "decimal(15, 2)")),
        8: (("net", "decimal(18, 4)"), ("net_amount", "decimal(20, 4)")),
        9: (("discount_rate", "float"), ("discount_rate", "double")),
        10: (("part_id", "int"), ("part_id", "long")),
    }
    assert [table.schema().find_field(field_id).name for field_id in set(last) - set(first)] == ["ship_mode"]


def test_nested_fields_evolve_too(loaded: LoadedLake):
    table = loaded.table("silver.order_documents")
    first, last = table.schemas()[0], table.schema()
    line_number, total = (first.find_field(path) for path in ("lines.element.line_number", "payment.total"))
    assert last.find_column_name(total.field_id) == "payment.total_price"
    assert (str(line_number.field_type), str(last.find_type(line_number.field_id))) == ("int", "long")
    assert str(last.find_type("lines.element.discount")) == "decimal(15, 2)"


def test_a_column_is_dropped_and_columns_are_documented(loaded: LoadedLake):
    lineitem = loaded.table("bronze.lineitem")
    assert "l_comment" in lineitem.schemas()[0].column_names
    assert "l_comment" not in lineitem.schema().column_names
    assert loaded.table("bronze.customer").schema().find_field("c_acctbal").doc


def test_snapshots_keep_the_schema_they_were_written_with(loaded: LoadedLake):
    table = loaded.table("silver.sales")
    schema = table.schemas()[table.snapshot_by_id(snapshot_of(table, "load-2")).schema_id]
    assert "line_no" in schema.column_names


@pytest.mark.parametrize(
    ("dataset", "key"),
    [
        ("silver.sales", {"order_id", "line_number"}),
        ("silver.order_documents", {"order_id"}),
        ("gold.customers", {"customer_id"}),
        ("gold.daily_revenue", {"order_date"}),
    ],
)
def test_identifier_fields_are_set_and_unique(loaded: LoadedLake, dataset: str, key: set[str]):
    table = loaded.table(dataset)
    assert table.schema().identifier_field_names() == key
    rows = table.scan(selected_fields=tuple(key)).to_arrow()
    assert rows.group_by(list(key)).aggregate([]).num_rows == rows.num_rows > 0


def test_partition_specs_evolve_and_files_of_each_are_live(loaded: LoadedLake):
    table = loaded.table("silver.sales")
    assert [[field.name for field in spec.fields] for _, spec in sorted(table.specs().items())] == [
        ["order_year"],
        ["order_year", "status"],
        ["order_month"],
    ]
    assert set(table.inspect.files().column("spec_id").to_pylist()) == {0, 1, 2}


def test_the_branch_is_one_commit_ahead_of_main(loaded: LoadedLake):
    table = loaded.table("silver.sales")
    main, branch = table.snapshot_by_name("main"), table.snapshot_by_name(EXPERIMENT_BRANCH)
    assert branch.parent_snapshot_id == main.snapshot_id
    more = table.scan().use_ref(EXPERIMENT_BRANCH).to_arrow().num_rows - table.scan().to_arrow().num_rows
    assert more == int(branch.summary.additional_properties["added-records"]) > 0


def test_tags_cover_every_convention_and_their_snapshots_exist(loaded: LoadedLake):
    targets = {(tag.dataset, tag.tag): snapshot_of(loaded.table(tag.dataset), tag.step) for tag in SAMPLE_TAGS}
    assert len(targets) == len(SAMPLE_TAGS)
    assert {find_convention(tag.tag) for tag in SAMPLE_TAGS} == set(TagConvention) - {TagConvention.PRE_ROLLBACK}
    production = {targets["silver.sales", f"production_2026_{month}_15"] for month in ("01", "02")}
    assert len(production) == 2


def test_a_step_of_several_snapshots_is_known_by_its_last(loaded: LoadedLake):
    table = loaded.table("silver.sales")
    found = table.snapshot_by_id(snapshot_of(table, "restate-open-sales"))
    assert found.summary.operation.value == "append"
    assert find_step_snapshot_id(table, "no-such-step") is None


# --- again, killed, at once, beside others ---------------------------------------------------------------------------


def test_a_second_load_changes_nothing(loaded: LoadedLake):
    before, progress = loaded.lake.locations(), []

    report = loaded.lake.load(SCALE, progress.append)

    assert report == SampleReport(created=(), resumed=(), skipped=DATASETS, foreign=(), scale=SCALE)
    assert loaded.lake.locations() == before
    assert progress == []


def test_another_scale_does_not_mix_into_a_lake(loaded: LoadedLake):
    before = loaded.lake.locations()
    assert loaded.lake.load(OTHER_SCALE).scale == SCALE
    assert loaded.lake.locations() == before


def start_loader(lake: Lake, work_dir: Path, datasets: Sequence[str] = DATASETS) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LOADER, lake.uri, lake.warehouse, str(work_dir), str(SCALE), *datasets]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout is not None
    assert process.stdout.readline() == "READY\n"
    return process


def tell_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def contents(lake: Lake, datasets: Sequence[str] = DATASETS) -> dict[str, list[tuple[str, str, str]]]:
    """What each table's history is, without the ids that differ from load to load."""
    return {
        dataset: [
            (
                snapshot.summary.operation.value,
                snapshot.summary.additional_properties["stratigraph.sample.step"],
                snapshot.summary.additional_properties["total-records"],
            )
            for snapshot in lake.table(dataset).snapshots()
        ]
        for dataset in datasets
    }


@pytest.mark.slow
def test_a_killed_load_is_completed_by_the_next(tmp_path: Path, loaded: LoadedLake):
    lake = new_lake(tmp_path / "lake")
    lake.catalog()  # makes the catalog's own tables
    for killed_in in ("bronze.lineitem: withdraw-air-freight", "silver.sales: restate-open-sales"):
        process = start_loader(lake, lake.root / "work")
        tell_go(process)
        assert process.stdout is not None
        assert any(line.startswith(killed_in) for line in process.stdout), f"{killed_in} was never reached"
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()

    report = lake.load(SCALE)

    assert "silver.sales" in report.resumed
    assert {*report.created, *report.resumed, *report.skipped} == set(DATASETS)
    assert contents(lake) == contents(loaded.lake)
    assert [path.name for path in (lake.root / "work").iterdir()] == ["tpch.lock"]


@pytest.mark.slow
def test_two_loads_at_once_make_one_lake(tmp_path: Path, loaded: LoadedLake):
    lake = new_lake(tmp_path / "lake")
    lake.catalog()
    # These three have every kind of step: loads, schema and spec changes, replace, position deletes, a branch.
    datasets = ("bronze.lineitem", "bronze.customer", "silver.sales")
    # A work folder each: with one for both, the second would only wait for the first.
    loaders = [start_loader(lake, tmp_path / f"work-{number}", datasets) for number in (1, 2)]
    for process in loaders:
        tell_go(process)
    for process in loaders:
        process.communicate(timeout=120)

    assert [process.returncode for process in loaders] == [0, 0]
    assert contents(lake, datasets) == contents(loaded.lake, datasets)
    rows = {dataset: lake.table(dataset).scan().to_arrow().num_rows for dataset in datasets}
    assert rows == {dataset: loaded.table(dataset).scan().to_arrow().num_rows for dataset in datasets}


def test_a_table_of_someone_else_is_left_alone_and_large_loads_come_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Two parts to a quarter, as for a large scale; two tables, since a whole lake takes seconds.
    monkeypatch.setattr(tpch, "MAX_PART_SCALE", 0.000125)
    monkeypatch.setattr(load, "SAMPLE_TABLES", (ORDERS, CUSTOMERS))
    lake = new_lake(tmp_path / "lake")
    catalog = lake.catalog()
    catalog.create_namespace("gold")
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "day", DateType()))
    theirs = catalog.create_table("gold.customers", schema, properties={"stratigraph.sample": "something else"})

    report = lake.load(0.001)

    assert report.foreign == ("gold.customers",)
    assert report.created == ("bronze.orders",)
    assert lake.table("gold.customers").metadata_location == theirs.metadata_location
    orders = lake.table("bronze.orders")
    first_half = orders.snapshot_by_id(snapshot_of(orders, "load-2"))
    assert first_half.summary.additional_properties["stratigraph.sample.step"] == "load-2/0002"
    assert first_half.summary.additional_properties["total-data-files"] == "4"
    assert orders.scan().to_arrow().num_rows == 1500


def test_documents_of_a_large_part_hold_the_lines_of_their_orders(tmp_path: Path):
    files = generate(tmp_path, 0.05)  # more than two of Arrow's batches to a part
    documents = shapes.order_documents(files, 0)
    with duckdb.connect() as judge:
        judge.register("documents", documents)
        wrong = judge.execute(
            f"""SELECT count(*) FROM documents FULL JOIN
                    (SELECT l_orderkey, count(*) n, sum(l_extendedprice) price
                     FROM '{files.root}/lineitem/lineitem.1.parquet' GROUP BY l_orderkey) ON l_orderkey = order_id
                WHERE n IS DISTINCT FROM len(lines)
                   OR price IS DISTINCT FROM list_sum(list_transform(lines, lambda line: line.price))"""
        ).fetchone()
    assert wrong == (0,)
    assert documents.num_rows == 18_750


@pytest.mark.parametrize("scale", [0.0, -1.0, 0.0009, 101.0, float("nan"), float("inf")])
def test_a_scale_out_of_range_is_refused(tmp_path: Path, scale: float):
    with pytest.raises(InvalidArgumentError):
        new_lake(tmp_path / "lake").load(scale)


def test_large_scales_are_cut_into_parts_of_bounded_size():

    assert [part_count(scale) for scale in (0.01, 0.4, 0.5, 1, 10)] == [4, 4, 8, 12, 100]
    names = [step.name for step in SAMPLE_TABLES[0].steps(8)]
    assert names[:4] == ["load-1/0001", "load-1/0002", "load-2/0001", "load-2/0002"]
    assert len(set(names)) == len(names)
