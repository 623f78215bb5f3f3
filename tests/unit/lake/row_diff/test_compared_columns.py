"""By which columns two versions are compared, and which columns can be keys."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import (
    BinaryType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
)

from app.domain.row_diffs import Method
from app.errors import InvalidArgumentError, UnknownColumnError, UnsupportedTableError
from tests.unit.lake.local_tables import append, create_table
from tests.unit.lake.row_diff.comparing import compare, version

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "a", StringType()),
    NestedField(3, "b", StringType()),
    NestedField(4, "s", StructType(NestedField(5, "x", LongType()))),
    identifier_field_ids=[1],
)


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    return create_table(catalog, SCHEMA, [{"id": 1, "a": "one", "b": None, "s": {"x": 1}}])


def head(table: Table) -> int:
    table.refresh()
    found = table.current_snapshot()
    assert found is not None
    return found.snapshot_id


def other_table(catalog: SqlCatalog, schema: Schema, rows: list[dict[str, object]], name: str = "other") -> Table:
    made = catalog.create_table(f"sales.{name}", schema)
    append(made, rows)
    return made


def test_a_name_that_went_to_another_column_makes_no_name_come_twice(table: Table) -> None:
    before = head(table)
    with table.update_schema() as update:
        update.rename_column("a", "c")
    with table.update_schema() as update:
        update.add_column("a", LongType())
    append(table, [{"id": 2, "c": "two", "b": None, "s": None, "a": 7}])
    forth = compare(version(table, before), version(table))
    back = compare(version(table), version(table, before))
    expected = {"id": 2, "c": "two", "b": None, "s": None, "a": 7}
    assert dict(forth.sample.added[0]) == dict(back.sample.removed[0]) == expected
    assert (forth.not_compared, back.not_compared) == ((), ())


def test_a_column_that_was_dropped_is_not_compared_though_the_schema_has_an_old_number(table: Table) -> None:
    # given a column that was added, filled and dropped again, so that the schema is the first one
    with table.update_schema() as update:
        update.add_column("note", StringType())
    append(table, [{"id": 2, "a": "two", "b": None, "s": None, "note": "filled"}])
    with_note = head(table)
    with table.update_schema() as update:
        update.delete_column("note")
    append(table, [{"id": 3, "a": "three", "b": None, "s": None}])
    assert table.schema().schema_id == 0
    # then it is not there *any more*, whether as the current schema or as that of a snapshot
    for after in (version(table), version(table, head(table))):
        found = compare(version(table, with_note), after)
        assert found.not_compared == ("note",)
        assert (found.rows_added, found.rows_removed, found.rows_changed) == (1, 0, 0)
        assert compare(after, version(table, with_note)).not_compared == ("note",)


def test_a_column_that_is_new_is_null_in_the_earlier_version(table: Table) -> None:
    before = head(table)
    with table.update_schema() as update:
        update.add_column("note", StringType())
        update.add_column(("s", "y"), LongType())
    row = {"id": 1, "a": "one", "b": None, "s": {"x": 1, "y": None}, "note": "filled"}
    table.overwrite(pa.Table.from_pylist([row], schema_to_pyarrow(table.schema(), include_field_ids=False)))
    for found in (compare(version(table, before), version(table)), compare(version(table), version(table, before))):
        assert (found.rows_added, found.rows_removed, found.rows_changed) == (0, 0, 1)
        assert found.sample.changed[0].columns == ("note",)
        assert found.not_compared == ()


def test_a_renamed_key_can_be_named_either_way(table: Table) -> None:
    before = head(table)
    with table.update_schema() as update:
        update.rename_column("id", "number")
    append(table, [{"number": 2, "a": "two", "b": None, "s": None}])
    for name in ("id", "number"):
        found = compare(version(table, before), version(table), keys=[name])
        assert found.keys == ("number",)
    with pytest.raises(InvalidArgumentError, match="twice"):
        compare(version(table, before), version(table), keys=["id", "number"])


def test_a_column_that_one_version_lacks_is_no_key(table: Table) -> None:
    before = head(table)
    with table.update_schema() as update:
        update.add_column("added", LongType())
        update.delete_column("b")
    append(table, [{"id": 2, "a": "two", "s": None, "added": 1}])
    for name in ("added", "b"):
        for sides in ((before, None), (None, before)):
            with pytest.raises(InvalidArgumentError, match=f"'{name}' cannot be a key: only one of the versions"):
                compare(version(table, sides[0]), version(table, sides[1]), keys=[name])


def test_a_column_that_was_dropped_and_made_again_is_no_key(table: Table) -> None:
    before = head(table)
    for change in (lambda update: update.delete_column("a"), lambda update: update.add_column("a", StringType())):
        with table.update_schema() as update:
            change(update)
    append(table, [{"id": 2, "a": "two", "b": None, "s": None}])
    with pytest.raises(InvalidArgumentError, match="only one of the versions"):
        compare(version(table, before), version(table), keys=["a"])
    found = compare(version(table, before), version(table))
    assert found.not_compared == ("a",)


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        ("s.x", InvalidArgumentError, "part of another column"),
        ("s", InvalidArgumentError, "struct<x: long>, which cannot be a key"),
        ("ID", UnknownColumnError, "no column 'ID'"),
        ("", UnknownColumnError, "no column ''"),
        ("x" * 1000, UnknownColumnError, "no column 'x{120}'"),
    ],
)
def test_what_is_no_column_of_its_own_is_no_key(table: Table, key: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        compare(version(table), version(table), keys=[key])


def test_identifier_fields_in_a_struct_leave_rows_to_be_counted(catalog: SqlCatalog) -> None:
    inner = StructType(NestedField(3, "id", LongType(), required=True))
    schema = Schema(NestedField(1, "s", inner, required=True), identifier_field_ids=[3])
    table = create_table(catalog, schema, [{"s": {"id": 1}}])
    before = head(table)
    append(table, [{"s": {"id": 2}}])
    found = compare(version(table, before), version(table))
    assert (found.keys, found.rows_changed, found.rows_added) == ((), None, 1)


def test_two_tables_are_compared_by_name_whatever_the_order_and_the_ids(table: Table, catalog: SqlCatalog) -> None:
    schema = Schema(
        NestedField(1, "b", StringType()),
        NestedField(2, "s", StructType(NestedField(3, "x", LongType()), NestedField(4, "more", LongType()))),
        NestedField(5, "id", IntegerType(), required=True),
        NestedField(6, "extra", StringType()),
        identifier_field_ids=[5],
    )
    rows = [
        {"id": 1, "b": "changed", "s": {"x": 1, "more": 2}, "extra": "e"},
        {"id": 2, "b": None, "s": None, "extra": ""},
    ]
    other = other_table(catalog, schema, rows)
    found = compare(version(table), version(other))
    assert (found.rows_from, found.rows_to) == (1, 2)
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (1, 0, 1)
    assert sorted(found.not_compared) == ["a", "extra", "s.more"]
    assert found.sample.changed[0].columns == ("b",)
    assert dict(found.sample.added[0]) == {"id": 2, "b": None, "s": None}
    back = compare(version(other), version(table))
    assert (back.rows_added, back.rows_removed, back.rows_changed) == (0, 1, 1)
    assert sorted(back.not_compared) == ["a", "extra", "s.more"]


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (LongType(), StringType(), "long in one and string in the other"),
        (StringType(), BinaryType(), "string in one and binary in the other"),
        (DecimalType(9, 2), DecimalType(18, 4), "decimal"),
        (DecimalType(9, 4), DecimalType(18, 2), "decimal"),
        (LongType(), DoubleType(), "long in one and double in the other"),
        (ListType(9, LongType()), ListType(9, StringType()), "v.element is of type long in one and string"),
        (StructType(NestedField(9, "x", LongType())), LongType(), "struct<x: long> in one and long"),
    ],
    ids=str,
)
def test_tables_with_a_column_of_two_types_are_refused(
    catalog: SqlCatalog, ours: IcebergType, theirs: IcebergType, words: str
) -> None:
    sides = []
    for name, kind in (("one", ours), ("two", theirs)):
        schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "v", kind))
        sides.append(version(other_table(catalog, schema, [{"id": 1, "v": None}], name)))
    for before, after in (sides, reversed(sides)):
        with pytest.raises(UnsupportedTableError, match="tables of different schemas"):
            compare(before, after)
    with pytest.raises(UnsupportedTableError, match=words):
        compare(*sides)


def test_decimals_of_one_scale_are_compared_by_value(catalog: SqlCatalog) -> None:
    sides = []
    for name, precision in (("one", 9), ("two", 38)):
        schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "v", DecimalType(precision, 2)))
        sides.append(version(other_table(catalog, schema, [{"id": 1, "v": Decimal("1.50")}], name)))
    found = compare(*sides)
    assert found.is_empty
    assert found.method is Method.MULTISET


def test_a_key_that_one_of_two_tables_lacks_is_told_of_that_table(table: Table, catalog: SqlCatalog) -> None:
    other = other_table(catalog, Schema(NestedField(1, "id", LongType())), [{"id": 1}])
    for sides in ((table, other), (other, table)):
        with pytest.raises(UnknownColumnError, match=r"sales\.other has no column 'a'"):
            compare(version(sides[0]), version(sides[1]), keys=["a"])


def test_tables_without_a_column_in_common_are_refused(table: Table, catalog: SqlCatalog) -> None:
    other = other_table(catalog, Schema(NestedField(1, "z", LongType())), [{"z": 1}])
    with pytest.raises(UnsupportedTableError, match="no column in common"):
        compare(version(table), version(other))


def test_versions_without_a_column_in_common_are_refused(catalog: SqlCatalog) -> None:
    table = create_table(catalog, Schema(NestedField(1, "id", LongType())), [{"id": 1}])
    before = head(table)
    with table.update_schema() as update:
        update.add_column("n", LongType())
    append(table, [{"id": 1, "n": 1}])
    with table.update_schema() as update:
        update.delete_column("id")
    append(table, [{"n": 1}])
    # What is new since is null in the first one; but what both have had and one has dropped is not compared.
    assert compare(version(table, before), version(table)).not_compared == ("id",)
    with table.update_schema() as update:
        update.add_column("m", LongType())
        update.delete_column("n")
    append(table, [{"m": 1}])
    middle = table.metadata.snapshots[1].snapshot_id
    assert compare(version(table, middle), version(table)).not_compared == ("id", "n")
