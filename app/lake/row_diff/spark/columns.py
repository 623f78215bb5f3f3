"""The columns of one side in Spark's SQL: as they are compared, and in a form that Spark compares as Iceberg does.

Column `c0` has the values of the first column. Where Spark's equality is another one than that of
`app.domain.row_diffs`, columns beside it make up for that:

- Spark takes -0.0 for 0.0: `z0` says of a float or double that it is -0.0. (NaN is NaN to Spark too.)
- Spark neither compares nor groups maps: `n0` has nested values with maps as arrays of entries in order, and with each
  float in them as a struct of itself and its `z`.
"""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    ListType,
    MapType,
    NestedField,
    StructType,
    UUIDType,
)

from app.lake.json_rows import is_bytes_like, to_json_values
from app.lake.row_diff.planning import TableVersion
from app.lake.spark.names import quoted, table_name
from app.lake.spark.types import SIMPLE_TYPES, find_unknown_type, types_of


def is_readable(version: TableVersion) -> bool:
    """Whether Spark has all types of a version: it opens no table that has one of others in a column not asked for."""
    schemas = (snapshot_schema(version), version.table.metadata.schema())
    return all(find_unknown_type(schema) is None and not _has_uuid_keys(schema) for schema in schemas)


def snapshot_schema(version: TableVersion) -> Schema:
    """The schema that Spark reads a snapshot in: its own, whatever the version's is."""
    metadata = version.table.metadata
    snapshot = metadata.snapshot_by_id(version.snapshot_id)
    own_id = None if snapshot is None else snapshot.schema_id
    own = None if own_id is None else metadata.schema_by_id(own_id)
    return metadata.schema() if own is None else own


def side_query(catalog: str, version: TableVersion, wanted: Schema) -> str:
    """The rows of a version with the columns of `wanted`, by their places, and those beside them."""
    own = {field.field_id: field for field in snapshot_schema(version).fields}
    read = [
        f"{_field(own.get(field.field_id), field, None, 0)} AS c{place}" for place, field in enumerate(wanted.fields)
    ]
    shown = []
    for place, field in enumerate(wanted.fields):
        shown.append(f"c{place}")
        if is_float(field.field_type):
            shown.append(f"{_is_negative_zero(f'c{place}')} AS z{place}")
        elif is_nested(field.field_type):
            shown.append(f"{_form(field.field_type, f'c{place}', 0)} AS n{place}")
    table = f"{table_name(catalog, version.table.state.name)} VERSION AS OF {version.snapshot_id}"
    return f"SELECT {', '.join(shown)} FROM (SELECT {', '.join(read)} FROM {table})"


def is_float(kind: IcebergType) -> bool:
    """Whether values have a zero with a sign."""
    return isinstance(kind, (FloatType, DoubleType))


def is_nested(kind: IcebergType) -> bool:
    """Whether values have parts."""
    return isinstance(kind, (StructType, ListType, MapType))


def _has_uuid_keys(schema: Schema) -> bool:
    # As a text a uuid would be the name of a member in JSON, and maps with other keys are lists of pairs.
    kinds = types_of(schema.as_struct())
    return any(isinstance(kind, MapType) and isinstance(kind.key_type, UUIDType) for kind in kinds)


def _field(own: NestedField | None, wanted: NestedField, parent: str | None, depth: int) -> str:
    if own is None:
        return _literal(wanted)
    name = quoted(own.name)
    return _value(own.field_type, wanted.field_type, name if parent is None else f"{parent}.{name}", depth)


def _value(own: IcebergType, wanted: IcebergType, value: str, depth: int) -> str:
    """The expression `value` of one type as one of another: fields by their ids, with the names that are wanted."""
    if _is_same(own, wanted):
        return value
    item = f"x{depth}"
    if isinstance(own, StructType) and isinstance(wanted, StructType):
        by_id = {field.field_id: field for field in own.fields}
        fields = ", ".join(
            f"{_field(by_id.get(field.field_id), field, value, depth)} AS {quoted(field.name)}"
            for field in wanted.fields
        )
        return f"IF({value} IS NULL, NULL, struct({fields}))"
    if isinstance(own, ListType) and isinstance(wanted, ListType):
        return f"transform({value}, {item} -> {_value(own.element_type, wanted.element_type, item, depth + 1)})"
    if isinstance(own, MapType) and isinstance(wanted, MapType):
        key = _value(own.key_type, wanted.key_type, f"{item}.key", depth + 1)
        held = _value(own.value_type, wanted.value_type, f"{item}.value", depth + 1)
        return f"map_from_entries(transform(map_entries({value}), {item} -> struct({key} AS key, {held} AS value)))"
    return f"CAST({value} AS {_type_name(wanted)})"


def _is_same(own: IcebergType, wanted: IcebergType) -> bool:
    if isinstance(own, StructType) and isinstance(wanted, StructType):
        return len(own.fields) == len(wanted.fields) and all(
            mine.field_id == other.field_id and mine.name == other.name and _is_same(mine.field_type, other.field_type)
            for mine, other in zip(own.fields, wanted.fields, strict=True)
        )
    if isinstance(own, ListType) and isinstance(wanted, ListType):
        return _is_same(own.element_type, wanted.element_type)
    if isinstance(own, MapType) and isinstance(wanted, MapType):
        return _is_same(own.key_type, wanted.key_type) and _is_same(own.value_type, wanted.value_type)
    return own == wanted


def _form(kind: IcebergType, value: str, depth: int) -> str:
    item = f"x{depth}"
    if is_float(kind):
        return f"struct({value} AS v, {_is_negative_zero(value)} AS z)"
    if isinstance(kind, StructType):
        parts = ", ".join(
            f"{_form(field.field_type, f'{value}.{quoted(field.name)}', depth)} AS f{place}"
            for place, field in enumerate(kind.fields)
        )
        return f"IF({value} IS NULL, NULL, struct({parts}))"
    if isinstance(kind, ListType):
        return f"transform({value}, {item} -> {_form(kind.element_type, item, depth + 1)})"
    if isinstance(kind, MapType):
        key, held = _form(kind.key_type, f"{item}.key", depth + 1), _form(kind.value_type, f"{item}.value", depth + 1)
        return f"sort_array(transform(map_entries({value}), {item} -> struct({key} AS k, {held} AS v)))"
    return value


def _is_negative_zero(value: str) -> str:
    # Not `= 0 AND …`: Spark puts 0 for what it knows to equal 0, and the sign would be lost.
    return f"CAST({value} AS STRING) = '-0.0'"


def _literal(field: NestedField) -> str:
    """What a field is where it is not yet: its initial default, null mostly."""
    name = _type_name(field.field_type)
    if field.initial_default is None or is_nested(field.field_type):
        return f"CAST(NULL AS {name})"
    kind = schema_to_pyarrow(field.field_type)
    array = pa.array([field.initial_default], kind)
    if is_bytes_like(kind) and not isinstance(kind, pa.UuidType):
        return f"X'{array.cast(pa.binary())[0].as_py().hex()}'"
    # In hexadecimal digits, which need no quoting.
    return f"CAST(decode(X'{str(to_json_values(array)[0]).encode().hex()}', 'UTF-8') AS {name})"


def _type_name(kind: IcebergType) -> str:
    if isinstance(kind, StructType):
        return f"STRUCT<{', '.join(f'{quoted(f.name)}: {_type_name(f.field_type)}' for f in kind.fields)}>"
    if isinstance(kind, ListType):
        return f"ARRAY<{_type_name(kind.element_type)}>"
    if isinstance(kind, MapType):
        return f"MAP<{_type_name(kind.key_type)}, {_type_name(kind.value_type)}>"
    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return SIMPLE_TYPES[type(kind)]
