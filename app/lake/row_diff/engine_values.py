"""Rows as the engine that joins them compares them, and back.

The engine (DuckDB) has the equality of `app.domain.row_diffs` for most types as they are. For the others there is a
form that is equal just when the values are: uuids and fixed bytes as bytes, dates and times as their numbers (some of
which the engine would take for infinity), nested values as JSON with the entries of objects and maps in order. A float
or double has its zero's sign beside it, because to the engine -0.0 is 0.0. Columns are named by their place: `c0`,
`c1` …, which needs no quoting.
"""

from __future__ import annotations

from typing import Any, cast

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from app.errors import JsonValue
from app.lake.json_rows import to_json_values


def engine_schema(schema: pa.Schema) -> pa.Schema:
    """The columns as the engine gets them."""
    return pa.schema([pa.field(f"c{place}", _engine_type(field.type)) for place, field in enumerate(schema)])


def is_float(kind: pa.DataType) -> bool:
    """Whether values have a zero with a sign."""
    return bool(pa.types.is_floating(kind))


def to_engine(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch of rows in the engine's schema."""
    arrays = [column_to_engine(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def from_engine(array: pa.Array, kind: pa.DataType, negative_zeros: pa.Array | None) -> list[JsonValue]:
    """Values of one column as JSON; `kind` is the type that they had before."""
    if pa.types.is_nested(kind):
        return [None if text is None else cast("JsonValue", orjson.loads(text)) for text in array.to_pylist()]
    if negative_zeros is not None:
        array = pc.if_else(pc.fill_null(negative_zeros, False), pa.scalar(-0.0, array.type), array)
    if isinstance(kind, pa.UuidType):
        return to_json_values(pa.ExtensionArray.from_storage(kind, array.cast(kind.storage_type)))
    if not array.type.equals(kind):
        array = array.cast(kind)
    return to_json_values(array)


def _engine_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_nested(kind):
        return pa.string()
    if isinstance(kind, pa.UuidType) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_temporal(kind):
        return pa.int32() if kind.bit_width == 32 else pa.int64()
    return kind


def column_to_engine(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in the engine's type."""
    if pa.types.is_nested(array.type):
        values = to_json_values(array)
        ordered = _has_unordered_pairs(array.type)
        texts = [
            None if value is None else _canonical(_ordered(value, array.type) if ordered else value) for value in values
        ]
        return pa.array(texts, pa.string())
    if isinstance(array.type, pa.UuidType):
        array = array.storage
    if array.type.equals(kind):
        return array
    # Dates and times are numbers already, to be taken as they are: a cast costs seven times as much for each batch.
    return array.view(kind) if pa.types.is_temporal(array.type) else array.cast(kind)


def _canonical(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _has_unordered_pairs(kind: pa.DataType) -> bool:
    """Whether a map with keys other than texts is in it, whose entries JSON has as a list."""
    if pa.types.is_map(kind):
        return not _is_text(kind.key_type) or _has_unordered_pairs(kind.item_type)
    if pa.types.is_struct(kind):
        return any(_has_unordered_pairs(field.type) for field in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _has_unordered_pairs(kind.value_type)
    return False


def _ordered(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_map(kind):
        if _is_text(kind.key_type):
            return {key: _ordered(item, kind.item_type) for key, item in value.items()}
        pairs = [[_ordered(key, kind.key_type), _ordered(item, kind.item_type)] for key, item in value]
        return sorted(pairs, key=_canonical)
    if pa.types.is_struct(kind):
        return {field.name: _ordered(value[field.name], field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_ordered(item, kind.value_type) for item in value]
    return value


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
