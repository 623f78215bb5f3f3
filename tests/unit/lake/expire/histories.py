"""Tables with histories: appends, deletes of both kinds, rewrites, tags, branches, rollbacks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.statistics import PartitionStatisticsFile, StatisticsFile
from pyiceberg.table.update import SetPartitionStatisticsUpdate
from pyiceberg.types import LongType, NestedField, StringType

from tests.unit.lake.local_tables import NAME, delete_rows

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))


class Step(StrEnum):
    APPEND = "APPEND"
    MERGE = "MERGE"  # an append that writes the manifests anew
    DELETE_ROWS = "DELETE_ROWS"
    REWRITE_FILES = "REWRITE_FILES"
    OVERWRITE = "OVERWRITE"
    TAG = "TAG"
    BRANCH = "BRANCH"
    ROLLBACK = "ROLLBACK"
    STATISTICS = "STATISTICS"


def create(catalog: Catalog, name: str = str(NAME), **properties: str) -> Table:
    catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
    return catalog.create_table(name, SCHEMA, properties=properties)


def append(table: Table, *ids: int, branch: str | None = None) -> int:
    """One more file; answers the new snapshot."""
    # Two snapshots of one millisecond would have no order in time.
    time.sleep(0.002)
    rows = pa.Table.from_pylist(
        [{"id": number, "name": f"row {number}"} for number in ids], schema_to_pyarrow(SCHEMA, include_field_ids=False)
    )
    if branch is None:
        table.append(rows)
    else:
        table.append(rows, branch=branch)
    return table.refresh().metadata.snapshots[-1].snapshot_id


def make_history(table: Table, steps: Sequence[Step]) -> None:
    """Take these steps, each on the head as the last one left it."""
    for number, step in enumerate(steps):
        _take(table.refresh(), step, number)
    table.refresh()


def set_statistics(table: Table, snapshot_id: int) -> None:
    """A statistics file and a partition statistics file of a snapshot, of 100 and 50 bytes."""
    paths = [f"{table.location()}/metadata/{uuid.uuid4()}.{kind}" for kind in ("stats", "parquet")]
    for path, size in zip(paths, (100, 50), strict=True):
        with table.io.new_output(path).create() as stream:
            stream.write(b"x" * size)
    file = StatisticsFile(
        snapshot_id=snapshot_id,
        statistics_path=paths[0],
        file_size_in_bytes=100,
        file_footer_size_in_bytes=10,
        blob_metadata=[],
    )
    with table.update_statistics() as update:
        update.set_statistics(file)
    partitions = PartitionStatisticsFile(snapshot_id=snapshot_id, statistics_path=paths[1], file_size_in_bytes=50)
    table.catalog.commit_table(table, (), (SetPartitionStatisticsUpdate(partition_statistics=partitions),))
    table.refresh()


def _take(table: Table, step: Step, number: int) -> None:
    head = table.metadata.current_snapshot_id
    first = 10 * number
    if step is Step.APPEND or head is None:
        append(table, *range(first, first + 4))
    elif step is Step.MERGE:
        with table.transaction() as change:
            change.set_properties({"commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": "2"})
        append(table, first, first + 1)
        with table.transaction() as change:
            change.remove_properties("commit.manifest-merge.enabled", "commit.manifest.min-count-to-merge")
    elif step is Step.DELETE_ROWS:
        found = table.scan().to_arrow()["id"]
        if len(found):
            delete_rows(table, "id", pc.field("id") == pc.min(found))
    elif step is Step.REWRITE_FILES:
        table.delete(f"id = {first - 9} or id = {first - 8}")
    elif step is Step.OVERWRITE:
        rows = schema_to_pyarrow(SCHEMA, include_field_ids=False)
        table.overwrite(pa.Table.from_pylist([{"id": first, "name": "over"}], rows))
    elif step is Step.TAG:
        table.manage_snapshots().create_tag(head, f"tag_{number}").commit()
    elif step is Step.BRANCH:
        table.manage_snapshots().create_branch(head, f"branch_{number}").commit()
        append(table.refresh(), first, branch=f"branch_{number}")
    elif step is Step.ROLLBACK:
        parent = table.metadata.current_snapshot().parent_snapshot_id  # type: ignore[union-attr]
        if parent is not None:
            table.manage_snapshots().rollback_to_snapshot(parent).commit()
    elif step is Step.STATISTICS:
        set_statistics(table, head)
