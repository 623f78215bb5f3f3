"""The worker that a server starts beside itself: started again when it dies, and never left behind."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

logger = logging.getLogger(__name__)

# `-P`: a folder `app` where the server was started is not this program.
COMMAND = (sys.executable, "-P", "-m", "app", "worker", "--exit-with-stdin")
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 60.0
# One that lived for so long did not die of how it was started.
STEADY_S = 60.0
# Longer than a worker takes to end what it has begun.
STOP_S = 20.0


class WorkerProcess:
    """Keeps one child at work, from a thread.

    The child's standard input is a pipe whose other end only this process holds: however this process ends, `kill -9`
    included, the child reads its end and stops. Ctrl-C of a terminal reaches this process alone, which then stops it.
    """

    def __init__(self, command: Sequence[str] = COMMAND, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._command = command
        self._first_pause_s = first_pause_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="worker process", daemon=True)

    @property
    def pid(self) -> int | None:
        """The child that runs now."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Start it; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it, if it was started, and wait until it has ended what it was at; after `STOP_S` it is killed."""
        self._stopping.set()
        with self._lock:
            process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                logger.warning("the worker (process %d) did not end within %g s, and is killed", process.pid, STOP_S)
                process.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        pause_s = self._first_pause_s
        while True:
            begun = time.monotonic()
            process = self._launch()
            if process is None:
                return
            code = process.wait()
            if process.stdin is not None:
                process.stdin.close()
            if self._stopping.is_set():
                return
            if time.monotonic() - begun > STEADY_S:
                pause_s = self._first_pause_s
            logger.warning(
                "the worker (process %d) ended with code %d; another one starts in %g s", process.pid, code, pause_s
            )
            if self._stopping.wait(pause_s):
                return
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _launch(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            # Its log goes where the server's goes; its greeting does not belong among the server's answers.
            self._process = subprocess.Popen(  # noqa: S603  our own program
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
            logger.info("the worker is process %d", self._process.pid)
            return self._process
