"""How the schema of a data file fits the one that it is read in: worked out once for all files that are alike.

Those of a table mostly are, and of a file of a hundred kilobytes it takes as long as decoding its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, TypeVar

import pyarrow as pa
from pyiceberg.io.pyarrow import pyarrow_to_schema, schema_to_pyarrow
from pyiceberg.schema import Schema, prune_columns
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.name_mapping import MappedField, parse_mapping_from_json
from pyiceberg.typedef import TableVersion
from pyiceberg.types import ListType, MapType

from app.lake.plain_columns import plain_columns

Value = TypeVar("Value")

# So many are remembered. Of a table of a thousand columns each is a megabyte.
_MOST = 32
NAME_MAPPING = "schema.name-mapping.default"
_FIELD_ID = b"PARQUET:field_id"


class _Same(Generic[Value]):
    """A key for what cannot be hashed and never changes: equal to itself alone, which it keeps alive."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedSchema:
    """A file's schema with field ids, and which of its columns are to be read; at least one, unless it has none.

    Where it `is_in_utc` no instants have another zone, of which `of_file` knows nothing.
    """

    of_file: Schema
    columns: list[str]
    is_in_utc: bool
    _read: Schema
    _plain: dict[bytes, Sequence[int] | None] = field(default_factory=dict)

    def plain_columns(self, batch: pa.Schema) -> Sequence[int] | None:
        """Where in batches of this schema the columns are; see `app.lake.plain_columns`."""
        key = batch.serialize().to_pybytes()
        if key not in self._plain:
            self._plain[key] = plain_columns(self._read, to_arrow_schema(self._read), self.of_file, batch)
        return self._plain[key]


def to_arrow_schema(schema: Schema) -> pa.Schema:
    """The schema in which Arrow holds rows of this one."""
    return _to_arrow_schema(_Same(schema))


def fit_schema(physical: pa.Schema, metadata: TableMetadata, read: Schema) -> FittedSchema:
    """How a file of this schema is to be read in `read`; costs a few microseconds where one like it was before.

    Raises:
        ValueError: it has neither field ids nor names that the table's name mapping knows.
    """
    mapping = metadata.properties.get(NAME_MAPPING) or None
    return _fit(physical.serialize().to_pybytes(), mapping, metadata.format_version, _Same(read))


@lru_cache(_MOST)
def _to_arrow_schema(schema: _Same[Schema]) -> pa.Schema:
    return schema_to_pyarrow(schema.value, include_field_ids=False)


@lru_cache(_MOST)
def _fit(physical: bytes, mapping: str | None, format_version: TableVersion, read: _Same[Schema]) -> FittedSchema:
    of_file, names, is_in_utc = _of_file(physical, mapping, format_version)
    present = prune_columns(of_file, _leaf_ids(read.value), select_full_types=False)
    # At least one, or else nothing says how many rows there are.
    columns = [column.name for column in present.columns] or names[:1]
    return FittedSchema(of_file=of_file, columns=columns, is_in_utc=is_in_utc, _read=read.value)


@lru_cache(_MOST)
def _of_file(physical: bytes, mapping: str | None, format_version: TableVersion) -> tuple[Schema, list[str], bool]:
    in_file = pa.ipc.read_schema(pa.py_buffer(physical))
    in_arrow = in_utc(in_file)
    by_name = None if mapping is None else parse_mapping_from_json(mapping)
    has_ids = any(_FIELD_ID in (column.metadata or {}) for column in in_arrow)
    of_file = pyarrow_to_schema(
        in_arrow if by_name is None or has_ids else pa.schema(_mapped(in_arrow, by_name)),
        by_name,
        # Before version 3, nanoseconds are not Iceberg's: files that others wrote with them hold microseconds to us.
        downcast_ns_timestamp_to_us=is_downcast(format_version),
        format_version=format_version,
    )
    return of_file, in_arrow.names, in_arrow is in_file


def _mapped(fields: Iterable[pa.Field], mapping: Iterable[MappedField]) -> list[pa.Field]:
    """The fields that a name mapping has: any others are none of the table's, and pyiceberg would not read the file."""
    by_name = {name: mapped for mapped in mapping for name in mapped.names}
    return [_with_mapped_parts(field, by_name[field.name]) for field in fields if field.name in by_name]


def _with_mapped_parts(field: pa.Field, mapped: MappedField) -> pa.Field:
    return field.with_type(pa.struct(_mapped(field.type, mapped.fields))) if pa.types.is_struct(field.type) else field


def in_utc(physical: pa.Schema) -> pa.Schema:
    """A file's schema with all timestamps that have a zone in UTC; itself where they are.

    They are instants in any zone: that of the machine they were written on, which pandas keeps, is not Iceberg's.
    """
    fields = [field.with_type(_in_utc(field.type)) for field in physical]
    return physical if all(map(pa.Field.equals, fields, physical)) else pa.schema(fields, physical.metadata)


def _in_utc(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp(kind.unit, "UTC")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_in_utc(field.type)) for field in kind])
    if pa.types.is_map(kind):
        item = kind.item_field
        return pa.map_(kind.key_field.with_type(_in_utc(kind.key_type)), item.with_type(_in_utc(kind.item_type)))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        value = kind.value_field.with_type(_in_utc(kind.value_type))
        return pa.large_list(value) if pa.types.is_large_list(kind) else pa.list_(value)
    return kind


def is_downcast(format_version: int) -> bool:
    """Whether nanoseconds in files are microseconds to the table."""
    return format_version <= 2


def _leaf_ids(schema: Schema) -> set[int]:
    return {
        field_id for field_id in schema.field_ids if not isinstance(schema.find_type(field_id), (MapType, ListType))
    }
