"""The metrics of a data file with the rows of several, from those of each."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.manifest import DataFile
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
    LongType,
    StringType,
    TimestampNanoType,
    TimestampType,
    TimestamptzNanoType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

# What bounds are compared by, None where they say nothing. Several: the order is one that is disputed, and only a bound
# that is the least, or the greatest, in each of them is one.
_Keys = Callable[[bytes], tuple[Any, ...] | None]
_Counts = Callable[[DataFile], Mapping[int, int] | None]
_Bounds = Callable[[DataFile], Mapping[int, bytes] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Metrics by field id, as a manifest has them; what is not known of a column is not there."""

    column_sizes: dict[int, int] = field(default_factory=dict)
    value_counts: dict[int, int] = field(default_factory=dict)
    null_value_counts: dict[int, int] = field(default_factory=dict)
    nan_value_counts: dict[int, int] = field(default_factory=dict)
    lower_bounds: dict[int, bytes] = field(default_factory=dict)
    upper_bounds: dict[int, bytes] = field(default_factory=dict)


def merge_metrics(files: Sequence[DataFile], schemas: Sequence[Schema]) -> Metrics:
    """The metrics of all rows of these files together, no less true than those of each, and exact where these are.

    `schemas` are those of the table: the type of a column that is in several is that of the last. Counts and sizes are
    sums; `column_sizes` those of a file that has the column chunks of all. Where a file with rows does not tell of a
    column, neither does the answer; but for bounds it is enough that it has nulls and NaN alone there.

    Bounds are compared in Iceberg's order ("Data File Fields" and appendix D of its specification): texts by their
    bytes, -0.0 before 0.0. A NaN among the bounds of a column, which the specification forbids, leaves it without any,
    and so do types that have no order. UUIDs were compared as signed numbers by some writers: a bound of theirs stays
    where that makes no difference.
    """
    told = [file for file in files if file.record_count]
    types = {field_id: schema.find_type(field_id) for schema in schemas for field_id in schema.field_ids}
    lower, upper = _merged_bounds(told, types)
    return Metrics(
        column_sizes=_summed(told, lambda file: file.column_sizes),
        value_counts=_summed(told, lambda file: file.value_counts),
        null_value_counts=_summed(told, lambda file: file.null_value_counts),
        nan_value_counts=_summed(told, lambda file: file.nan_value_counts),
        lower_bounds=lower,
        upper_bounds=upper,
    )


def _summed(files: Sequence[DataFile], counts_of: _Counts) -> dict[int, int]:
    found = [counts_of(file) or {} for file in files]
    if not found:
        return {}
    common = set(found[0]).intersection(*found[1:])
    return {field_id: sum(counts[field_id] for counts in found) for field_id in sorted(common)}


def _merged_bounds(
    files: Sequence[DataFile], types: Mapping[int, IcebergType]
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    lower: dict[int, bytes] = {}
    upper: dict[int, bytes] = {}
    bounded = {field_id for file in files for field_id in (*(file.lower_bounds or {}), *(file.upper_bounds or {}))}
    for field_id in sorted(bounded):
        keys = _keys_of(types.get(field_id))
        bounds = [(file.lower_bounds or {}).get(field_id) for file in files]
        bounds += [(file.upper_bounds or {}).get(field_id) for file in files]
        if keys is None or any(bound is not None and keys(bound) is None for bound in bounds):
            continue
        lowest = _outermost(files, field_id, keys, lambda file: file.lower_bounds, min)
        if lowest is not None:
            lower[field_id] = lowest
        greatest = _outermost(files, field_id, keys, lambda file: file.upper_bounds, max)
        if greatest is not None:
            upper[field_id] = greatest
    return lower, upper


def _outermost(
    files: Sequence[DataFile], field_id: int, keys: _Keys, bounds_of: _Bounds, choose: Callable[..., bytes]
) -> bytes | None:
    found: list[bytes] = []
    for file in files:
        bound = (bounds_of(file) or {}).get(field_id)
        if bound is not None:
            found.append(bound)
        elif not _has_no_values(file, field_id):
            return None
    if not found:
        return None
    orders = range(len(keys(found[0]) or ()))
    chosen = {choose(found, key=lambda bound, order=order: (keys(bound) or ())[order]) for order in orders}
    return chosen.pop() if len(chosen) == 1 else None


def _has_no_values(file: DataFile, field_id: int) -> bool:
    """Whether all values are null or NaN, which bounds do not tell of."""
    values = (file.value_counts or {}).get(field_id)
    nulls = (file.null_value_counts or {}).get(field_id)
    if values is None or nulls is None:
        return False
    return values == nulls + (file.nan_value_counts or {}).get(field_id, 0)


def _keys_of(kind: IcebergType | None) -> _Keys | None:
    if isinstance(kind, (StringType, BinaryType, FixedType)):
        return lambda bound: (bound,)
    if isinstance(kind, UUIDType):
        return _uuid_keys
    if isinstance(kind, DecimalType):
        return lambda bound: (int.from_bytes(bound, "big", signed=True),) if bound else None
    if isinstance(kind, (FloatType, DoubleType)):
        return _float_keys
    return _WHOLE.get(type(kind))


def _whole_keys(*sizes: int) -> _Keys:
    return lambda bound: (int.from_bytes(bound, "little", signed=True),) if len(bound) in sizes else None


_WHOLE: dict[type, _Keys] = {
    BooleanType: _whole_keys(1),
    IntegerType: _whole_keys(4),
    # Files that were written before their column was promoted have bounds of the type before.
    LongType: _whole_keys(4, 8),
    DateType: _whole_keys(4),
    TimeType: _whole_keys(8),
    TimestampType: _whole_keys(8),
    TimestamptzType: _whole_keys(8),
    TimestampNanoType: _whole_keys(8),
    TimestamptzNanoType: _whole_keys(8),
}


def _float_keys(bound: bytes) -> tuple[Any, ...] | None:
    if len(bound) not in (4, 8):
        return None
    (number,) = struct.unpack("<f" if len(bound) == 4 else "<d", bound)
    return None if math.isnan(number) else ((number, math.copysign(1, number)),)


def _uuid_keys(bound: bytes) -> tuple[Any, ...] | None:
    return (bound, struct.unpack(">qq", bound)) if len(bound) == 16 else None
