"""Child processes that say when they are ready and never outlive the tests."""

import selectors
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_READY = "READY "


@contextmanager
def ready_process(command: Sequence[str], *, log: Path, timeout_s: float = 60) -> Iterator[str]:
    """Yield what the child prints after `READY `, its URL; at the end the child is stopped.

    The child must end when its standard input does: even a test run that is killed leaves no server behind.
    Its standard error goes to the file `log`.

    Raises:
        RuntimeError: the child ended or stayed silent; the message holds the end of its log.
    """
    with log.open("w") as errors:
        process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1
        )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both pipes were asked for")
    try:
        url = _find_ready_line(process.stdout, timeout_s)
        if url is None:
            raise RuntimeError(f"{command[0]} ended or said nothing for {timeout_s} s:\n{log.read_text()[-4000:]}")
        yield url
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _find_ready_line(output: IO[str], timeout_s: float) -> str | None:
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left_s := deadline - time.monotonic()) > 0 and selector.select(left_s):
            line = output.readline()
            if not line:
                return None
            if line.startswith(_READY):
                return line.removeprefix(_READY).strip()
    return None
