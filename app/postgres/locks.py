"""Locks on files: who uses a home, and that one server at most serves it.

All are ``flock(2)`` locks: the kernel drops them when the last process that holds the open file is gone, so that
``kill -9`` leaves nothing to clean up, and a recycled process id can never look like a holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from app.errors import BackendUnavailableError, HomeInUseError, InvalidSettingError

POLL_INTERVAL_S = 0.02
# `find_server` holds the lock for an instant in order to look; a server that starts just then tries again this long.
PROBE_GRACE_S = 0.5


class FileLock:
    """One open file on which a shared or an exclusive lock can be held.

    Two instances exclude each other even within one process. A child process that is given `fileno()` holds the
    lock together with this one, and keeps it after `close()`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def fileno(self) -> int:
        """The descriptor of the lock's file, opened if need be; closed on exec unless it is passed on by name."""
        if self._fd is None:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._fd

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Whether the lock could be had at once; a lock held before in the other mode is given up first."""
        try:
            fcntl.flock(self.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def acquire(self, *, shared: bool = False, timeout_s: float) -> bool:
        """Whether the lock could be had within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.try_acquire(shared=shared):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_INTERVAL_S)
        return True

    def close(self) -> None:
        """Give the lock up, unless a child process was given it too."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @contextlib.contextmanager
    def held(self, *, timeout_s: float) -> Iterator[None]:
        """Hold the lock exclusively.

        Raises:
            BackendUnavailableError: another process held it for `timeout_s`.
        """
        try:
            if not self.acquire(timeout_s=timeout_s):
                raise BackendUnavailableError("postgres", f"{self.path} stayed locked for {timeout_s:g} s")
            yield
        finally:
            self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """The server that holds a home; None where it has not said so yet."""

    pid: int | None
    url: str | None
    started_at: datetime | None


class ServerLock:
    """The right to serve a home, held by one process at a time in ``<home>/serve.lock``."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = FileLock(home / "serve.lock")

    def acquire(self, url: str | None = None) -> None:
        """Take the home for this process and tell others the URL it serves.

        Raises:
            HomeInUseError: another server holds it; with its pid and URL.
            InvalidSettingError: the home cannot be made or written to.
        """
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._lock.fileno()
        except OSError as error:
            raise InvalidSettingError(
                "STRATIGRAPH_HOME", f"{self._home} cannot be used: {error.strerror or error}"
            ) from error
        if not self._lock.acquire(timeout_s=PROBE_GRACE_S):
            info = _read_info(self._lock.path)
            self._lock.close()
            raise HomeInUseError(str(self._home), info.pid, info.url)
        self.announce(url)

    def announce(self, url: str | None) -> None:
        """Tell others the URL, once the port is known; only while the lock is held."""
        text = orjson.dumps({"pid": os.getpid(), "url": url, "started_at": datetime.now(UTC)})
        fd = self._lock.fileno()
        # Longer text first, then the cut: a reader in between sees trailing rubbish, never an empty file.
        os.pwrite(fd, text, 0)
        os.ftruncate(fd, len(text))

    def release(self) -> None:
        """Let another server have the home; the file stays, because removing it would let two hold the lock."""
        self._lock.close()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def find_server(home: Path) -> ServerInfo | None:
    """The server that serves this home now, or None."""
    path = home / "serve.lock"
    if not path.exists():
        return None
    probe = FileLock(path)
    try:
        return None if probe.try_acquire(shared=True) else _read_info(path)
    finally:
        probe.close()


def _read_info(path: Path) -> ServerInfo:
    try:
        found: Any = orjson.loads(path.read_bytes())
        return ServerInfo(
            pid=int(found["pid"]), url=found["url"], started_at=datetime.fromisoformat(found["started_at"])
        )
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        # The holder has locked the file but not written it yet: that it is held is all we know.
        return ServerInfo(pid=None, url=None, started_at=None)
