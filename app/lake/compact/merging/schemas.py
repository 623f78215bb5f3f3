"""Schemas of Parquet files, as far as merging files has to know them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.lake.compact.copying.fields import FileFields, SchemaFields
from app.lake.compact.copying.footers import Footer
from app.lake.compact.copying.row_groups import find_int
from app.lake.compact.copying.thrift import Struct, read_list, read_struct

_OPTIONAL, _REPEATED = 1, 2
_LOGICAL_TYPE = 10
# What there was before logical types: written beside them by some, and meaning the same.
_CONVERTED_TYPE = 6


@dataclass(frozen=True, slots=True)
class ParquetLeaf:
    """A column of a file: its physical type, the definition level of its values, and whether it is repeated."""

    physical: int
    deepest: int
    is_repeated: bool


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
            yield ParquetLeaf(physical, level, inner_repeated)
