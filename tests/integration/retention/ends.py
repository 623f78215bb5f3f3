"""How an expiry has to end, wherever one before it was killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyiceberg.table import Table

from app.bootstrap import Services, open_services
from app.domain.changes import ChangeKind
from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.settings import Settings
from tests.integration.retention.killed import Points, expire, kill_in_the_middle
from tests.unit.lake.expire.histories import Step
from tests.unit.lake.expire.naive import on_disk, reached, rows_of

_ROUND = [Step.APPEND, Step.APPEND, Step.TAG, Step.DELETE_ROWS, Step.APPEND, Step.REWRITE_FILES, Step.STATISTICS]
STEPS = [*_ROUND, *_ROUND, Step.APPEND, Step.APPEND]


async def changes_of(services: Services, table: Table) -> list[Any]:
    """The expiries in the record of changes of a table."""
    page = await services.datasets.changes_page(PageRequest(), table_uuid=table.metadata.table_uuid)
    return [change for change in page.items if change.kind is ChangeKind.SNAPSHOTS_EXPIRED]


def sizes_of(table: Table) -> dict[Path, int]:
    """What is on the disk, with what it takes."""
    return {path: path.stat().st_size for path in on_disk(table)}


def gone_bytes(sizes: Mapping[Path, int], table: Table) -> int:
    """What the files took that are gone since."""
    return sum(sizes[path] for path in sizes.keys() - on_disk(table))


async def check_finished_by_the_next(
    settings: Settings, table: Table, points: Points, point: str, environment: Mapping[str, str] | None = None
) -> None:
    """That an expiry killed at a point leaves a table that reads, and that the next one ends as it would have."""
    *namespace, last = table.name()
    name, has_gone = DatasetName(namespace=".".join(namespace), name=last), points[point][1]
    # Given an expiry killed in the middle
    rows = {snapshot.snapshot_id: rows_of(table, snapshot.snapshot_id) for snapshot in table.metadata.snapshots}
    sizes = sizes_of(table)
    kill_in_the_middle(settings, name, point, environment or {})

    # Then the table reads, with the snapshots that it has
    table.refresh()
    assert (len(table.metadata.snapshots) < len(rows)) is has_gone
    for snapshot in table.metadata.snapshots:
        assert rows_of(table, snapshot.snapshot_id) == rows[snapshot.snapshot_id]

    # When the next one runs, then it ends as it would have
    async with open_services(settings) as services:
        done = await expire(services, name)
        assert await services.retention._runs.list_open(table.metadata.table_uuid) == []
        changes = await changes_of(services, table)
        runs = await services.retention._runs.list_of_table(table.metadata.table_uuid, limit=10)
    table.refresh()
    assert on_disk(table) == reached(table)
    assert len(table.metadata.snapshots) < len(rows)
    assert len(changes) == 1
    # And every byte is counted once, whoever deleted it
    (run,) = runs
    assert run.bytes_freed == run.bytes_planned == gone_bytes(sizes, table)
    assert run.files_deleted == run.files_planned
    assert (done.run_id is None) is has_gone
