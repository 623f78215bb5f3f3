"""Files of a former partition spec, of columns that were dropped since: they are compacted as they are partitioned."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import RemoveSchemasUpdate
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import DateType, IcebergType, IntegerType, LongType, NestedField, StringType, TimestamptzType

from app.domain.compaction.policy import CompactionPolicy
from app.lake.compact.making import BinMaker
from app.lake.compact.outcomes import CompactionOutcome
from app.lake.compact.planning import plan_table
from app.lake.compact.running import CompactionRun
from app.lake.compact.typed_specs import partition_types
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from tests.unit.lake.compact.rewrites import rows_of
from tests.unit.lake.compact.test_compact_running import strangers
from tests.unit.lake.local_tables import NAME, append, as_lake_table
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_position_deletes

SCHEMA = Schema(
    NestedField(1, "id", LongType()),
    NestedField(2, "name", StringType()),
    NestedField(3, "at", TimestamptzType()),
    NestedField(4, "number", IntegerType()),
)
DAY_FIELD, NAME_FIELD, NUMBER_FIELD = 1000, 1001, 1002
BY_ALL = PartitionSpec(
    PartitionField(source_id=3, field_id=DAY_FIELD, transform=DayTransform(), name="day"),
    PartitionField(source_id=2, field_id=NAME_FIELD, transform=IdentityTransform(), name="name"),
    PartitionField(source_id=4, field_id=NUMBER_FIELD, transform=IdentityTransform(), name="number"),
)


def row(number: int, name: str | None, of: int = 7) -> dict[str, Any]:
    return {"id": number, "name": name, "at": dt.datetime(2026, 2, 15, 10, tzinfo=dt.UTC), "number": of}


def create(catalog: CachingSqlCatalog, version: int = 2) -> Table:
    properties = {"format-version": str(version)}
    return catalog.create_table(str(NAME), SCHEMA, partition_spec=BY_ALL, properties=properties)


def delete_second_row(table: Table, of: int) -> None:
    """By position, in the file whose least id this is."""
    found = [task.file for task in table.refresh().scan().plan_files()]
    (file,) = [file for file in found if file.lower_bounds[1] == of.to_bytes(8, "little")]
    commit_files(table, Operation.DELETE, deletes=[write_position_deletes(table, {file.file_path: [1]}, file)])


def drop_columns(table: Table) -> None:
    """Have the table be unpartitioned, and lose the columns that it was partitioned by."""
    with table.update_spec() as update:
        for field in BY_ALL.fields:
            update.remove_field(field.name)
    with table.update_schema(allow_incompatible_changes=True) as change:
        for name in ("name", "at", "number"):
            change.delete_column(name)


def manifests(table: Table) -> list[ManifestFile]:
    head = table.refresh().current_snapshot()
    assert head is not None
    return head.manifests(table.io)


def files(table: Table, *, content: int = 0) -> list[DataFile]:
    return [
        entry.data_file
        for manifest in manifests(table)
        for entry in manifest.fetch_manifest_entry(table.io)
        if entry.data_file.content == content
    ]


def partitions(table: Table) -> list[str]:
    return sorted(str(file.partition) for file in files(table))


def types_of(table: Table) -> list[dict[int, IcebergType]]:
    """The types of the partition fields of each manifest of the first spec."""
    return [partition_types(table.io, each) for each in manifests(table) if each.partition_spec_id == 0]


def duckdb_ids(table: Table) -> list[int]:
    paths = [file.file_path.removeprefix("file://") for file in files(table)]
    found = duckdb.execute("SELECT id FROM read_parquet($paths) ORDER BY id", {"paths": paths}).fetchall()
    return [number for (number,) in found]


def compact(catalog: CachingSqlCatalog, cache: MetadataCache, scratch: Path) -> CompactionOutcome:
    def load() -> Any:
        return as_lake_table(catalog.load_table(str(NAME)))

    make = BinMaker(name="run", memory_bytes=64 * 2**20, scratch=scratch)
    run = CompactionRun(catalog, load, cache, make, properties={}, threads=2)
    return run.run(plan_table(load(), CompactionPolicy()))


def test_their_partitions_stay_and_their_deletes_are_applied(
    catalog: CachingSqlCatalog, cache: MetadataCache, tmp_path: Path
) -> None:
    # Given partitions of several files, one of them of a null, and of a single file; two of the files with deletes
    table = create(catalog)
    for number in range(3):
        append(table, [row(10 * number, "a"), row(10 * number + 1, "a"), row(10 * number + 2, None)])
    append(table, [row(90, "alone"), row(91, "alone")])
    delete_second_row(table, of=90)
    delete_second_row(table, of=10)
    drop_columns(table)
    append(table, [{"id": 100}])
    append(table, [{"id": 101}])
    expected = [0, 1, 2, 10, 12, 20, 21, 22, 90, 100, 101]
    assert [row[0] for row in rows_of(table.refresh())] == expected

    outcome = compact(catalog, cache, tmp_path)

    # Then each of them is a file of its partition still, whose manifests have the values with their types
    assert [row[0] for row in rows_of(table.refresh())] == expected
    assert duckdb_ids(table) == expected
    day = (dt.date(2026, 2, 15) - dt.date(1970, 1, 1)).days
    assert partitions(table) == sorted(["Record[]", *(f"Record[{day}, {name}, 7]" for name in (None, "a", "alone"))])
    kinds = {DAY_FIELD: DateType(), NAME_FIELD: StringType(), NUMBER_FIELD: IntegerType()}
    assert all(types == kinds for types in types_of(table))
    assert files(table, content=1) == []
    assert len(outcome.dropped_deletes) == 2
    assert not strangers(table)
    # And pyiceberg's own reader and the next run find nothing wrong with them
    assert sorted(table.scan().to_arrow()["id"].to_pylist()) == expected
    assert compact(catalog, cache, tmp_path).committed == ()


def test_files_in_no_bin_keep_their_partition_in_a_manifest_that_is_written_anew(
    catalog: CachingSqlCatalog, cache: MetadataCache, tmp_path: Path
) -> None:
    table = create(catalog)
    append(table, [row(0, "a"), row(1, "alone")])
    append(table, [row(2, "a")])
    drop_columns(table)

    compact(catalog, cache, tmp_path)

    assert [str(file.partition[1]) for file in files(table) if file.record_count == 1] == ["alone"]
    assert duckdb_ids(table) == [0, 1, 2]


def test_types_that_the_metadata_has_no_more_are_those_of_the_manifests(
    catalog: CachingSqlCatalog, cache: MetadataCache, tmp_path: Path
) -> None:
    # Given manifests from before and after a column got wider, and no schema any more that had it
    table = create(catalog)
    append(table, [row(0, "a"), row(1, "b")])
    append(table, [row(2, "a")])
    with table.update_schema() as change:
        change.update_column("number", field_type=LongType())
    append(table, [row(3, "a"), row(4, "a", 2**40)])
    append(table, [row(5, "a", 2**40)])
    before = {types[NUMBER_FIELD] for types in types_of(table)}
    assert before == {IntegerType(), LongType()}
    drop_columns(table)
    append(table, [{"id": 100}])
    now = catalog.load_table(str(NAME))
    gone = [schema.schema_id for schema in now.metadata.schemas if schema.schema_id != now.metadata.current_schema_id]
    catalog.commit_table(now, (), (RemoveSchemasUpdate(schema_ids=gone),))

    compact(catalog, cache, tmp_path)

    assert duckdb_ids(table) == [0, 1, 2, 3, 4, 5, 100]
    day = (dt.date(2026, 2, 15) - dt.date(1970, 1, 1)).days
    assert partitions(table) == sorted(
        ["Record[]", f"Record[{day}, a, 7]", f"Record[{day}, a, {2**40}]", f"Record[{day}, b, 7]"]
    )
    kinds = {DAY_FIELD: DateType(), NAME_FIELD: StringType(), NUMBER_FIELD: LongType()}
    assert all(types == kinds for types in types_of(table))


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "in no schema any more"])
def test_fields_that_were_made_void_stay_void(
    catalog: CachingSqlCatalog, cache: MetadataCache, tmp_path: Path, is_known: bool
) -> None:
    # Given a table of the first version of the format, whose specs keep their fields
    table = create(catalog, version=1)
    append(table, [row(0, "a")])
    append(table, [row(1, "a")])
    with table.update_spec() as update:
        for field in BY_ALL.fields:
            update.remove_field(field.name)
    append(table, [row(2, "a")])
    append(table, [row(3, "a")])
    with table.update_schema(allow_incompatible_changes=True) as change:
        for name in ("name", "at", "number"):
            change.delete_column(name)
    now = catalog.load_table(str(NAME))
    if not is_known:
        gone = [
            schema.schema_id for schema in now.metadata.schemas if schema.schema_id != now.metadata.current_schema_id
        ]
        catalog.commit_table(now, (), (RemoveSchemasUpdate(schema_ids=gone),))

    outcome = compact(catalog, cache, tmp_path)

    assert len(outcome.committed) == 2
    assert duckdb_ids(table) == [0, 1, 2, 3]
    assert [row[0] for row in rows_of(table.refresh())] == [0, 1, 2, 3]
    assert "Record[None, None, None]" in partitions(table)
