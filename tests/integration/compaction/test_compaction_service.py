"""Compaction as a service: what it does to tables, what it tells, records and leaves alone."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

import app.lake.compact.jobs
from app.bootstrap import Services
from app.domain.changes import ChangeState
from app.domain.compaction.explaining import explain_plan
from app.domain.compaction.policy import CompactionPolicy
from app.domain.compaction.ranking import Budget
from app.domain.names import DatasetName
from app.errors import (
    BackendUnavailableError,
    DatasetNotFoundError,
    InvalidArgumentError,
    LockTimeoutError,
    MetadataNotWrittenError,
    MissingFileError,
)
from app.services.compaction import planning
from app.services.compaction.sweeps import Limits
from tests.full_disk import full_disk
from tests.integration.compaction.tables import (
    COMMAND,
    NAME,
    ROWS,
    append,
    changes_of,
    compact,
    create,
    ids_of,
    on_disk,
    reached,
)

pytestmark = pytest.mark.anyio

ORDERS, ITEMS = DatasetName(namespace="gold", name="orders"), DatasetName(namespace="silver", name="items")


async def test_a_dry_run_tells_and_changes_nothing(services: Services, catalog: Catalog) -> None:
    table = create(catalog)
    location = table.metadata_location

    (told,) = await compact(services, is_dry_run=True)

    assert (told["dry_run"], told["files_before"], told["files_after"]) == (True, 12, 1)
    assert told["plan"] is not None
    assert told["plan"]["needs_compaction"]
    assert (told["snapshot_id"], told["run_id"], told["bins"]) == (None, None, [])
    assert catalog.load_table(str(NAME)).metadata_location == location


async def test_files_are_brought_together_told_and_recorded(services: Services, catalog: Catalog) -> None:
    table = create(catalog, parts=2)
    before, rows = table.metadata.current_snapshot_id, ids_of(table)

    (told,) = await compact(services)

    table.refresh()
    assert ids_of(table) == ids_of(table, before) == rows
    assert (told["files_before"], told["files_after"], told["error"], told["is_partial"]) == (24, 2, None, False)
    assert told["snapshot_id"] == str(table.metadata.current_snapshot_id)
    assert table.current_snapshot().summary.operation.value == "replace"
    assert table.current_snapshot().parent_snapshot_id == before
    assert sorted((each["partition"], each["files"], each["files_after"]) for each in told["bins"]) == [
        ("part=0", 12, 1),
        ("part=1", 12, 1),
    ]
    # And the record tells who, why and what
    (change,) = await changes_of(services, table)
    assert (change.actor, change.reason, change.state) == (COMMAND.actor, COMMAND.reason, ChangeState.DONE)
    assert str(change.change_id) == told["run_id"]
    assert change.details == {
        "engine": "local",
        "baseSnapshotId": str(before),
        "snapshotIds": [told["snapshot_id"]],
        "filesBefore": "24",
        "filesAfter": "2",
        "bytesBefore": str(sum(each["bytes"] for each in told["bins"])),
        "bytesAfter": str(sum(each["bytes_after"] for each in told["bins"])),
    }
    # And there is nothing left to do
    (again,) = await compact(services)
    assert (again["files_before"], again["files_after"], again["run_id"]) == (2, 2, None)
    assert len(await changes_of(services, table)) == 1


async def test_what_earlier_snapshots_hold_is_told_with_the_pins_that_hold_it(
    services: Services, catalog: Catalog
) -> None:
    table = create(catalog)
    sizes = table.inspect.files()["file_size_in_bytes"].to_pylist()
    first = table.metadata.snapshots[0].snapshot_id
    await services.versioning.create_tag(NAME, "audit_2026_q1", str(first), COMMAND)

    (told,) = await compact(services)

    assert told["storage"] is not None
    assert told["storage"]["earlier_bytes"] is not None
    assert told["storage"]["earlier_bytes"] >= sum(sizes)
    # All of them are young: the policy keeps them for ninety days, so that no pin alone keeps any.
    assert told["storage"]["expirable_bytes"] == 0
    assert set(told["storage"]["pinned"].values()) <= {0}


async def test_what_fails_at_one_table_is_told_and_the_others_are_done(services: Services, catalog: Catalog) -> None:
    broken = create(catalog)
    create(catalog, ORDERS)
    missing = min(on_disk(broken))
    missing.unlink()
    head = broken.metadata.current_snapshot_id

    told = {entry["table"]: entry for entry in await compact(services, NAME, ORDERS)}

    assert told["orders"]["files_after"] == 1
    error = told["events"]["error"]
    assert error is not None
    assert error["code"] == MissingFileError.code
    assert missing.name in str(error["message"])
    assert catalog.load_table(str(NAME)).metadata.current_snapshot_id == head
    assert on_disk(broken) == reached(broken) - {missing}
    assert await changes_of(services, broken) == []


async def test_an_unknown_table_is_told_with_one_like_it(services: Services, catalog: Catalog) -> None:
    create(catalog)

    (told,) = await compact(services, DatasetName(namespace="bronze", name="event"))

    assert told["error"] is not None
    assert told["error"]["code"] == DatasetNotFoundError.code
    assert "bronze.events" in str(told["error"])


async def test_a_table_has_one_compaction_at_a_time(services: Services, catalog: Catalog) -> None:
    table = create(catalog)
    services.compaction_sweeps._compaction._settings = services.settings.model_copy(update={"lock_timeout_s": 0.2})

    async with services.compaction_sweeps._compaction._locked(table.metadata.table_uuid):
        (told,) = await compact(services)

    assert told["error"] is not None
    assert told["error"]["code"] == LockTimeoutError.code
    assert len(on_disk(table)) == 12


async def test_a_table_that_is_written_to_is_left_alone(services: Services, catalog: Catalog) -> None:
    create(catalog)
    limits = Limits(skip_active=timedelta(minutes=15))

    (told,) = await compact(services, limits=limits)

    assert told["skipped"] is not None
    assert told["skipped"].startswith("it was written to ")
    assert (told["files_before"], told["files_after"], told["run_id"]) == (12, 12, None)


async def test_each_layer_has_its_schedule(services: Services, catalog: Catalog) -> None:
    table = create(catalog)
    create(catalog, DatasetName(namespace="platinum", name="kpis"))
    chosen = [NAME, DatasetName(namespace="platinum", name="kpis")]

    first = {entry["table"]: entry for entry in await compact(services, *chosen, limits=Limits(is_due_only=True))}
    append(table, 100)
    again = {entry["table"]: entry for entry in await compact(services, *chosen, limits=Limits(is_due_only=True))}

    assert first["kpis"]["skipped"] == again["kpis"]["skipped"] == "it is compacted on demand alone"
    assert (first["events"]["skipped"], first["events"]["files_after"]) == (None, 1)
    assert str(again["events"]["skipped"]).startswith("it is compacted weekly, and was on ")


async def test_a_budget_goes_to_what_gains_most(services: Services, catalog: Catalog) -> None:
    # Given one table of many small files, and one of a few larger ones
    create(catalog, files=30)
    items = create(catalog, ITEMS, files=12)
    create(catalog, ORDERS, files=30, parts=2)
    budget = sum(items.inspect.files()["file_size_in_bytes"].to_pylist())

    dry = await compact(services, NAME, ITEMS, ORDERS, limits=Limits(budget=Budget(size_bytes=1)), is_dry_run=True)
    assert [entry["skipped"] for entry in dry] == ["the budget is not enough for any of it"] * 3
    told = {
        entry["table"]: entry
        for entry in await compact(services, NAME, ITEMS, ORDERS, limits=Limits(budget=Budget(size_bytes=4 * budget)))
    }

    # Then only some of the partitions are done
    done = {name: len(entry["bins"]) for name, entry in told.items()}
    assert sum(done.values()) >= 1
    assert sum(entry["is_partial"] or entry["skipped"] is not None for entry in told.values()) >= 1
    rewritten = sum(each["bytes"] for entry in told.values() for each in entry["bins"])
    assert rewritten <= 4 * budget


@pytest.mark.parametrize("is_dry_run", [False, True])
async def test_time_that_is_spent_begins_no_other_table_than_the_best(
    services: Services, catalog: Catalog, *, is_dry_run: bool
) -> None:
    # Given so many tables that looking at them takes all the time
    create(catalog, files=30)
    create(catalog, ORDERS, files=15)
    create(catalog, ITEMS)
    limits = Limits(budget=Budget(seconds=0))

    told = {
        entry["table"]: entry
        for entry in await compact(services, ITEMS, NAME, ORDERS, limits=limits, is_dry_run=is_dry_run)
    }

    skipped = {name: entry["skipped"] for name, entry in told.items()}
    spent = "looking at the tables took all of the time, after which no other is begun than the one that gains most"
    assert skipped == {"events": None, "orders": spent, "items": spent}
    assert told["events"]["files_after"] == 1


async def test_time_that_the_best_table_took_is_told_as_that(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given time enough to look at two tables, and not to compact one
    create(catalog, files=30)
    create(catalog, ITEMS)
    compaction = services.compaction_sweeps._compaction
    run, now = compaction.run, 0.0
    monkeypatch.setattr("app.services.compaction.sweeps.time", SimpleNamespace(monotonic=lambda: now))

    async def slowly(*arguments: Any, **named: Any) -> Any:
        nonlocal now
        now += 5
        return await run(*arguments, **named)

    compaction.run = slowly  # type: ignore[method-assign]

    told = await compact(services, ITEMS, NAME, limits=Limits(budget=Budget(seconds=5)))

    assert {entry["table"]: entry["skipped"] for entry in told} == {
        "events": None,
        "items": "the time is spent on what gains more",
    }


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({}, Limits()),
        ({"budget": "10GB"}, Limits(budget=Budget(size_bytes=10 * 2**30))),
        ({"budget": "30m"}, Limits(budget=Budget(seconds=1800))),
        ({"is_due_only": True}, Limits(is_due_only=True, skip_active=timedelta(minutes=15))),
        ({"is_due_only": True, "skip_active": "0s"}, Limits(is_due_only=True, skip_active=timedelta())),
        ({"skip_active": "15m"}, Limits(skip_active=timedelta(minutes=15))),
    ],
)
def test_limits_are_read_of_texts(given: dict[str, Any], limits: Limits) -> None:
    assert Limits.parse(**given) == limits


@pytest.mark.parametrize(
    ("given", "argument"),
    [({"budget": "some"}, "budget"), ({"skip_active": "15"}, "skipActive"), ({"skip_active": ""}, "skipActive")],
)
def test_limits_that_are_none_are_refused_by_name(given: dict[str, Any], argument: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Limits.parse(**given)
    assert caught.value.fields["argument"] == argument


async def test_a_plan_comes_with_its_table_and_sentences_made_in_a_thread(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = create(catalog, parts=2)
    threads: set[int] = set()

    def explaining(*given: Any) -> list[str]:
        threads.add(threading.get_ident())
        return explain_plan(*given)

    monkeypatch.setattr(planning, "explain_plan", explaining)

    found = await services.compaction_planning.explained(NAME, CompactionPolicy())

    assert found.table.state.table_uuid == table.metadata.table_uuid
    assert (found.plan.needs_compaction, len(found.plan.bins)) == (True, 2)
    assert found.explanation[0].startswith("The table has 24 data files of ")
    assert await services.compaction_planning.explain(NAME, CompactionPolicy()) == found.explanation
    assert threads and threading.get_ident() not in threads


async def test_all_files_are_written_anew_where_that_is_asked(services: Services, catalog: Catalog) -> None:
    table = create(catalog, files=1)
    rows = ids_of(table)

    (told,) = await compact(services, policy=CompactionPolicy(rewrite_all=True))

    assert (told["files_before"], told["files_after"], len(told["bins"])) == (1, 1, 1)
    assert ids_of(table.refresh()) == rows
    assert len(rows) == ROWS


async def test_a_table_that_is_dropped_meanwhile_is_told_and_nothing_lies_about(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = create(catalog)
    make = app.lake.compact.jobs.BinMaker.__call__

    def dropped(*arguments: Any) -> Any:
        made = make(*arguments)
        catalog.drop_table(str(NAME))
        return made

    monkeypatch.setattr(app.lake.compact.jobs.BinMaker, "__call__", dropped)
    before = on_disk(table)

    (told,) = await compact(services)

    assert told["error"] is not None
    assert told["error"]["code"] == DatasetNotFoundError.code
    assert on_disk(table) == before


async def test_another_table_of_the_name_is_left_alone(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(catalog)
    make = app.lake.compact.jobs.BinMaker.__call__

    def replaced(*arguments: Any) -> Any:
        made = make(*arguments)
        catalog.rename_table(str(NAME), "bronze.before")
        create(catalog, files=1)
        return made

    monkeypatch.setattr(app.lake.compact.jobs.BinMaker, "__call__", replaced)

    (told,) = await compact(services)

    assert told["error"] is not None
    assert told["error"]["code"] == DatasetNotFoundError.code
    assert len(catalog.load_table(str(NAME)).inspect.files()) == 1
    assert len(catalog.load_table("bronze.before").inspect.files()) == 12


@pytest.mark.parametrize(
    ("case", "told_of"),
    [("dropped", "bronze.events"), ("another", "another table has its name now"), ("away", "it is away")],
)
async def test_what_was_committed_is_told_where_the_table_cannot_be_looked_at_any_more(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, case: str, told_of: str
) -> None:
    # Given a table that is gone, or cannot be asked for, once all is committed
    table = create(catalog, parts=2)
    rows = ids_of(table)
    records = services.compaction_sweeps._compaction._records
    settle_own = records.settle_own

    async def then(*arguments: Any, **named: Any) -> None:
        await settle_own(*arguments, **named)
        if case == "away":
            monkeypatch.setattr(services.lake, "plan_compaction", away)
            return
        catalog.rename_table(str(NAME), "bronze.before")
        if case == "another":
            create(catalog, files=1)

    async def away(*_: Any) -> Any:
        raise BackendUnavailableError("lake", "it is away")

    monkeypatch.setattr(records, "settle_own", then)

    (told,) = await compact(services)

    # Then the answer tells what was done, and why it does not tell more
    assert (told["error"], told["is_partial"]) == (None, False)
    assert (told["files_before"], told["files_after"], len(told["bins"])) == (24, 2, 2)
    assert told["size_after_mb"] <= told["size_before_mb"]
    (change,) = await changes_of(services, table)
    assert (told["run_id"], [told["snapshot_id"]]) == (str(change.change_id), change.details["snapshotIds"])
    (warning,) = told["warnings"]
    assert warning.startswith("what was committed is told, but not what the table is since: ")
    assert told_of in warning
    assert told["storage"] is None
    if case == "away":
        assert ids_of(table.refresh()) == rows


# Bytes of each file that have room: none of a data file, or no more than is less than the metadata file.
@pytest.mark.parametrize("room", [0, 9_000], ids=["data", "metadata"])
async def test_a_full_disk_is_told_and_nothing_is_lost(services: Services, catalog: Catalog, room: int) -> None:
    table = create(catalog)
    rows, head = ids_of(table), table.metadata.current_snapshot_id
    with full_disk(room):
        (told,) = await compact(services)
    assert told["error"] is not None
    assert told["error"]["code"] == (MetadataNotWrittenError.code if room else BackendUnavailableError.code)
    table.refresh()
    assert table.metadata.current_snapshot_id == head
    assert ids_of(table) == rows
    assert on_disk(table) == reached(table)
    # And once there is room all is done
    (again,) = await compact(services)
    assert (again["error"], again["files_after"]) == (None, 1)


async def test_an_error_that_nobody_thought_of_at_one_table_keeps_no_other_one_back(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(catalog)
    create(catalog, ORDERS)
    make = app.lake.compact.jobs.BinMaker.__call__

    def broken(maker: Any, planned: Any, *arguments: Any) -> Any:
        if planned.table.state.name == NAME:
            raise TypeError("nobody thought of it")
        return make(maker, planned, *arguments)

    monkeypatch.setattr(app.lake.compact.jobs.BinMaker, "__call__", broken)

    told = {entry["table"]: entry for entry in await compact(services, NAME, ORDERS)}

    assert told["orders"]["files_after"] == 1
    error = told["events"]["error"]
    assert error is not None
    assert error["code"] == "INTERNAL_ERROR"
    assert "nobody" not in str(error)
