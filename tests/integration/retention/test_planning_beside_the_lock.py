"""Expiries are planned while others go on with the table, and count only for what was planned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from app.bootstrap import Services, open_services
from app.domain.retention.policy import RetentionPolicy
from app.domain.versions import VersionSelector
from app.errors import LockTimeoutError
from app.services.retention import FREE_ATTEMPTS
from app.settings import Settings
from tests.integration.retention.ends import STEPS, changes_of
from tests.integration.retention.killed import COMMAND, NAME, POLICY, expire
from tests.lake_tables import open_catalog
from tests.unit.lake.expire.histories import create, make_history
from tests.unit.lake.expire.naive import on_disk, reached, rows_of

pytestmark = pytest.mark.anyio

NO_TAGS = RetentionPolicy(keep_last_n=2, keep_days=0, production_keep_days=0, keep_tagged=False, allow_zero_days=True)
BUSY_S = 0.3


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url, lock_timeout_s=BUSY_S)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with open_catalog(settings) as opened:
        yield opened


@pytest.fixture
def table(catalog: Catalog) -> Table:
    made = create(catalog, str(NAME))
    make_history(made, STEPS)
    return made


def first_of(table: Table) -> int:
    return min(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0).snapshot_id


def do_after_each_measure(
    services: Services, monkeypatch: pytest.MonkeyPatch, do: Callable[[int], Awaitable[Any]]
) -> list[int]:
    """Have somebody do something between each plan and its commit; answers the numbers of the plans so far."""
    measure_expiry, numbers = services.lake.measure_expiry, list[int]()

    async def measured(*arguments: Any) -> Any:
        measured = await measure_expiry(*arguments)
        numbers.append(len(numbers))
        await do(numbers[-1])
        return measured

    monkeypatch.setattr(services.lake, "measure_expiry", measured)
    return numbers


async def test_whoever_tags_does_not_wait_for_the_plan_and_is_planned_for(
    settings: Settings, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given somebody who tags what is about to go, while it is measured
    first = first_of(table)
    async with open_services(settings) as services:

        async def tag(number: int) -> None:
            if number == 0:
                await services.versioning.create_tag(NAME, "late", VersionSelector(snapshot_id=first), COMMAND)

        plans = do_after_each_measure(services, monkeypatch, tag)
        done = await expire(services)
        changes = await changes_of(services, table)

    # Then it was planned once more, and the tag reads
    table.refresh()
    assert plans == [0, 1]
    assert table.metadata.refs["late"].snapshot_id == first
    assert rows_of(table, first)
    assert done.run_id is not None
    assert len(changes) == 1
    assert on_disk(table) == reached(table)


async def test_what_is_protected_without_a_change_of_the_table_is_planned_for(
    settings: Settings, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a tag that is to go with its snapshot, and that somebody protects while that is measured
    name, ref = next((name, ref) for name, ref in table.metadata.refs.items() if name.startswith("tag_"))
    async with open_services(settings) as services:
        before = (await services.datasets.load(NAME)).state.metadata_location

        async def protect(number: int) -> None:
            if number == 0:
                await services.versioning.create_tag(
                    NAME, name, VersionSelector(snapshot_id=ref.snapshot_id), COMMAND, protected=True
                )
                assert (await services.datasets.load(NAME)).state.metadata_location == before

        plans = do_after_each_measure(services, monkeypatch, protect)
        await expire(services, policy=NO_TAGS)

    # Then it stays, and so does its snapshot
    table.refresh()
    assert plans == [0, 1]
    assert table.metadata.refs[name].snapshot_id == ref.snapshot_id
    assert rows_of(table, ref.snapshot_id)
    assert on_disk(table) == reached(table)


async def test_a_table_that_is_tagged_faster_than_it_is_measured_is_measured_while_taggers_wait(
    settings: Settings, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given somebody who tags whenever it was measured
    head, refused = table.metadata.current_snapshot_id, list[int]()
    async with open_services(settings) as services:

        async def tag(number: int) -> None:
            try:
                await services.versioning.create_tag(NAME, f"late_{number}", VersionSelector(snapshot_id=head), COMMAND)
            except LockTimeoutError:
                refused.append(number)

        plans = do_after_each_measure(services, monkeypatch, tag)
        done = await expire(services)
        open_runs = await services.retention._runs.list_open(table.metadata.table_uuid)

    # Then the first plans were all for nothing, and the next one kept them out until it was committed
    table.refresh()
    assert plans == list(range(FREE_ATTEMPTS + 1))
    assert refused == [FREE_ATTEMPTS]
    assert done.run_id is not None
    assert done.done.files_deleted > 0
    assert open_runs == []
    assert {f"late_{number}" for number in range(FREE_ATTEMPTS)} <= table.metadata.refs.keys()
    assert on_disk(table) == reached(table)


async def test_a_table_that_somebody_keeps_locked_is_left_as_it_is(settings: Settings, table: Table) -> None:
    before = on_disk(table)
    async with open_services(settings) as services:
        async with services.retention._changes.lock(table.metadata.table_uuid, BUSY_S):
            with pytest.raises(LockTimeoutError):
                await expire(services)
        assert await services.retention._runs.list_open(table.metadata.table_uuid) == []

        # And the next one has it
        assert (await expire(services, policy=POLICY)).run_id is not None
    table.refresh()
    assert on_disk(table) == reached(table) < before
