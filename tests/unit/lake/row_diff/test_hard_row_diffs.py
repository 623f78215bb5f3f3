"""Rows and tables that are hard to compare."""

from __future__ import annotations

import struct
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
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

from app.domain.row_diffs import KeyFault, Method, RowDiff
from app.domain.version_relation import DiffSide
from app.lake.row_diff import batching, joining, left_overs, wide_joining
from app.lake.row_diff.resources import Resources
from app.lake.row_diff.running import RowDiffRun
from tests.unit.lake.local_tables import NAME, append, create_table
from tests.unit.lake.row_diff.comparing import compare, plan, version
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_data_files

MB = 1024 * 1024
PLAIN = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))


def head(table: Table) -> int:
    table.refresh()
    found = table.current_snapshot()
    assert found is not None
    return found.snapshot_id


def arrow(table: Table, rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema_to_pyarrow(table.schema(), include_field_ids=False))


def rewritten(table: Table, rows: list[dict[str, object]]) -> tuple[int, int]:
    """All rows of the table written anew as these; answers the snapshots before and after."""
    before = head(table)
    old = [task.file for task in table.scan().plan_files()]
    new = [file for file, _ in write_data_files(table, arrow(table, rows))]
    return before, commit_files(table, Operation.OVERWRITE, remove=old, add=new)


def both_ways(table: Table, before: int, keys: tuple[str, ...] | None = None) -> tuple[RowDiff, RowDiff]:
    forth = compare(version(table, before), version(table), keys)
    return forth, compare(version(table), version(table, before), keys)


@pytest.fixture(params=[1_000_000, 1], ids=["held", "streamed"])
def _batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_ROWS", request.param)
    monkeypatch.setattr(batching, "HELD_ROWS", request.param)


# Keys.


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize(
    ("case", "ours", "theirs", "fault", "side", "example"),
    [
        ("a null on the later side", [1, 2], [1, None], KeyFault.HAS_NULL, DiffSide.TO, None),
        ("a null on the earlier side", [1, None], [1, 2], KeyFault.HAS_NULL, DiffSide.FROM, None),
        ("nulls on both sides", [None], [None], KeyFault.HAS_NULL, DiffSide.TO, None),
        ("twice on the later side", [1, 2], [1, 2, 2], KeyFault.NOT_UNIQUE, DiffSide.TO, 2),
        ("twice on the earlier side", [1, 1, 2], [1, 2], KeyFault.NOT_UNIQUE, DiffSide.FROM, 1),
        ("twice and gone on the earlier side", [1, 2, 2, 3], [1, 3], KeyFault.NOT_UNIQUE, DiffSide.FROM, 2),
        ("twice among the added rows", [1, 9], [1, 5, 5, 9], KeyFault.NOT_UNIQUE, DiffSide.TO, 5),
        ("twice on both sides, and the same rows", [1, 1], [1, 1], KeyFault.NOT_UNIQUE, DiffSide.TO, 1),
        ("another one twice on each side", [1, 1, 2], [1, 2, 2], KeyFault.NOT_UNIQUE, DiffSide.TO, 2),
    ],
)
def test_keys_that_identify_no_rows(
    catalog: SqlCatalog,
    case: str,
    ours: list[int | None],
    theirs: list[int | None],
    fault: KeyFault,
    side: DiffSide,
    example: int | None,
) -> None:
    table = create_table(catalog, PLAIN, [{"id": number, "name": "x"} for number in ours])
    before, _ = rewritten(table, [{"id": number, "name": "x"} for number in theirs])
    found, mirrored = both_ways(table, before, ("id",))
    assert found.key_problem is not None, case
    assert (found.key_problem.fault, found.key_problem.side) == (fault, side), case
    assert found.key_problem.example == {"id": example}, case
    assert (found.method, found.rows_changed, found.keys_checked) == (Method.MULTISET, None, 0)
    assert mirrored.key_problem is not None
    plain, _ = both_ways(table, before, ())
    assert (found.rows_added, found.rows_removed) == (plain.rows_added, plain.rows_removed)
    assert (mirrored.rows_added, mirrored.rows_removed) == (plain.rows_removed, plain.rows_added)


def test_keys_of_rows_that_are_not_read_are_not_checked_and_the_answer_says_so(catalog: SqlCatalog) -> None:
    table = create_table(catalog, PLAIN, [{"id": 1, "name": "x"}])
    before = head(table)
    append(table, [{"id": 5, "name": "x"}, {"id": 5, "name": "x"}])
    found = compare(version(table, before), version(table), ("id",))
    assert (found.method, found.keys_checked, found.key_problem) == (Method.METADATA, 0, None)
    assert (found.rows_added, found.rows_changed) == (2, 0)


@pytest.mark.usefixtures("_batches")
def test_a_key_of_all_columns_never_changes(catalog: SqlCatalog) -> None:
    table = create_table(catalog, PLAIN, [{"id": number, "name": "x"} for number in range(4)])
    before, _ = rewritten(table, [{"id": 0, "name": "x"}, {"id": 1, "name": "y"}, {"id": 2, "name": "x"}])
    found, _ = both_ways(table, before, ("name", "id"))
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (1, 2, 0)
    assert found.keys == ("name", "id")


@pytest.mark.usefixtures("_batches")
def test_keys_of_floats_tell_zeros_apart_and_nan_is_a_key(catalog: SqlCatalog) -> None:
    schema = Schema(NestedField(1, "x", DoubleType()), NestedField(2, "name", StringType()))
    nan = float("nan")
    table = create_table(catalog, schema, [{"x": x, "name": "old"} for x in (0.0, nan, 1.0)])
    before, _ = rewritten(table, [{"x": x, "name": "new"} for x in (-0.0, nan, 1.0)])
    found, _ = both_ways(table, before, ("x",))
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (1, 1, 2)
    assert str(found.sample.added[0]["x"]) == "-0.0"
    assert [str(change.key["x"]) for change in found.sample.changed] == ["1.0", "NaN"]


# Values.


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize("many_columns", [0, 100], ids=["by digests", "by columns"])
@pytest.mark.parametrize("kind", [FloatType(), DoubleType()], ids=str)
def test_nan_is_nan_whatever_its_bits(
    catalog: SqlCatalog, kind: FloatType | DoubleType, many_columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide_joining, "MANY_COLUMNS", many_columns)
    table = create_table(catalog, Schema(NestedField(1, "x", kind), NestedField(2, "id", LongType())))
    width, bits = ("<d", "<Q") if isinstance(kind, DoubleType) else ("<f", "<I")
    quiet, payload, negative = (
        (0x7FF8000000000000, 0x7FF8000000000001, 0xFFF8000000000000)
        if isinstance(kind, DoubleType)
        else (0x7FC00000, 0x7FC00001, 0xFFC00000)
    )

    def write(numbers: list[int]) -> list[DataFile]:
        raw = b"".join(struct.pack(bits, number) for number in numbers)
        arrow_type = pa.float64() if width == "<d" else pa.float32()
        values = pa.Array.from_buffers(arrow_type, len(numbers), [None, pa.py_buffer(raw)])
        ids = pa.array([1] * len(numbers), pa.int64())
        return [file for file, _ in write_data_files(table, pa.table([values, ids], names=["x", "id"]))]

    before = commit_files(table, Operation.APPEND, add=(old := write([quiet, payload])))
    commit_files(table, Operation.OVERWRITE, remove=old, add=write([negative, quiet]))
    for keys in ((), ("x",), ("id",)):
        for found in both_ways(table, before, keys):
            assert found.is_empty, keys


@pytest.mark.usefixtures("_batches")
def test_long_values_are_compared_in_little_memory_and_shown_whole(catalog: SqlCatalog, tmp_path: Path) -> None:
    schema = Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "text", StringType()),
        NestedField(3, "raw", BinaryType()),
        NestedField(4, "list", ListType(5, StringType(), element_required=False)),
    )

    def row(number: int, end: str = "") -> dict[str, object]:
        text = f"é{number:06}" + "ab" * 50_000 + end
        return {"id": number, "text": text, "raw": text.encode(), "list": [text]}

    table = catalog.create_table(str(NAME), schema)
    old = [file for file, _ in write_data_files(table, arrow(table, [row(number) for number in range(500)]))]
    before = commit_files(table, Operation.APPEND, add=old)
    rows = [row(number, "!" if number == 77 else "") for number in range(1, 501)]
    new = [file for file, _ in write_data_files(table, arrow(table, rows))]
    commit_files(table, Operation.OVERWRITE, remove=old, add=new)
    little = Resources(scratch=tmp_path, memory_bytes=64 * MB, threads=2)
    keyed = RowDiffRun(plan(version(table, before), version(table), ("id",)), little).run()
    assert (keyed.rows_added, keyed.rows_removed, keyed.rows_changed) == (1, 1, 1)
    (change,) = keyed.sample.changed
    assert change.columns == ("text", "raw", "list")
    assert (change.before["text"], change.after["text"]) == (row(77)["text"], row(77, "!")["text"])
    assert (change.before["list"], change.after["list"]) == (row(77)["list"], row(77, "!")["list"])
    assert keyed.sample.added[0]["text"] == row(500)["text"]
    counted = RowDiffRun(plan(version(table, before), version(table), ()), little).run()
    assert (counted.rows_added, counted.rows_removed) == (2, 2)
    assert {shown["text"] for shown in counted.sample.removed} == {row(0)["text"], row(77)["text"]}
    # A long text can be a key, too.
    by_text = RowDiffRun(plan(version(table, before), version(table), ("text",)), little).run()
    assert (by_text.rows_added, by_text.rows_removed, by_text.rows_changed) == (2, 2, 0)


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize("length", [127, 128, 129, 136, 200])
def test_long_texts_that_differ_at_their_end_differ(catalog: SqlCatalog, length: int) -> None:
    table = create_table(catalog, PLAIN, [{"id": 1, "name": "a" * length}, {"id": 2, "name": "b" * length}])
    before, _ = rewritten(table, [{"id": 1, "name": "a" * (length - 1) + "c"}, {"id": 2, "name": "b" * length}])
    for keys in ((), ("id",)):
        found, _ = both_ways(table, before, keys)
        assert (found.rows_added, found.rows_changed) == ((1, None) if not keys else (0, 1))
        shown = found.sample.added[0] if not keys else found.sample.changed[0].after
        assert shown["name"] == "a" * (length - 1) + "c"


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize("is_null", [False, True])
def test_a_long_key_that_identifies_no_row_is_told_as_it_is(catalog: SqlCatalog, is_null: bool) -> None:
    # Given a key of a text that is longer than what is joined
    rows: list[dict[str, object]] = [{"id": None if is_null else 1, "name": "a" * 300}, {"id": 2, "name": "b"}]
    table = create_table(catalog, PLAIN, rows)
    before, _ = rewritten(table, [*rows, rows[0]])
    for found in both_ways(table, before, ("name", "id")):
        assert found.key_problem is not None
        assert found.key_problem.fault is (KeyFault.HAS_NULL if is_null else KeyFault.NOT_UNIQUE)
        assert found.key_problem.example == {"name": "a" * 300, "id": None if is_null else 1}


@pytest.mark.parametrize("keys", [("id",), ()], ids=["keys", "no keys"])
def test_what_is_left_of_many_batches_is_joined_at_once(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    # Given six files that are batches of their own, of each of which one row has another end
    def rows(number: int, end: str) -> list[dict[str, object]]:
        ids = range(50 * number, 50 * number + 50)
        return [{"id": row, "name": f"{row}" + "a" * 200 + (end if row % 50 == 7 else "")} for row in ids]

    def written(end: str) -> list[DataFile]:
        return [write_data_files(table, arrow(table, rows(number, end)))[0][0] for number in range(6)]

    monkeypatch.setattr(batching, "BATCH_ROWS", 1)
    table = create_table(catalog, PLAIN)
    old = written("")
    before = commit_files(table, Operation.APPEND, add=old)
    commit_files(table, Operation.OVERWRITE, remove=old, add=written("!"))
    joined: list[int] = []

    def noting(self: left_overs.LeftOvers) -> tuple[pa.Table, pa.Table]:
        found = tables(self)
        joined.append(found[0].num_rows)
        return found

    tables = left_overs.LeftOvers.tables
    monkeypatch.setattr(left_overs.LeftOvers, "tables", noting)
    # When they are compared, then the rows that are left are joined once
    found = compare(version(table, before), version(table), keys)
    assert joined == [6]
    # And what is shown of each is whole
    shown = [change.after for change in found.sample.changed] if keys else found.sample.added
    assert sorted(str(row["name"]) for row in shown) == sorted(f"{50 * n + 7}" + "a" * 200 + "!" for n in range(6))


@pytest.mark.usefixtures("_batches")
def test_maps_are_equal_in_any_order_and_lists_are_not(catalog: SqlCatalog) -> None:
    inner = StructType(NestedField(10, "x", DoubleType()), NestedField(11, "y", StringType()))
    numbers = ListType(8, LongType(), element_required=False)
    schema = Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "m", MapType(3, IntegerType(), 4, inner, value_required=False)),
        NestedField(5, "t", MapType(6, StringType(), 7, numbers, value_required=False)),
        NestedField(9, "l", ListType(12, inner, element_required=False)),
    )
    one, two = {"x": -0.0, "y": None}, {"x": float("nan"), "y": "ü"}
    table = create_table(catalog, schema)
    rows: list[dict[str, object]] = [
        {"id": 1, "m": [(1, one), (2, two)], "t": [("a", [1]), ("b", None)], "l": [one, two]},
        {"id": 2, "m": [], "t": None, "l": []},
        {"id": 3, "m": [(1, None)], "t": [], "l": [None]},
    ]
    others: list[dict[str, object]] = [
        {"id": 1, "m": [(2, two), (1, one)], "t": [("b", None), ("a", [1])], "l": [two, one]},
        {"id": 2, "m": None, "t": None, "l": None},
        {"id": 3, "m": [(1, {"x": None, "y": None})], "t": [], "l": [None]},
    ]
    old = [file for file, _ in write_data_files(table, arrow(table, rows))]
    before = commit_files(table, Operation.APPEND, add=old)
    rewritten(table, others)
    found, _ = both_ways(table, before, ("id",))
    assert [(change.key["id"], change.columns) for change in found.sample.changed] == [
        (1, ("l",)),
        (2, ("m", "l")),
        (3, ("m",)),
    ]


# Tables.


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize("keys", [(), ("c0",)], ids=["multiset", "keys"])
def test_a_table_of_a_thousand_columns(catalog: SqlCatalog, keys: tuple[str, ...]) -> None:
    kinds = [LongType(), StringType(), DoubleType(), ListType(0, LongType(), element_required=False)]
    schema = Schema(*(NestedField(number, f"c{number}", kinds[number % 4]) for number in range(1, 1000)))
    schema = Schema(NestedField(1001, "c0", LongType()), *schema.fields)
    table = catalog.create_table(str(NAME), schema)

    def row(number: int) -> dict[str, object]:
        return {"c0": number, "c1": "x", "c2": 0.5, "c3": [number], "c996": number}

    old = [file for file, _ in write_data_files(table, arrow(table, [row(number) for number in range(20)]))]
    before = commit_files(table, Operation.APPEND, add=old)
    rewritten(table, [{**row(number), "c998": -0.0 if number == 7 else None} for number in range(20)])
    found, mirrored = both_ways(table, before, keys)
    assert (found.rows_added, found.rows_removed) == ((0, 0) if keys else (1, 1))
    assert found.rows_changed == (1 if keys else None)
    assert mirrored.rows_changed == found.rows_changed
    if keys:
        assert found.sample.changed[0].columns == ("c998",)


def test_versions_without_rows(catalog: SqlCatalog) -> None:
    table = create_table(catalog, PLAIN, [])
    empty = head(table)
    append(table, [{"id": 1, "name": "x"}])
    full = head(table)
    table.delete("id = 1")
    emptied = head(table)
    for keys in (None, (), ("id",)):
        none = compare(version(table, empty), version(table, emptied), keys)
        assert (none.is_empty, none.rows_from, none.rows_to, none.method) == (True, 0, 0, Method.METADATA)
        filled, mirrored = (
            compare(version(table, one), version(table, other), keys) for one, other in ((empty, full), (full, emptied))
        )
        assert (filled.rows_added, filled.rows_removed) == (mirrored.rows_removed, mirrored.rows_added) == (1, 0)


def test_a_table_of_format_1(catalog: SqlCatalog) -> None:
    table = catalog.create_table(str(NAME), PLAIN, properties={"format-version": "1"})
    append(table, [{"id": number, "name": "x"} for number in range(5)])
    before = head(table)
    with table.update_schema() as update:
        update.add_column("more", StringType())
    table.overwrite(arrow(table, [{"id": 1, "name": "x", "more": "m"}]), "id < 3")
    assert table.metadata.format_version == 1
    found, mirrored = both_ways(table, before, ("id",))
    assert (found.rows_from, found.rows_to) == (5, 3)
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (0, 2, 1)
    assert (mirrored.rows_added, mirrored.rows_removed, mirrored.rows_changed) == (2, 0, 1)
    assert found.not_compared == ()


def test_manifests_that_do_not_count_rows(catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may in version 1; pyiceberg always does."""
    from pyiceberg.manifest import ManifestFile

    table = create_table(catalog, PLAIN, [{"id": number, "name": "x"} for number in range(5)])
    before = head(table)
    table.overwrite(arrow(table, [{"id": 1, "name": "y"}]), "id < 3")
    monkeypatch.setattr(ManifestFile, "added_rows_count", None)
    found = compare(version(table, before), version(table))
    assert (found.rows_from, found.rows_to) == (5, 3)


def test_files_that_were_added_as_they_are(catalog: SqlCatalog, tmp_path: Path) -> None:
    table = create_table(catalog, PLAIN, [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}])
    before = head(table)
    path = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"name": ["y", "x"], "id": pa.array([1, 3], pa.int64())}), path)
    table.add_files([f"file://{path}"])
    table.delete("name = 'x' and id < 2")
    with table.update_schema() as update:
        update.rename_column("name", "label")
    found, mirrored = both_ways(table, before, ("id",))
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (1, 0, 1)
    assert found.sample.changed[0].columns == ("label",)
    assert (mirrored.rows_added, mirrored.rows_removed, mirrored.rows_changed) == (0, 1, 1)


@pytest.mark.usefixtures("_batches")
def test_orc_files(catalog: SqlCatalog) -> None:
    mapping = '[{"field-id": 1, "names": ["id"]}, {"field-id": 2, "names": ["name"]}]'
    table = catalog.create_table(str(NAME), PLAIN, properties={"schema.name-mapping.default": mapping})

    def write(number: int, rows: list[dict[str, object]]) -> DataFile:
        path = f"{table.location()}/data/{number}.orc"
        with table.io.new_output(path).create() as stream:
            orc.write_table(arrow(table, rows), stream)
        file = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=path,
            file_format=FileFormat.ORC,
            partition=Record(),
            record_count=len(rows),
            file_size_in_bytes=len(table.io.new_input(path)),
        )
        file.spec_id = 0
        return file

    old = write(1, [{"id": number, "name": "x"} for number in range(5)])
    before = commit_files(table, Operation.APPEND, add=[old])
    new = write(2, [{"id": number, "name": "x" if number else "y"} for number in range(4)])
    commit_files(table, Operation.OVERWRITE, remove=[old], add=[new])
    for keys, expected in (((), (1, 2, None)), (("id",), (0, 1, 1))):
        found, _ = both_ways(table, before, keys)
        assert (found.rows_added, found.rows_removed, found.rows_changed) == expected


def test_partition_columns_that_are_dropped_from_table_and_files(catalog: SqlCatalog) -> None:
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "region", StringType()))
    spec = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="region"))
    table = catalog.create_table(str(NAME), schema, partition_spec=spec)
    append(table, [{"id": 1, "region": "eu"}, {"id": 2, "region": None}])
    before = head(table)
    table.overwrite(arrow(table, [{"id": 1, "region": "us"}, {"id": 3, "region": None}]), "id = 1")
    with table.update_spec() as update:
        update.remove_field("region")
    with table.update_schema() as schema_update:
        schema_update.delete_column("region")
        schema_update.add_column("note", StringType())
    found, mirrored = both_ways(table, before, ())
    assert (found.rows_added, found.rows_removed, found.not_compared) == (1, 0, ("region",))
    assert (mirrored.rows_added, mirrored.rows_removed, mirrored.not_compared) == (0, 1, ("region",))


@pytest.mark.parametrize("keys", [("id",), ()], ids=["keyed", "multiset"])
def test_a_table_that_is_registered_twice_is_two_tables_once_both_were_written_to(
    catalog: SqlCatalog, keys: tuple[str, ...]
) -> None:
    # Given two tables of one uuid, each with a row and a column of its own, of the same field id
    table = create_table(catalog, PLAIN, [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}])
    twin = catalog.register_table(f"{NAME.namespace}.twin", table.metadata_location)
    for one, column, number in ((table, "colour", 3), (twin, "weight", 4)):
        with one.update_schema() as update:
            update.add_column(column, StringType())
        append(one.refresh(), [{"id": number, "name": "z", column: "1"}])
    # Then what both have is compared
    found, mirrored = (compare(version(a), version(b), keys) for a, b in ((table, twin), (twin, table)))
    assert (found.rows_from, found.rows_to, found.rows_added, found.rows_removed) == (3, 3, 1, 1)
    assert (found.sample.added, found.sample.removed) == (mirrored.sample.removed, mirrored.sample.added)
    assert sorted(found.not_compared) == sorted(mirrored.not_compared) == ["colour", "weight"]


def test_decimals_that_got_more_digits(catalog: SqlCatalog) -> None:
    from pyiceberg.types import DecimalType

    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "price", DecimalType(9, 2)))
    table = create_table(catalog, schema, [{"id": n, "price": Decimal(n) / 4} for n in range(4)])
    before = head(table)
    with table.update_schema() as update:
        update.update_column("price", field_type=DecimalType(38, 2))
    rows: list[dict[str, object]] = [{"id": n, "price": Decimal(n) / 4} for n in range(3)]
    rewritten(table, [*rows, {"id": 3, "price": Decimal(10**35)}])
    for keys in (("price",), ("id",), ()):
        found, mirrored = both_ways(table, before, keys)
        assert found.rows_added + found.rows_removed + (found.rows_changed or 0) == (1 if keys == ("id",) else 2)
        assert mirrored.rows_changed == found.rows_changed


def test_a_file_that_is_live_twice_counts_twice(catalog: SqlCatalog) -> None:
    """Writers should not; where one did, readers read it twice."""
    table = create_table(catalog, PLAIN, [{"id": 1, "name": "x"}])
    before = head(table)
    (file,) = (task.file for task in table.scan().plan_files())
    twice = commit_files(table, Operation.APPEND, add=[file])
    assert len(table.scan().to_arrow()) == 2
    found, mirrored = both_ways(table, before)
    assert (found.rows_from, found.rows_to) == (1, 2)
    assert (found.rows_added, found.rows_removed) == (1, 0)
    assert (mirrored.rows_added, mirrored.rows_removed) == (0, 1)
    append(table, [{"id": 2, "name": "y"}])
    found = compare(version(table, twice), version(table))
    assert (found.rows_added, found.rows_removed) == (1, 0)


def test_a_compaction_costs_nothing(catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(joining, "compare_keys")
    monkeypatch.delattr(joining, "compare_multisets")
    table = create_table(catalog, PLAIN, [{"id": 1, "name": "x"}])
    append(table, [{"id": 2, "name": "x"}])
    before = head(table)
    old = [task.file for task in table.scan().plan_files()]
    rows = arrow(table, [{"id": 2, "name": "x"}, {"id": 1, "name": "x"}])
    commit_files(table, Operation.REPLACE, remove=old, add=[file for file, _ in write_data_files(table, rows)])
    for found in both_ways(table, before):
        assert (found.is_empty, found.method, found.bytes_read, found.files_read) == (True, Method.METADATA, 0, 0)
