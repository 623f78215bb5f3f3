"""Columns that are read as they are in the file are what the projection would make of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
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
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from app.lake import file_schemas
from app.lake.plain_columns import plain_columns, take_plain
from tests.unit.lake.local_tables import create_table, read, rewrite

VALUES: list[tuple[IcebergType, Any]] = [
    (BooleanType(), True),
    (IntegerType(), -7),
    (LongType(), 2**53 + 1),
    (FloatType(), 1.5),
    (DoubleType(), -0.0),
    (DecimalType(38, 9), Decimal("12345678901234567890.123456789")),
    (DateType(), date(2026, 1, 31)),
    (TimeType(), time(23, 59, 59, 999999)),
    (TimestampType(), datetime(2026, 1, 31, 12, 0, 0, 1)),  # noqa: DTZ001 - it has no zone
    (TimestamptzType(), datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)),
    (StringType(), "ä" * 200),
    (BinaryType(), b"\x00\xff"),
    (FixedType(3), b"abc"),
    (UUIDType(), UUID(int=2**127 + 1).bytes),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=lambda value: str(value)[:20])
def test_a_column_of_any_primitive_type_is_what_the_projection_makes_of_it(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch, kind: IcebergType, value: Any
) -> None:
    schema = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "value", kind))
    rows = [{"id": 1, "value": value}, {"id": 2, "value": None}]
    table = create_table(catalog, schema, rows)
    found: list[object] = []

    def noting(*arguments: Any) -> object:
        found.append(plain_columns(*arguments))
        return found[-1]

    monkeypatch.setattr(file_schemas, "plain_columns", noting)
    plain = read(table, None).rows
    # What is known of the file would be known still.
    file_schemas._fit.cache_clear()
    monkeypatch.setattr(file_schemas, "plain_columns", lambda *_: None)
    assert plain == read(table, None).rows
    assert len(plain) == 2
    assert found == [[0, 1]]


def test_a_renamed_column_and_another_order_are_plain(catalog: SqlCatalog) -> None:
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))
    table = create_table(catalog, schema, [{"id": 1, "name": "x"}])
    rewrite(table, [{"id": 1, "name": "x"}])
    with table.update_schema() as update:
        update.rename_column("name", "title")
        update.move_first("name")
    assert read(table, None).rows == [{"title": "x", "id": 1}]


ID = NestedField(1, "id", LongType())
FILE = pa.schema(
    [("id", pa.int64()), ("a", pa.int32()), ("t", pa.timestamp("ms")), ("p", pa.struct([("x", pa.int32())]))]
)
FILE_SCHEMA = Schema(
    ID,
    NestedField(2, "a", IntegerType()),
    NestedField(3, "t", TimestampType()),
    NestedField(4, "p", StructType(NestedField(5, "x", IntegerType()))),
)


@pytest.mark.parametrize(
    "field",
    [
        NestedField(2, "a", LongType()),
        NestedField(3, "t", TimestampType()),
        NestedField(4, "p", StructType(NestedField(5, "x", IntegerType()))),
        NestedField(5, "x", IntegerType()),
        NestedField(9, "a", IntegerType()),
        NestedField(6, "l", ListType(7, IntegerType())),
    ],
    ids=["promoted", "of another unit", "nested", "inside of another", "of another id", "not there"],
)
def test_what_has_to_be_made_of_the_file_is_not_plain(field: NestedField) -> None:
    schema = Schema(ID, field)
    arrow = schema_to_pyarrow(schema, include_field_ids=False)
    assert plain_columns(schema, arrow, FILE_SCHEMA, FILE) is None


def test_names_that_are_there_twice_are_not_plain() -> None:
    schema = Schema(ID)
    arrow = schema_to_pyarrow(schema, include_field_ids=False)
    assert plain_columns(schema, arrow, Schema(ID), pa.schema([("id", pa.int64()), ("id", pa.int64())])) is None


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_texts_are_plain_however_they_are_kept(kind: pa.DataType) -> None:
    schema = Schema(NestedField(1, "name", StringType()))
    arrow = schema_to_pyarrow(schema, include_field_ids=False)
    batch = pa.record_batch([pa.array(["x", None], kind)], ["name"])
    places = plain_columns(schema, arrow, schema, batch.schema)
    assert places == [0]
    taken = take_plain(batch, places, arrow)
    assert taken.schema.equals(arrow)
    assert taken.to_pylist() == [{"name": "x"}, {"name": None}]
