"""Work that several callers wait for, done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SharedWork(Generic[Answer]):
    """Does the same work once for all who ask for it at the same time.

    A caller that is cancelled leaves the others their answer; when the last one goes, the work is cancelled too.
    """

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Answer]] = {}
        self._waiting: dict[Hashable, int] = {}

    async def do(self, key: Hashable, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `work` answers or raises, begun by this caller or by one before."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(_run(work))
            task.add_done_callback(lambda done: self._forget(key, done))
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            await self._leave(key, task)

    async def _leave(self, key: Hashable, task: asyncio.Task[Answer]) -> None:
        left = self._waiting.get(key, 1) - 1
        if self._tasks.get(key) is not task:
            return
        self._waiting[key] = left
        if left == 0 and not task.done():
            # Nobody may join what is being cancelled.
            self._forget(key, task)
            task.cancel()
            await asyncio.wait([task])

    def _forget(self, key: Hashable, task: asyncio.Task[Answer]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
            self._waiting.pop(key, None)
        if task.done() and not task.cancelled():
            # Looked at: a caller that was cancelled does not fetch it.
            task.exception()


async def _run(work: Callable[[], Awaitable[Answer]]) -> Answer:
    return await work()
