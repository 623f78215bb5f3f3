"""A runner at work within a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from app.errors import JsonValue
from app.registry.operation_leases import OperationLeases
from app.registry.operations import OperationStore
from app.services.operation_handlers import Progress
from app.services.operation_runner import OperationRunner
from app.settings import Settings
from tests.integration.operations.jobs import KIND

Work = Callable[[Mapping[str, Any], Progress], Any]


class Calling:
    """A handler that is a function."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def run(self, request: Mapping[str, JsonValue], progress: Progress) -> JsonValue:
        answer: JsonValue = await self._work(request, progress)
        return answer


class Bench:
    """A runner at work, and its end."""

    def __init__(self, store: OperationStore, leases: OperationLeases, settings: Settings) -> None:
        self.runner = OperationRunner(store, leases, settings)
        self.stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, work: Work) -> None:
        self.runner.register(KIND, Calling(work))
        self._task = asyncio.create_task(self.runner.run(self.stop))

    async def end(self) -> None:
        self.stop.set()
        if self._task is not None:
            async with asyncio.timeout(10):
                await self._task


async def for_ever(request: Mapping[str, Any], progress: Progress) -> None:
    progress.report(0.5, "on and on")
    await asyncio.Event().wait()
