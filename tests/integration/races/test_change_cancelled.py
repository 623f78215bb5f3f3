"""Callers who leave in the middle: the outcome is recorded all the same."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest

from app.bootstrap import Services, open_services
from app.services.outcomes import TagOutcome
from app.settings import Settings
from tests.integration.races.changing import (
    Gate,
    command,
    log_of,
    states,
    tag,
)
from tests.integration.races.table import (
    MAIN,
    NAME,
    append,
    change_rows,
    read_refs,
    stock_catalog,
)

pytestmark = pytest.mark.anyio


async def test_cancelled_in_mid_commit_is_still_recorded(services: Services, settings: Settings) -> None:
    gate = Gate(services)
    task = asyncio.create_task(tag(services, "t", key="k"))
    await asyncio.to_thread(gate.entered.wait)

    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done(), "the lock is kept until the commit has ended"
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await states(settings) == ["DONE"]
    assert "t" in read_refs(settings)
    assert (await tag(services, "t", key="k")).change_id == (await change_rows(settings.database_url or ""))[0][
        "change_id"
    ]


async def test_time_out_of_the_caller_is_his_and_the_change_is_recorded(services: Services, settings: Settings) -> None:
    gate = Gate(services)
    threading.Timer(0.5, gate.open.set).start()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await tag(services, "t")

    assert await states(settings) == ["DONE"]


async def test_cancelled_scope_of_anyio_in_mid_commit_is_still_recorded(services: Services, settings: Settings) -> None:
    gate = Gate(services)
    ended: list[TagOutcome] = []

    async def run() -> None:
        ended.append(await tag(services, "t"))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await asyncio.to_thread(gate.entered.wait)
        group.cancel_scope.cancel()
        gate.open.set()

    assert await states(settings) == ["DONE"]
    assert (await tag(services, "u")).change_id is not None, "the lock is free again"


async def test_cancelled_and_then_refused_is_recorded_as_failed(services: Services, settings: Settings) -> None:
    gate = Gate(services, fails=True)
    head = (await services.datasets.load(NAME)).state.history.refs[MAIN].snapshot_id
    rolling = services.versioning.roll_back(NAME, "main~1", command(), expected_head=head)
    task = asyncio.create_task(rolling)
    await asyncio.to_thread(gate.entered.wait)
    with stock_catalog(settings) as catalog:
        append(catalog.load_table(str(NAME)), "other", 1)

    task.cancel()
    await asyncio.sleep(0)
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await states(settings) == ["FAILED"]


async def test_cancelled_while_waiting_for_its_turn_leaves_nothing(services: Services, settings: Settings) -> None:
    async with open_services(settings) as others:
        table_uuid = (await services.datasets.load(NAME)).state.table_uuid
        async with log_of(others).lock(table_uuid, 10):
            task = asyncio.create_task(tag(services, "t"))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await tag(services, "u")

    assert await states(settings) == ["DONE"]
    assert "t" not in read_refs(settings)
