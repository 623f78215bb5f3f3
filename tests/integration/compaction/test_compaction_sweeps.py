"""What a compaction of many tables tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Self

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table.snapshots import Snapshot

from app.bootstrap import Services
from app.domain.compaction.planning import CompactionPlan
from app.domain.compaction.policy import CompactionPolicy
from app.domain.compaction.ranking import Budget
from app.domain.compaction.schedule import SCHEDULE
from app.domain.names import DatasetName
from app.errors import DatasetNotFoundError, InvalidTablePropertyError
from app.lake.compact import planning
from app.lake.row_diff.manifests import Tasks, counted_files
from app.lake.table import LakeTable
from app.services.compaction import sweeps
from app.services.compaction.sweeps import Limits
from tests.integration.compaction.tables import COMMAND, NAME, append, compact, create, ids_of

pytestmark = pytest.mark.anyio

ORDERS, ITEMS = DatasetName(namespace="gold", name="orders"), DatasetName(namespace="silver", name="items")


async def test_a_sweep_says_what_it_is_at(services: Services, catalog: Catalog) -> None:
    # Given two tables to be done, of which the first has most of the bytes, and one with nothing to do
    create(catalog, files=30)
    create(catalog, ITEMS, files=2)
    create(catalog, ORDERS, files=1)
    told: list[tuple[float, str]] = []

    # When all are chosen
    sweep = services.compaction_sweeps.sweep(
        [NAME, ITEMS, ORDERS],
        CompactionPolicy(),
        Limits(),
        COMMAND,
        lambda fraction, message: told.append((fraction, message)),
        is_dry_run=False,
        on_begin=lambda name, plan: told.append((-1.0, f"{name} begins with {plan.counts.files} files")),
    )
    assert len([entry async for entry in sweep]) == 3

    # Then each is looked at first, and what is done is told when it is begun
    messages = [message for _, message in told]
    assert messages[:4] == [
        *(f"{name}: looking at its files" for name in (NAME, ITEMS, ORDERS)),
        f"{NAME} begins with 30 files",
    ]
    assert messages.index(f"{ITEMS} begins with 2 files") == messages.index(f"{NAME}: done") + 1
    # And the larger one is most of the way
    far = [fraction for fraction, _ in told if fraction >= 0]
    assert far == sorted(far)
    assert dict(reversed([(message, fraction) for fraction, message in told]))[f"{NAME}: done"] > 0.8
    assert told[-1] == (1.0, f"{ITEMS}: done")


async def test_a_table_that_is_dropped_before_its_turn_is_told_and_the_others_are_done(
    services: Services, catalog: Catalog
) -> None:
    # Given a table that somebody drops once it was chosen
    create(catalog)
    create(catalog, ORDERS)

    def drop(name: DatasetName, _: CompactionPlan) -> None:
        if name == NAME:
            catalog.drop_table(str(NAME))

    sweep = services.compaction_sweeps.sweep(
        [NAME, ORDERS], CompactionPolicy(), Limits(), COMMAND, lambda *_: None, is_dry_run=False, on_begin=drop
    )
    told = {entry["table"]: entry async for entry in sweep}

    error = told["events"]["error"]
    assert error is not None
    assert error["code"] == DatasetNotFoundError.code
    assert (told["orders"]["files_after"], told["orders"]["error"]) == (1, None)


@pytest.fixture
def planned_for(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The snapshots whose manifests plans were made of, one after the other."""
    found: list[int | None] = []

    def counting(table: LakeTable, head: Snapshot) -> Tasks:
        found.append(head.snapshot_id)
        return counted_files(table, head)

    monkeypatch.setattr(planning, "counted_files", counting)
    return found


def head_of(catalog: Catalog, name: DatasetName = NAME) -> int | None:
    return catalog.load_table(str(name)).metadata.current_snapshot_id


async def test_a_table_that_nobody_has_changed_is_planned_for_once(
    services: Services, catalog: Catalog, planned_for: list[int | None]
) -> None:
    tables = {name: create(catalog, name) for name in (NAME, ORDERS)}
    before = [head_of(catalog, name) for name in tables]
    rows = [ids_of(table) for table in tables.values()]

    told = await compact(services, *tables)

    # Then each time it is read is for what it is afterwards
    assert [(entry["files_before"], entry["files_after"], entry["error"]) for entry in told] == [(12, 1, None)] * 2
    assert [planned_for.count(head) for head in before] == [1, 1]
    assert [ids_of(table.refresh()) for table in tables.values()] == rows


async def test_a_table_that_somebody_changed_before_its_turn_is_planned_for_anew(
    services: Services, catalog: Catalog, planned_for: list[int | None]
) -> None:
    table = create(catalog)
    looked_at = head_of(catalog)
    sweep = services.compaction_sweeps.sweep(
        [NAME],
        CompactionPolicy(),
        Limits(),
        COMMAND,
        lambda *_: None,
        is_dry_run=False,
        on_begin=lambda *_: append(table, 12),
    )

    (told,) = [entry async for entry in sweep]

    head = table.refresh().current_snapshot()
    assert head is not None
    assert planned_for[:2] == [looked_at, head.parent_snapshot_id]
    assert looked_at != head.parent_snapshot_id
    assert (told["files_before"], told["files_after"]) == (13, 1)
    assert len(ids_of(table)) == 13 * 20


@pytest.mark.parametrize(("kept_bytes", "times"), [(0, [2, 2]), (40_000, [1, 2])], ids=["none", "one"])
async def test_only_so_many_plans_are_kept(
    services: Services,
    catalog: Catalog,
    planned_for: list[int | None],
    monkeypatch: pytest.MonkeyPatch,
    kept_bytes: int,
    times: list[int],
) -> None:
    # Given room for none, or for one of twelve files of three columns
    monkeypatch.setattr(sweeps, "KEPT_BYTES", kept_bytes)
    for name in (NAME, ORDERS):
        create(catalog, name)
    before = [head_of(catalog, name) for name in (NAME, ORDERS)]
    told = await compact(services, NAME, ORDERS)
    assert [entry["files_after"] for entry in told] == [1, 1]
    assert [planned_for.count(head) for head in before] == times


class _Clock(datetime):
    """Tells the time so much later than it is."""

    ahead = timedelta(hours=1)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp((datetime.now(tz) + cls.ahead).timestamp(), tz)


def _write_to(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Clock, "ahead", timedelta())
    append(catalog.load_table(str(ITEMS)), 100)


def _take_from_the_schedule(catalog: Catalog, _: pytest.MonkeyPatch) -> None:
    catalog.load_table(str(ITEMS)).transaction().set_properties({SCHEDULE: "on-demand"}).commit_transaction()


def _break_its_schedule(catalog: Catalog, _: pytest.MonkeyPatch) -> None:
    catalog.load_table(str(ITEMS)).transaction().set_properties({SCHEDULE: "hourly"}).commit_transaction()


@pytest.mark.parametrize(
    ("happens", "skipped", "code"),
    [
        (_write_to, "it was written to ", None),
        (_take_from_the_schedule, "it is compacted on demand alone", None),
        (_break_its_schedule, None, InvalidTablePropertyError.code),
    ],
)
async def test_a_table_is_judged_again_before_it_is_begun(
    services: Services,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[Catalog, pytest.MonkeyPatch], None],
    skipped: str | None,
    code: str | None,
) -> None:
    # Given two tables that nobody has written to for an hour
    create(catalog, files=30)
    create(catalog, ITEMS)
    monkeypatch.setattr(sweeps, "datetime", _Clock)
    begun: list[DatasetName] = []

    # When something happens to the second one while the first one is compacted
    def begin(name: DatasetName, _: CompactionPlan) -> None:
        begun.append(name)
        if name == NAME:
            happens(catalog, monkeypatch)

    limits = Limits(is_due_only=True, skip_active=timedelta(minutes=15))
    sweep = services.compaction_sweeps.sweep(
        [NAME, ITEMS], CompactionPolicy(), limits, COMMAND, lambda *_: None, is_dry_run=False, on_begin=begin
    )
    told = {entry["table"]: entry async for entry in sweep}

    # Then that one is not begun, and says why
    assert begun == [NAME]
    assert (told["events"]["files_after"], told["events"]["skipped"]) == (1, None)
    items = told["items"]
    assert (items["files_before"], items["files_after"], items["run_id"]) == (12, 12, None)
    assert (items["skipped"] or "").startswith(skipped or "")
    assert (items["skipped"] is None) == (skipped is None)
    assert (None if items["error"] is None else items["error"]["code"]) == code


async def test_a_dry_run_tells_the_bins_that_a_budget_is_enough_for(services: Services, catalog: Catalog) -> None:
    table = create(catalog, parts=2)
    size_bytes = sum(table.inspect.files()["file_size_in_bytes"].to_pylist())

    (whole,) = await compact(services, is_dry_run=True)
    (some,) = await compact(services, limits=Limits(budget=Budget(size_bytes=size_bytes * 2 // 3)), is_dry_run=True)
    (none,) = await compact(services, limits=Limits(budget=Budget(size_bytes=1)), is_dry_run=True)

    assert [(each["partition"], each["files"], each["files_after"]) for each in whole["planned_bins"]] == [
        ("part=0", 12, 1),
        ("part=1", 12, 1),
    ]
    assert sum(each["bytes"] for each in whole["planned_bins"]) == size_bytes
    assert (len(some["planned_bins"]), some["files_after"], some["is_partial"]) == (1, 13, True)
    assert (none["planned_bins"], none["files_after"]) == ([], 24)
