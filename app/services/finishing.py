"""Work that is let end, also where nobody waits for it any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


async def finished(work: Coroutine[Any, Any, Answer]) -> Answer:
    """What `work` answers; it is let end also where the caller is cancelled, which is told only then.

    In a task of its own, because `Task.cancel()` goes through every shield within the same task.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    # The scope is for callers under anyio, which cancels again at every await.
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.info("what a cancelled caller had asked for ended with %s: %s", type(failure).__name__, failure)
        raise cancelled
    return task.result()
