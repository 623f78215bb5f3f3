"""Plans from real tables."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.manifest import DATA_FILE_TYPE, DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField, StringType, TimeType

from app.domain.compaction.obstacles import CompactionEngine, Obstacle
from app.domain.compaction.planning import Verdict
from app.domain.compaction.policy import CompactionPolicy
from app.errors import MissingFileError, UnsupportedTableError
from app.lake.compact.dangling import find_dangling_deletes
from app.lake.compact.obstacles import find_obstacles
from app.lake.compact.planning import PlannedTable, partitions_of, plan_current, plan_table, refuse_obstacle
from app.lake.internals import CachingSqlCatalog
from app.lake.table import LakeTable
from tests.integration.equality_deletes import commit_equality_delete
from tests.unit.lake.local_tables import NAME, append, as_lake_table, create_table, delete_rows
from tests.unit.lake.row_diff.made_snapshots import commit_files, name_equality_deletes

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


def test_live_files_are_those_of_pyiceberg(catalog: CachingSqlCatalog) -> None:
    # Given deletes, and a file without rows, which neither of them counts
    table = create_table(catalog, SCHEMA)
    for number in range(3):
        append(table, [{"id": number, "name": "a"}, {"id": number + 10, "name": None}])
    delete_rows(table, "id", pc.field("id") == 1)
    empty = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"{table.location()}/data/empty.parquet",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=0,
        file_size_in_bytes=100,
    )
    empty.spec_id = 0
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as added:
        added.append_data_file(empty)
    expected = {
        (task.file.file_path, frozenset(file.file_path for file in task.delete_files))
        for task in table.refresh().scan().plan_files()
    }
    assert sorted(len(deletes) for _, deletes in expected) == [0, 0, 1]
    assert {(file.path, file.deletes) for file in planned(catalog).files} == expected


def test_a_known_plan_is_good_until_the_table_changes(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA)
    for number in range(3):
        append(table, [{"id": number, "name": "a"}])
    found = planned(catalog)
    known, policy = found.known, found.plan.policy

    def load() -> LakeTable:
        return as_lake_table(catalog.load_table(str(NAME)))

    # Given the same table, nothing is read, and the plan is carried out on it as it was loaded last
    again = plan_current(load, policy, known=known)
    assert again.plan is found.plan
    assert (again.head, again.files, again.base) == (found.head, found.files, found.base)
    # But not where another policy holds, something is asked for, or its catalog tells no metadata file
    assert plan_current(load, CompactionPolicy(min_file_size_mb=9), known=known).plan is not found.plan
    assert plan_current(load, policy, known=known, asked_for={found.table_files[0].file.path}).plan is not found.plan
    assert not replace(known, metadata_location="").is_of(
        replace(found.table, state=replace(found.table.state, metadata_location="")), policy
    )
    # Nor once it has other properties, which an engine may be chosen by
    table.refresh().transaction().set_properties({"a": "b"}).commit_transaction()
    now = plan_current(load, policy, known=known)
    assert now.plan is not found.plan
    assert now.plan == found.plan


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
    table = as_lake_table(create_table(catalog, SCHEMA, [{"id": 1, "name": "x"}]))
    append(table.handle, [{"id": 2, "name": "y"}])
    # pyiceberg 0.12 writes no metadata of this version
    third = replace(table, state=replace(table.state, format_version=3))

    found = plan_table(third, CompactionPolicy())

    assert (found.plan.needs_compaction, found.plan.counts.files) == (True, 2)
    assert list(found.plan.obstacles) == [CompactionEngine.LOCAL]
    with pytest.raises(UnsupportedTableError, match="format version 3"):
        refuse_obstacle(found, CompactionEngine.LOCAL)
    refuse_obstacle(found, CompactionEngine.SPARK)


def test_rows_deleted_by_value_are_counted_where_they_may_be(catalog: CachingSqlCatalog) -> None:
    # Given two files before such a delete, and one after it
    table = create_table(catalog, SCHEMA, [{"id": 1, "name": "x"}])
    append(table, [{"id": 2, "name": "y"}])
    commit_equality_delete(catalog, table, pa.table({"id": [2]}))
    append(table, [{"id": 2, "name": "z"}])

    found = planned(catalog)

    counts = found.plan.counts
    assert (counts.files, counts.delete_files, counts.files_with_deletes) == (3, 1, 2)
    assert found.plan.obstacle(CompactionEngine.LOCAL) == Obstacle(
        feature="equality deletes", reason="it has rows deleted by value, which cannot be applied here"
    )
    assert found.plan.needs_compaction


def test_deletes_by_value_that_are_about_nothing_are_an_obstacle_all_the_same(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA, [{"id": 1, "name": "x"}])
    commit_equality_delete(catalog, table, pa.table({"id": [2]}))
    table.overwrite(pa.table({"id": [3], "name": ["n"]}))

    found = planned(catalog)

    assert found.plan.counts.files_with_deletes == 0
    assert CompactionEngine.LOCAL in found.plan.obstacles


@pytest.mark.parametrize(
    ("spec_id", "partition", "names"),
    [(1, Record(None), {"a", "b", "void"}), (0, Record("a"), {"a"}), (0, Record(None), set())],
    ids=["of void fields alone", "of one partition", "of a null"],
)
def test_deletes_by_value_are_about_all_files_where_their_spec_has_no_field_any_more(
    catalog: CachingSqlCatalog, spec_id: int, partition: Record, names: set[str]
) -> None:
    # Given files of two partitions, and one of a spec that keeps its field but makes nothing of it
    properties = {"format-version": "1"}
    table = catalog.create_table(str(NAME), SCHEMA, partition_spec=BY_NAME, properties=properties)
    append(table, [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}])
    with table.update_spec() as update:
        update.remove_field("name")
    append(table, [{"id": 1, "name": "void"}])
    with table.transaction() as change:
        change.upgrade_table_version(2)
    assert [str(field.transform) for field in table.spec().fields] == ["void"]

    commit_files(table, Operation.DELETE, deletes=[name_equality_deletes(table, spec_id, partition)])
    append(table, [{"id": 1, "name": "since"}])

    found = planned(catalog)
    touched = {task.file.lower_bounds[2].decode() for file, task in found.files.items() if file.deletes}
    assert touched == names
    assert found.plan.counts.files == 4
    # And where they are about none, they are dangling
    assert len(find_dangling_deletes(found.table)) == (0 if names else 1)


def test_files_that_are_there_twice_are_not_for_spark(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA, [{"id": 1, "name": "x"}])
    assert planned(catalog).plan.obstacles == {}
    path = next(iter(planned(catalog).files)).path
    table.add_files([path], check_duplicate_files=False)
    assert list(planned(catalog).plan.obstacles) == [CompactionEngine.SPARK]


def test_types_that_spark_has_not_are_not_for_it(catalog: CachingSqlCatalog) -> None:
    create_table(catalog, Schema(NestedField(1, "at", TimeType())), [{"at": dt.time(1, 2)}])
    obstacle = planned(catalog).plan.obstacle(CompactionEngine.SPARK)
    assert obstacle is not None
    assert obstacle.feature == "a column of type time"


def test_encrypted_files_are_left_to_spark(catalog: CachingSqlCatalog) -> None:
    table = as_lake_table(create_table(catalog, SCHEMA, [{"id": 1, "name": "x"}]))
    head, files = table.metadata.current_snapshot(), planned(catalog).files
    assert head is not None
    assert find_obstacles(table, head, files) == {}
    (task,) = files.values()
    # Which pyiceberg 0.12 does not write.
    task.file[[field.name for field in DATA_FILE_TYPE[2].fields].index("key_metadata")] = b"key"
    assert task.file.key_metadata == b"key"
    assert [(engine, found.feature) for engine, found in find_obstacles(table, head, files).items()] == [
        (CompactionEngine.LOCAL, "encrypted files")
    ]
