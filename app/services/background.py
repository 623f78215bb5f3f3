"""Work that goes on for as long as a process lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.errors import Unavailable

logger = logging.getLogger(__name__)


async def keep_at(
    what: str, step: Callable[[], Awaitable[object]], *, pause_s: float, away_s: float, stop: asyncio.Event
) -> None:
    """Take a step, and again and again until `stop` is set; a step that was begun is ended first.

    Between two steps it rests for `pause_s`, or for `away_s` where the step failed.
    """
    while not stop.is_set():
        rest_s = pause_s
        try:
            await step()
        except Unavailable as error:
            logger.warning("%s waits: %s", what, error.message)
            rest_s = away_s
        except Exception:
            # Whatever it is, it must not be the end of this work until somebody restarts the process.
            logger.exception("%s failed, and is tried again", what)
            rest_s = away_s
        await rest(rest_s, stop)


async def rest(duration_s: float, stop: asyncio.Event) -> None:
    """Wait so long, or until `stop` is set."""
    try:
        async with asyncio.timeout(duration_s):
            await stop.wait()
    except TimeoutError:
        return
