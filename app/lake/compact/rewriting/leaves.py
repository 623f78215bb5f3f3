"""The columns that a Parquet file has of a schema: one for each primitive in it, at whatever depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, ListType, MapType, PrimitiveType, StructType


class _Part(Enum):
    ELEMENTS = "elements"
    KEYS = "keys"
    VALUES = "values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A column of a file: what it is, where it is, and whether a row can have several values of it."""

    field_id: int
    kind: PrimitiveType
    path: str
    is_repeated: bool
    _steps: tuple[int | _Part, ...]

    @property
    def field_place(self) -> int:
        """The place of the field of the schema that it is, or is in."""
        place = self._steps[0]
        if not isinstance(place, int):
            raise TypeError("a schema is a struct")
        return place

    def values(self, rows: pa.Table) -> Iterator[pa.Array]:
        """Its values in these rows, chunk by chunk; nulls of what it is in are nulls of it, or no values."""
        column, *steps = self._steps
        for chunk in rows.column(column).chunks:
            values = chunk
            for step in steps:
                values = _inner(values, step)
            yield values


def leaves(schema: Schema) -> list[Leaf]:
    """All columns of a file in this schema, in their order; `schema` has the names that the file has."""
    return [
        leaf
        for place, field in enumerate(schema.fields)
        for leaf in _leaves(field.field_type, field.field_id, field.name, (place,), is_repeated=False)
    ]


def _leaves(
    kind: IcebergType, field_id: int, path: str, steps: tuple[int | _Part, ...], *, is_repeated: bool
) -> Iterator[Leaf]:
    if isinstance(kind, StructType):
        for place, field in enumerate(kind.fields):
            inner = (*steps, place)
            yield from _leaves(field.field_type, field.field_id, f"{path}.{field.name}", inner, is_repeated=is_repeated)
    elif isinstance(kind, ListType):
        inner = (*steps, _Part.ELEMENTS)
        yield from _leaves(kind.element_type, kind.element_id, f"{path}.list.element", inner, is_repeated=True)
    elif isinstance(kind, MapType):
        keys, values = (*steps, _Part.KEYS), (*steps, _Part.VALUES)
        yield from _leaves(kind.key_type, kind.key_id, f"{path}.key_value.key", keys, is_repeated=True)
        yield from _leaves(kind.value_type, kind.value_id, f"{path}.key_value.value", values, is_repeated=True)
    elif isinstance(kind, PrimitiveType):
        yield Leaf(field_id=field_id, kind=kind, path=path, is_repeated=is_repeated, _steps=steps)


def _inner(values: pa.Array, step: int | _Part) -> pa.Array:
    # `flatten` leaves out what is before a slice and what nulls hide, which `values`, `keys` and `field` do not.
    if isinstance(step, int):
        return values.flatten()[step]
    if step is _Part.ELEMENTS:
        return values.flatten()
    # Arrow flattens lists, and maps are lists of pairs.
    entries = values.cast(pa.list_(pa.struct([values.type.key_field, values.type.item_field]))).flatten()
    return entries.flatten()[0 if step is _Part.KEYS else 1]
