"""Programs that are told to stop unwind: what is under way ends in order, what was started is stopped."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from app.cli.output import print_note


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Within this SIGTERM, by which schedulers stop programs, is what Ctrl-C is."""
    if not _is_main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def woken_by_signals() -> Iterator[None]:
    """The same within an event loop, which SIGTERM and Ctrl-C wake at once.

    Python sets a flag, and one that comes just before the loop begins to wait would be looked at only after that.
    """
    if not _is_main_thread():
        yield
        return
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    # With one handler of its own it is woken by all signals.
    loop.add_signal_handler(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def noted_when_interrupted(note: str, *, is_told: bool) -> Iterator[None]:
    """Say what became of the work within this, where it was told to stop."""
    try:
        yield
    except KeyboardInterrupt:
        if is_told:
            print_note(f"Interrupted. {note}")
        raise


def _interrupt(_: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
    # Called, not raised as a signal: that would wait until the event loop has something else to do.
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


def _is_main_thread() -> bool:
    # Signals are the main thread's.
    return threading.current_thread() is threading.main_thread()
