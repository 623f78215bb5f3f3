"""Tables of the first version of the format, whose manifests and lists do not say what they are of."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import LongType, NestedField, StringType

from app.domain.compaction.policy import CompactionPolicy
from app.lake.compact.dangling import find_dangling_deletes
from app.lake.compact.planning import plan_table
from app.lake.compact.snapshot_changes import changes_of
from app.lake.deleted_positions import DeletedPositions
from app.lake.internals import CachingSqlCatalog
from app.lake.row_diff.manifests import count_rows, counted_files, differing_files
from app.lake.statistics import column_stats
from app.lake.table import LakeTable
from tests.integration.equality_deletes import commit_equality_delete
from tests.unit.lake.local_tables import NAME, append, as_lake_table

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))


@pytest.fixture
def table(catalog: CachingSqlCatalog) -> Table:
    """Three files of a row each."""
    made = catalog.create_table(str(NAME), SCHEMA, properties={"format-version": "1"})
    for number in range(3):
        append(made, [{"id": number, "name": "x"}])
    return made


def load(table: Table) -> LakeTable:
    return as_lake_table(table.refresh())


def head_of(table: LakeTable) -> Snapshot:
    head = table.metadata.current_snapshot()
    assert head is not None
    return head


def test_its_files_and_columns_are_counted(table: Table) -> None:
    loaded = load(table)
    head = head_of(loaded)
    assert plan_table(loaded, CompactionPolicy()).plan.counts.files == 3
    assert count_rows(loaded, head, DeletedPositions(loaded.io), is_list_trusted=False) == 3
    (told,) = column_stats(loaded, head.snapshot_id, ["id"])
    assert (told.value_count, told.lower, told.upper) == (3, 0, 2)


def test_what_a_snapshot_changed_is_told(table: Table) -> None:
    loaded = load(table)
    changes = changes_of(loaded, head_of(loaded))
    assert [len(files) for files in changes.added.values()] == [1]
    assert (dict(changes.removed), changes.removed_deletes) == ({}, set())


def test_manifests_that_two_snapshots_have_are_not_read_to_compare_them(table: Table) -> None:
    loaded = load(table)
    before, after = loaded.metadata.snapshots[-2:]
    shared = {manifest.manifest_path for manifest in before.manifests(loaded.io)}
    assert len(shared) == 2
    for path in shared:
        loaded.io.delete(path)
    removed, added = differing_files(loaded, before, after)
    assert (len(removed), len(added)) == (0, 1)


def test_deletes_by_value_since_a_later_version_are_about_its_files(catalog: CachingSqlCatalog, table: Table) -> None:
    # Given such a table that has become one of the second version, with manifests of the first
    with table.transaction() as change:
        change.upgrade_table_version(2)
    append(table, [{"id": 3, "name": "x"}])
    commit_equality_delete(catalog, table, pa.table({"id": [1]}))
    append(table, [{"id": 1, "name": "y"}])

    loaded = load(table)

    files = counted_files(loaded, head_of(loaded))
    assert sorted(len(file.deletes) for file in files) == [0, 1, 1, 1, 1]
    counts = plan_table(loaded, CompactionPolicy()).plan.counts
    assert (counts.files, counts.files_with_deletes, counts.delete_files) == (5, 4, 1)
    assert find_dangling_deletes(loaded) == set()
