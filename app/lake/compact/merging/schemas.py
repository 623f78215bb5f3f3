"""Schemas of Parquet files, as far as merging files has to know them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from app.lake.compact.copying.footers import Footer
from app.lake.compact.merging.statistics import DOUBLE, FIXED, FLOAT, INT32, INT64, INT96
from app.lake.parquet.fields import FileFields, SchemaFields
from app.lake.parquet.row_groups import find_int
from app.lake.parquet.thrift import Struct, read_list, read_struct

_REQUIRED, _OPTIONAL, _REPEATED = 0, 1, 2
_WIDTHS = {INT32: 4, INT64: 8, INT96: 12, FLOAT: 4, DOUBLE: 8}
_LOGICAL_TYPE = 10
# What there was before logical types: written beside them by some, and meaning the same.
_CONVERTED_TYPE = 6


@dataclass(frozen=True, slots=True)
class ParquetLeaf:
    """A column of a file: its physical type, the definition level of its values, and whether it is repeated.

    `width` are the bytes of each value as plain ones, None where they differ.
    """

    physical: int
    deepest: int
    is_repeated: bool
    width: int | None


def parquet_leaves(footer: Footer) -> list[ParquetLeaf]:
    """The columns of a file, in their order.

    Raises:
        MalformedThriftError: its schema is none.
    """
    elements = iter(_elements(footer))
    root = next(elements, {})
    return list(_leaves(elements, find_int(root, SchemaFields.NUM_CHILDREN) or 0, 0, is_repeated=False))


def is_same_schema(footer: Footer, other: Footer) -> bool:
    """Whether two files have the same columns, field ids and names included, whatever they call the whole."""
    if footer.fields.get(FileFields.COLUMN_ORDERS) != other.fields.get(FileFields.COLUMN_ORDERS):
        # What least and greatest values mean depends on it.
        return False
    if footer.fields.get(FileFields.SCHEMA) == other.fields.get(FileFields.SCHEMA):
        return True
    mine, theirs = (_elements(one) for one in (footer, other))
    return len(mine) == len(theirs) and all(
        _told(one, is_root=number == 0) == _told(another, is_root=number == 0)
        for number, (one, another) in enumerate(zip(mine, theirs, strict=True))
    )


def with_required(schema: pa.Schema, footer: Footer) -> pa.Schema:
    """The schema, with those fields required that are in this file; it is the same where the file is not of it.

    Spark writes columns as required that cannot be null in the query that it writes the answer of.

    Raises:
        MalformedThriftError: the file's schema is none.
    """
    elements = iter(_elements(footer))
    next(elements, None)
    try:
        fields = [_with_required(field, elements) for field in schema]
    except StopIteration:
        return schema
    return pa.schema(fields, schema.metadata)


def _with_required(field: pa.Field, elements: Iterator[Struct]) -> pa.Field:
    is_required = find_int(next(elements), SchemaFields.REPETITION) == _REQUIRED
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([_with_required(one, elements) for one in kind])
    elif pa.types.is_map(kind):
        next(elements)  # the repeated pair
        key, item = (_with_required(one, elements) for one in (kind.key_field, kind.item_field))
        kind = pa.map_(key, item)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        next(elements)  # what is repeated
        made = pa.list_ if pa.types.is_list(kind) else pa.large_list
        kind = made(_with_required(kind.value_field, elements))
    return field.with_type(kind).with_nullable(field.nullable and not is_required)


def _told(element: Struct, *, is_root: bool) -> Struct:
    if is_root:
        return {SchemaFields.NUM_CHILDREN: element.get(SchemaFields.NUM_CHILDREN, (0, b""))}
    if _LOGICAL_TYPE in element:
        return {field_id: value for field_id, value in element.items() if field_id != _CONVERTED_TYPE}
    return element


def _elements(footer: Footer) -> Sequence[Struct]:
    return [read_struct(raw)[0] for raw in read_list(footer.fields.get(FileFields.SCHEMA))[1]]


def _leaves(elements: Iterator[Struct], count: int, depth: int, *, is_repeated: bool) -> Iterator[ParquetLeaf]:
    for _ in range(count):
        element = next(elements)
        repetition = find_int(element, SchemaFields.REPETITION) or 0
        level = depth + (repetition in (_OPTIONAL, _REPEATED))
        inner_repeated = is_repeated or repetition == _REPEATED
        physical = find_int(element, SchemaFields.TYPE)
        if physical is None:
            children = find_int(element, SchemaFields.NUM_CHILDREN) or 0
            yield from _leaves(elements, children, level, is_repeated=inner_repeated)
        else:
            width = find_int(element, SchemaFields.LENGTH) if physical == FIXED else _WIDTHS.get(physical)
            yield ParquetLeaf(physical, level, inner_repeated, width)
