"""The bounded pool of threads in which everything that blocks on the lake runs."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from app.errors import BackendUnavailableError

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")

NAME_PREFIX = "lake-"
CLOSE_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)
_numbers = itertools.count()


class LakeThreads:
    """Runs blocking calls beside the event loop, at most `max_workers` at once; further ones wait their turn."""

    def __init__(self, max_workers: int, *, timeout_s: float) -> None:
        self._name = f"{NAME_PREFIX}{next(_numbers)}_"
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix=self._name)
        self._timeout_s = timeout_s

    async def run(
        self, function: Callable[Arguments, Answer], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """What the function answers or raises; trace context goes with it.

        For calls that may be given up: object stores can hang for as long as their clients retry. The call itself goes
        on and keeps its thread until it ends, also where the caller is cancelled.

        Raises:
            BackendUnavailableError: no answer in time, that of waiting for a thread included.
        """
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                return await self.run_to_end(function, *args, **kwargs)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise BackendUnavailableError("lake", f"no answer within {self._timeout_s:g} s") from error

    async def run_to_end(
        self, function: Callable[Arguments, Answer], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """As `run`, for calls whose outcome has to be known, however long it takes: commits."""
        return await self.begin(function, *args, **kwargs)

    def begin(
        self, function: Callable[Arguments, Answer], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> asyncio.Future[Answer]:
        """As `run_to_end`, to be awaited later.

        No task: where Ctrl-C ends the event loop rather than what it runs, all tasks are cancelled, and one would say
        that the call has ended while it goes on.
        """
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._pool, lambda: context.run(function, *args, **kwargs))

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Let running calls end, for so long; drop those that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + timeout_s
        for thread in _alive(self._name):
            thread.join(max(0.0, deadline - time.monotonic()))
        if stuck := len(_alive(self._name)):
            logger.warning("%d calls to the lake hang, and are left behind", stuck)


def are_any_stuck() -> bool:
    """Whether threads of a closed pool still hang: the interpreter would wait for them at its end."""
    return bool(_alive(NAME_PREFIX))


def _alive(prefix: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
