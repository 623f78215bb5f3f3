"""The sort order of a table as columns that Arrow sorts by.

Arrow puts NaN beside nulls and takes zeros of both signs for one. Iceberg's order is that of Java (Iceberg spec,
"Sorting"): -0.0 before 0.0, and NaN after all numbers. So floats are sorted by whole numbers in the order of their
bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, total_ordering
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import NullOrder, SortDirection
from pyiceberg.transforms import Transform, TruncateTransform, UnknownTransform, VoidTransform
from pyiceberg.types import BinaryType, IcebergType, PrimitiveType, StructType

from app.errors import UnsupportedTableError
from app.lake.table import LakeTable

Order = tuple[tuple[int, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKey:
    """One field of a sort order: where its column is, as places in structs, and what is done to it."""

    places: tuple[int, ...]
    transform: Callable[[pa.Array], pa.Array]
    is_descending: bool
    are_nulls_first: bool

    def values(self, batch: pa.RecordBatch) -> pa.Array:
        """What Arrow sorts by, of these rows."""
        column, *inner = self.places
        array = batch.column(column)
        for place in inner:
            array = array.flatten()[place]
        return _sortable(self.transform(array))

    def order_of(self, value: Any) -> tuple[int, Any]:
        """Of a value that `values` has, what Python sorts by in the same way."""
        if value is None:
            return (0 if self.are_nulls_first else 2), 0
        return 1, _Descending(value) if self.is_descending else value


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKeys:
    """A table's sort order."""

    order_id: int
    keys: Sequence[SortKey]


def find_sort_keys(table: LakeTable) -> SortKeys | None:
    """The default order of the table; None where it is unsorted.

    Raises:
        UnsupportedTableError: it is by a transform or a column that is not known here.
    """
    order, schema = table.metadata.sort_order(), table.metadata.schema()
    keys = []
    for field in order.fields:
        if isinstance(field.transform, VoidTransform):
            continue
        places = _places_of(schema, field.source_id)
        if isinstance(field.transform, UnknownTransform) or places is None:
            raise UnsupportedTableError(
                str(table.state.name),
                "sort order",
                f"{field.transform} of column {field.source_id} cannot be sorted by",
            )
        kind = schema.find_type(field.source_id)
        keys.append(
            SortKey(
                places=places,
                transform=_transformation(field.transform, kind),
                is_descending=field.direction is SortDirection.DESC,
                are_nulls_first=field.null_order is NullOrder.NULLS_FIRST,
            )
        )
    return SortKeys(order_id=order.order_id, keys=keys) if keys else None


def _transformation(transform: Transform[Any, Any], kind: IcebergType) -> Callable[[pa.Array], pa.Array]:
    if isinstance(transform, TruncateTransform) and isinstance(kind, BinaryType):
        # pyiceberg's knows no bytes with long offsets, which is how it reads them.
        return partial(pc.binary_slice, start=0, stop=transform.width)
    return transform.pyarrow_transform(kind)


def _places_of(schema: Schema, field_id: int) -> tuple[int, ...] | None:
    """The way to a primitive through structs; None where there is none."""

    def found(kind: StructType, places: tuple[int, ...]) -> tuple[int, ...] | None:
        for place, field in enumerate(kind.fields):
            here = (*places, place)
            if field.field_id == field_id and isinstance(field.field_type, PrimitiveType):
                return here
            if isinstance(field.field_type, StructType) and (inner := found(field.field_type, here)):
                return inner
        return None

    return found(schema.as_struct(), ())


def _sortable(array: pa.Array) -> pa.Array:
    kind = array.type
    if isinstance(kind, pa.UuidType):
        return array.storage
    if pa.types.is_float32(kind):
        return _bits(array, pa.int32())
    if pa.types.is_float64(kind):
        return _bits(array, pa.int64())
    if pa.types.is_boolean(kind):
        return array.cast(pa.int8())
    if pa.types.is_temporal(kind):
        return array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return array.cast(pa.large_binary())
    return array


def _bits(array: pa.Array, kind: pa.DataType) -> pa.Array:
    most = 2 ** (kind.bit_width - 1) - 1
    bits = array.view(kind)
    # Of negative numbers the greater the bits, the less the number.
    ordered = pc.if_else(pc.less(bits, 0), pc.bit_wise_xor(bits, pa.scalar(most, kind)), bits)
    return pc.if_else(pc.is_nan(array), pa.scalar(most, kind), ordered)


@total_ordering
class _Descending:
    """A value that comes before what it is greater than."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)

    __hash__ = None  # type: ignore[assignment]
