"""The Postgres that comes with the program: started when somebody needs it, stopped when the last one leaves."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import BackendUnavailableError
from app.postgres.cluster import DATABASE, MAJOR_VERSION, ROLE, Cluster, Postmaster, programs_dir, remove_tree
from app.postgres.locks import POLL_INTERVAL_S, FileLock
from app.postgres.run_as import RunAs, choose_run_as

START_LOCK_TIMEOUT_S = 150
# Replaying the log after a crash comes before the first answer.
READY_TIMEOUT_S = 120
# What is left of a killed server ends within moments; longer means that it is not ours to see.
LEFTOVER_TIMEOUT_S = 15
PORT_ATTEMPTS = 5
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPostgresStatus:
    """What is known of the embedded server without starting it."""

    is_running: bool
    pid: int | None
    port: int | None
    data_dir: Path
    version: str | None
    """Major version of the data directory; None where there is none yet."""


class EmbeddedPostgres:
    """A Postgres server in `<home>/postgres`, on a loopback port, shared by all processes that use this home.

    Files beside the data directory: ``postgres.password`` and ``postgres.port`` (both kept for good),
    ``postgres.start.lock`` (held while somebody starts or stops the server), ``postgres.users.lock`` (shared by those
    who use it; the last to leave stops it) and ``postgres.alive.lock``: the server and ``initdb`` themselves inherit
    that one, so that a free lock proves that no process is left on the data, whatever ``postmaster.pid`` says.

    A user that is killed leaves the server running; the next one finds it, and its last user stops it.
    The permissions of directories above the home are never changed (see `app.postgres.run_as`).

    One instance belongs to one owner; its methods block, and are not to be called by two threads at once.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.expanduser().resolve()
        self._data_dir = self._home / "postgres"
        self._staging_dir = self._home / "postgres.new"
        self._password_file = self._home / "postgres.password"
        self._port_file = self._home / "postgres.port"
        self._users = FileLock(self._home / "postgres.users.lock")
        self._url: str | None = None

    def start(self) -> str:
        """The URL of the running database, which is made and started if need be.

        Takes about two seconds on an empty home, less than one later, and next to nothing when it runs already.

        Raises:
            BackendUnavailableError: it cannot be started; with the reason.
        """
        if self._url is not None:
            return self._url
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            with self._start_lock():
                self._join()
                port = self._ensure_running()
                password = self._password_file.read_text().strip()
        except OSError as error:
            self._users.close()
            raise BackendUnavailableError("postgres", str(error)) from error
        except BaseException:
            # Ctrl-C in the middle too leaves nothing running.
            self._leave()
            raise
        self._url = f"postgresql://{ROLE}:{password}@{HOST}:{port}/{DATABASE}"
        return self._url

    def stop(self) -> None:
        """Leave the server; it is stopped if nobody else uses it.

        Raises:
            BackendUnavailableError: it did not stop, or somebody else was busy with it for long.
        """
        if self._url is None:
            return
        self._url = None
        self._leave()

    def status(self) -> EmbeddedPostgresStatus:
        """Whether the server runs, and where; starts and changes nothing."""
        postmaster: Postmaster | None = None
        version: str | None = None
        with contextlib.suppress(PermissionError):  # another user's home: nothing can be known
            if self._data_dir.exists():
                cluster = Cluster(self._data_dir, RunAs())  # runs nothing
                postmaster, version = cluster.find_postmaster(), cluster.find_version()
        return EmbeddedPostgresStatus(
            is_running=postmaster is not None and postmaster.is_ready,
            pid=postmaster.pid if postmaster else None,
            port=postmaster.port if postmaster else None,
            data_dir=self._data_dir,
            version=version,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @contextlib.contextmanager
    def _start_lock(self) -> Iterator[None]:
        with FileLock(self._home / "postgres.start.lock").held(timeout_s=START_LOCK_TIMEOUT_S):
            yield

    def _cluster(self, directory: Path) -> Cluster:
        return Cluster(directory, choose_run_as(directory, (self._home, programs_dir())))

    def _join(self) -> None:
        # Held exclusively by a last user only, and under the lock we hold: as good as never does this wait.
        if not self._users.acquire(shared=True, timeout_s=LEFTOVER_TIMEOUT_S):
            raise BackendUnavailableError("postgres", f"{self._users.path} stayed locked")

    def _leave(self) -> None:
        alive = FileLock(self._home / "postgres.alive.lock")
        try:
            with self._start_lock():
                try:
                    # Nobody can begin to use it meanwhile: that takes the lock we hold.
                    if self._users.try_acquire() and self._await_ready_or_gone(alive) is not None:
                        self._cluster(self._data_dir).stop()
                finally:
                    self._users.close()
        finally:
            alive.close()
            self._users.close()

    def _ensure_running(self) -> int:
        alive = FileLock(self._home / "postgres.alive.lock")
        try:
            postmaster = self._await_ready_or_gone(alive)
            if postmaster is None:
                self._ensure_initialised(alive.fileno())
        finally:
            alive.close()
        cluster = self._cluster(self._data_dir)
        for _ in range(PORT_ATTEMPTS):
            if postmaster is not None:
                break
            postmaster = self._launch(cluster)
        if postmaster is None or postmaster.port is None:
            raise BackendUnavailableError("postgres", f"it did not start: {cluster.last_log_lines()}")
        _write_private(self._port_file, str(postmaster.port))
        return postmaster.port

    def _await_ready_or_gone(self, alive: FileLock) -> Postmaster | None:
        """The server once it answers, or None (and `alive` held) once surely no process of it is left."""
        begun = time.monotonic()
        while True:
            postmaster = self._cluster(self._data_dir).find_postmaster() if self._data_dir.exists() else None
            if postmaster is not None and postmaster.is_ready:
                return postmaster
            if postmaster is None and alive.try_acquire():
                return None
            waited_s = time.monotonic() - begun
            if waited_s > READY_TIMEOUT_S:
                raise BackendUnavailableError("postgres", f"it did not become ready within {READY_TIMEOUT_S} s")
            if postmaster is None and waited_s > LEFTOVER_TIMEOUT_S:
                raise BackendUnavailableError(
                    "postgres",
                    f"processes that cannot be seen from here use {self._data_dir}; is the same home mounted in "
                    "another container?",
                )
            time.sleep(POLL_INTERVAL_S)

    def _ensure_initialised(self, alive_fd: int) -> None:
        remove_tree(self._staging_dir)
        if self._data_dir.exists() and any(self._data_dir.iterdir()):
            cluster = self._cluster(self._data_dir)
            version = cluster.find_version()
            if version != MAJOR_VERSION:
                found = "is no Postgres data directory" if version is None else f"was made by Postgres {version}"
                raise BackendUnavailableError(
                    "postgres",
                    f"{self._data_dir} {found}, and this program brings Postgres {MAJOR_VERSION}; "
                    "move it away, or dump it with its own version and load the dump into a new home",
                )
            if not self._password_file.exists():
                password = secrets.token_urlsafe(24)
                cluster.set_password(password, keep_fd=alive_fd)
                _write_private(self._password_file, password)
            return
        if not self._password_file.exists():
            _write_private(self._password_file, secrets.token_urlsafe(24))
        # Made aside and renamed at the end, so that what a killed initdb leaves is never taken for a database.
        staging = self._cluster(self._staging_dir)
        staging.initialise(self._password_file.read_text().strip(), keep_fd=alive_fd)
        self._staging_dir.rename(self._data_dir)
        _sync_directory(self._home)

    def _launch(self, cluster: Cluster) -> Postmaster | None:
        """The started server, or None if it ended because somebody else took the port meanwhile."""
        alive = FileLock(self._home / "postgres.alive.lock")
        port = self._choose_port()
        try:
            if not alive.acquire(timeout_s=LEFTOVER_TIMEOUT_S):
                raise BackendUnavailableError("postgres", f"{alive.path} stayed locked")
            cluster.start(port, keep_fd=alive.fileno())
        finally:
            # From here on the lock is the server's alone.
            alive.close()
        try:
            postmaster = self._await_ready_or_gone(alive)
        finally:
            alive.close()
        if postmaster is None and _is_free(port):
            raise BackendUnavailableError("postgres", f"it did not start: {cluster.last_log_lines()}")
        return postmaster

    def _choose_port(self) -> int:
        with contextlib.suppress(FileNotFoundError, ValueError):
            # The same as last time, because others (Spark, psql) may have been told.
            remembered = int(self._port_file.read_text())
            if _is_free(remembered):
                return remembered
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As Postgres does: connections of the last run that are still being closed do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except (OSError, OverflowError):
            return False
        return True


def _write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, in one step that a crash cannot leave half done."""
    if path.exists() and path.read_text() == text:
        return
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    new.rename(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
