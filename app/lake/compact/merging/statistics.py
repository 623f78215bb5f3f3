"""Statistics of a column chunk that is made of several."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

from pyiceberg.types import BinaryType, BooleanType, DecimalType, FixedType, PrimitiveType, StringType, UUIDType

from app.lake.parquet.fields import ColumnFields, StatisticsFields
from app.lake.parquet.row_groups import find_int
from app.lake.parquet.thrift import Struct, of_bytes, of_int, read_struct, to_bytes
from app.lake.parquet.wire import FALSE, I64, STRUCT, TRUE

# Parquet's physical types.
BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = range(8)
_BYTES = (BYTE_ARRAY, FIXED)
_SIGNED = {INT32: 4, INT64: 8}
_FLOATS = {4: "<f", 8: "<d"}
_FLOATING = {FLOAT: _FLOATS[4], DOUBLE: _FLOATS[8]}
# Parquet compares these by their bytes, as unsigned numbers.
_BY_BYTES = (BinaryType, FixedType, UUIDType)

# What a value of statistics is compared by; None of one that is none.
Key = Callable[[bytes], Any]


def key_of(kind: PrimitiveType, physical: int) -> Key | None:
    """How values of a column are compared ("ColumnOrder" in parquet.thrift); None where they have no order."""
    if physical in _SIGNED:
        size = _SIGNED[physical]
        return lambda raw: int.from_bytes(raw, "little", signed=True) if len(raw) == size else None
    if physical in _FLOATING:
        return lambda raw: _floating(raw, _FLOATING[physical])
    if physical in _BYTES and isinstance(kind, DecimalType):
        return lambda raw: int.from_bytes(raw, "big", signed=True) if raw else None
    if physical in _BYTES and isinstance(kind, StringType):
        return _text
    if (physical in _BYTES and isinstance(kind, _BY_BYTES)) or (physical == BOOLEAN and isinstance(kind, BooleanType)):
        return lambda raw: raw
    return None


def merge_statistics(parts: Sequence[Struct], key: Key | None) -> Struct | None:
    """The statistics of all values of the chunks that have these; None where one does not say how many are null.

    Least and greatest values are there where each chunk has them that has any value, told by its nulls alone
    (`Chunk.has_statistics`), and all can be compared.
    """
    nulls = [find_int(part, StatisticsFields.NULL_COUNT) for part in parts]
    known = [count for count in nulls if count is not None]
    if len(known) < len(nulls):
        return None
    merged: Struct = {StatisticsFields.NULL_COUNT: of_int(I64, sum(known))}
    for field_id, exact_id, choose in (
        (StatisticsFields.MAX_VALUE, StatisticsFields.IS_MAX_VALUE_EXACT, max),
        (StatisticsFields.MIN_VALUE, StatisticsFields.IS_MIN_VALUE_EXACT, min),
    ):
        bounds = [(to_bytes(part[field_id]), part.get(exact_id)) for part in parts if field_id in part]
        keys = [key(raw) for raw, _ in bounds] if key is not None else []
        if not keys or any(one is None for one in keys):
            continue
        best = choose(range(len(keys)), key=keys.__getitem__)
        raw = bounds[best][0]
        if isinstance(keys[best], float) and keys[best] == 0:
            # Not all writers tell zeros apart: of both signs there may be some.
            raw = struct.pack(_FLOATS[len(raw)], 0.0 if choose is max else -0.0)
        merged[field_id] = of_bytes(raw)
        if all(exact is not None for _, exact in bounds):
            is_exact = bounds[best][1] == (TRUE, b"")
            merged[exact_id] = (TRUE if is_exact else FALSE, b"")
    return merged


def are_exact(column: Struct) -> bool:
    """Whether the least and the greatest value that the metadata of a chunk tells are values that there are."""
    told = read_struct(column.get(ColumnFields.STATISTICS, (STRUCT, b"\0"))[1])[0]
    flags = (StatisticsFields.IS_MAX_VALUE_EXACT, StatisticsFields.IS_MIN_VALUE_EXACT)
    return all(told.get(field_id, (TRUE, b""))[0] == TRUE for field_id in flags)


def _text(raw: bytes) -> bytes | None:
    try:
        raw.decode()
    except UnicodeDecodeError:
        # Cut off in the middle of a character.
        return None
    return raw


def _floating(raw: bytes, form: str) -> float | None:
    if len(raw) != struct.calcsize(form):
        return None
    (number,) = struct.unpack(form, raw)
    return None if math.isnan(number) else float(number)
