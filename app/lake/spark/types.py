"""The types that Iceberg's readers have in Spark 4.0, which has no time of day and no nanoseconds."""

from __future__ import annotations

from collections.abc import Iterator

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
    ListType,
    LongType,
    MapType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)

# By their names in SQL. Uuids are texts there.
SIMPLE_TYPES: dict[type[IcebergType], str] = {
    BooleanType: "BOOLEAN",
    IntegerType: "INT",
    LongType: "BIGINT",
    FloatType: "FLOAT",
    DoubleType: "DOUBLE",
    DateType: "DATE",
    TimestampType: "TIMESTAMP_NTZ",
    TimestamptzType: "TIMESTAMP",
    StringType: "STRING",
    UUIDType: "STRING",
    BinaryType: "BINARY",
    FixedType: "BINARY",
}


def find_unknown_type(schema: Schema) -> IcebergType | None:
    """A type in the schema that Spark has not; None where it has all. It opens no table that has a column of one."""
    return next((kind for kind in types_of(schema.as_struct()) if not _is_known(kind)), None)


def types_of(kind: IcebergType) -> Iterator[IcebergType]:
    """The type, and all that are in it."""
    yield kind
    if isinstance(kind, StructType):
        for field in kind.fields:
            yield from types_of(field.field_type)
    elif isinstance(kind, ListType):
        yield from types_of(kind.element_type)
    elif isinstance(kind, MapType):
        yield from types_of(kind.key_type)
        yield from types_of(kind.value_type)


def _is_known(kind: IcebergType) -> bool:
    return isinstance(kind, (StructType, ListType, MapType, DecimalType)) or type(kind) in SIMPLE_TYPES
