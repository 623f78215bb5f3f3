"""The spans of columns in data files, from the bounds that their manifests tell."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    IcebergType,
    IntegerType,
    LongType,
    PrimitiveType,
    StringType,
    TimestampNanoType,
    TimestampType,
    TimestamptzNanoType,
    TimestamptzType,
    TimeType,
)

from app.domain.row_ranges import UNKNOWN, Group, Span, group_overlapping

# Floats are not among them, whose bounds leave NaN out; nor uuids, which writers order in two ways.
_ORDERED = (
    BinaryType,
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
    TimeType,
    TimestampNanoType,
    TimestampType,
    TimestamptzNanoType,
    TimestamptzType,
)


def spans_of(files: Sequence[DataFile], field_id: int, kind: IcebergType) -> list[Span]:
    """The span of a column in each file; of types without a plain order all are unknown."""
    if not isinstance(kind, _ORDERED):
        return [UNKNOWN] * len(files)
    return [_span(file, field_id, kind) for file in files]


def best_groups(candidates: Sequence[tuple[list[Span], list[Span]]], rows: tuple[list[int], list[int]]) -> list[Group]:
    """Of the groups that each column makes, those with the least rows to read; of several, those with most groups."""
    grouped = [group_overlapping(*spans) for spans in candidates]
    everything = group_overlapping([UNKNOWN] * len(rows[0]), [UNKNOWN] * len(rows[1]))
    return min([everything, *grouped], key=lambda groups: (_to_read(groups, rows), -len(groups)))


def _to_read(groups: Sequence[Group], rows: tuple[list[int], list[int]]) -> int:
    return sum(
        sum(rows[0][place] for place in group.from_places) + sum(rows[1][place] for place in group.to_places)
        for group in groups
        if not group.is_one_sided
    )


def _span(file: DataFile, field_id: int, kind: PrimitiveType) -> Span:
    counts, nulls = file.value_counts or {}, file.null_value_counts or {}
    null_count = nulls.get(field_id)
    has_nulls = null_count is None or null_count > 0
    if null_count is not None and null_count == counts.get(field_id, file.record_count):
        # Nulls alone, which have no bounds: in the group of nulls, wherever that is.
        return UNKNOWN
    lower, upper = _bound(file.lower_bounds, field_id), _bound(file.upper_bounds, field_id)
    if lower is None or upper is None:
        return UNKNOWN
    try:
        least, greatest = _comparable(kind, lower), _comparable(kind, upper)
    except (ValueError, struct.error):
        # Of another width than the type's, as some writers leave them: the rows can be read all the same.
        return UNKNOWN
    # Bounds that contradict each other bound nothing.
    return UNKNOWN if greatest < least else Span(lower=least, upper=greatest, has_nulls=has_nulls)


def _bound(bounds: dict[int, bytes] | None, field_id: int) -> bytes | None:
    return (bounds or {}).get(field_id)


def _comparable(kind: PrimitiveType, raw: bytes) -> Any:
    # Texts by their bytes, as Iceberg orders them, which may have been cut off in the middle of a character.
    return bytes(raw) if isinstance(kind, StringType) else from_bytes(kind, raw)
