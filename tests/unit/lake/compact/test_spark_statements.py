"""What a policy is in the words of Iceberg's procedure."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from app.domain.compaction.policy import MIB, CompactionPolicy
from app.lake.compact.planning import PlannedTable, plan_table
from app.lake.compact.spark_statements import rewrite_options, rewrite_statement
from app.lake.internals import CachingSqlCatalog
from tests.integration.equality_deletes import commit_equality_delete
from tests.unit.lake.local_tables import NAME, append, as_lake_table, create_table, delete_rows

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))


def planned(catalog: CachingSqlCatalog, policy: CompactionPolicy | None = None) -> PlannedTable:
    return plan_table(as_lake_table(catalog.load_table(str(NAME))), policy or CompactionPolicy())


def test_the_policy_is_told_in_options(catalog: CachingSqlCatalog) -> None:
    create_table(catalog, SCHEMA, [{"id": 1, "name": "x"}])
    assert rewrite_options(planned(catalog, CompactionPolicy(target_file_size_mb=100, rewrite_all=True))) == {
        "target-file-size-bytes": str(100 * MIB),
        "min-file-size-bytes": str(75 * MIB),
        "max-file-size-bytes": str(180 * MIB),
        "min-input-files": "2",
        "delete-file-threshold": "1",
        "remove-dangling-deletes": "false",
        "use-starting-sequence-number": "false",
        "rewrite-all": "true",
        "partial-progress.enabled": "true",
        "partial-progress.max-commits": "1",
    }


def test_files_larger_than_the_target_stay_as_they_are(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA)
    # Larger than Iceberg would leave alone of a target of 1 MB.
    some = Random(1)
    append(table, [{"id": number, "name": some.randbytes(100).hex()} for number in range(30_000)])
    (size,) = table.inspect.files()["file_size_in_bytes"].to_pylist()
    assert size > 1.8 * MIB
    options = rewrite_options(planned(catalog, CompactionPolicy(target_file_size_mb=1, min_file_size_mb=1)))
    assert int(options["max-file-size-bytes"]) == size + 1


def test_files_are_new_unless_rows_are_deleted_by_value(catalog: CachingSqlCatalog) -> None:
    table = create_table(catalog, SCHEMA, [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}])
    delete_rows(table, "id", pc.field("id") == 1)
    assert rewrite_options(planned(catalog))["use-starting-sequence-number"] == "false"
    commit_equality_delete(catalog, table, pa.table({"id": [2]}))
    assert rewrite_options(planned(catalog))["use-starting-sequence-number"] == "true"


@pytest.mark.parametrize("is_sorted", [False, True])
def test_sorted_tables_are_sorted(catalog: CachingSqlCatalog, is_sorted: bool) -> None:
    order = SortOrder(SortField(source_id=1, transform=IdentityTransform())) if is_sorted else SortOrder()
    append(catalog.create_table(str(NAME), SCHEMA, sort_order=order), [{"id": 1, "name": "x"}])
    statement = rewrite_statement("our lake", planned(catalog))
    strategy = "sort" if is_sorted else "binpack"
    assert statement.startswith(
        "CALL `our lake`.system.rewrite_data_files("
        f"table => '`our lake`.`sales`.`orders`', strategy => '{strategy}', options => map('target-file-size-bytes', '"
    )
