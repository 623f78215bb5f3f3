"""What manifests say of rewritten files: what pyiceberg says of its own, and what it does not know."""

from __future__ import annotations

import datetime as dt
import math
import random
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
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
    TimeType,
    UUIDType,
)

from app.errors import InvalidTablePropertyError
from app.lake.compact.rewriting.bounds import lower_bound, upper_bound
from app.lake.internals import CachingSqlCatalog
from tests.unit.lake.compact.rewriting import rewrite, rows_of_files, tasks_of
from tests.unit.lake.local_tables import append, create_table

SCHEMA = Schema(
    NestedField(1, "i", IntegerType()),
    NestedField(2, "l", LongType()),
    NestedField(3, "f", FloatType()),
    NestedField(4, "d", DoubleType()),
    NestedField(5, "small", DecimalType(9, 2)),
    NestedField(6, "mid", DecimalType(18, 2)),
    NestedField(7, "large", DecimalType(38, 10)),
    NestedField(8, "flag", BooleanType()),
    NestedField(9, "day", DateType()),
    NestedField(10, "time", TimeType()),
    NestedField(11, "at", TimestampType()),
    NestedField(12, "zoned", TimestamptzType()),
    NestedField(13, "text", StringType()),
    NestedField(14, "bytes", BinaryType()),
    NestedField(15, "fixed", FixedType(4)),
    NestedField(16, "u", UUIDType()),
    NestedField(17, "no.name of Avro's", StringType()),
    NestedField(18, "list", ListType(19, DoubleType(), element_required=False)),
    NestedField(20, "map", MapType(21, StringType(), 22, FloatType(), value_required=False)),
    NestedField(23, "void", LongType()),
)
COUNTS = ("column_sizes", "value_counts", "null_value_counts")
BOUNDS = ("lower_bounds", "upper_bounds")


def row(rng: random.Random) -> dict[str, Any]:
    zoned = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=rng.randrange(10**15))
    at = zoned.replace(tzinfo=None)
    made: dict[str, Any] = {
        "i": rng.randrange(-(2**31), 2**31),
        "l": rng.randrange(-(2**63), 2**63),
        "f": rng.choice([1.5, -2.5, 0.0, -0.0]),
        "d": rng.gauss(0, 1),
        "small": Decimal(rng.randrange(-(10**9) + 1, 10**9)).scaleb(-2),
        "mid": Decimal(rng.randrange(-(10**17), 10**17)).scaleb(-2),
        "large": Decimal(rng.randrange(-(10**30), 10**30)).scaleb(-10),
        "flag": rng.random() < 0.5,
        "day": at.date(),
        "time": at.time(),
        "at": at,
        "zoned": zoned,
        "text": "".join(rng.choice("aé€😀") for _ in range(rng.randrange(30))),
        "bytes": rng.randbytes(rng.randrange(30)),
        "fixed": rng.randbytes(4),
        "u": uuid.UUID(int=rng.getrandbits(128)).bytes,
        "no.name of Avro's": rng.choice(["x", "y" * 20]),
        "list": [rng.choice([1.0, None]) for _ in range(rng.randrange(3))],
        "map": [("k", rng.choice([1.0, None]))],
    }
    return {name: None if rng.random() < 0.2 else value for name, value in made.items()} | {"void": None}


def rewritten(table: Table, **options: Any) -> DataFile:
    (file,) = rewrite(table, **options)
    return file


@pytest.mark.parametrize("mode", ["none", "counts", "truncate(2)", "truncate(16)", "full"])
def test_metrics_are_those_of_pyicebergs_own_writer(catalog: CachingSqlCatalog, mode: str) -> None:
    # Given a file of pyiceberg's, all of it
    table = create_table(catalog, SCHEMA)
    with table.transaction() as change:
        change.set_properties({"write.metadata.metrics.default": mode, "write.metadata.metrics.column.l": "counts"})
    rng = random.Random(mode)
    append(table, [row(rng) for _ in range(100)])
    theirs = tasks_of(table)[0].file
    ours = rewritten(table)
    for name in (*COUNTS, *BOUNDS):
        # Of a column with a dot in its name it takes for nested, it tells no bounds
        without = 17 if name in BOUNDS else None
        found, expected = ({k: v for k, v in getattr(file, name).items() if k != without} for file in (ours, theirs))
        assert found == expected, name
    assert (ours.split_offsets, ours.record_count) == (theirs.split_offsets, theirs.record_count)
    assert ours.file_size_in_bytes == len(table.io.new_input(ours.file_path))


def test_nan_is_counted_and_no_bound(catalog: CachingSqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "f", FloatType()),
        NestedField(2, "all", DoubleType()),
        NestedField(3, "list", ListType(4, DoubleType(), element_required=False)),
        NestedField(5, "map", MapType(6, DoubleType(), 7, DoubleType(), value_required=False)),
        NestedField(8, "s", StructType(NestedField(9, "d", DoubleType()))),
        NestedField(10, "unmeasured", DoubleType()),
    )
    table = create_table(catalog, schema)
    with table.transaction() as change:
        change.set_properties({"write.metadata.metrics.column.unmeasured": "none"})
    nan = math.nan
    for value in (1.0, nan, -0.0, None):
        one = {"f": value, "all": nan, "list": [nan, 1.0], "map": [(nan, nan)], "s": {"d": value}, "unmeasured": nan}
        append(table, [one, dict.fromkeys(one)])
    file = rewritten(table)
    ids = {name: table.schema().find_field(name).field_id for name in table.schema()._name_to_id}
    assert file.nan_value_counts == {
        ids["f"]: 1,
        ids["all"]: 4,
        ids["list.element"]: 4,
        ids["map.key"]: 4,
        ids["map.value"]: 4,
        ids["s.d"]: 1,
    }
    assert set(file.lower_bounds) == set(file.upper_bounds) == {ids["f"], ids["s.d"]}
    lower = from_bytes(FloatType(), file.lower_bounds[ids["f"]])
    assert (lower, math.copysign(1, lower)) == (0.0, -1)
    assert from_bytes(FloatType(), file.upper_bounds[ids["f"]]) == 1.0


def test_bounds_hold_for_values_too_long_for_statistics(catalog: CachingSqlCatalog) -> None:
    # Given two row groups, of which one has a value that Parquet's statistics leave out
    table = create_table(catalog, Schema(NestedField(1, "t", StringType()), NestedField(2, "b", BinaryType())))
    with table.transaction() as change:
        change.set_properties({"write.parquet.row-group-limit": "1"})
    append(table, [{"t": "m", "b": b"m"}, {"t": "z" * 5000, "b": b"\xff" * 5000}, {"t": "n", "b": b"a" * 5000}])
    file = rewritten(table)
    assert len(file.split_offsets or ()) == 3
    assert file.lower_bounds == {1: b"m", 2: b"a" * 16}
    # No bytes of this length are above those that are the greatest themselves
    assert file.upper_bounds == {1: b"z" * 15 + b"{"}


def test_instants_beyond_pythons_have_bounds(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, Schema(NestedField(1, "at", TimestampType()), NestedField(2, "day", DateType())))
    with table.transaction() as change:
        change.set_properties({"write.metadata.metrics.default": "none"})
    numbers = [2**62, -(2**62)], [2**31 - 1, -(2**31)]
    schema = table.schema().as_arrow()
    columns = [
        pa.array(some, kind).cast(field.type)
        for some, kind, field in zip(numbers, (pa.int64(), pa.int32()), schema, strict=True)
    ]
    table.append(pa.Table.from_arrays(columns, schema=schema))
    with table.transaction() as change:
        change.remove_properties("write.metadata.metrics.default")
    file = rewritten(table)
    assert [int.from_bytes(bound, "little", signed=True) for bound in file.upper_bounds.values()] == [2**62, 2**31 - 1]
    assert [int.from_bytes(bound, "little", signed=True) for bound in file.lower_bounds.values()] == [
        -(2**62),
        -(2**31),
    ]


@pytest.mark.parametrize(
    ("case", "text", "expected"),
    [
        ("short", "ab", "ab"),
        ("as long", "abc", "abc"),
        ("cut", "abcd", "abd"),
        ("before the surrogates", "ab\ud7ffx", "ab\ue000"),
        ("after the last character", "ab\U0010ffffx", "ac"),
        ("none above", "\U0010ffff" * 4, None),
        ("outside of the first plane", "ab😀x", "ab😁"),
    ],
)
def test_upper_bounds_of_texts(case: str, text: str, expected: str | None) -> None:
    found = upper_bound(StringType(), text.encode(), 3)
    assert found == (None if expected is None else expected.encode()), case


@pytest.mark.parametrize("unscaled", [0, 1, -1, 127, 128, -128, -129, 255, 256, 10**37])
def test_decimals_are_the_fewest_bytes(unscaled: int) -> None:
    found = lower_bound(DecimalType(38, 0), unscaled, None)
    assert int.from_bytes(found, "big", signed=True) == unscaled
    shorter = len(found) - 1
    assert shorter == 0 or not -(2 ** (8 * shorter - 1)) <= unscaled < 2 ** (8 * shorter - 1)


@pytest.mark.parametrize("mode", ["", "truncate", "truncate(0)", "some"])
def test_a_mode_that_there_is_not_is_told(catalog: CachingSqlCatalog, mode: str) -> None:
    table = create_table(catalog, SCHEMA, [{"i": 1}])
    with table.transaction() as change:
        change.set_properties({"write.metadata.metrics.column.i": mode})
    with pytest.raises(InvalidTablePropertyError) as error:
        rewrite(table)
    assert error.value.fields["property"] == "write.metadata.metrics.column.i"
    assert repr(mode) in error.value.message
    assert rows_of_files(table, [tasks_of(table)[0].file])[0]["i"] == 1
