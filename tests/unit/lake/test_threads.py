"""Calls that hang cost their own thread and nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest

from app.errors import BackendUnavailableError
from app.lake.threads import LakeThreads, are_any_stuck

pytestmark = pytest.mark.anyio


async def test_a_call_that_hangs_is_given_up_with_a_typed_error() -> None:
    threads, end = LakeThreads(2, timeout_s=0.05), threading.Event()
    try:
        with pytest.raises(BackendUnavailableError) as refused:
            await threads.run(end.wait)
        assert "0.05 s" in refused.value.message
        assert await threads.run(lambda: 1) == 1
    finally:
        end.set()
        threads.close()


async def test_a_time_out_of_the_call_itself_is_its_own() -> None:
    def fail() -> None:
        raise TimeoutError("of the driver")

    threads = LakeThreads(1, timeout_s=60)
    try:
        with pytest.raises(TimeoutError, match="of the driver"):
            await threads.run(fail)
    finally:
        threads.close()


async def test_a_commit_is_waited_for_however_long_it_takes() -> None:
    threads = LakeThreads(1, timeout_s=0.01)
    try:
        assert await threads.run_to_end(lambda: time.sleep(0.1) or "done") == "done"
    finally:
        threads.close()


async def test_context_goes_with_the_call() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("v")
    variable.set("here")
    threads = LakeThreads(1, timeout_s=60)
    try:
        assert await threads.run(variable.get) == "here"
    finally:
        threads.close()


async def test_closing_waits_for_so_long_and_no_longer() -> None:
    threads, end = LakeThreads(1, timeout_s=60), threading.Event()
    hanging = asyncio.create_task(threads.run(end.wait))
    await asyncio.sleep(0.05)
    try:
        threads.close(timeout_s=0.1)
        assert are_any_stuck()
    finally:
        end.set()
    assert await hanging


async def test_closing_does_not_wait_for_the_threads_of_another_pool() -> None:
    busy, end = LakeThreads(1, timeout_s=60), threading.Event()
    hanging = asyncio.create_task(busy.run(end.wait))
    await asyncio.sleep(0.05)
    idle = LakeThreads(1, timeout_s=60)
    await idle.run(lambda: None)

    await asyncio.wait_for(asyncio.to_thread(idle.close, 60), timeout=5)

    end.set()
    await hanging
    busy.close()
