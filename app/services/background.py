"""Work that goes on beside the requests for as long as the process lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.errors import Unavailable

logger = logging.getLogger(__name__)


async def keep_at(
    what: str,
    step: Callable[[], Awaitable[object]],
    *,
    pause_s: float,
    away_s: float,
    news: asyncio.Event | None = None,
) -> None:
    """Take a step, and again and again until cancelled.

    Between two steps it rests for `pause_s`, or until there are `news`; for `away_s` where the step failed.
    """
    while True:
        if news is not None:
            news.clear()
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
        await _rest(rest_s, news)


async def _rest(duration_s: float, news: asyncio.Event | None) -> None:
    if news is None:
        await asyncio.sleep(duration_s)
        return
    try:
        async with asyncio.timeout(duration_s):
            await news.wait()
    except TimeoutError:
        return
