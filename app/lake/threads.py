"""The bounded pool of threads in which everything that blocks on the lake runs."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")


class LakeThreads:
    """Runs blocking calls beside the event loop, at most `max_workers` at once; further ones wait their turn."""

    def __init__(self, max_workers: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix="lake")

    async def run(
        self, function: Callable[Arguments, Answer], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """What the function answers or raises; trace context goes with it.

        Cancelling the caller does not stop a call that has begun, so nothing a commit needs may wait outside of it.
        """
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: context.run(function, *args, **kwargs))

    def close(self) -> None:
        """Let running calls end, drop those that wait."""
        self._pool.shutdown(wait=True, cancel_futures=True)
