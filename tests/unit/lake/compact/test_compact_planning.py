"""Plans from real tables."""

from __future__ import annotations

from dataclasses import replace

import pyarrow.compute as pc
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from app.domain.compaction.planning import Verdict
from app.domain.compaction.policy import CompactionPolicy
from app.errors import MissingFileError, UnsupportedTableError
from app.lake.compact.planning import PlannedTable, partitions_of, plan_table
from app.lake.internals import CachingSqlCatalog
from tests.unit.lake.local_tables import NAME, append, as_lake_table, create_table, delete_rows

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))
BY_NAME = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="name"))


def planned(catalog: CachingSqlCatalog) -> PlannedTable:
    return plan_table(as_lake_table(catalog.load_table(str(NAME))), CompactionPolicy())


def test_a_table_without_a_snapshot_has_nothing_to_do(catalog: CachingSqlCatalog) -> None:
    create_table(catalog, SCHEMA)
    found = planned(catalog)
    assert (found.plan.verdict, found.head, dict(found.files)) == (Verdict.EMPTY, None, {})


def test_counts_are_those_of_the_live_files(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA)
    for number in range(3):
        append(table, [{"id": number, "name": "x"}, {"id": number + 10, "name": "y"}])
    delete_rows(table, "id", pc.field("id") == 2)
    table.delete("id in (0, 10)")
    found = planned(catalog)
    counts = found.plan.counts
    assert (counts.files, counts.small_files, counts.delete_files, counts.files_with_deletes) == (2, 2, 1, 1)
    (only,) = found.plan.bins
    assert (len(only.files), only.outputs, only.has_deletes, only.rows) == (2, 1, True, 4)
    assert list(found.tasks_of(only)) == [file.file for file in only.files]
    assert found.base.snapshot_id == table.metadata.current_snapshot_id


def test_a_null_and_the_text_null_are_two_partitions(catalog: CachingSqlCatalog) -> None:
    table = catalog.create_table(str(NAME), SCHEMA, partition_spec=BY_NAME)
    for number in range(2):
        append(table, [{"id": number, "name": name} for name in (None, "null", "a/b")])
    found = planned(catalog)
    assert len(found.plan.bins) == 3
    assert partitions_of(found) == ["name=a%2Fb", "name=null"]


def test_partitions_of_a_dropped_column_are_told_apart(catalog: CachingSqlCatalog) -> None:
    table = catalog.create_table(str(NAME), SCHEMA, partition_spec=BY_NAME)
    for number in range(2):
        append(table, [{"id": number, "name": name} for name in ("a", "b")])
    with table.update_spec() as update:
        update.remove_field("name")
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("name")
    table.append(table.scan().to_arrow().slice(0, 1))
    found = planned(catalog)
    assert sorted(len(some.files) for some in found.plan.bins) == [2, 2]
    assert partitions_of(found) == ["", "name=a", "name=b"]


def test_files_that_are_there_twice_are_left_alone(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA)
    for number in range(3):
        append(table, [{"id": number, "name": "x"}])
    path = next(iter(planned(catalog).files)).path
    table.add_files([path], check_duplicate_files=False)
    found = planned(catalog)
    assert path not in {file.file.path for some in found.plan.bins for file in some.files}
    assert found.plan.counts.files == 4


def test_what_cannot_be_compacted_is_told(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA, [{"id": 1, "name": "x"}])
    head = table.current_snapshot()
    assert head is not None
    table.io.delete(head.manifests(table.io)[0].manifest_path)
    with pytest.raises(MissingFileError):
        planned(catalog)


def test_rows_with_a_lineage_of_their_own_are_left_to_spark(catalog: CachingSqlCatalog) -> None:
    table = as_lake_table(create_table(catalog, SCHEMA))
    # pyiceberg 0.12 writes no metadata of this version
    third = replace(table, state=replace(table.state, format_version=3))
    with pytest.raises(UnsupportedTableError, match="format version 3"):
        plan_table(third, CompactionPolicy())
