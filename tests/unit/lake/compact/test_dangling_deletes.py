"""Delete files that are about nothing any more go, and no other ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, StringType

from app.lake.compact import commit
from app.lake.compact.dangling import DroppedDeletes, drop_dangling_deletes
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.reading import has_equality_deletes
from tests.integration.equality_deletes import commit_equality_delete
from tests.unit.lake.local_tables import NAME, append, as_lake_table, create_table, delete_rows

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))

Drop = Callable[..., DroppedDeletes]


def deletes(table: Table) -> set[str]:
    files = table.refresh().inspect.delete_files().to_pylist()
    return {file["file_path"] for file in files}


def by_value(catalog: CachingSqlCatalog, table: Table, number: int) -> str:
    before = deletes(table)
    commit_equality_delete(catalog, table, pa.table({"id": [number]}))
    (path,) = deletes(table) - before
    return path


@pytest.fixture
def table(catalog: CachingSqlCatalog) -> Table:
    return create_table(catalog, SCHEMA, [{"id": number, "name": "x"} for number in range(4)])


@pytest.fixture
def drop(catalog: CachingSqlCatalog, cache: MetadataCache, monkeypatch: pytest.MonkeyPatch) -> Drop:
    monkeypatch.setattr(commit, "_FIRST_WAIT_S", 0.0)

    def dropped(table: Table, meanwhile: Callable[[], None] = lambda: None) -> DroppedDeletes:
        def load() -> Any:
            loaded = as_lake_table(catalog.load_table(str(NAME)))
            meanwhile()
            return loaded

        return drop_dangling_deletes(catalog, load, str(table.metadata.table_uuid), cache, {"reason": "test"})

    return dropped


def overwrite(table: Table, rows: list[dict[str, Any]]) -> None:
    """All rows, as an engine does that leaves delete files where they are."""
    table.refresh().overwrite(pa.Table.from_pylist(rows, table.schema().as_arrow()))


def test_deletes_that_are_about_a_file_stay(catalog: CachingSqlCatalog, table: Table, drop: Drop) -> None:
    delete_rows(table, "id", pc.field("id") == 1)
    by_value(catalog, table, 2)
    before = deletes(table)
    assert len(before) == 2

    assert drop(table) == DroppedDeletes(paths=(), snapshot_id=None)
    assert deletes(table) == before


def test_deletes_of_both_kinds_go_with_the_last_file_they_are_about(
    catalog: CachingSqlCatalog, table: Table, drop: Drop
) -> None:
    # Given deletes that are about nothing, and one that is about the file that came before it
    delete_rows(table, "id", pc.field("id") == 1)
    by_value(catalog, table, 2)
    dangling = deletes(table)
    overwrite(table, [{"id": 7, "name": "y"}, {"id": 8, "name": "y"}])
    kept = by_value(catalog, table, 7)

    done = drop(table)

    assert set(done.paths) == dangling
    assert deletes(table) == {kept}
    head = table.refresh().current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert (head.snapshot_id, head.summary.operation.value) == (done.snapshot_id, "replace")
    assert head.summary["reason"] == "test"
    assert (head.summary["removed-delete-files"], head.summary["total-delete-files"]) == ("2", "1")
    assert len(table.inspect.data_files()) == 1


def test_a_table_is_read_again_once_they_are_gone(catalog: CachingSqlCatalog, table: Table, drop: Drop) -> None:
    by_value(catalog, table, 2)
    overwrite(table, [{"id": 7, "name": "y"}])

    drop(table)

    loaded = as_lake_table(table.refresh())
    head = loaded.metadata.current_snapshot()
    assert head is not None
    assert not has_equality_deletes(loaded, head)
    assert table.scan().to_arrow()["id"].to_pylist() == [7]


def test_what_others_commit_meanwhile_is_looked_at(catalog: CachingSqlCatalog, table: Table, drop: Drop) -> None:
    delete_rows(table, "id", pc.field("id") == 1)
    gone = deletes(table)
    overwrite(table, [{"id": 7, "name": "y"}])
    # The last load is that of an attempt that finds the head where it was.
    steps = iter([lambda: None, lambda: append(table.refresh(), [{"id": 9, "name": "z"}])])

    done = drop(table, lambda: next(steps, lambda: None)())

    assert set(done.paths) == gone
    assert deletes(table) == set()
    assert sorted(table.scan().to_arrow()["id"].to_pylist()) == [7, 9]
