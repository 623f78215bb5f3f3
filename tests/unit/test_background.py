"""The one loop of work that goes on beside the requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from app.errors import BackendUnavailableError
from app.services.background import keep_at

pytestmark = pytest.mark.anyio


async def keep_at_steps(outcomes: Sequence[Exception | None]) -> int:
    """How many steps were taken until one had no outcome, which told it to stop."""
    taken = 0
    stop = asyncio.Event()

    async def step() -> None:
        nonlocal taken
        taken += 1
        if taken > len(outcomes):
            stop.set()
            return
        outcome = outcomes[taken - 1]
        if outcome is not None:
            raise outcome

    async with asyncio.timeout(5):
        await keep_at("counting", step, pause_s=0, away_s=0, stop=stop)
    return taken


async def test_what_fails_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    outcomes = [BackendUnavailableError("Postgres", "it restarts"), ZeroDivisionError("odd"), None]

    assert await keep_at_steps(outcomes) == 4

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "counting waits: Postgres is not available: it restarts"),
        ("ERROR", "counting failed, and is tried again"),
    ]


async def test_it_stops_in_the_middle_of_a_rest_and_never_in_the_middle_of_a_step() -> None:
    stop, ended = asyncio.Event(), []

    async def step() -> None:
        stop.set()
        await asyncio.sleep(0.01)
        ended.append(True)

    async with asyncio.timeout(5):
        await keep_at("counting", step, pause_s=3600, away_s=3600, stop=stop)
        await keep_at("counting", step, pause_s=3600, away_s=3600, stop=stop)

    assert ended == [True]
