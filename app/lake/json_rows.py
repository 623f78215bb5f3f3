"""Arrow rows as JSON values, for every face that answers rows.

| Arrow                      | JSON                                                                                |
|----------------------------|-------------------------------------------------------------------------------------|
| bool, string               | as they are                                                                         |
| integers                   | a number, a decimal string beyond ±(2^53 - 1), which JavaScript would round         |
| float, double              | a number; ``"NaN"``, ``"Infinity"``, ``"-Infinity"``                                |
| decimal                    | a string in plain notation, with every digit of the scale                           |
| date, time, timestamp      | ISO 8601 strings; a timestamp with a zone is in UTC and ends in ``Z``               |
| uuid                       | its usual text                                                                      |
| binary, fixed              | base64                                                                              |
| struct, list               | object, array                                                                       |
| map                        | object where the keys are strings, else an array of ``[key, value]`` pairs          |
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from app.errors import JsonValue

MAX_SAFE_INTEGER = 2**53 - 1
# Beyond this scale Arrow writes small decimals in scientific notation.
_MAX_PLAIN_SCALE = 6

Item = TypeVar("Item")


def to_json_rows(batch: pa.RecordBatch) -> list[dict[str, JsonValue]]:
    """The rows of a batch as JSON objects, by the table above. Costs many times the batch's memory."""
    names = batch.schema.names
    columns = [to_json_values(column) for column in batch.columns]
    if not names:
        return [{} for _ in range(batch.num_rows)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def to_json_values(array: pa.Array) -> list[JsonValue]:
    """The values of one column as JSON, None where they are null."""
    kind = array.type
    if pa.types.is_integer(kind):
        return _integers(array)
    if pa.types.is_floating(kind):
        return [_float(value) for value in array.to_pylist()]
    if is_text_like(kind):
        return cast("list[JsonValue]", to_text(array).to_pylist())
    if pa.types.is_struct(kind):
        return _structs(array)
    if pa.types.is_map(kind):
        return _maps(array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(array)
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return cast("list[JsonValue]", array.to_pylist())
    raise TypeError(f"no Iceberg type is read as Arrow's {kind}")


def is_text_like(kind: pa.DataType) -> bool:
    """Whether the values of this type are JSON strings."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
        or is_bytes_like(kind)
    )


def is_bytes_like(kind: pa.DataType) -> bool:
    """Whether the values are bytes: binary, fixed and uuid."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or isinstance(kind, pa.UuidType)
    )


def to_text(array: pa.Array) -> pa.Array:
    """A text-like column as Arrow strings, by the table above."""
    kind = array.type
    if isinstance(kind, pa.UuidType):
        return _mapped(array.storage, lambda raw: str(UUID(bytes=raw)))
    if is_bytes_like(kind):
        return _mapped(array, lambda raw: base64.b64encode(raw).decode("ascii"))
    if pa.types.is_decimal(kind):
        if 0 <= kind.scale <= _MAX_PLAIN_SCALE:
            return array.cast(pa.string())
        return _mapped(array, lambda number: format(number, "f"))
    if pa.types.is_timestamp(kind):
        # Vectorised and without Python's limit to the years 1 to 9999.
        return pc.replace_substring(array.cast(pa.string()), " ", "T", max_replacements=1)
    return array.cast(pa.string())


def _mapped(array: pa.Array, convert: Callable[[Any], str]) -> pa.Array:
    return pa.array([None if value is None else convert(value) for value in array.to_pylist()], pa.string())


def _integers(array: pa.Array) -> list[JsonValue]:
    values: list[int | None] = array.to_pylist()
    if array.type.bit_width <= 32:
        return cast("list[JsonValue]", values)
    bounds = pc.min_max(array).as_py()
    if bounds["min"] is None or (bounds["min"] >= -MAX_SAFE_INTEGER and bounds["max"] <= MAX_SAFE_INTEGER):
        return cast("list[JsonValue]", values)
    return [
        value if value is None or -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value) for value in values
    ]


def _float(value: float | None) -> JsonValue:
    if value is None or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _structs(array: pa.StructArray) -> list[JsonValue]:
    names = [field.name for field in array.type]
    # flatten, not field: it takes the struct's own nulls and slice into account.
    children = [to_json_values(child) for child in array.flatten()]
    rows = zip(*children, strict=True) if children else iter([()] * len(array))
    return [
        dict(zip(names, row, strict=True)) if is_valid else None
        for row, is_valid in zip(rows, _validity(array), strict=True)
    ]


def _lists(array: pa.ListArray) -> list[JsonValue]:
    offsets = array.offsets.to_pylist()
    values = to_json_values(array.values.slice(offsets[0], offsets[-1] - offsets[0]))
    return list(_split(values, offsets, array))


def _maps(array: pa.MapArray) -> list[JsonValue]:
    offsets = array.offsets.to_pylist()
    length = offsets[-1] - offsets[0]
    keys = to_json_values(array.keys.slice(offsets[0], length))
    items = to_json_values(array.items.slice(offsets[0], length))
    is_object = pa.types.is_string(array.type.key_type) or pa.types.is_large_string(array.type.key_type)
    found: list[JsonValue] = []
    for entries in _split(list(zip(keys, items, strict=True)), offsets, array):
        if entries is None:
            found.append(None)
        elif is_object:
            found.append({str(key): item for key, item in entries})
        else:
            found.append([[key, item] for key, item in entries])
    return found


def _split(values: Sequence[Item], offsets: list[int], array: pa.Array) -> list[list[Item] | None]:
    base = offsets[0]
    return [
        list(values[start - base : stop - base]) if is_valid else None
        for start, stop, is_valid in zip(offsets, offsets[1:], _validity(array), strict=False)
    ]


def _validity(array: pa.Array) -> list[bool]:
    return cast("list[bool]", array.is_valid().to_pylist())
