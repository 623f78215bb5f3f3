"""Whole workers, as processes of their own, that do the tests' operations."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event

from app.bootstrap import open_services
from app.settings import Settings
from tests.integration.operations.jobs import KIND
from tests.integration.operations.scripted import Scripted
from tests.integration.races.workers import CONTEXT

START_S = 60.0


@contextlib.contextmanager
def workers(settings: Settings, count: int) -> Iterator[list[BaseProcess]]:
    """So many workers that are at work; those that are left at the end are killed."""
    settings.warehouse.mkdir(parents=True, exist_ok=True)
    started: list[BaseProcess] = []
    try:
        begun = [_start(settings, started) for _ in range(count)]
        for each in begun:
            assert each.wait(START_S)
        yield started
    finally:
        for process in started:
            process.kill()
            process.join()


def start_another(settings: Settings, started: list[BaseProcess]) -> None:
    """One more worker, at work."""
    assert _start(settings, started).wait(START_S)


def _start(settings: Settings, started: list[BaseProcess]) -> Event:
    is_at_work = CONTEXT.Event()
    process = CONTEXT.Process(target=_work, args=(settings, is_at_work), daemon=True)
    process.start()
    started.append(process)
    return is_at_work


def _work(settings: Settings, is_at_work: Event) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with open_services(settings) as services:
            services.operation_runner.register(KIND, Scripted())
            is_at_work.set()
            await services.worker.run(stop)

    asyncio.run(run())
