"""What manifests say of columns, summed up."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
    UUIDType,
)

from app.errors import MissingFileError, UnknownColumnError
from app.lake.statistics import ColumnStats, column_stats
from tests.integration.equality_deletes import commit_equality_delete
from tests.unit.lake.local_tables import append, as_lake_table, create_table, delete_rows

NUMBERS = Schema(NestedField(1, "id", IntegerType()), NestedField(2, "name", StringType()))


def stats_of(table: Table, *names: str, snapshot_id: int | None = None) -> dict[str, ColumnStats]:
    asked = snapshot_id or table.metadata.current_snapshot_id
    assert asked is not None
    return {found.path: found for found in column_stats(as_lake_table(table), asked, names or None)}


def facts(stats: ColumnStats) -> tuple[int | None, int | None, Any, Any]:
    return stats.null_count, stats.value_count, stats.lower, stats.upper


def test_counts_and_bounds_are_those_of_all_files(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, [{"id": 5, "name": "b"}, {"id": None, "name": None}])
    first = table.metadata.current_snapshot_id
    append(table, [{"id": -7, "name": "a"}, {"id": 9, "name": None}])

    found = stats_of(table)

    assert facts(found["id"]) == (1, 4, -7, 9)
    assert facts(found["name"]) == (2, 4, "a", "b")
    assert found["id"].field_id == 1
    assert all(stats.size_bytes is not None and stats.size_bytes > 0 for stats in found.values())
    # An earlier snapshot has what was there then.
    assert facts(stats_of(table, snapshot_id=first)["id"]) == (1, 2, 5, 5)


@pytest.mark.parametrize(
    ("case", "kind", "values", "lower", "upper"),
    [
        ("long that JavaScript would round", LongType(), [1, 2**60], 1, str(2**60)),
        ("double", DoubleType(), [1.5, -0.25, None], -0.25, 1.5),
        ("infinity", DoubleType(), [-math.inf, math.inf], "-Infinity", "Infinity"),
        ("nan beside numbers", DoubleType(), [math.nan, 1.0], 1.0, 1.0),
        ("nan alone", DoubleType(), [math.nan], None, None),
        ("decimal", DecimalType(12, 2), [Decimal("-1.50"), Decimal("20.00")], "-1.50", "20.00"),
        ("date", DateType(), [dt.date(1969, 12, 31), dt.date(2026, 2, 15)], "1969-12-31", "2026-02-15"),
        (
            "instant",
            TimestamptzType(),
            [dt.datetime(2026, 2, 15, 10, 0, 0, 5, tzinfo=dt.UTC)],
            "2026-02-15T10:00:00.000005Z",
            "2026-02-15T10:00:00.000005Z",
        ),
        ("uuid", UUIDType(), [bytes(15) + b"\x01"], *["00000000-0000-0000-0000-000000000001"] * 2),
        ("text that is shortened", StringType(), ["x" * 40], "x" * 16, "x" * 15 + "y"),
        ("nulls alone", StringType(), [None, None], None, None),
    ],
)
def test_bounds_are_json_as_rows_are(
    catalog: SqlCatalog, case: str, kind: Any, values: list[Any], lower: object, upper: object
) -> None:
    table = create_table(catalog, Schema(NestedField(1, "value", kind)), [{"value": value} for value in values])

    found = stats_of(table)["value"]

    assert facts(found) == (values.count(None), len(values), lower, upper), case


def test_a_file_of_nulls_alone_leaves_the_bounds_to_the_others(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, [{"id": None, "name": None}])
    append(table, [{"id": 3, "name": "a"}])

    assert facts(stats_of(table)["id"]) == (1, 2, 3, 3)


def test_promoted_columns_are_summed_in_their_new_type(catalog: SqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "n", IntegerType()), NestedField(2, "x", FloatType()), NestedField(3, "price", DecimalType(9, 2))
    )
    table = create_table(catalog, schema, [{"n": -5, "x": 0.5, "price": Decimal("1.50")}])
    with table.update_schema() as update:
        update.update_column("n", LongType())
        update.update_column("x", DoubleType())
        update.update_column("price", DecimalType(18, 2))
    append(table, [{"n": 2**40, "x": 1e300, "price": Decimal("12345678901.25")}])

    found = stats_of(table)

    assert facts(found["n"]) == (0, 2, -5, 2**40)
    assert facts(found["x"]) == (0, 2, 0.5, 1e300)
    assert facts(found["price"]) == (0, 2, "1.50", "12345678901.25")


def test_renamed_columns_keep_their_statistics(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, [{"id": 1, "name": "a"}])
    first = table.metadata.current_snapshot_id
    with table.update_schema() as update:
        update.rename_column("name", "label")
    append(table, [{"id": 2, "label": "b"}])

    assert facts(stats_of(table, "label")["label"]) == (0, 2, "a", "b")
    assert facts(stats_of(table, "name", snapshot_id=first)["name"]) == (0, 1, "a", "a")


def test_what_a_file_does_not_say_is_unknown(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, [{"id": 1, "name": "a"}])
    with table.update_schema() as update:
        update.add_column("note", StringType())
    append(table, [{"id": 2, "name": "b", "note": "x"}])

    found = stats_of(table)

    assert found["note"] == ColumnStats(
        field_id=3, path="note", null_count=None, value_count=None, size_bytes=None, lower=None, upper=None
    )
    assert facts(found["id"]) == (0, 2, 1, 2)


@pytest.mark.parametrize(
    ("case", "mode", "expected"),
    [
        ("full", "full", (1, 2, "x" * 20, "x" * 20)),
        ("counts", "counts", (1, 2, None, None)),
        ("none", "none", (None, None, None, None)),
    ],
)
def test_metrics_that_were_not_written_are_unknown(
    catalog: SqlCatalog, case: str, mode: str, expected: tuple[object, ...]
) -> None:
    table = create_table(catalog, NUMBERS)
    with table.transaction() as transaction:
        transaction.set_properties({"write.metadata.metrics.column.name": mode})
    append(table, [{"id": 1, "name": "x" * 20}, {"id": 2, "name": None}])

    found = stats_of(table)

    assert facts(found["name"]) == expected, case
    assert facts(found["id"]) == (0, 2, 1, 2)


NESTED = Schema(
    NestedField(1, "id", IntegerType()),
    NestedField(2, "pair", StructType(NestedField(11, "b", StringType()), NestedField(10, "a", IntegerType()))),
    NestedField(3, "tags", ListType(12, StringType(), element_required=False)),
    NestedField(4, "by_name", MapType(14, StringType(), 13, IntegerType(), False)),
)
ROW = {"id": 1, "pair": {"a": 7, "b": "x"}, "tags": ["p", "q"], "by_name": [("k", 3)]}


@pytest.mark.parametrize(
    ("case", "names", "expected"),
    [
        ("all", [], ["id", "pair.b", "pair.a", "tags.element", "by_name.key", "by_name.value"]),
        ("struct", ["pair"], ["pair.b", "pair.a"]),
        ("part of a struct", ["pair.a"], ["pair.a"]),
        ("order of the schema", ["tags", "id"], ["id", "tags.element"]),
        ("twice", ["id", "id"], ["id"]),
    ],
)
def test_leaves_come_in_the_order_of_the_schema(
    catalog: SqlCatalog, case: str, names: list[str], expected: list[str]
) -> None:
    table = create_table(catalog, NESTED, [ROW])

    found = stats_of(table, *names)

    assert list(found) == expected, case
    assert {stats.null_count for stats in found.values()} == {0}


def test_a_column_that_was_moved_is_where_the_schema_has_it(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, [{"id": 1, "name": "a"}])
    with table.update_schema() as update:
        update.move_first("name")
    append(table, [{"name": "b", "id": 2}])

    assert list(stats_of(table)) == ["name", "id"]


@pytest.mark.parametrize("column", ["nam", "ID", "id.element", ""])
def test_an_unknown_column_is_refused(catalog: SqlCatalog, column: str) -> None:
    table = create_table(catalog, NUMBERS, [{"id": 1, "name": "a"}])

    with pytest.raises(UnknownColumnError) as refused:
        stats_of(table, "id", column)

    assert refused.value.fields["column"] == column


def test_a_column_of_a_later_schema_is_unknown_to_an_earlier_snapshot(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, [{"id": 1, "name": "a"}])
    first = table.metadata.current_snapshot_id
    with table.update_schema() as update:
        update.add_column("note", StringType())
    append(table, [{"id": 2, "name": "b", "note": "x"}])

    with pytest.raises(UnknownColumnError):
        stats_of(table, "note", snapshot_id=first)


def test_deletes_leave_the_counts_of_the_data_files(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}])

    delete_rows(table, "id", pc.field("id") == 3)
    by_position = stats_of(table)
    commit_equality_delete(catalog, table, pa.table({"id": pa.array([2], pa.int32())}))
    by_value = stats_of(table)

    assert facts(by_position["id"]) == facts(by_value["id"]) == (0, 3, 1, 3)
    assert facts(by_value["name"]) == (0, 3, "a", "c")


def test_files_that_were_removed_do_not_count(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, [{"id": 1, "name": "a"}])
    append(table, [{"id": 2, "name": "b"}])
    table.delete("id = 1")

    assert facts(stats_of(table)["id"]) == (0, 1, 2, 2)

    table.delete("id = 2")

    assert facts(stats_of(table)["id"]) == (0, 0, None, None)


def test_a_manifest_that_is_gone_is_told(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, [{"id": 1, "name": "a"}])
    head = table.current_snapshot()
    assert head is not None
    table.io.delete(head.manifests(table.io)[0].manifest_path)

    with pytest.raises(MissingFileError, match=r"sales\.orders cannot be read"):
        stats_of(table)
