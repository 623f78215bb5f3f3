"""Rows of data files as the table has them now, whatever schema the files were written with."""

import math
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.typedef import Record
from pyiceberg.types import (
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
    TimestampType,
    TimestamptzType,
    UUIDType,
)

from app.lake.data_files import stream_data_file
from tests.unit.lake.local_tables import NAME, append, create_table, read, rewrite
from tests.unit.lake.row_diff.made_snapshots import commit_files

PAIR = StructType(NestedField(11, "a", IntegerType()), NestedField(12, "b", StringType()))
NESTED = Schema(
    NestedField(1, "id", IntegerType()),
    NestedField(2, "pair", PAIR),
    NestedField(3, "pairs", ListType(13, StructType(NestedField(14, "a", IntegerType())), element_required=False)),
    NestedField(4, "by_name", MapType(15, StringType(), 16, StructType(NestedField(17, "a", IntegerType())), False)),
    NestedField(5, "grid", ListType(18, ListType(19, IntegerType(), element_required=False), element_required=False)),
)
NESTED_ROWS: list[dict[str, Any]] = [
    {"id": 1, "pair": None, "pairs": None, "by_name": None, "grid": None},
    {"id": 2, "pair": {"a": 1, "b": None}, "pairs": [], "by_name": [], "grid": []},
    {
        "id": 3,
        "pair": {"a": None, "b": None},
        "pairs": [{"a": 1}, None, {"a": None}],
        "by_name": [("x", {"a": 1}), ("y", None), ("z", {"a": None})],
        "grid": [[1, None], None, []],
    },
    {"id": 4, "pair": {"a": 2, "b": "x"}, "pairs": None, "by_name": None, "grid": [None]},
]


def ids(table: Table, row_filter: str | None = None, key: str = "id") -> list[int]:
    return sorted(row[key] for row in read(table, row_filter, key).rows)


@pytest.mark.parametrize(
    ("case", "row_filter", "expected"),
    [
        ("all", None, [1, 2, 3, 4]),
        ("slice of the file", "id > 2", [3, 4]),
        ("null struct", "pair is null", [1]),
        ("part that is null, or in a null struct", "pair.a is null", [1, 3]),
        ("part", "pair.a >= 1", [2, 4]),
        ("part, negated", "not pair.b = 'y'", [4]),
        ("null list", "pairs is null", [1, 4]),
        ("null map", "by_name is not null", [2, 3]),
    ],
)
def test_nulls_in_nested_columns_stay_null(
    catalog: SqlCatalog, case: str, row_filter: str | None, expected: list[int]
) -> None:
    table = create_table(catalog, NESTED, NESTED_ROWS)
    rewrite(table, NESTED_ROWS)

    answer = read(table, row_filter)

    assert answer.rows == [row for row in NESTED_ROWS if row["id"] in expected], case


def test_files_of_an_evolved_nested_schema_are_read_in_the_new_one(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NESTED, NESTED_ROWS)
    rewrite(table, NESTED_ROWS)
    with table.update_schema() as update:
        update.add_column(("pair", "c"), LongType())
        update.rename_column("pair.a", "first")
        update.update_column("pair.a", LongType())
        update.delete_column("pair.b")
        update.add_column(("pairs", "b"), StringType())
        update.update_column(("pairs", "a"), LongType())
        update.add_column(("by_name", "b"), StringType())

    answer = read(table)

    assert answer.schema.field("pair").type == pa.struct([("first", pa.int64()), ("c", pa.int64())])
    assert [row["pair"] for row in answer.rows] == [
        None,
        {"first": 1, "c": None},
        {"first": None, "c": None},
        {"first": 2, "c": None},
    ]
    assert [row["pairs"] for row in answer.rows] == [
        None,
        [],
        [{"a": 1, "b": None}, None, {"a": None, "b": None}],
        None,
    ]
    assert [row["by_name"] for row in answer.rows] == [
        None,
        [],
        [("x", {"a": 1, "b": None}), ("y", None), ("z", {"a": None, "b": None})],
        None,
    ]
    assert ids(table, "pair.first = 2") == [4]
    assert ids(table, "pair.c is null") == [1, 2, 3, 4]
    assert ids(table, "pair.c = 1 or pair.first > 1") == [4]
    assert read(table, "pair.first = 2", "pair.c").rows == [{"pair": {"c": None}}]


@pytest.mark.parametrize(
    ("case", "row_filter", "expected"),
    [
        ("all", None, [1, 2, 3]),
        ("equal", "note = 'x'", [3]),
        ("unequal", "note != 'x'", []),
        ("unequal to another", "note != 'y'", [3]),
        ("set", "note in ('x', 'y')", [3]),
        ("negated set", "note not in ('y', 'z')", [3]),
        ("negated set out of range", "amount not in (3000000000, 3000000001)", [3]),
        ("below what all are below", "amount < 3000000000", [3]),
        ("prefix", "note like '%'", [3]),
        ("negated prefix", "note not like 'y%'", [3]),
        ("negated", "not (note = 'y')", [3]),
        ("nan", "ratio is nan", [3]),
        ("no nan", "ratio is not nan", []),
        ("null", "note is null", [1, 2]),
        ("not null", "note is not null", [3]),
        ("beside another", "note is null and id > 1", [2]),
        ("either", "note = 'x' or id = 1", [1, 3]),
    ],
)
def test_a_column_that_the_file_lacks_is_null(
    catalog: SqlCatalog, case: str, row_filter: str | None, expected: list[int]
) -> None:
    table = create_table(catalog, Schema(NestedField(1, "id", IntegerType())), [{"id": 1}, {"id": 2}])
    with table.update_schema() as update:
        update.add_column("note", StringType())
        update.add_column("amount", IntegerType())
        update.add_column("ratio", DoubleType())
    append(table, [{"id": 3, "note": "x", "amount": 5, "ratio": math.nan}])

    assert ids(table, row_filter) == expected, case
    notes = {row["id"]: row["note"] for row in read(table, row_filter).rows}
    assert notes == {key: "x" if key == 3 else None for key in expected}


# 0.1 in single precision is 0.100000001490116…
PROMOTED = [
    {"id": 1, "n": 1, "x": 0.1, "price": Decimal("1.50")},
    {"id": 2, "n": -(2**31), "x": math.nan, "price": Decimal("-9999999.99")},
    {"id": 3, "n": None, "x": None, "price": None},
]
AFTERWARDS = [{"id": 4, "n": 2**40, "x": 0.1, "price": Decimal("12345678901.50")}]


@pytest.mark.parametrize(
    ("case", "row_filter", "expected"),
    [
        ("long beyond int", "n > 2147483647", [4]),
        ("long of an int", "n = 1", [1]),
        ("unequal", "n != 1", [2, 4]),
        ("set of both", "n in (1, 1099511627776)", [1, 4]),
        ("negated set", "n not in (1, 1099511627776)", [2]),
        ("int beyond int", "n > -2147483649", [1, 2, 4]),
        ("double is compared in double precision", "x = 0.1", [4]),
        ("more than", "x > 0.1", [1]),
        ("not more than", "not (x > 0.1)", [4]),
        ("double in a set", "x in (0.1, 0.2)", [4]),
        ("unequal double", "x != 0.1", [1, 2]),
        ("nan", "x is nan", [2]),
        ("decimal", "price = 1.5", [1]),
        ("decimal beyond the file's precision", "price < 10000000000", [1, 2]),
        ("decimals", "price in (1.5, 12345678901.5)", [1, 4]),
        ("null", "n is null and x is null and price is null", [3]),
    ],
)
def test_promoted_columns_are_compared_as_what_they_are_now(
    catalog: SqlCatalog, case: str, row_filter: str, expected: list[int]
) -> None:
    schema = Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "n", IntegerType()),
        NestedField(3, "x", FloatType()),
        NestedField(4, "price", DecimalType(9, 2)),
    )
    table = create_table(catalog, schema, PROMOTED)
    with table.update_schema() as update:
        update.update_column("n", LongType())
        update.update_column("x", DoubleType())
        update.update_column("price", DecimalType(18, 2))
    append(table, AFTERWARDS)

    assert ids(table, row_filter) == expected, case
    assert read(table).schema == pa.schema(
        [("id", pa.int32()), ("n", pa.int64()), ("x", pa.float64()), ("price", pa.decimal128(18, 2))]
    )


def test_renamed_columns_are_found_by_their_ids(catalog: SqlCatalog) -> None:
    schema = Schema(NestedField(1, "a", IntegerType()), NestedField(2, "b", IntegerType()))
    table = create_table(catalog, schema, [{"a": 1, "b": 2}])
    first = table.metadata.current_snapshot_id
    with table.update_schema() as update:
        update.rename_column("a", "was_a")
    with table.update_schema() as update:
        update.rename_column("b", "a")

    assert read(table).rows == [{"was_a": 1, "a": 2}]
    assert read(table, "a = 2", "was_a").rows == [{"was_a": 1}]
    assert read(table, "a = 1").rows == []
    assert read(table, "a = 1", snapshot_id=first).rows == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("case", "row_filter", "expected"),
    [
        ("equal", "u = '00000000-0000-0000-0000-000000000001'", [1]),
        ("equal in capitals without dashes", "u = '000000000000000000000000000000FF'", [3]),
        ("unequal", "u != '00000000-0000-0000-0000-000000000001'", [3]),
        ("negated", "not u = '00000000-0000-0000-0000-000000000001'", [3]),
        (
            "set",
            "u in ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-0000000000ff')",
            [1, 3],
        ),
        (
            "negated set",
            "u not in ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002')",
            [3],
        ),
        ("null", "u is null", [2]),
        ("part of a struct", "s.u = '00000000-0000-0000-0000-000000000001'", [3]),
    ],
)
def test_uuids_are_compared(catalog: SqlCatalog, case: str, row_filter: str, expected: list[int]) -> None:
    schema = Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "u", UUIDType()),
        NestedField(3, "s", StructType(NestedField(4, "u", UUIDType()))),
    )
    one, other = uuid.UUID(int=1).bytes, uuid.UUID(int=255).bytes
    rows = [
        {"id": 1, "u": one, "s": None},
        {"id": 2, "u": None, "s": {"u": None}},
        {"id": 3, "u": other, "s": {"u": one}},
    ]
    table = create_table(catalog, schema, rows)

    assert ids(table, row_filter) == expected, case


@pytest.mark.parametrize(
    ("case", "row_filter", "expected"),
    [
        ("unequal to the only number", "x != 5", [1]),
        ("negated set", "x not in (5.0, 6.0)", [1]),
        ("nan", "x is nan", [1]),
        ("nan or another column", "x is nan or id = 7", [1]),
        ("nan in a float", "y is nan", [1]),
        ("float unequal to the only number", "not y = 5", [1]),
        ("part of a struct", "s.x != 5", [1]),
        ("less than anything", "x < 1000", [2]),
        ("not nan", "x is not nan", [2]),
    ],
)
def test_row_groups_are_not_skipped_for_statistics_that_leave_nan_out(
    catalog: SqlCatalog, case: str, row_filter: str, expected: list[int]
) -> None:
    schema = Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "x", DoubleType()),
        NestedField(3, "y", FloatType()),
        NestedField(4, "s", StructType(NestedField(5, "x", DoubleType()))),
    )
    rows = [{"id": n, "x": value, "y": value, "s": {"x": value}} for n, value in ((1, math.nan), (2, 5.0))]
    table = create_table(catalog, schema, rows)

    assert ids(table, row_filter) == expected, case


def test_a_column_with_a_dot_in_its_name_is_filtered_by(catalog: SqlCatalog) -> None:
    schema = Schema(NestedField(1, "id", IntegerType()), NestedField(2, "a.b", IntegerType()))
    table = create_table(catalog, schema, [{"id": 1, "a.b": 1}, {"id": 2, "a.b": None}])

    assert ids(table, "a.b = 1") == [1]
    assert ids(table, "a.b is null") == [2]


FLAT = Schema(NestedField(1, "id", IntegerType()), NestedField(2, "text", StringType()))
MANY = 40_000


def rows_of_batches(table: Table, *, is_bulk: bool) -> list[int]:
    """How many rows each batch of its one file has, which are all of them, in their order."""
    (task,) = table.scan().plan_files()
    schema = table.schema()
    batches = list(
        stream_data_file(
            table.io,
            task,
            bound_filter=AlwaysTrue(),
            projected=schema,
            read=schema,
            metadata=table.metadata,
            is_bulk=is_bulk,
        )
    )
    assert [number for batch in batches for number in batch.column("id").to_pylist()] == list(range(MANY))
    return [batch.num_rows for batch in batches]


def test_batches_are_large_only_where_the_file_tells_how_much_they_become(catalog: SqlCatalog) -> None:
    table = create_table(catalog, FLAT)
    table.append(pa.table({"id": pa.array(range(MANY), pa.int32()), "text": ["x"] * MANY}))
    assert max(rows_of_batches(table, is_bulk=False)) == 16_384
    assert rows_of_batches(table, is_bulk=True) == [MANY]
    # A column that it has converted, and one that it lacks, are in no footer
    for change in (lambda update: update.update_column("id", LongType()), lambda update: update.add_column("x", PAIR)):
        with table.update_schema() as update:
            change(update)
        assert max(rows_of_batches(table.refresh(), is_bulk=True)) == 16_384


@pytest.mark.parametrize("kind", [TimestampType(), TimestamptzType()], ids=str)
def test_timestamps_of_96_bits_may_be_of_any_year(catalog: SqlCatalog, kind: TimestampType | TimestamptzType) -> None:
    """As Hive and older Sparks wrote them: 9999-12-31 is no nanosecond that 64 bits can tell."""
    zone = UTC if isinstance(kind, TimestamptzType) else None
    ends = [
        datetime(1, 1, 1, tzinfo=zone),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=zone),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=zone),
    ]
    table = create_table(catalog, Schema(NestedField(1, "at", kind)), [{"at": end} for end in ends])
    (task,) = table.scan().plan_files()
    with table.io.new_output(task.file.file_path).create(overwrite=True) as stream:
        rows = pa.Table.from_pylist([{"at": end} for end in ends], schema_to_pyarrow(table.schema()))
        pq.write_table(rows, stream, use_deprecated_int96_timestamps=True)
    assert [row["at"] for row in read(table).rows] == ends
    late = "at > '9999-01-01T00:00:00+00:00'" if zone else "at > '9999-01-01T00:00:00'"
    assert [row["at"] for row in read(table, late).rows] == ends[2:]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_instants_of_any_zone_are_those_of_utc(catalog: SqlCatalog, unit: str) -> None:
    """As pandas writes them: with the zone that they were shown in."""
    schema = Schema(
        NestedField(1, "at", TimestamptzType()),
        NestedField(2, "list", ListType(3, TimestamptzType(), element_required=False)),
        NestedField(4, "map", MapType(5, StringType(), 6, TimestamptzType(), value_required=False)),
        NestedField(7, "pair", StructType(NestedField(8, "at", TimestamptzType()))),
    )
    instants = [datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 7, 1, 12, tzinfo=UTC)]
    rows = [{"at": at, "list": [at, None], "map": [("x", at)], "pair": {"at": at}} for at in instants]
    table = create_table(catalog, schema, rows)
    (task,) = table.scan().plan_files()
    zone = pa.timestamp(unit, "Europe/Berlin")
    foreign = [zone, pa.list_(zone), pa.map_(pa.string(), zone), pa.struct([("at", zone)])]
    in_zone = pa.schema(list(zip(["at", "list", "map", "pair"], foreign, strict=True)))
    with table.transaction() as transaction:
        transaction.set_properties({"schema.name-mapping.default": table.schema().name_mapping.model_dump_json()})
    with table.io.new_output(task.file.file_path).create(overwrite=True) as stream:
        pq.write_table(pa.Table.from_pylist(rows, in_zone), stream)
    table.refresh()
    assert read(table).rows == rows
    assert [row["at"] for row in read(table, "at > '2026-03-01T00:00:00+00:00'").rows] == instants[1:]


def test_columns_that_a_name_mapping_has_not_are_none_of_the_table(catalog: SqlCatalog, tmp_path: Path) -> None:
    """Iceberg's spec, "Column Projection": a file that others wrote may have more in it, of whatever type."""
    mapping = """[{"field-id": 1, "names": ["id"]},
        {"field-id": 2, "names": ["pair"], "fields": [{"field-id": 3, "names": ["a"]}]}]"""
    schema = Schema(
        NestedField(1, "id", LongType()), NestedField(2, "pair", StructType(NestedField(3, "a", LongType())))
    )
    table = catalog.create_table(str(NAME), schema, properties={"schema.name-mapping.default": mapping})
    path = tmp_path / "foreign.parquet"
    found = {
        "more": pa.array([1, 2], pa.uint64()),
        "pair": pa.array([{"more": 1, "a": 5}, None], pa.struct([("more", pa.int64()), ("a", pa.int64())])),
        "id": pa.array([1, 2], pa.int64()),
    }
    pq.write_table(pa.table(found), path)
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"file://{path}",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=2,
        file_size_in_bytes=path.stat().st_size,
    )
    file.spec_id = 0
    commit_files(table, Operation.APPEND, add=[file])
    assert read(table).rows == [{"id": 1, "pair": {"a": 5}}, {"id": 2, "pair": None}]
    assert ids(table, "id > 1") == [2]
