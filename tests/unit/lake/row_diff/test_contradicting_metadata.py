"""Differences of versions whose metadata does not hold what it promises: the rows are what readers see."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import IntegerType, LongType, NestedField, PrimitiveType, StringType

from app.domain.row_diffs import Method, RowDiff
from app.domain.version_relation import relate
from app.lake.file_diffs import diff_files
from tests.unit.lake.local_tables import append, create_table
from tests.unit.lake.row_diff.comparing import compare, load, version
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_data_files, write_position_deletes

PLAIN = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))


def head(table: Table) -> int:
    table.refresh()
    found = table.current_snapshot()
    assert found is not None
    return found.snapshot_id


def arrow(table: Table, rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema_to_pyarrow(table.schema(), include_field_ids=False))


def compacted(table: Table, rows: list[dict[str, object]]) -> int:
    """A `replace` snapshot with these rows instead of all that there are."""
    old = [task.file for task in table.scan().plan_files()]
    new = [file for file, _ in write_data_files(table, arrow(table, rows))]
    return commit_files(table, Operation.REPLACE, remove=old, add=new)


def counts(found: RowDiff) -> tuple[int, int, int, int]:
    return found.rows_from, found.rows_to, found.rows_removed, found.rows_added


def is_rewritten_only(table: Table, from_id: int, to_id: int) -> bool:
    loaded = load(table)
    return diff_files(loaded, from_id, to_id, relate(loaded.state.history, from_id, to_id)).is_rewritten_only


@pytest.mark.parametrize("keys", [("id",), ()], ids=["keyed", "multiset"])
def test_a_file_that_is_live_twice_has_its_rows_twice_whatever_it_is_compared_with(
    catalog: SqlCatalog, keys: tuple[str, ...]
) -> None:
    # Given a version with a file twice, and one with all other files
    table = create_table(catalog, PLAIN, [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}])
    (file,) = (task.file for task in table.scan().plan_files())
    twice = commit_files(table, Operation.APPEND, add=[file])
    once = commit_files(
        table,
        Operation.OVERWRITE,
        remove=[file],
        add=[made for made, _ in write_data_files(table, arrow(table, [{"id": 1, "name": "x"}]))],
    )
    assert len(table.scan(snapshot_id=twice).to_arrow()) == 4

    # Then all of its rows are compared
    found = compare(version(table, twice), version(table, once), keys)
    mirrored = compare(version(table, once), version(table, twice), keys)
    assert counts(found) == (4, 1, 3, 0)
    assert counts(mirrored) == (1, 4, 0, 3)


def test_a_file_that_is_live_twice_with_deletes_is_read_twice(catalog: SqlCatalog) -> None:
    # Given a file that is there twice, and then rows deleted from it
    table = create_table(catalog, PLAIN, [{"id": number, "name": "x"} for number in range(5)])
    first = head(table)
    (file,) = (task.file for task in table.scan().plan_files())
    twice = commit_files(table, Operation.APPEND, add=[file])
    deletes = write_position_deletes(table, {file.file_path: [1, 3]}, file)
    deleted = commit_files(table, Operation.DELETE, deletes=[deletes])
    assert len(table.scan().to_arrow()) == 6

    # Then both of them lose these rows
    assert counts(compare(version(table, twice), version(table, deleted), ())) == (10, 6, 4, 0)
    assert counts(compare(version(table, first), version(table, deleted), ())) == (5, 6, 2, 3)
    assert counts(compare(version(table, deleted), version(table, first), ())) == (6, 5, 3, 2)


def test_a_rewrite_that_lost_rows_is_a_difference(catalog: SqlCatalog) -> None:
    # Given a `replace` snapshot that is none, and rows that came after it
    table = create_table(catalog, PLAIN, [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}])
    before = head(table)
    lost = compacted(table, [{"id": 1, "name": "x"}])
    append(table, [{"id": 3, "name": "z"}])

    # Then what it lost is told, and the two are not called the same
    found = compare(version(table, before), version(table), ("id",))
    assert counts(found) == (2, 2, 1, 1)
    assert [dict(row) for row in found.sample.removed] == [{"id": 2, "name": "y"}]
    assert counts(compare(version(table, before), version(table, lost), ("id",))) == (2, 1, 1, 0)
    assert not is_rewritten_only(table, before, lost)


def test_a_rewrite_without_a_column_that_was_dropped_has_lost_its_values(catalog: SqlCatalog) -> None:
    # Given files that were compacted while a column was dropped, and the schema of before set again
    table = create_table(catalog, PLAIN, [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}])
    before = head(table)
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("name")
    compacted(table, [{"id": 1}, {"id": 2}])
    with table.transaction() as transaction:
        transaction._apply(*_schema_of(table, 0))
    table.refresh()
    rows = arrow(table, [{"id": 3, "name": "z"}])
    after = commit_files(table, Operation.APPEND, add=[file for file, _ in write_data_files(table, rows)])
    assert sorted(table.scan().to_arrow()["name"].to_pylist(), key=str) == [None, None, "z"]

    # Then rows that had values have them no more
    found = compare(version(table, before), version(table, after), ("id",))
    assert (found.rows_changed, found.rows_added, found.rows_removed) == (2, 1, 0)
    assert not is_rewritten_only(table, before, after)


def test_manifests_are_asked_where_their_list_counts_wrong(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a manifest list that says of every manifest that it has seven rows more
    table = create_table(catalog, PLAIN, [{"id": number, "name": "x"} for number in range(5)])
    before = head(table)
    append(table, [{"id": 5, "name": "x"}])
    monkeypatch.setattr(ManifestFile, "existing_rows_count", 7)

    # Then the rows are counted by the manifests themselves
    found = compare(version(table, before), version(table), ("id",))
    assert counts(found) == (5, 6, 0, 1)
    assert found.method is Method.METADATA


@pytest.mark.parametrize("keys", [("k",), ()], ids=["keyed", "multiset"])
@pytest.mark.parametrize(
    ("case", "kind", "value", "lower", "upper"),
    [
        ("a text cut off within a character", StringType(), "é" * 20, "é".encode() * 7 + b"\xc3", b"\xc4"),
        ("no bytes for a long", LongType(), 1, b"", b""),
        ("one byte for a long", LongType(), 1, b"\1", b"\2"),
        ("eight bytes for an int", IntegerType(), 1, bytes(8), b"\2" * 8),
        ("the lower one above the upper one", LongType(), 1, b"\x09" + bytes(7), bytes(8)),
    ],
)
def test_bounds_that_bound_nothing_do_not_keep_rows_from_being_read(
    catalog: SqlCatalog,
    case: str,
    kind: PrimitiveType,
    value: object,
    lower: bytes,
    upper: bytes,
    keys: tuple[str, ...],
) -> None:
    # Given the same row in two files whose manifests tell such bounds
    table = create_table(catalog, Schema(NestedField(1, "k", kind)))

    def write() -> list[DataFile]:
        ((file, _),) = write_data_files(table, arrow(table, [{"k": value}]))
        made = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=file.file_path,
            file_format=file.file_format,
            partition=file.partition,
            record_count=1,
            file_size_in_bytes=file.file_size_in_bytes,
            value_counts={1: 1},
            null_value_counts={1: 0},
            lower_bounds={1: lower},
            upper_bounds={1: upper},
        )
        made.spec_id = 0
        return [made]

    before = commit_files(table, Operation.APPEND, add=(old := write()))
    commit_files(table, Operation.OVERWRITE, remove=old, add=write())
    # Then they are compared, and are the same
    assert counts(compare(version(table, before), version(table), keys)) == (1, 1, 0, 0), case


def _schema_of(table: Table, schema_id: int) -> tuple[tuple[object, ...], tuple[object, ...]]:
    from pyiceberg.table.update import AssertCurrentSchemaId, SetCurrentSchemaUpdate

    return (
        (SetCurrentSchemaUpdate(schema_id=schema_id),),
        (AssertCurrentSchemaId(current_schema_id=table.schema().schema_id),),
    )
