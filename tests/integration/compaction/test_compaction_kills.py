"""kill -9 at every step of a compaction: the rows are all there, and the next run finishes what is left."""

from __future__ import annotations

import pytest
from pyiceberg.catalog import Catalog

from app.bootstrap import Services
from app.domain.compaction.claims import RUN_ID
from app.services.orphans import OrphanAge
from app.settings import Settings
from tests.integration.compaction.killed import POINTS, kill_at
from tests.integration.compaction.tables import (
    COMMAND,
    NAME,
    changes_of,
    compact,
    create,
    ids_of,
    on_disk,
    reached,
)

pytestmark = pytest.mark.anyio

PARTS, FILES = 3, 12


@pytest.mark.parametrize("point", POINTS)
async def test_killed_compaction_loses_nothing_and_the_next_one_finishes(
    settings: Settings, services: Services, catalog: Catalog, point: str
) -> None:
    table = create(catalog, files=FILES, parts=PARTS)
    rows, before = ids_of(table), table.metadata.current_snapshot_id

    await kill_at(settings, point)

    # Then what is in the table is whole
    table.refresh()
    committed = len(table.metadata.snapshots) - FILES
    assert committed == POINTS[point][1]
    assert ids_of(table) == ids_of(table, before) == rows
    assert len(table.inspect.files()) == FILES * (PARTS - committed) + committed
    assert reached(table) <= on_disk(table)

    # And the next run does what is left, and writes down what the killed one did
    (told,) = await compact(services)
    assert (told["files_after"], told["error"]) == (PARTS, None)
    table.refresh()
    assert ids_of(table) == ids_of(table, before) == rows
    runs = {snapshot.summary[RUN_ID] for snapshot in table.metadata.snapshots} - {None}
    changes = await changes_of(services, table)
    assert {str(change.change_id) for change in changes} == runs
    assert len(runs) == (2 if 0 < committed < PARTS else 1)
    # And no run is left open
    log = services.compaction_sweeps._compaction._changes
    assert await log.list_open_compactions(table.metadata.table_uuid) == []
    assert {(change.actor, change.reason) for change in changes} == {(COMMAND.actor, COMMAND.reason)}
    assert sum(len(change.details["snapshotIds"]) for change in changes) == len(table.metadata.snapshots) - FILES

    # And what it left behind are orphans, and nothing else is
    strangers = on_disk(table) - reached(table)
    found = await services.orphans.remove(NAME, COMMAND, OrphanAge(days=0, is_forced=True))
    assert found.removed >= len(strangers)
    assert on_disk(table) == reached(table)
    assert ids_of(table) == ids_of(table, before) == rows
