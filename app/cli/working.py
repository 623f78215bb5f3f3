"""`worker`: the work that is not an answer to a request, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.memory import settle_memory
from app.cli.output import print_json, print_line
from app.cli.session import log_to_stderr

if TYPE_CHECKING:
    from app.settings import Settings

# For what was begun when it is told to stop; then it is left to whoever finds the lease run out.
GRACE_S = 10.0
_STDIN = 0
DUTIES = ("project lineage", "settle changes that dead processes left", "run operations")


def worker(
    exit_with_stdin: Annotated[
        bool,
        typer.Option(
            "--exit-with-stdin", help="Stop at the end of standard input too, so as not to outlive who started it."
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Project lineage, settle unfinished changes and run operations, until Ctrl-C. Any number may run at once."""
    if exit_with_stdin:
        _terminate_with_stdin()
    from app.lake.configuration import check_configuration
    from app.settings import load_settings

    settings = load_settings()
    log_to_stderr(settings)
    check_configuration()
    try:
        asyncio.run(_work(settings, as_json=json))
    except asyncio.CancelledError:
        # Told to stop before it could begin, or in the middle of what took too long.
        return


async def _work(settings: Settings, *, as_json: bool) -> None:
    from app.bootstrap import open_services

    loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    if task is None:
        raise AssertionError("a coroutine runs in a task")
    is_at_work = False
    overdue: asyncio.TimerHandle | None = None

    def ask_to_stop() -> None:
        nonlocal overdue
        if stop.is_set():
            return
        stop.set()
        if is_at_work:
            overdue = loop.call_later(GRACE_S, task.cancel)
        else:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop)
    async with open_services(settings) as services:
        is_at_work = True
        if not stop.is_set():
            settle_memory()
            _announce(as_json=as_json)
            await services.worker.run(stop)
        is_at_work = False
        if overdue is not None:
            overdue.cancel()


def _announce(*, as_json: bool) -> None:
    if as_json:
        print_json({"pid": os.getpid(), "duties": list(DUTIES)})
    else:
        print_line(f"Worker {os.getpid()} is at work. It will")
        for duty in DUTIES:
            print_line(f"  - {duty}")
        print_line("Ctrl-C stops it.")
    sys.stdout.flush()


def _terminate_with_stdin() -> None:
    def wait() -> None:
        # Not through sys.stdin, whose lock a thread that waits for ever would hold at the interpreter's end.
        while os.read(_STDIN, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="standard input", daemon=True).start()
