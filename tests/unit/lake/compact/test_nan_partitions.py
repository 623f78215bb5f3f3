"""Files in partitions of NaN, which are one partition by Iceberg's rules, and the deletes that are about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType, NestedField

from app.domain.compaction.policy import CompactionPolicy
from app.lake.compact.dangling import drop_dangling_deletes, find_dangling_deletes
from app.lake.compact.making import BinMaker
from app.lake.compact.outcomes import CompactionOutcome
from app.lake.compact.planning import partitions_of, plan_table
from app.lake.compact.running import CompactionRun
from app.lake.deleted_positions import DeletedPositions
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.row_diff.manifests import count_rows
from app.lake.table import LakeTable
from tests.unit.lake.local_tables import NAME, as_lake_table, read
from tests.unit.lake.row_diff.comparing import compare, version
from tests.unit.lake.row_diff.made_snapshots import (
    commit_files,
    name_equality_deletes,
    write_data_files,
    write_position_deletes,
)

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True), NestedField(2, "x", DoubleType()), identifier_field_ids=[1]
)
BY_X = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="x"))


def written(table: Table, x: float, *ids: int) -> DataFile:
    rows = pa.Table.from_pylist([{"id": number, "x": x} for number in ids], schema_to_pyarrow(table.schema()))
    ((file, _),) = write_data_files(table, rows, partition=Record(x))
    return file


def ids(table: Table, row_filter: str | None = None) -> list[int]:
    return sorted(row["id"] for row in read(table.refresh(), row_filter).rows)


@pytest.fixture
def table(catalog: CachingSqlCatalog) -> Table:
    """Ids 0 to 2 and 10 to 12 in two files of NaN; 20 and 21 in one of 1.0; no deletes."""
    made = catalog.create_table(str(NAME), SCHEMA, partition_spec=BY_X)
    files = [written(made, math.nan, 0, 1, 2), written(made, math.nan, 10, 11, 12), written(made, 1.0, 20, 21)]
    commit_files(made, Operation.APPEND, add=files)
    return made


def files_of_nan(table: Table) -> Sequence[DataFile]:
    files = [task.file for task in table.refresh().scan().plan_files()]
    return sorted(
        (file for file in files if math.isnan(file.partition[0])), key=lambda file: bytes(file.lower_bounds[1])
    )


def delete(table: Table) -> DataFile:
    """One delete file about ids 1 and 10, which are in two files."""
    first, second = files_of_nan(table)
    deletes = write_position_deletes(table, {first.file_path: [1], second.file_path: [0]}, first)
    commit_files(table, Operation.DELETE, deletes=[deletes])
    return deletes


def load(catalog: CachingSqlCatalog) -> LakeTable:
    return as_lake_table(catalog.load_table(str(NAME)))


def compact(catalog: CachingSqlCatalog, cache: MetadataCache, scratch: Path) -> CompactionOutcome:
    make = BinMaker(name="run", memory_bytes=64 * 2**20, scratch=scratch)
    run = CompactionRun(catalog, lambda: load(catalog), cache, make, properties={}, threads=2)
    return run.run(plan_table(load(catalog), CompactionPolicy()))


def test_deleted_rows_are_in_no_answer(table: Table) -> None:
    before = table.metadata.current_snapshot_id
    delete(table)
    assert ids(table) == [0, 2, 11, 12, 20, 21]
    assert ids(table, "x is nan and id < 11") == [0, 2]
    assert ids(table, "x = 1.0") == [20, 21]
    # And a version before the delete has them still
    assert len(read(table, snapshot_id=before).rows) == 8


def test_deleted_rows_are_told_as_removed_and_counted_as_gone(catalog: CachingSqlCatalog, table: Table) -> None:
    before = table.metadata.current_snapshot_id
    delete(table)

    found = compare(version(table, before), version(table))

    assert (found.rows_from, found.rows_to, found.rows_removed, found.rows_added) == (8, 6, 2, 0)
    assert {row["id"] for row in found.sample.removed} == {1, 10}
    head = load(catalog).metadata.current_snapshot()
    assert head is not None
    assert count_rows(load(catalog), head, DeletedPositions(table.io)) == 6


def test_files_of_nan_are_one_partition_that_is_compacted_like_any(
    catalog: CachingSqlCatalog, cache: MetadataCache, table: Table, tmp_path: Path
) -> None:
    deletes = delete(table)
    planned = plan_table(load(catalog), CompactionPolicy())
    assert partitions_of(planned) == ["x=1.0", "x=nan"]
    assert [(some.place.partition, len(some.files), some.rows) for some in planned.plan.bins] == [("x=nan", 2, 6)]

    outcome = compact(catalog, cache, tmp_path)

    # Then its rows are in one file of that partition, and the deletes are gone with those that they were about
    assert len(outcome.committed) == 1
    assert outcome.dropped_deletes == (deletes.file_path,)
    assert ids(table) == [0, 2, 11, 12, 20, 21]
    (file,) = files_of_nan(table)
    assert file.record_count == 4
    assert ids(table, "x is nan") == [0, 2, 11, 12]
    # And its snapshot says that one partition was changed
    head = table.refresh().current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert head.summary["changed-partition-count"] == "1"
    # And nothing is left to do
    assert plan_table(load(catalog), CompactionPolicy()).plan.bins == ()


def test_deletes_about_files_of_nan_stay_while_those_are_live(
    catalog: CachingSqlCatalog, cache: MetadataCache, table: Table
) -> None:
    deletes = delete(table)
    assert find_dangling_deletes(load(catalog)) == set()
    # When one of the two files goes, in an engine that leaves delete files where they are
    first, second = files_of_nan(table)
    commit_files(table, Operation.OVERWRITE, remove=[first], add=[written(table, math.nan, 30)])

    assert find_dangling_deletes(load(catalog)) == set()
    assert ids(table) == [11, 12, 20, 21, 30]

    # And when the other one goes too, nothing that is left has a row that they name
    commit_files(table, Operation.OVERWRITE, remove=[second], add=[written(table, math.nan, 31, 32)])
    uuid = str(table.metadata.table_uuid)
    dropped = drop_dangling_deletes(catalog, lambda: load(catalog), uuid, cache, {"reason": "test"})
    assert dropped.paths == (deletes.file_path,)
    assert ids(table) == [20, 21, 30, 31, 32]


def test_deletes_by_value_in_a_partition_of_nan_are_about_its_older_files(
    catalog: CachingSqlCatalog, table: Table
) -> None:
    commit_files(table, Operation.DELETE, deletes=[name_equality_deletes(table, 0, Record(math.nan))])
    commit_files(table, Operation.APPEND, add=[written(table, math.nan, 30)])

    counts = plan_table(load(catalog), CompactionPolicy()).plan.counts

    assert (counts.files, counts.files_with_deletes, counts.delete_files) == (4, 2, 1)
    assert find_dangling_deletes(load(catalog)) == set()
