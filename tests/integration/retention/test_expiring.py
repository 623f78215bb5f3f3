"""Expiry of snapshots, carried out: what is kept reads, what is freed is what was told, and crashes lose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from app.bootstrap import open_services
from app.domain.history import ENDLESS_AGE_MS
from app.domain.names import DatasetName
from app.errors import CommitConflictError, MetadataNotWrittenError
from app.settings import Settings
from tests.full_disk import full_disk
from tests.integration.retention.ends import STEPS, changes_of, check_finished_by_the_next, gone_bytes, sizes_of
from tests.integration.retention.killed import COMMAND, NAME, POLICY, SQL_POINTS, expire
from tests.lake_tables import age_of, open_catalog, set_tag
from tests.unit.lake.expire.histories import append, create, make_history
from tests.unit.lake.expire.naive import on_disk, reached, rows_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with open_catalog(settings) as opened:
        yield opened


@pytest.fixture
def table(catalog: Catalog) -> Table:
    made = create(catalog, str(NAME))
    make_history(made, STEPS)
    return made


@pytest.mark.parametrize("is_dry_run", [True, False])
async def test_a_sweep_keeps_no_metadata_of_the_tables_that_it_has_done(
    settings: Settings, catalog: Catalog, table: Table, is_dry_run: bool
) -> None:
    make_history(create(catalog, "kept.others"), STEPS)
    names = [NAME, DatasetName.parse("kept.others")]

    async with open_services(settings) as services:
        held = []
        sweep = services.retention_sweeps.sweep(names, POLICY, COMMAND, lambda *_: None, is_dry_run=is_dry_run)
        async for entry in sweep:
            assert (entry["error"], entry["expired"] > 0) == (None, True)
            for name in names:
                location = catalog.load_table(str(name)).metadata_location
                held.append(services.lake._cache.find(location) is not None)

    assert held == [False] * 4


async def test_what_is_freed_is_what_was_told_and_what_stays_reads(settings: Settings, table: Table) -> None:
    # Given a table with history, and what a plan says of it
    rows = {snapshot.snapshot_id: rows_of(table, snapshot.snapshot_id) for snapshot in table.metadata.snapshots}
    sizes = sizes_of(table)
    async with open_services(settings) as services:
        told = await services.retention_planning.measure(NAME, POLICY, await services.retention_planning.neighbours())

        # When it is carried out
        done = await expire(services)
        again = await expire(services)
        changes = await changes_of(services, table)

    # Then the files that are left are those that are reached, and the bytes are those that were told
    table.refresh()
    assert on_disk(table) == reached(table)
    assert done.done.bytes_freed == told.files.freed.size_bytes == gone_bytes(sizes, table)
    assert done.done.files_deleted == told.files.freed.file_count > 0
    # And each snapshot that was to stay is there with its rows
    kept = {verdict.snapshot.snapshot_id for verdict in told.plan.kept}
    assert {snapshot.snapshot_id for snapshot in table.metadata.snapshots} == kept < rows.keys()
    assert {snapshot_id: rows_of(table, snapshot_id) for snapshot_id in kept} == {key: rows[key] for key in kept}
    # And it is recorded who did it and why, once, and a second run finds nothing to do
    assert [(change.actor, change.reason) for change in changes] == [(COMMAND.actor, COMMAND.reason)]
    assert (again.run_id, again.done.files_deleted, again.planned.plan.is_empty) == (None, 0, True)


@pytest.mark.parametrize("point", SQL_POINTS)
async def test_an_expiry_that_is_killed_is_finished_by_the_next(settings: Settings, table: Table, point: str) -> None:
    await check_finished_by_the_next(settings, table, SQL_POINTS, point)


async def test_a_tag_made_between_plan_and_commit_is_planned_for(
    settings: Settings, catalog: Catalog, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given somebody else who tags what is about to go
    first = min(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0).snapshot_id
    async with open_services(settings) as services:
        commit_expiry = services.lake.commit_expiry
        calls = 0

        async def overtaken(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                catalog.load_table(str(NAME)).manage_snapshots().create_tag(first, "late").commit()
            return await commit_expiry(*arguments)

        monkeypatch.setattr(services.lake, "commit_expiry", overtaken)
        await expire(services)

    # Then it was planned again, and the tag reads
    table.refresh()
    assert calls == 2
    assert table.metadata.refs["late"].snapshot_id == first
    assert rows_of(table, first)
    assert on_disk(table) == reached(table)


async def test_a_table_that_never_rests_is_given_up(
    settings: Settings, catalog: Catalog, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_services(settings) as services:
        commit_expiry = services.lake.commit_expiry

        async def overtaken(*arguments: Any) -> Any:
            append(catalog.load_table(str(NAME)), 1)
            return await commit_expiry(*arguments)

        monkeypatch.setattr(services.lake, "commit_expiry", overtaken)
        with pytest.raises(CommitConflictError):
            await expire(services)
        assert await services.retention._runs.list_open(table.metadata.table_uuid) == []
    table.refresh()
    assert reached(table) <= on_disk(table)


async def test_a_full_disk_expires_nothing_and_leaves_nothing_to_do(settings: Settings, table: Table) -> None:
    async with open_services(settings) as services:
        files = on_disk(table)
        with full_disk(), pytest.raises(MetadataNotWrittenError):
            await expire(services)

        # Then nothing has changed, the run is given up, and nothing is recorded of what was not done
        assert (on_disk(table), await services.retention._runs.list_open(table.metadata.table_uuid)) == (files, [])
        assert table.metadata == table.refresh().metadata
        assert await changes_of(services, table) == []
        # And once there is room again, it is done
        assert (await expire(services)).done.files_deleted > 0
    table.refresh()
    assert on_disk(table) == reached(table)


async def test_a_hold_keeps_its_snapshot_until_it_is_released(
    settings: Settings, catalog: Catalog, table: Table
) -> None:
    # Given a hold on the oldest snapshot
    first = min(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0).snapshot_id
    async with open_services(settings) as services:
        hold = await services.holding.place(NAME, str(first), COMMAND)
        done = await expire(services)
        verdict = done.planned.plan.find_verdict(first)
        assert verdict is not None
        assert verdict.texts == (f"hold {hold.hold_id}",)
        assert done.planned.pinned[f"hold {hold.hold_id}"] > 0
        table.refresh()
        assert table.metadata.refs[hold.tag].snapshot_id == first
        assert rows_of(table, first)

        # When somebody else removes its tag, it is set again before anything is planned
        table.manage_snapshots().remove_tag(hold.tag).commit()
        assert (await expire(services)).run_id is None
        table.refresh()
        assert hold.tag in table.metadata.refs

        # When an earlier release has set it, it gets an age that never ends
        set_tag(catalog, hold.tag, first, None, name=str(NAME))
        assert (await expire(services)).run_id is None
        assert age_of(catalog, hold.tag, name=str(NAME)) == ENDLESS_AGE_MS

        # And when it is released, the next run frees what it kept
        kept = done.planned.pinned[f"hold {hold.hold_id}"]
        await services.holding.release(hold.hold_id, COMMAND)
        freed = await expire(services)
    table.refresh()
    assert hold.tag not in table.metadata.refs
    assert freed.done.bytes_freed == kept
    assert on_disk(table) == reached(table)


async def test_files_that_cannot_be_deleted_are_told_and_tried_again(
    settings: Settings, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store that refuses every other file
    from pyiceberg.io.pyarrow import PyArrowFileIO

    delete = PyArrowFileIO.delete
    refused: set[str] = set()

    def refuse(self: PyArrowFileIO, location: Any) -> None:
        if len(refused) < 4 and str(location) not in refused:
            refused.add(str(location))
            raise PermissionError(13, "not yours", str(location))
        delete(self, location)

    async with open_services(settings) as services:
        monkeypatch.setattr(PyArrowFileIO, "delete", refuse)
        done = await expire(services)
        assert (done.done.files_left, len(done.done.examples)) == (4, 1)
        assert "not yours" in done.done.examples[0]
        # When the next run comes, then it has them deleted, though there is nothing to expire
        again = await expire(services)
    assert (again.run_id, again.earlier.files_deleted) == (None, 4)
    table.refresh()
    assert on_disk(table) == reached(table)
