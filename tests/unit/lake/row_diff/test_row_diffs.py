"""What two versions of real tables differ in, row by row."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from app.domain.row_diffs import KeyFault, Method
from app.domain.version_relation import DiffSide
from app.errors import MissingFileError, UnknownColumnError
from tests.unit.lake.local_tables import append, create_table, delete_rows
from tests.unit.lake.row_diff.comparing import compare, plan, version

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "name", StringType()),
    NestedField(3, "price", DoubleType()),
    identifier_field_ids=[1],
)


def row(number: int, name: str | None = None, price: float | None = None) -> dict[str, object]:
    return {"id": number, "name": f"row {number}" if name is None else name, "price": price}


def head(table: Table) -> int:
    found = table.catalog.load_table(table.name()).current_snapshot()
    assert found is not None
    return found.snapshot_id


def replace_rows(table: Table, condition: str, rows: list[dict[str, object]]) -> None:
    """One overwrite: what meets the condition is rewritten without it, and these rows are added."""
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    table.overwrite(pa.Table.from_pylist(rows, schema), overwrite_filter=condition)


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    return create_table(catalog, SCHEMA, [row(number) for number in range(1, 6)])


def test_a_version_is_the_same_as_itself_and_nothing_is_read(table: Table) -> None:
    found = compare(version(table), version(table))
    assert found.is_empty
    assert (found.rows_from, found.rows_to, found.method, found.bytes_read) == (5, 5, Method.METADATA, 0)


def test_appended_rows_are_counted_without_reading_and_shown_by_reading_one_file(table: Table) -> None:
    before = head(table)
    append(table, [row(6), row(7)])
    append(table, [row(8)])
    counted = compare(version(table, before), version(table), sample_size=0)
    assert (counted.rows_added, counted.rows_removed, counted.rows_changed) == (3, 0, 0)
    assert (counted.method, counted.bytes_read, counted.files_read) == (Method.METADATA, 0, 0)
    assert counted.sample.is_truncated
    shown = compare(version(table, before), version(table), sample_size=1)
    assert shown.files_read == 1
    assert len(shown.sample.added) == 1


def test_changed_added_and_removed_rows_are_told_apart_by_key(table: Table) -> None:
    before = head(table)
    replace_rows(table, "id >= 4", [row(4, "new name"), row(6)])
    found = compare(version(table, before), version(table))
    assert found.method is Method.KEYS
    assert found.keys == ("id",)
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (1, 1, 1)
    assert [added["id"] for added in found.sample.added] == [6]
    assert [removed["id"] for removed in found.sample.removed] == [5]
    (change,) = found.sample.changed
    assert (change.key, change.columns) == ({"id": 4}, ("name",))
    assert (change.before["name"], change.after["name"]) == ("row 4", "new name")
    assert not found.sample.is_truncated
    assert found.keys_checked > 0


def test_without_keys_rows_are_a_multiset_and_duplicates_count(table: Table) -> None:
    before = head(table)
    replace_rows(table, "id >= 4", [row(4), row(4), row(4), row(5, "other")])
    found = compare(version(table, before), version(table), keys=())
    assert found.method is Method.MULTISET
    assert found.rows_changed is None
    assert (found.rows_added, found.rows_removed) == (3, 1)
    assert [shown["id"] for shown in found.sample.added] == [4, 4, 5]


def test_keys_that_are_not_unique_are_told_with_an_example(table: Table) -> None:
    before = head(table)
    replace_rows(table, "id >= 4", [row(4, "a"), row(4, "b")])
    for ours, theirs, side in (
        (version(table, before), version(table), DiffSide.TO),
        (version(table), version(table, before), DiffSide.FROM),
    ):
        found = compare(ours, theirs)
        assert found.key_problem is not None
        assert (found.key_problem.fault, found.key_problem.side) == (KeyFault.NOT_UNIQUE, side)
        assert found.key_problem.example == {"id": 4}
        assert found.rows_changed is None
        assert found.rows_added + found.rows_removed == 4


def test_keys_with_nulls_are_told_with_an_example(table: Table) -> None:
    before = head(table)
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    rows = pa.Table.from_pylist([{"id": 4, "name": None, "price": None}], schema)
    table.overwrite(rows, overwrite_filter="id >= 4")
    found = compare(version(table, before), version(table), keys=["name"])
    assert found.key_problem is not None
    assert (found.key_problem.fault, found.key_problem.example) == (KeyFault.HAS_NULL, {"name": None})


def test_a_key_that_no_version_has_is_refused_with_the_closest_names(table: Table) -> None:
    with pytest.raises(UnknownColumnError, match="Did you mean 'name'"):
        compare(version(table), version(table), keys=["nmae"])


def test_rows_deleted_by_position_are_read_alone(table: Table) -> None:
    append(table, [row(number) for number in range(10, 20)])
    before = head(table)
    delete_rows(table.catalog.load_table(table.name()), "id", pc.field("id").isin([2, 12]))
    planned = plan(version(table, before), version(table))
    assert [part.rows for part in planned.from_side.parts] == [1, 1]
    found = compare(version(table, before), version(table))
    assert (found.rows_from, found.rows_to) == (15, 13)
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (0, 2, 0)
    assert sorted(shown["id"] for shown in found.sample.removed) == [2, 12]  # type: ignore[type-var]
    mirrored = compare(version(table), version(table, before))
    assert (mirrored.rows_added, mirrored.rows_removed) == (2, 0)


def test_zeros_with_a_sign_differ_and_nan_is_nan(table: Table) -> None:
    replace_rows(table, "id >= 1", [row(1, price=0.0), row(2, price=math.nan), row(3, price=None)])
    before = head(table)
    replace_rows(table, "id >= 1", [row(1, price=-0.0), row(2, price=math.nan), row(3, price=None)])
    found = compare(version(table, before), version(table))
    assert [change.key for change in found.sample.changed] == [{"id": 1}]
    assert str(found.sample.changed[0].before["price"]) == "0.0"
    assert str(found.sample.changed[0].after["price"]) == "-0.0"
    as_multisets = compare(version(table, before), version(table), keys=())
    assert (as_multisets.rows_added, as_multisets.rows_removed) == (1, 1)


def test_a_file_that_is_gone_is_named_and_nothing_is_answered(table: Table) -> None:
    before = head(table)
    replace_rows(table, "id >= 4", [row(4, "new name")])
    (task, *_) = table.catalog.load_table(table.name()).scan().plan_files()
    path = Path(task.file.file_path.removeprefix("file://"))
    path.unlink()
    with pytest.raises(MissingFileError, match=path.name):
        compare(version(table, before), version(table))
