"""Row diffs of tables that are broken or cannot be compared: a typed error that names what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import LongType, NestedField, StringType

from app.errors import (
    AppError,
    BackendUnavailableError,
    MissingFileError,
    SnapshotExpiredError,
    UnreadableTableError,
    UnsupportedTableError,
)
from app.lake.row_diff import batching
from tests.integration.equality_deletes import commit_equality_delete
from tests.unit.lake.local_tables import append, create_table, delete_rows
from tests.unit.lake.row_diff.comparing import compare, plan, version
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_data_files

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    return create_table(catalog, SCHEMA, [{"id": number, "name": "old"} for number in range(1, 6)])


def head(table: Table) -> int:
    table.refresh()
    found = table.current_snapshot()
    assert found is not None
    return found.snapshot_id


def arrow(table: Table, rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema_to_pyarrow(table.schema(), include_field_ids=False))


def data_files(table: Table) -> list[DataFile]:
    table.refresh()
    return [task.file for task in table.scan().plan_files()]


def on_disk(path: str) -> Path:
    return Path(path.removeprefix("file://"))


@pytest.fixture(params=[1_000_000, 1], ids=["held", "streamed"])
def _batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_ROWS", request.param)
    monkeypatch.setattr(batching, "HELD_ROWS", request.param)


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize("keys", [(), ("id",)], ids=["multiset", "keys"])
@pytest.mark.parametrize(
    ("damage", "error"),
    [(Path.unlink, MissingFileError), (lambda path: path.write_bytes(path.read_bytes()[:-9]), UnreadableTableError)],
)
def test_a_data_file_that_is_missing_or_cut_is_named(
    table: Table, keys: tuple[str, ...], damage: Callable[[Path], None], error: type[AppError]
) -> None:
    before = head(table)
    table.overwrite(arrow(table, [{"id": 1, "name": "new"}]))
    (file,) = data_files(table)
    damage(on_disk(file.file_path))
    for sides in ((before, None), (None, before)):
        with pytest.raises(error) as raised:
            compare(version(table, sides[0]), version(table, sides[1]), keys)
        assert on_disk(file.file_path).name in str(raised.value)
        if error is MissingFileError:
            assert raised.value.fields == {"dataset": "sales.orders", "file": file.file_path}


def test_a_missing_file_that_needs_no_reading_is_no_error_until_it_is_shown(table: Table) -> None:
    before = head(table)
    append(table, [{"id": 7, "name": "new"}])
    appended = next(file for file in data_files(table) if file.record_count == 1)
    on_disk(appended.file_path).unlink()
    assert compare(version(table, before), version(table), sample_size=0).rows_added == 1
    with pytest.raises(MissingFileError, match=on_disk(appended.file_path).name):
        compare(version(table, before), version(table), sample_size=1)


def test_missing_metadata_is_named(table: Table) -> None:
    before = head(table)
    append(table, [{"id": 7, "name": "new"}])
    snapshot = table.refresh().current_snapshot()
    assert snapshot is not None
    for path in (snapshot.manifests(table.io)[0].manifest_path, snapshot.manifest_list):
        kept = on_disk(path).read_bytes()
        on_disk(path).unlink()
        with pytest.raises(MissingFileError) as raised:
            plan(version(table, before), version(table))
        assert raised.value.fields["file"] == path
        on_disk(path).write_bytes(kept[: len(kept) // 2])
        with pytest.raises(UnreadableTableError) as broken:
            plan(version(table, before), version(table))
        assert broken.value.fields["file"] == path
        on_disk(path).write_bytes(kept)


def test_what_is_missing_is_told_of_its_own_table(table: Table, catalog: SqlCatalog) -> None:
    other = catalog.create_table("sales.other", SCHEMA)
    append(other, [{"id": 1, "name": "old"}])
    (file,) = data_files(other)
    on_disk(file.file_path).unlink()
    for sides in ((table, other), (other, table)):
        with pytest.raises(MissingFileError, match=r"sales\.other"):
            compare(version(sides[0]), version(sides[1]))
    snapshot = other.current_snapshot()
    assert snapshot is not None
    on_disk(snapshot.manifest_list).unlink()
    for sides in ((table, other), (other, table)):
        with pytest.raises(MissingFileError, match=r"sales\.other"):
            compare(version(sides[0]), version(sides[1]))


def test_a_missing_delete_file_is_named(table: Table) -> None:
    before = head(table)
    delete_rows(table, "id", pc.field("id") == 2)
    (task,) = table.scan().plan_files()
    (file,) = task.delete_files
    on_disk(file.file_path).unlink()
    with pytest.raises(MissingFileError, match=on_disk(file.file_path).name):
        compare(version(table, before), version(table))


def test_a_snapshot_that_has_expired_meanwhile_is_told(table: Table) -> None:
    gone = version(table)
    append(table, [{"id": 7, "name": "new"}])
    table.refresh().maintenance.expire_snapshots().by_id(gone.snapshot_id).commit()
    now = version(table)
    with pytest.raises(SnapshotExpiredError, match=str(gone.snapshot_id)):
        plan(type(now)(table=now.table, snapshot_id=gone.snapshot_id, schema_id=0), now)


def test_equality_deletes_are_refused_on_either_side(table: Table, catalog: SqlCatalog) -> None:
    before = head(table)
    commit_equality_delete(catalog, table, pa.table({"id": pa.array([2], pa.int64())}))
    for sides in ((before, None), (None, before)):
        with pytest.raises(UnsupportedTableError, match="equality deletes"):
            compare(version(table, sides[0]), version(table, sides[1]))


def test_equality_deletes_between_the_two_that_a_rewrite_applied_are_no_obstacle(
    table: Table, catalog: SqlCatalog
) -> None:
    # given rows deleted by value, and another engine's compaction that applied the deletes
    before = head(table)
    old = data_files(table)
    commit_equality_delete(catalog, table, pa.table({"id": pa.array([2], pa.int64())}))
    rows = arrow(table, [{"id": number, "name": "old"} for number in (1, 3, 4, 5)])
    added = [file for file, _ in write_data_files(table, rows)]
    commit_files(table, Operation.REPLACE, remove=old, add=added, drop_deletes=True)
    # then what is compared has none
    for sides, (more, less) in (((before, None), (0, 1)), ((None, before), (1, 0))):
        found = compare(version(table, sides[0]), version(table, sides[1]))
        assert (found.rows_added, found.rows_removed) == (more, less)


def test_files_without_field_ids_and_names_for_them_are_refused(table: Table) -> None:
    before = head(table)
    table.overwrite(arrow(table, [{"id": 1, "name": "new"}]))
    (file,) = data_files(table)
    pq.write_table(arrow(table, [{"id": 1, "name": "new"}]), on_disk(file.file_path))
    with pytest.raises(UnreadableTableError, match="field-ids"):
        compare(version(table, before), version(table))


@pytest.mark.usefixtures("_batches")
def test_a_file_with_fewer_rows_than_its_manifest_says_is_named(table: Table) -> None:
    before = head(table)
    rows = arrow(table, [{"id": 1, "name": "new"}, {"id": 2, "name": "new"}])
    table.overwrite(rows)
    (file,) = data_files(table)
    pq.write_table(rows.slice(1).cast(schema_to_pyarrow(table.schema())), on_disk(file.file_path))
    for keys in ((), ("id",)):
        with pytest.raises(UnreadableTableError, match=on_disk(file.file_path).name):
            compare(version(table, before), version(table), keys)


def test_a_folder_for_what_does_not_fit_that_is_gone_is_told(table: Table, tmp_path: Path) -> None:
    before = head(table)
    table.overwrite(arrow(table, [{"id": 3, "name": "old"}]))
    with pytest.raises(BackendUnavailableError, match="scratch space"):
        compare(version(table, before), version(table), scratch=tmp_path / "gone")


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize("keys", [(), ("id",)], ids=["multiset", "keys"])
def test_text_that_is_none_is_told_of_its_table(table: Table, keys: tuple[str, ...]) -> None:
    before = head(table)
    table.overwrite(arrow(table, [{"id": 1, "name": "new"}]))
    (file,) = data_files(table)
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"], pa.binary()).buffers())
    rows = pa.table([pa.array([1], pa.int64()), broken], names=["id", "name"])
    pq.write_table(rows.cast(schema_to_pyarrow(table.schema())), on_disk(file.file_path))
    with pytest.raises(UnreadableTableError, match=on_disk(file.file_path).name):
        compare(version(table, before), version(table), keys)
