"""The one loop of work that goes on beside the requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

import pytest

from app.errors import BackendUnavailableError
from app.services.background import keep_at

pytestmark = pytest.mark.anyio


async def keep_at_steps(outcomes: Sequence[Exception | None], news: asyncio.Event | None = None) -> int:
    """How many steps were taken, the last of them without an outcome, within a second."""
    taken = 0
    is_over = asyncio.Event()

    async def step() -> None:
        nonlocal taken
        taken += 1
        if taken > len(outcomes):
            is_over.set()
            return
        outcome = outcomes[taken - 1]
        if news is not None:
            news.set()
        if outcome is not None:
            raise outcome

    task = asyncio.create_task(keep_at("counting", step, pause_s=3600 if news else 0, away_s=0, news=news))
    try:
        async with asyncio.timeout(5):
            await is_over.wait()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return taken


async def test_what_fails_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    outcomes = [BackendUnavailableError("Postgres", "it restarts"), ZeroDivisionError("odd"), None]

    assert await keep_at_steps(outcomes) == 4

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "counting waits: Postgres is not available: it restarts"),
        ("ERROR", "counting failed, and is tried again"),
    ]


async def test_news_end_the_rest_also_where_they_come_during_a_step() -> None:
    assert await keep_at_steps([None, None], news=asyncio.Event()) == 3
