"""Metrics of a file with the rows of several: what each case of the specification leaves of them."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.conversions import to_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from app.lake.compact.metrics import Metrics, merge_metrics

SIZES, VALUES, NULLS, NANS = "column_sizes", "value_counts", "null_value_counts", "nan_value_counts"
LOWER, UPPER = "lower_bounds", "upper_bounds"


def a_file(rows: int = 10, **metrics: Any) -> DataFile:
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path="a.parquet",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=rows,
        file_size_in_bytes=100,
        **metrics,
    )


def schema_of(kind: IcebergType) -> Schema:
    return Schema(NestedField(1, "a", kind, required=False))


def bounded(lower: bytes | None, upper: bytes | None, **more: Any) -> DataFile:
    counts = {VALUES: {1: 10}, NULLS: {1: 0}, **more}
    return a_file(**counts, **{name: {1: raw} for name, raw in ((LOWER, lower), (UPPER, upper)) if raw is not None})


def bounds_of(metrics: Metrics) -> tuple[bytes | None, bytes | None]:
    return metrics.lower_bounds.get(1), metrics.upper_bounds.get(1)


def test_counts_and_sizes_are_added_up() -> None:
    schema = schema_of(LongType())
    files = [
        a_file(
            column_sizes={1: 5, 2: 7}, value_counts={1: 10, 2: 30}, null_value_counts={1: 1}, nan_value_counts={2: 0}
        ),
        a_file(column_sizes={1: 6, 2: 8}, value_counts={1: 10, 2: 0}, null_value_counts={1: 2, 2: 1}),
    ]

    merged = merge_metrics(files, [schema])

    assert merged == Metrics(column_sizes={1: 11, 2: 15}, value_counts={1: 20, 2: 30}, null_value_counts={1: 3})


def test_a_file_without_rows_takes_nothing_away() -> None:
    told = bounded(b"a", b"b")
    assert merge_metrics([a_file(0), told, a_file(0)], [schema_of(StringType())]) == merge_metrics(
        [told], [schema_of(StringType())]
    )
    assert merge_metrics([a_file(0)], [schema_of(StringType())]) == Metrics()
    assert merge_metrics([], []) == Metrics()


@pytest.mark.parametrize(
    ("case", "kind", "values"),
    [
        ("boolean", BooleanType(), [False, True]),
        ("int", IntegerType(), [-5, 3]),
        ("long", LongType(), [-(2**63), -1, 0, 2**63 - 1]),
        ("float", FloatType(), [-math.inf, -1.5, -0.0, 0.0, 2.5, math.inf]),
        ("double", DoubleType(), [-math.inf, -1.5, -0.0, 0.0, 2.5, math.inf]),
        ("decimal", DecimalType(20, 2), [Decimal("-300.00"), Decimal("-1.00"), Decimal("0.00"), Decimal("2.55")]),
        ("date", DateType(), [-400, 0, 20_000]),
        ("time", TimeType(), [0, 86_399_999_999]),
        ("timestamptz", TimestamptzType(), [-1, 1_771_149_600_000_000]),
        # By code point, which is not the order of UTF-16.
        ("string", StringType(), ["", "a", "ab", "b", "é", "\uffff", "\U00010000"]),
        ("binary", BinaryType(), [b"", b"\0", b"\x7f", b"\x80", b"\xff\xff"]),
        ("fixed", FixedType(2), [b"\0\0", b"\x7f\xff", b"\x80\0"]),
        ("uuid", UUIDType(), [UUID(int=1), UUID(int=2**64), UUID(int=2**126)]),
    ],
)
def test_bounds_are_compared_as_iceberg_does(case: str, kind: PrimitiveType, values: list[Any]) -> None:
    # Given values in Iceberg's order, and a file of each, in the order and against it
    raws = [to_bytes(kind, value) for value in values]
    files = [bounded(raw, raw) for raw in raws]

    for some in (files, files[::-1]):
        assert bounds_of(merge_metrics(some, [schema_of(kind)])) == (raws[0], raws[-1]), case


def test_a_column_that_a_file_does_not_tell_of_has_no_bounds() -> None:
    schema = [schema_of(StringType())]
    for silent in (
        a_file(),
        a_file(value_counts={1: 10}, null_value_counts={1: 9}),
        a_file(value_counts={1: 10}),
        a_file(null_value_counts={1: 10}),
        a_file(value_counts={1: 10}, null_value_counts={1: 9}, nan_value_counts={1: 0}),
    ):
        assert bounds_of(merge_metrics([bounded(b"a", b"b"), silent], schema)) == (None, None)
    assert bounds_of(merge_metrics([bounded(b"a", b"b"), bounded(b"c", None)], schema)) == (b"a", None)


@pytest.mark.parametrize(
    ("case", "nulls", "nans"), [("nulls alone", 10, {}), ("NaN alone", 0, {1: 10}), ("both", 4, {1: 6})]
)
def test_a_file_without_values_needs_no_bounds(case: str, nulls: int, nans: dict[int, int]) -> None:
    low, high = struct.pack("<d", 1.0), struct.pack("<d", 2.0)
    empty = a_file(value_counts={1: 10}, null_value_counts={1: nulls}, nan_value_counts=nans)

    assert bounds_of(merge_metrics([bounded(low, high), empty], [schema_of(DoubleType())])) == (low, high), case
    assert bounds_of(merge_metrics([empty, empty], [schema_of(DoubleType())])) == (None, None)


@pytest.mark.parametrize("kind", [FloatType(), DoubleType()])
def test_nan_among_bounds_leaves_the_column_without(kind: PrimitiveType) -> None:
    one, nan = to_bytes(kind, 1.0), to_bytes(kind, math.nan)

    for broken in (bounded(nan, one), bounded(one, nan)):
        for files in ([bounded(one, one), broken], [broken, bounded(one, one)], [broken]):
            assert bounds_of(merge_metrics(files, [schema_of(kind)])) == (None, None)


def test_uuids_that_two_orders_disagree_about_have_no_bounds() -> None:
    small, large = UUID(int=1).bytes, UUID(int=2**128 - 1).bytes

    merged = merge_metrics([bounded(small, small), bounded(large, large)], [schema_of(UUIDType())])

    assert bounds_of(merged) == (None, None)


def test_bounds_of_before_a_promotion_are_compared_with_those_of_after() -> None:
    for kinds, low, high in (
        ((IntegerType(), LongType()), struct.pack("<i", -7), struct.pack("<q", 2**40)),
        ((FloatType(), DoubleType()), struct.pack("<f", -7.5), struct.pack("<d", 1e300)),
        (
            (DecimalType(4, 2), DecimalType(20, 2)),
            to_bytes(DecimalType(4, 2), Decimal("-1.00")),
            to_bytes(DecimalType(20, 2), Decimal("12345678.00")),
        ),
    ):
        merged = merge_metrics([bounded(high, high), bounded(low, low)], [schema_of(kind) for kind in kinds])
        assert bounds_of(merged) == (low, high)
    # A date that became a timestamp is another number
    days, micros = struct.pack("<i", 20_000), struct.pack("<q", 5)
    merged = merge_metrics(
        [bounded(days, days), bounded(micros, micros)], [schema_of(DateType()), schema_of(TimestamptzType())]
    )
    assert bounds_of(merged) == (None, None)


def test_bounds_that_say_nothing() -> None:
    for kind, raw in ((IntegerType(), b"\1"), (DoubleType(), b"123"), (UUIDType(), b"1"), (DecimalType(3, 1), b"")):
        assert bounds_of(merge_metrics([bounded(raw, raw)], [schema_of(kind)])) == (None, None)
    # Nor those of a column that is in no schema, or of no primitive type
    assert bounds_of(merge_metrics([bounded(b"a", b"a")], [])) == (None, None)
    nested = schema_of(ListType(2, StringType(), element_required=False))
    assert bounds_of(merge_metrics([bounded(b"a", b"a")], [nested])) == (None, None)


def test_columns_in_earlier_schemas_alone_keep_theirs() -> None:
    earlier, current = schema_of(StringType()), Schema(NestedField(2, "b", LongType(), required=False))

    assert bounds_of(merge_metrics([bounded(b"b", b"c"), bounded(b"a", b"a")], [earlier, current])) == (b"a", b"c")


def test_metrics_of_files_that_pyiceberg_wrote_are_those_of_one_that_it_writes_of_all(catalog: SqlCatalog) -> None:
    # Given the same rows in three files, and in one
    schema = Schema(
        NestedField(1, "id", LongType(), required=False),
        NestedField(2, "name", StringType(), required=False),
        NestedField(3, "ratio", DoubleType(), required=False),
        NestedField(4, "tags", ListType(5, StringType(), element_required=False), required=False),
    )
    rows = pa.table(
        {
            "id": [*range(8), None],
            "name": ["a" * 40, "b", None, "é", "", None, None, None, "z" * 40],
            "ratio": [0.5, -0.0, 2.0, 0.0, 1e300, -3.0, 7.0, None, 8.0],
            "tags": [["x"], [], None, ["y", None], ["z"] * 3, ["w"], ["v"], ["u"], ["t"]],
        },
        schema=pa.schema(
            [("id", pa.int64()), ("name", pa.string()), ("ratio", pa.float64()), ("tags", pa.list_(pa.string()))]
        ),
    )
    three, one = catalog.create_table("sales.three", schema), catalog.create_table("sales.one", schema)
    for start in (0, 3, 6):
        three.append(rows.slice(start, 3))
    one.append(rows)

    merged = merge_metrics(files_of(three), [schema])

    whole = files_of(one)[0]
    for name in (VALUES, NULLS, LOWER, UPPER):
        assert getattr(merged, name) == getattr(whole, name), name
    assert merged.column_sizes == {
        field_id: sum(file.column_sizes[field_id] for file in files_of(three)) for field_id in whole.column_sizes
    }


def files_of(table: Table) -> list[DataFile]:
    return [task.file for task in table.scan().plan_files()]
