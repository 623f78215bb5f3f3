"""Values of Iceberg's types as plain Python numbers, texts and bytes: to draw, to store, and to compare by.

Dates, times and timestamps are their numbers, so that all that a file can hold can be drawn; structs are dictionaries
by field id, so that they live through changes of the schema; maps are lists of pairs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
from hypothesis import strategies as st
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
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
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from app.errors import JsonValue

INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
DAY_US = 86_400_000_000
SPECIAL_FLOATS = [math.nan, math.inf, -math.inf, 0.0, -0.0, 0.5, 1.5]

Row = dict[int, Any]


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    limit = 10**precision - 1
    # Of a text, which is exact: arithmetic rounds to 28 digits.
    return st.integers(-limit, limit).map(lambda unscaled: Decimal(f"{unscaled}e-{scale}"))


def values_of(kind: IcebergType) -> st.SearchStrategy[Any]:
    """Values of a type, with those at its ends and those that other engines stumble over."""
    if isinstance(kind, StructType):
        return st.fixed_dictionaries({field.field_id: nullable(field.field_type) for field in kind.fields})
    if isinstance(kind, ListType):
        return st.lists(nullable(kind.element_type), max_size=3)
    if isinstance(kind, MapType):
        pairs = st.tuples(values_of(kind.key_type), nullable(kind.value_type))
        return st.lists(pairs, max_size=3, unique_by=lambda pair: repr(pair[0]))
    if isinstance(kind, DecimalType):
        return decimals(kind.precision, kind.scale)
    if isinstance(kind, FixedType):
        return st.binary(min_size=len(kind), max_size=len(kind))
    return _PRIMITIVES[type(kind)]


def nullable(kind: IcebergType) -> st.SearchStrategy[Any]:
    return st.none() | values_of(kind)


TEXTS = st.sampled_from(
    ["", "a", "\0", "a\0b", "'; --", '"', "\\", "é", "e\u0301", "😀", "x" * 40, "x" * 40 + "y", "NaN", "null"]
) | st.text(max_size=20)

_PRIMITIVES: dict[type[IcebergType], st.SearchStrategy[Any]] = {
    BooleanType: st.booleans(),
    IntegerType: st.integers(-3, 3) | st.sampled_from([-(2**31), 2**31 - 1]) | INT32,
    LongType: st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1, 2**53, 2**53 + 1]) | INT64,
    FloatType: st.sampled_from(SPECIAL_FLOATS) | st.floats(width=32),
    DoubleType: st.sampled_from([*SPECIAL_FLOATS, 0.1]) | st.floats(),
    DateType: st.sampled_from([0, -1, 19_000, -(2**31), 2**31 - 1]) | INT32,
    TimeType: st.sampled_from([0, DAY_US - 1]) | st.integers(0, DAY_US - 1),
    TimestampType: st.sampled_from([0, -1, 10**15, -(2**63) + 1, 2**63 - 1]) | INT64,
    # Arrow writes later instants with a zone as other years, which two values then have in common.
    TimestamptzType: st.sampled_from([0, -1, 10**15, -(10**18), 10**18]) | st.integers(-(10**18), 10**18),
    StringType: TEXTS,
    UUIDType: st.sampled_from([b"\0" * 16, b"\xff" * 16, b"\x80" + b"\0" * 15]) | st.binary(min_size=16, max_size=16),
    BinaryType: st.sampled_from([b"", b"\0", b"\xff" * 30]) | st.binary(max_size=20),
}


def to_table(schema: Schema, rows: Sequence[Row]) -> pa.Table:
    """Rows by field id in the Arrow schema of a table."""
    arrow = schema_to_pyarrow(schema, include_field_ids=False)
    arrays = [
        to_array(field.field_type, [row.get(field.field_id) for row in rows]).cast(kind.type)
        for field, kind in zip(schema.fields, arrow, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=arrow)


def to_array(kind: IcebergType, values: Sequence[Any]) -> pa.Array:
    """Values of one type as Arrow has them."""
    if isinstance(kind, StructType):
        children = [
            to_array(field.field_type, [None if value is None else value.get(field.field_id) for value in values])
            for field in kind.fields
        ]
        fields = [pa.field(field.name, child.type) for field, child in zip(kind.fields, children, strict=True)]
        return pa.StructArray.from_arrays(
            children, fields=fields, mask=pa.array([value is None for value in values], pa.bool_())
        )
    if isinstance(kind, ListType):
        parts = [part for value in values for part in value or ()]
        return pa.ListArray.from_arrays(_offsets(values), to_array(kind.element_type, parts))
    if isinstance(kind, MapType):
        pairs = [pair for value in values for pair in value or ()]
        keys = to_array(kind.key_type, [key for key, _ in pairs])
        return pa.MapArray.from_arrays(_offsets(values), keys, to_array(kind.value_type, [item for _, item in pairs]))
    wanted = schema_to_pyarrow(kind, include_field_ids=False)
    if isinstance(kind, UUIDType):
        return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(values, pa.binary(16)))
    if pa.types.is_temporal(wanted):
        return pa.array(values, pa.int32() if isinstance(kind, DateType) else pa.int64()).cast(wanted)
    if isinstance(kind, FloatType):
        # As a file holds them: a double that is no float is another number there.
        values = [None if value is None else struct.unpack("f", struct.pack("f", value))[0] for value in values]
    return pa.array(values, wanted)


def canonical(value: JsonValue, kind: IcebergType) -> str:
    """A value as JSON has it, as a text that is the same for equal values only: maps have no order."""
    return orjson.dumps(_ordered(value, kind), option=orjson.OPT_SORT_KEYS).decode()


def canonical_row(row: dict[str, JsonValue], fields: Sequence[NestedField]) -> tuple[str, ...]:
    return tuple(canonical(row[field.name], field.field_type) for field in fields)


def _ordered(value: Any, kind: IcebergType) -> Any:
    if value is None:
        return None
    if isinstance(kind, StructType):
        return {field.name: _ordered(value[field.name], field.field_type) for field in kind.fields}
    if isinstance(kind, ListType):
        return [_ordered(part, kind.element_type) for part in value]
    if isinstance(kind, MapType):
        if isinstance(kind.key_type, StringType):
            return {key: _ordered(item, kind.value_type) for key, item in value.items()}
        pairs = [[_ordered(key, kind.key_type), _ordered(item, kind.value_type)] for key, item in value]
        return sorted(pairs, key=orjson.dumps)
    return value


def _offsets(values: Sequence[Any]) -> pa.Array:
    offsets, end = [], 0
    for value in values:
        offsets.append(None if value is None else end)
        end += len(value or ())
    return pa.array([*offsets, end], pa.int32())
