"""Comparing two versions of a table of a test, as the services do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyiceberg.table import Table

from app.domain.names import DatasetName
from app.domain.row_diffs import RowDiff, RowDiffRequest
from app.domain.version_relation import relate
from app.domain.versions import ResolvedVersion
from app.lake.row_diff.planning import RowDiffPlan, TableVersion, plan_row_diff
from app.lake.row_diff.resources import Resources
from app.lake.row_diff.running import RowDiffRun
from app.lake.table import LakeTable, are_of_one_table, to_state

MEMORY_BYTES = 128 * 1024 * 1024


def load(table: Table) -> LakeTable:
    table = table.catalog.load_table(table.name())
    *namespace, name = table.name()
    dataset = DatasetName(namespace=".".join(namespace), name=name)
    return LakeTable(state=to_state(table.metadata, table.metadata_location, dataset), handle=table)


def version(table: Table, snapshot_id: int | None = None) -> TableVersion:
    """A snapshot in its own schema; without an id the head in the current schema, as `latest`."""
    loaded = load(table)
    head = loaded.state.history.head_id
    assert head is not None
    resolved = ResolvedVersion(snapshot_id=snapshot_id or head, uses_current_schema=snapshot_id is None)
    return TableVersion.of(loaded, resolved)


def plan(
    before: TableVersion, after: TableVersion, keys: Sequence[str] | None = None, sample_size: int = 1000
) -> RowDiffPlan:
    kinship = None
    if are_of_one_table(before.table, before.snapshot_id, after.table, after.snapshot_id):
        kinship = relate(after.table.state.history, before.snapshot_id, after.snapshot_id)
    request = RowDiffRequest(keys=None if keys is None else tuple(keys), sample_size=sample_size)
    return plan_row_diff(before, after, request, kinship)


def compare(
    before: TableVersion,
    after: TableVersion,
    keys: Sequence[str] | None = None,
    sample_size: int = 1000,
    *,
    scratch: Path = Path("/tmp"),
) -> RowDiff:
    resources = Resources(scratch=scratch, memory_bytes=MEMORY_BYTES, threads=2)
    return RowDiffRun(plan(before, after, keys, sample_size), resources).run()
