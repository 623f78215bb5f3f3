"""Which rows of the files are answered, and how many: deletes, limits, files without a column asked for."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, IdentityTransform, Transform, TruncateTransform
from pyiceberg.types import IntegerType, NestedField, StringType

from app.errors import MissingFileError, UnreadableTableError, UnsupportedTableError
from tests.integration.equality_deletes import commit_equality_delete
from tests.unit.lake.local_tables import NAME, append, create_table, delete_rows, read

NUMBERS = Schema(NestedField(1, "id", IntegerType()), NestedField(2, "name", StringType()))


def numbers(*of: int) -> list[dict[str, object]]:
    return [{"id": n, "name": f"name {n}"} for n in of]


def ids(table: Table, row_filter: str | None = None) -> list[int]:
    return sorted(row["id"] for row in read(table, row_filter, "id").rows)


def test_rows_are_counted_where_the_file_has_no_column_asked_for(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, numbers(1, 2, 3))
    with table.update_schema() as update:
        update.add_column("note", StringType())

    assert read(table, None, "note").rows == [{"note": None}] * 3
    assert read(table, "note is null", "note").rows == [{"note": None}] * 3
    assert read(table, "id > 1", "note").rows == [{"note": None}] * 2
    assert read(table, "note is not null", "note").rows == []

    delete_rows(table, "id", pc.field("id") == 2)

    assert read(table, None, "note").rows == [{"note": None}] * 2


@pytest.mark.parametrize(
    ("case", "row_filter", "expected"),
    [
        ("all", None, [1, 4, 6]),
        ("before the deleted", "id < 3", [1]),
        ("behind the deleted", "id > 3", [4, 6]),
        ("the deleted", "id in (2, 3, 5)", []),
        ("by another column", "name != 'name 4'", [1, 6]),
    ],
)
def test_rows_deleted_by_position_are_in_no_answer(
    catalog: SqlCatalog, case: str, row_filter: str | None, expected: list[int]
) -> None:
    table = create_table(catalog, NUMBERS, numbers(1, 2, 3, 4))
    before = table.metadata.current_snapshot_id
    delete_rows(table, "id", pc.field("id") == 2)
    append(table, numbers(5, 6))
    delete_rows(table, "id", pc.field("id").isin([3, 5]))

    assert ids(table, row_filter) == expected, case
    # A version before the deletes has them still.
    assert sorted(row["id"] for row in read(table, snapshot_id=before).rows) == [1, 2, 3, 4]


def test_positions_are_counted_across_row_groups(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS)
    with table.transaction() as transaction:
        transaction.set_properties({"write.parquet.row-group-limit": "10"})
    append(table, numbers(*range(45)))
    delete_rows(table, "id", pc.field("id").isin([0, 9, 10, 44]))

    assert ids(table) == sorted({*range(45)} - {0, 9, 10, 44})
    assert ids(table, "id >= 9 and id < 12") == [11]


def test_a_file_with_every_row_deleted_answers_none(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, numbers(1, 2))
    delete_rows(table, "id", pc.field("id") > 0)

    assert read(table).rows == []


@pytest.mark.parametrize(
    ("case", "limit", "row_filter", "rows", "truncated"),
    [
        ("none", None, None, 6, False),
        ("one", 1, None, 1, True),
        ("at the end of a file", 3, None, 3, True),
        ("one short", 5, None, 5, True),
        ("exact", 6, None, 6, False),
        ("more", 7, None, 6, False),
        ("exact, and the other file filtered out", 3, "id > 3", 3, False),
        ("exact, with deleted rows behind", 2, "id <= 2", 2, False),
        ("nothing to cut", 1, "id = 99", 0, False),
    ],
)
def test_limit_says_whether_it_cut_rows_off(
    catalog: SqlCatalog, case: str, limit: int | None, row_filter: str | None, rows: int, truncated: bool
) -> None:
    table = create_table(catalog, NUMBERS, numbers(1, 2, 3))
    append(table, numbers(4, 5, 6))

    answer = read(table, row_filter, limit=limit)

    assert (len(answer.rows), answer.truncated) == (rows, truncated), case
    assert all(count > 0 for count in answer.batch_rows)


def test_bytes_read_are_those_of_the_columns_read(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, numbers(*range(100)))

    narrow, filtered, whole = read(table, None, "id"), read(table, "name = 'name 5'", "id"), read(table)

    assert 0 < narrow.bytes_read < whole.bytes_read
    assert filtered.bytes_read == whole.bytes_read
    assert read(table, "id > 1000").bytes_read == 0


def test_partition_values_stand_in_for_a_column_that_the_files_lack(catalog: SqlCatalog) -> None:
    schema = Schema(NestedField(1, "id", IntegerType()), NestedField(2, "region", StringType()))
    spec = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="region"))
    table = catalog.create_table(str(NAME), schema, partition_spec=spec)
    append(table, [{"id": 1, "region": "eu"}, {"id": 2, "region": "us"}, {"id": 3, "region": None}])
    # As Hive lays tables out: the column is in the folder's name alone.
    for task in table.scan().plan_files():
        path = task.file.file_path.removeprefix("file://")
        file = pq.read_table(path, partitioning=None)
        pq.write_table(file.drop_columns(["region"]), path)

    assert sorted((row["id"], row["region"]) for row in read(table).rows) == [(1, "eu"), (2, "us"), (3, None)]
    assert ids(table, "region = 'eu'") == [1]
    assert ids(table, "region is null") == [3]
    assert ids(table, "region != 'eu' or id = 1") == [1, 2]


@pytest.mark.parametrize(
    ("case", "row_filter", "expected"),
    [
        ("less", "region < 'f'", [1]),
        ("not less", "not region < 'f'", [2]),
        ("any", "region >= ''", [1, 2]),
        ("unequal", "region != 'eu'", [2]),
        ("null", "region is null", [3]),
        ("prefix", "region not like 'e%'", [2]),
    ],
)
@pytest.mark.parametrize("transform", [IdentityTransform(), TruncateTransform(1), BucketTransform(4)], ids=str)
def test_a_partition_that_is_null_is_compared_with_nothing(
    catalog: SqlCatalog, transform: Transform, case: str, row_filter: str, expected: list[int]
) -> None:
    schema = Schema(NestedField(1, "id", IntegerType()), NestedField(2, "region", StringType()))
    spec = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=transform, name="part"))
    table = catalog.create_table(str(NAME), schema, partition_spec=spec)
    append(table, [{"id": 1, "region": "eu"}, {"id": 2, "region": "us"}, {"id": 3, "region": None}])

    assert ids(table, row_filter) == expected, case


def test_an_empty_snapshot_has_the_schema_and_no_rows(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, numbers(1))
    table.delete("id = 1")

    answer = read(table)

    assert (answer.rows, answer.truncated) == ([], False)
    assert answer.schema == pa.schema([("id", pa.int32()), ("name", pa.large_string())])


def test_a_data_file_that_is_gone_is_told(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, numbers(1))
    (task,) = table.scan().plan_files()
    table.io.delete(task.file.file_path)

    with pytest.raises(MissingFileError, match=r"sales\.orders cannot be read") as told:
        read(table)
    assert told.value.fields["file"] == task.file.file_path
    assert not told.value.handling.is_retryable


def test_a_data_file_that_is_garbage_makes_the_table_unreadable(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, numbers(1))
    (task,) = table.scan().plan_files()
    with table.io.new_output(task.file.file_path).create(overwrite=True) as stream:
        stream.write(b"garbage")

    with pytest.raises(UnreadableTableError, match=r"sales\.orders cannot be read"):
        read(table)


def test_equality_deletes_are_refused_rather_than_ignored(catalog: SqlCatalog) -> None:
    table = create_table(catalog, NUMBERS, numbers(1, 2))
    before = table.metadata.current_snapshot_id
    commit_equality_delete(catalog, table, pa.table({"id": pa.array([1], pa.int32())}))

    with pytest.raises(UnsupportedTableError, match="equality deletes"):
        read(table)

    assert len(read(table, snapshot_id=before).rows) == 2
