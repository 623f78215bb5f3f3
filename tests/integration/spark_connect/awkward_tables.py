"""Tables of values that engines compare in different ways, made from a seed, and two versions of them."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)

from tests.unit.lake.local_tables import append

NAN = float("nan")
FLOATS = [0.0, -0.0, NAN, 1.5, float("inf"), -float("inf"), None]
TEXTS = ["", "a", "A", "é", "e\u0301", "a'\\`\"b", "NaN", None]
SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "single", FloatType()),
    NestedField(3, "double", DoubleType()),
    NestedField(4, "count", IntegerType()),
    NestedField(5, "price", DecimalType(9, 2)),
    NestedField(6, "text", StringType()),
    NestedField(7, "raw", BinaryType()),
    NestedField(8, "code", FixedType(3)),
    NestedField(9, "guid", UUIDType()),
    NestedField(10, "at", TimestampType()),
    NestedField(11, "when", TimestamptzType()),
    NestedField(12, "day", DateType()),
    NestedField(13, "flag", BooleanType()),
    NestedField(
        14,
        "place",
        StructType(
            NestedField(15, "zip`s", IntegerType(), required=False),
            NestedField(16, "lat", DoubleType(), required=False),
            NestedField(17, "names", ListType(18, StringType(), element_required=False), required=False),
        ),
    ),
    NestedField(19, "sizes", ListType(20, FloatType(), element_required=False)),
    NestedField(21, "prices", MapType(22, StringType(), 23, DoubleType(), value_required=False)),
    NestedField(
        24,
        "steps",
        MapType(
            25,
            IntegerType(),
            26,
            StructType(NestedField(27, "v", FloatType(), required=False)),
            value_required=False,
        ),
    ),
    identifier_field_ids=[1],
)
_POOLS: dict[str, list[Any]] = {
    "single": FLOATS,
    "double": FLOATS,
    "count": [0, 1, -(2**31), None],
    "price": [Decimal("0.00"), Decimal("-0.01"), Decimal("1234567.89"), None],
    "text": TEXTS,
    "raw": [b"", b"\x00", b"\xff\xfe", None],
    "code": [b"abc", b"\x00\x00\x00", None],
    "guid": [UUID(int=0).bytes, UUID(int=2**127 + 5).bytes, None],
    "at": [
        dt.datetime.fromisoformat("1969-12-31T23:59:59.999999"),
        dt.datetime.fromisoformat("2026-03-29T02:30"),
        None,
    ],
    "when": [dt.datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=dt.UTC), dt.datetime(1, 1, 1, tzinfo=dt.UTC), None],
    "day": [dt.date(1582, 10, 4), dt.date(2026, 1, 1), None],
    "flag": [True, False, None],
    "place": [
        {"zip`s": 1, "lat": 0.0, "names": ["a", None]},
        {"zip`s": 1, "lat": -0.0, "names": ["a", None]},
        {"zip`s": None, "lat": NAN, "names": []},
        {"zip`s": None, "lat": None, "names": ["b"]},
        None,
    ],
    "sizes": [[0.0], [-0.0], [NAN, None], [1.5, 2.5], [2.5, 1.5]],
    "prices": [
        [("a", 1.0), ("b", -0.0)],
        [("b", -0.0), ("a", 1.0)],
        [("b", 0.0), ("a", 1.0)],
        [("a", None)],
        [("a", NAN)],
    ],
    "steps": [
        [(1, {"v": 0.0}), (10, {"v": NAN})],
        [(10, {"v": NAN}), (1, {"v": 0.0})],
        [(1, {"v": -0.0}), (10, {"v": NAN})],
    ],
}


def rows(random_numbers: random.Random, ids: range) -> list[dict[str, Any]]:
    """A row for each id."""
    return [{"id": n, **{name: random_numbers.choice(pool) for name, pool in _POOLS.items()}} for n in ids]


def create(catalog: Catalog, name: str, seed: int) -> tuple[Table, int]:
    """A table whose rows changed, came and went, and the snapshot before that."""
    random_numbers = random.Random(seed)
    table = catalog.create_table(name, SCHEMA, properties={"format-version": "2"})
    old = rows(random_numbers, range(60))
    append(table, old[:30])
    append(table, old[30:])
    before = head(table)
    # Each of these differs from what it was in one column at most, and in some only by the order of a map.
    for row in old[20:50]:
        column = random_numbers.choice(list(_POOLS))
        row[column] = random_numbers.choice(_POOLS[column])
    _overwrite(table, "id >= 20", old[20:55] + rows(random_numbers, range(100, 108)))
    return table, before


def evolve(table: Table, seed: int) -> None:
    """Rename, promote, add and drop columns, and write rows in the new schema."""
    with table.update_schema() as update:
        update.rename_column("text", "Label `x`")
        update.rename_column("place.lat", "latitude")
        update.update_column("single", DoubleType())
        update.update_column("count", LongType())
        update.update_column("price", DecimalType(18, 2))
        update.update_column("sizes.element", DoubleType())
        update.add_column("note", StringType())
        update.add_column(("place", "floor"), IntegerType())
        update.delete_column("flag")
    new = rows(random.Random(seed), range(200, 203))
    for row in new:
        del row["flag"]
        row["note"] = "new"
        row["Label `x`"] = row.pop("text")
        if row["place"] is not None:
            row["place"] = {"floor": 2, "latitude": row["place"]["lat"], **row["place"]}
            del row["place"]["lat"]
    append(table, new)


def head(table: Table) -> int:
    """The current snapshot."""
    found = table.catalog.load_table(table.name()).current_snapshot()
    assert found is not None
    return int(found.snapshot_id)


def _overwrite(table: Table, condition: str, written: list[dict[str, Any]]) -> None:
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    plain = pa.schema([f.with_type(f.type.storage_type) if isinstance(f.type, pa.UuidType) else f for f in schema])
    table.overwrite(pa.Table.from_pylist(written, plain).cast(schema), overwrite_filter=condition)
