"""What is written down of runs whose table, or whose lock, is not what it was when they began."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

import app.lake.compact.running
from app.bootstrap import Services, open_services
from app.domain.changes import Change, ChangeState
from app.domain.compaction.claims import RUN_ID, RunClaim
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.compaction.policy import CompactionPolicy
from app.domain.compaction.ranking import Budget
from app.domain.compaction.schedule import SCHEDULE
from app.domain.names import DatasetName
from app.lake.commits import CommitRefusedError
from app.lake.compact.commit import commit_bins
from app.lake.compact.jobs import CompactionJob
from app.lake.compact.making import BinMaker
from app.services.compaction.sweeps import Limits
from app.settings import Settings
from tests.integration.compaction.killed import kill_at
from tests.integration.compaction.tables import COMMAND, NAME, append, changes_of, compact, create

pytestmark = pytest.mark.anyio

LONGEST_S = 60


async def open_runs(services: Services, table: Table) -> list[UUID]:
    log = services.compaction_sweeps._compaction._changes
    return [stored.change.change_id for stored in await log.list_open_compactions(table.metadata.table_uuid)]


def metadata_of(table: Table) -> Path:
    return Path(table.metadata_location.removeprefix("file://"))


async def the_run(settings: Settings, table: Table) -> tuple[UUID, ChangeState, str | None]:
    """The only run of a table, whatever became of it."""
    connection = await asyncpg.connect(settings.database_url)
    try:
        query = "SELECT change_id, state, failure FROM changes WHERE table_uuid = $1 AND kind = 'COMPACTED'"
        (row,) = await connection.fetch(query, table.metadata.table_uuid)
    finally:
        await connection.close()
    return row["change_id"], ChangeState(row["state"]), row["failure"]


def once(work: Callable[[], None]) -> Callable[[], None]:
    """What does it the first time alone."""
    left = iter([work])
    return lambda: next(left, lambda: None)()


def after_a_bin_is_made(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> None:
    make, then = BinMaker.__call__, once(work)

    def made(*arguments: Any) -> Any:
        found = make(*arguments)
        then()
        return found

    monkeypatch.setattr(BinMaker, "__call__", made)


def after_a_commit(services: Services, work: Callable[[], None]) -> None:
    catalog, then = services.lake._catalog, once(work)
    commit = catalog.commit_table

    def committed(*arguments: Any, **named: Any) -> Any:
        answer = commit(*arguments, **named)
        then()
        return answer

    catalog.commit_table = committed  # type: ignore[method-assign]


async def test_a_run_whose_table_is_dropped_is_settled_with_that_reason(
    services: Services, settings: Settings, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = create(catalog)
    after_a_bin_is_made(monkeypatch, lambda: catalog.drop_table(str(NAME)))

    await compact(services)

    _, state, failure = await the_run(settings, table)
    assert state is ChangeState.FAILED
    assert failure is not None
    assert failure.startswith("the table is gone")


@pytest.mark.parametrize("is_made_again", [False, True], ids=["dropped", "made again"])
async def test_a_run_tells_what_it_committed_to_a_table_that_is_gone(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, *, is_made_again: bool
) -> None:
    # Given two bins, each committed by itself, and a table that is dropped once the first one is
    monkeypatch.setattr(app.lake.compact.running, "_GROUP_BYTES", 0)
    table = create(catalog, parts=2)
    made: list[Table] = []

    def drop() -> None:
        catalog.drop_table(str(NAME))
        if is_made_again:
            made.append(create(catalog, files=1))

    after_a_commit(services, drop)

    await compact(services)

    (change,) = await changes_of(services, table)
    assert change.state is ChangeState.DONE
    assert (change.details["filesBefore"], change.details["filesAfter"]) == ("12", "1")
    assert len(snapshots_of(change)) == 1
    assert int(str(change.details["bytesBefore"])) > int(str(change.details["bytesAfter"])) > 0
    # And nothing is told of the other one
    for other in made:
        assert await changes_of(services, other) == []


async def test_a_run_whose_table_gets_another_name_is_written_down(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two bins, each committed by itself, and a table that is renamed once the first one is, and another for it
    monkeypatch.setattr(app.lake.compact.running, "_GROUP_BYTES", 0)
    table = create(catalog, parts=2)
    new_name = "bronze.renamed"

    def rename() -> None:
        catalog.rename_table(str(NAME), new_name)
        create(catalog, files=1)

    after_a_commit(services, rename)

    await compact(services)

    (change,) = await changes_of(services, table)
    assert await open_runs(services, table) == []
    head = catalog.load_table(new_name).current_snapshot()
    assert head is not None
    assert snapshots_of(change) == [str(head.snapshot_id)]


async def test_what_may_still_come_is_waited_for_an_hour(
    settings: Settings, services: Services, catalog: Catalog
) -> None:
    # Given a run that ended without knowing what became of its commit
    table, loaded = create(catalog), await services.datasets.load(NAME)
    compaction, run_id = services.compaction_sweeps._compaction, UUID(int=1)
    claim = RunClaim(run_id=run_id, engine=CompactionEngine.LOCAL, base_id=None)
    await compaction._records.claim(loaded, claim, COMMAND, None)

    # Then others leave it open
    await compaction.catch_up()
    assert await open_runs(services, table) == [run_id]

    # And give it up after an hour
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("UPDATE changes SET intended_at = intended_at - interval '61 minutes'")
    await connection.close()
    await compaction.catch_up()
    assert await open_runs(services, table) == []


async def test_runs_without_their_lock_settle_none_but_themselves(
    settings: Settings, services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = create(catalog)
    make = BinMaker.__call__
    turns = [(threading.Event(), threading.Event()) for _ in range(2)]
    left = iter(turns)

    def waiting(*arguments: Any) -> Any:
        begun, may_go_on = next(left)
        begun.set()
        assert may_go_on.wait(LONGEST_S)
        return make(*arguments)

    monkeypatch.setattr(BinMaker, "__call__", waiting)
    (first_begun, first_goes_on), (second_begun, second_goes_on) = turns

    async with open_services(settings) as others:
        # Given a run whose lock is lost, and another one that takes it for dead
        first = asyncio.create_task(compact(services))
        assert await asyncio.to_thread(first_begun.wait, LONGEST_S)
        await lose_locks(settings)
        second = asyncio.create_task(compact(others))
        assert await asyncio.to_thread(second_begun.wait, LONGEST_S)
        (second_id,) = await open_runs(services, table)

        # When the first one ends
        first_goes_on.set()
        (told,) = await first

        # Then it is written down, and the other one still open
        (change,) = await changes_of(services, table)
        assert (str(change.change_id), change.state) == (told["run_id"], ChangeState.DONE)
        assert await open_runs(services, table) == [second_id]
        second_goes_on.set()
        await second
    assert await open_runs(services, table) == []
    assert [change.change_id for change in await changes_of(services, table)] == [UUID(told["run_id"])]


async def test_a_run_that_was_taken_for_dead_writes_down_all_that_it_did(
    settings: Settings, services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run that loses its lock after the first of two commits, and another one that writes that down
    monkeypatch.setattr(app.lake.compact.running, "_GROUP_BYTES", 0)
    table = create(catalog, parts=2)
    committed, goes_on = threading.Event(), threading.Event()

    def wait() -> None:
        committed.set()
        assert goes_on.wait(LONGEST_S)

    after_a_commit(services, wait)
    async with open_services(settings) as others:
        running = asyncio.create_task(compact(services))
        assert await asyncio.to_thread(committed.wait, LONGEST_S)
        await lose_locks(settings)
        await others.compaction_sweeps._compaction.catch_up()
    (change,) = await changes_of(services, table)
    assert len(snapshots_of(change)) == 1

    assert change.details["isPartial"] is True

    # When it goes on to its end
    goes_on.set()
    (told,) = await running

    # Then all of it is recorded
    (change,) = await changes_of(services, table)
    assert snapshots_of(change) == told["snapshot_ids"]
    assert "isPartial" not in change.details
    signed = [each for each in table.refresh().snapshots() if each.summary is not None and each.summary[RUN_ID]]
    assert [str(snapshot.snapshot_id) for snapshot in signed] == told["snapshot_ids"]
    assert len(signed) == 2


@pytest.mark.parametrize(
    ("case", "limits"),
    [
        ("not due", Limits(is_due_only=True)),
        ("written to", Limits(skip_active=timedelta(days=1))),
        ("no bytes left", Limits(budget=Budget(size_bytes=1))),
        ("not chosen", None),
    ],
)
async def test_what_a_dead_run_did_to_a_table_that_is_left_alone_is_written_down(
    settings: Settings, services: Services, catalog: Catalog, case: str, limits: Limits | None
) -> None:
    # Given a run of two bins that died after it had committed one
    table = create(catalog, parts=2)
    table.transaction().set_properties({SCHEDULE: "on-demand"}).commit_transaction()
    await kill_at(settings, "after the commit")
    (run_id,) = await open_runs(services, table)

    # When a dry run looks at the table, nothing is written down
    await compact(services, limits=limits, is_dry_run=True)
    assert await open_runs(services, table) == [run_id]

    # But it is when the table is left alone, or none of the chosen ones
    if limits is None:
        other = DatasetName(namespace="gold", name="other")
        create(catalog, other, files=1)
        (told,) = await compact(services, other)
    else:
        (told,) = await compact(services, limits=limits)
        assert told["skipped"] is not None
    assert told["run_id"] is None
    (change,) = await changes_of(services, table)
    assert (change.change_id, change.state, len(snapshots_of(change))) == (run_id, ChangeState.DONE, 1)
    assert await open_runs(services, table) == []


async def test_tables_with_a_run_under_way_are_not_waited_for(
    settings: Settings, services: Services, catalog: Catalog
) -> None:
    # Given as many tables with a run under way as a process can have, and one whose run has died
    table = create(catalog)
    await kill_at(settings, "after the commit")
    (run_id,) = await open_runs(services, table)
    async with open_services(settings) as others, AsyncExitStack() as running:
        compaction = others.compaction_sweeps._compaction
        for number in range(8):
            name = DatasetName(namespace="gold", name=f"busy{number}")
            create(catalog, name, files=1)
            loaded = await others.datasets.load(name)
            await running.enter_async_context(compaction._changes.lock_compaction(loaded.state.table_uuid, 1.0))
            claim = RunClaim(run_id=uuid4(), engine=CompactionEngine.LOCAL, base_id=None)
            await compaction._records.claim(loaded, claim, COMMAND, None)

        # When what died is looked for
        begun = time.monotonic()
        await services.compaction_sweeps._compaction.catch_up()

        # Then it is written down, and none of the others was waited for, of which each may take hours
        assert time.monotonic() - begun < 4
        assert [change.change_id for change in await changes_of(services, table)] == [run_id]
        assert len(await compaction._records.list_open()) == 8


@pytest.mark.parametrize("is_made_again", [False, True], ids=["dropped", "made again"])
async def test_a_dead_run_of_a_table_that_is_gone_is_settled_by_the_next_sweep(
    settings: Settings, services: Services, catalog: Catalog, *, is_made_again: bool
) -> None:
    table = create(catalog)
    await kill_at(settings, "before the first file")
    catalog.drop_table(str(NAME))
    other = create(catalog, NAME if is_made_again else DatasetName(namespace="gold", name="other"))

    (told,) = await compact(services, DatasetName.parse(".".join(other.name())))

    assert told["files_after"] == 1
    _, state, failure = await the_run(settings, table)
    assert state is ChangeState.FAILED
    assert failure is not None
    assert failure.startswith("the table is gone")


async def test_a_dead_run_of_a_table_that_is_renamed_and_cannot_be_read_is_settled_once_it_can(
    settings: Settings, services: Services, catalog: Catalog
) -> None:
    # Given a run that died after its commit, and a table that got another name and lost its metadata file
    table, new_name = create(catalog), "bronze.renamed"
    other = DatasetName(namespace="gold", name="other")
    create(catalog, other, files=1)
    await kill_at(settings, "after the commit")
    (run_id,) = await open_runs(services, table)
    catalog.rename_table(str(NAME), new_name)
    metadata = metadata_of(catalog.load_table(new_name))
    lost = await asyncio.to_thread(metadata.rename, metadata.with_suffix(".lost"))

    # Then the next sweep leaves it open: what cannot be read may be that table
    async with open_services(settings) as others:
        await compact(others, other)
    assert await open_runs(services, table) == [run_id]

    # And one that can read it writes down what was done
    await asyncio.to_thread(lost.rename, metadata)
    async with open_services(settings) as others:
        await compact(others, other)
    (change,) = await changes_of(services, table)
    assert (change.change_id, change.state, len(snapshots_of(change))) == (run_id, ChangeState.DONE, 1)


async def test_a_run_tells_what_it_committed_to_a_table_that_is_gone_beside_one_that_cannot_be_read(
    services: Services, catalog: Catalog
) -> None:
    table, other = create(catalog), create(catalog, DatasetName(namespace="gold", name="other"), files=1)

    def drop() -> None:
        catalog.drop_table(str(NAME))
        metadata_of(other).unlink()

    after_a_commit(services, drop)

    await compact(services)

    (change,) = await changes_of(services, table)
    assert (change.state, len(snapshots_of(change))) == (ChangeState.DONE, 1)


async def _cut(settings: Settings, services: Services, table: Table, _: pytest.MonkeyPatch) -> None:
    size_bytes = sum(table.inspect.files()["file_size_in_bytes"].to_pylist())
    (told,) = await compact(services, limits=Limits(budget=Budget(size_bytes=size_bytes * 2 // 3)))
    assert (told["is_partial"], len(told["bins"])) == (True, 1)


async def _killed(settings: Settings, services: Services, table: Table, _: pytest.MonkeyPatch) -> None:
    await kill_at(settings, "after the commit")


async def _failing(settings: Settings, services: Services, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.lake.compact.running, "_GROUP_BYTES", 0)
    left = iter([True])

    def once_alone(*arguments: Any, **named: Any) -> Any:
        if next(left, False):
            return commit_bins(*arguments, **named)
        raise CommitRefusedError("others were faster")

    with monkeypatch.context() as patch:
        patch.setattr("app.lake.compact.running.commit_bins", once_alone)
        (told,) = await compact(services)
    assert (told["is_partial"], len(told["bins"])) == (True, 1)


@pytest.mark.parametrize("cut_short", [_cut, _killed, _failing])
async def test_a_run_that_left_some_of_it_is_not_what_the_schedule_counts_from(
    settings: Settings,
    services: Services,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    cut_short: Callable[[Settings, Services, Table, pytest.MonkeyPatch], Awaitable[None]],
) -> None:
    # Given a table of two bins, of which a run did one
    table = create(catalog, parts=2)
    await cut_short(settings, services, table, monkeypatch)

    # When what is due is done
    (told,) = await compact(services, limits=Limits(is_due_only=True))

    # Then that is the rest, and the record tells which run was partial
    assert (told["skipped"], told["files_after"], len(told["bins"])) == (None, 2, 1)
    whole, partial = await changes_of(services, table)
    assert (partial.details["isPartial"], whole.details.get("isPartial")) == (True, None)
    # And after that it is not due
    (again,) = await compact(services, limits=Limits(is_due_only=True))
    assert (again["skipped"] or "").startswith("it is compacted weekly, and was on ")


async def test_a_dead_run_of_spark_gets_nothing_that_came_after_the_next_one_had_begun(
    settings: Settings, services: Services, catalog: Catalog
) -> None:
    # Given a run in Spark that died after a commit, and a later one in the same application that was written down
    records, table = services.compaction_sweeps._compaction._records, create(catalog)
    dead, later = UUID(int=1), UUID(int=2)
    of_dead = await _claim_and_commit(services, dead)
    for number in range(12):
        append(table, number)
    of_later = await _claim_and_commit(services, later)
    loaded = await services.datasets.load(NAME)
    base_id = loaded.state.history.snapshots[of_later].parent_id
    await records.settle_own(loaded, _in_spark(later, base_id), None, is_partial=False, failure=None)

    # When the dead one is written down too
    await services.compaction_sweeps._compaction.catch_up()

    # Then each has its own, although nothing but the order tells them apart
    changes = await changes_of(services, table)
    found = {change.change_id: snapshots_of(change) for change in changes}
    assert found == {dead: [str(of_dead)], later: [str(of_later)]}
    assert await open_runs(services, table) == []


def _in_spark(run_id: UUID, base_id: int | None) -> RunClaim:
    return RunClaim(run_id=run_id, engine=CompactionEngine.SPARK, base_id=base_id, application="app-1")


async def _claim_and_commit(services: Services, run_id: UUID) -> int:
    """What a run in Spark leaves that dies after its commit: a claim, and a snapshot that is not signed."""
    planned = await services.compaction_planning.plan(NAME, CompactionPolicy())
    claim = _in_spark(run_id, planned.base.snapshot_id)
    await services.compaction_sweeps._compaction._records.claim(planned.table, claim, COMMAND, None)
    scratch = services.settings.home / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    summary = {"engine-name": "spark", "app-id": "app-1"}
    job = CompactionJob(
        name=str(run_id), properties=summary, scratch=scratch, memory_bytes=64 * 1024 * 1024, threads=1, rounds=1
    )
    outcome = await services.lake.compact(planned, job, lambda _: None, lambda _: None)
    (snapshot_id,) = outcome.snapshot_ids
    return snapshot_id


async def lose_locks(settings: Settings) -> None:
    connection = await asyncpg.connect(settings.database_url)
    try:
        await connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'")
    finally:
        await connection.close()


def snapshots_of(change: Change) -> list[str]:
    found = change.details["snapshotIds"]
    assert isinstance(found, list)
    return [str(snapshot_id) for snapshot_id in found]
