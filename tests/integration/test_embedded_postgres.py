"""The embedded Postgres with real processes: shared, killed, interrupted, and in the way of others."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import asyncpg
import psutil
import pytest

from app.errors import BackendUnavailableError
from app.postgres.cluster import programs_dir
from app.postgres.embedded import EmbeddedPostgres
from app.postgres.locks import FileLock
from app.postgres.pool import translated

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user; run as root too")

# Uses the server until its input says what next; Ctrl-C is an input, too.
USER_SCRIPT = """
import asyncio, pathlib, sys
import asyncpg
from app.postgres.embedded import EmbeddedPostgres

async def answer(url):
    connection = await asyncpg.connect(url)
    print(await connection.fetchval("SELECT 'answered'"), flush=True)
    await connection.close()

server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
url = server.start()
try:
    print(url, flush=True)
    sys.stdin.readline()
except KeyboardInterrupt:
    asyncio.run(answer(url))
server.stop()
print("left", flush=True)
"""


class UserProcess:
    """Another process that uses a home."""

    def __init__(self, home: Path, *, import_from: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER_SCRIPT, home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | ({} if import_from is None else {"PYTHONPATH": str(import_from)}),
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        assert self.process.communicate("\n")[0].strip() == "left"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    # A test that failed may have left a server behind; one more user stops it when it leaves.
    if EmbeddedPostgres(tmp_path).status().is_running:
        with EmbeddedPostgres(tmp_path):
            pass


def run(url: str, statement: str) -> Any:
    async def execute() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    return asyncio.run(execute())


def wait_until_gone(pid: int) -> None:
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)


def test_restart_keeps_data_password_and_port(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        first_url = server.start()
        run(first_url, "CREATE TABLE kept AS SELECT 7 AS id")
    assert not EmbeddedPostgres(home).status().is_running

    with EmbeddedPostgres(home) as server:
        second_url = server.start()
        assert run(second_url, "SELECT id FROM kept") == [(7,)]

    assert second_url == first_url


def test_status_tells_without_starting(home: Path) -> None:
    server = EmbeddedPostgres(home)
    before = server.status()
    assert (before.is_running, before.pid, before.port, before.version) == (False, None, None, None)
    assert list(home.iterdir()) == []

    with server:
        during = EmbeddedPostgres(home).status()
        assert during.is_running
        assert during.pid is not None
        assert psutil.Process(during.pid).name() == "postgres"
        assert f":{during.port}/" in server.start()

    after = server.status()
    assert (after.is_running, after.pid, after.version, after.data_dir) == (False, None, "18", home / "postgres")


def test_killed_server_keeps_every_acknowledged_row(home: Path) -> None:
    first = EmbeddedPostgres(home)
    url = first.start()
    run(url, "CREATE TABLE kept (id int PRIMARY KEY)")
    acknowledged: list[int] = []
    enough = threading.Event()

    async def write() -> None:
        connection = await asyncpg.connect(url)
        try:
            for number in range(1_000_000):
                async with translated():
                    await connection.execute("INSERT INTO kept VALUES ($1)", number)
                acknowledged.append(number)
                if number == 50:
                    enough.set()
        finally:
            connection.terminate()

    failures: list[BaseException] = []

    def write_until_killed() -> None:
        try:
            asyncio.run(write())
        except Exception as error:  # noqa: BLE001 - judged below, in the test's own thread
            failures.append(error)

    writer = threading.Thread(target=write_until_killed)
    writer.start()
    assert enough.wait(timeout=60)

    pid = first.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    writer.join()
    assert [type(failure) for failure in failures] == [BackendUnavailableError]

    with EmbeddedPostgres(home) as second:
        rows = {row["id"] for row in run(second.start(), "SELECT id FROM kept")}
        assert set(acknowledged) <= rows
        assert second.status().pid != pid
    first.stop()
    assert not first.status().is_running


def test_server_of_a_killed_user_is_found_and_stopped_by_the_next(home: Path) -> None:
    with UserProcess(home) as killed:
        url = killed.line()
        pid = EmbeddedPostgres(home).status().pid
        killed.kill()
    assert pid is not None
    assert psutil.pid_exists(pid)

    with UserProcess(home) as next_user:
        assert next_user.line() == url
        assert EmbeddedPostgres(home).status().pid == pid
        assert run(url, "SELECT 1") == [(1,)]
        next_user.leave()

    assert not EmbeddedPostgres(home).status().is_running
    wait_until_gone(pid)
    assert not psutil.pid_exists(pid)


def test_processes_that_start_at_once_on_an_empty_home_share_one_server(home: Path) -> None:
    with UserProcess(home) as first, UserProcess(home) as second, UserProcess(home) as third:
        urls = {first.line(), second.line(), third.line()}
        assert len(urls) == 1
        url = urls.pop()
        pid = EmbeddedPostgres(home).status().pid

        first.leave()
        second.leave()
        assert run(url, "SELECT 1") == [(1,)]
        assert EmbeddedPostgres(home).status().pid == pid

        third.leave()
        assert not EmbeddedPostgres(home).status().is_running


def test_two_users_in_one_process_count_as_two(home: Path) -> None:
    first, second = EmbeddedPostgres(home), EmbeddedPostgres(home)
    url = first.start()
    assert second.start() == url

    first.stop()
    assert run(url, "SELECT 1") == [(1,)]

    second.stop()
    assert not first.status().is_running


def test_stopping_twice_and_starting_again_is_harmless(home: Path) -> None:
    server = EmbeddedPostgres(home)
    server.stop()
    url = server.start()
    assert server.start() == url
    server.stop()
    server.stop()
    assert server.start() == url
    server.stop()
    assert not server.status().is_running


def test_ctrl_c_reaches_the_user_but_not_the_server(home: Path) -> None:
    with UserProcess(home) as user:
        user.line()

        os.killpg(user.process.pid, signal.SIGINT)

        assert user.line() == "answered"
        assert user.line() == "left"
    assert not EmbeddedPostgres(home).status().is_running


@pytest.mark.parametrize("moment", ["postgres.new/PG_VERSION", "postgres/postmaster.pid"])
def test_ctrl_c_during_the_first_start_leaves_nothing_running(home: Path, moment: str) -> None:
    with UserProcess(home) as interrupted:
        while not (home / moment).exists():
            assert interrupted.process.poll() is None
        os.killpg(interrupted.process.pid, signal.SIGINT)
        interrupted.process.communicate()

    # Every process of the server and of initdb holds this lock.
    alive = FileLock(home / "postgres.alive.lock")
    assert alive.acquire(timeout_s=15)
    alive.close()
    with EmbeddedPostgres(home) as server:
        assert run(server.start(), "SELECT 1") == [(1,)]


def test_initdb_killed_in_the_middle_is_done_again(home: Path) -> None:
    with UserProcess(home) as killed:
        while not (home / "postgres.new" / "PG_VERSION").exists():
            assert killed.process.poll() is None
        killed.kill()
    assert not (home / "postgres").exists()

    with EmbeddedPostgres(home) as server:
        assert run(server.start(), "SELECT 1") == [(1,)]

    assert not (home / "postgres.new").exists()


def test_start_killed_before_the_server_answers_is_taken_over(home: Path) -> None:
    with EmbeddedPostgres(home):
        pass
    with UserProcess(home) as killed:
        while not (home / "postgres" / "postmaster.pid").exists():
            assert killed.process.poll() is None
        killed.kill()

    with EmbeddedPostgres(home) as server:
        assert run(server.start(), "SELECT 1") == [(1,)]
    assert not EmbeddedPostgres(home).status().is_running


def test_pid_file_that_names_a_living_stranger_is_not_believed(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        port = server.status().port
    # The stranger is of the server's own user, whom postgres by itself would take for a running postmaster.
    owner = (home / "postgres").stat()
    as_owner = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["cat"], stdin=subprocess.PIPE, **as_owner)
    pid_file = home / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{stranger.pid}\n{home}/postgres\n1\n{port}\n\n127.0.0.1\n 1 1\nready   \n")
    os.chown(pid_file, owner.st_uid, owner.st_gid)
    assert not EmbeddedPostgres(home).status().is_running

    with EmbeddedPostgres(home) as server:
        assert run(server.start(), "SELECT 1") == [(1,)]
        assert server.status().pid != stranger.pid

    assert stranger.poll() is None
    stranger.communicate()


def test_pid_file_that_names_the_server_of_another_home_is_not_believed(home: Path, tmp_path: Path) -> None:
    with EmbeddedPostgres(home / "a") as other, EmbeddedPostgres(home / "b"):
        pass
    other_url = other.start()
    shutil.copy2(home / "a" / "postgres" / "postmaster.pid", home / "b" / "postgres" / "postmaster.pid")

    with EmbeddedPostgres(home / "b") as server:
        assert server.start() != other_url
        assert server.status().pid != other.status().pid

    assert run(other_url, "SELECT 1") == [(1,)]
    other.stop()


def test_port_that_somebody_else_has_taken_is_chosen_again_and_remembered(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        taken = server.status().port
    assert taken is not None

    with socket.create_server(("127.0.0.1", taken)), EmbeddedPostgres(home) as server:
        assert run(server.start(), "SELECT 1") == [(1,)]
        chosen = server.status().port
    assert chosen != taken

    with EmbeddedPostgres(home) as server:
        assert server.status().port == chosen


def test_server_listens_on_loopback_only(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        url, port = server.start(), server.status().port

        assert run(url, "SHOW listen_addresses") == [("127.0.0.1",)]
        assert f".s.PGSQL.{port}" not in Path("/proc/net/unix").read_text()
        # All of 127.0.0.0/8 is this machine: a server that listened on every address would answer here.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port or 0), timeout=5)


@pytest.mark.parametrize(
    ("case", "login"),
    [("wrong password", "stratigraph:wrong"), ("no password", "stratigraph"), ("superuser", "postgres:postgres")],
)
def test_other_logins_are_refused(home: Path, case: str, login: str) -> None:
    with EmbeddedPostgres(home) as server:
        after_login = server.start().split("@")[1]

        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            run(f"postgresql://{login}@{after_login}", "SELECT 1")


def test_login_may_neither_read_files_nor_run_programs_of_the_server(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        url = server.start()
        run(url, "CREATE TABLE lines (line text)")

        for source in ("'/etc/passwd'", "PROGRAM 'id'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                run(url, f"COPY lines FROM {source}")


def test_acknowledged_means_on_disk(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        url = server.start()
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert run(url, f"SHOW {setting}") == [("on",)]


def test_names_sort_by_code_point(home: Path) -> None:
    names = ["b", "B", "a_b", "aa", "é", "Z", "𝒳", "￿"]
    with EmbeddedPostgres(home) as server:
        rows = run(server.start(), "SELECT n FROM unnest(ARRAY['" + "','".join(names) + "']) AS n ORDER BY n")

    assert [row["n"] for row in rows] == sorted(names)


def test_password_is_for_its_owner_only_and_in_no_process_list_or_log(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        password = server.start().split(":")[2].split("@")[0]
        status = server.status()

        assert stat.S_IMODE((home / "postgres.password").stat().st_mode) == 0o600
        assert (home / "postgres.password").read_text() == password
        assert password not in " ".join(psutil.Process(status.pid).cmdline())
        assert password not in (home / "postgres" / "server.log").read_text()


def test_lost_password_is_replaced(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        first_url = server.start()
    (home / "postgres.password").unlink()

    with EmbeddedPostgres(home) as server:
        assert server.start() != first_url
        assert run(server.start(), "SELECT 1") == [(1,)]


def test_data_of_another_major_version_is_a_clear_error_and_stays(home: Path) -> None:
    with EmbeddedPostgres(home):
        pass
    (home / "postgres" / "PG_VERSION").write_text("16\n")

    with pytest.raises(BackendUnavailableError, match=r"made by Postgres 16, and this program brings Postgres 18"):
        EmbeddedPostgres(home).start()

    (home / "postgres" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(home) as server:
        assert run(server.start(), "SELECT 1") == [(1,)]


def test_directory_with_something_else_in_it_is_left_alone(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "thesis.txt").write_text("mine")

    with pytest.raises(BackendUnavailableError, match="is no Postgres data directory"):
        EmbeddedPostgres(home).start()

    assert (home / "postgres" / "thesis.txt").read_text() == "mine"


def test_empty_data_directory_is_used(home: Path) -> None:
    (home / "postgres").mkdir()

    with EmbeddedPostgres(home) as server:
        assert run(server.start(), "SELECT 1") == [(1,)]


def test_server_that_cannot_start_is_typed_with_its_own_words_and_leaves_nothing(home: Path) -> None:
    with EmbeddedPostgres(home):
        pass
    with (home / "postgres" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")

    with pytest.raises(BackendUnavailableError, match="no_such_setting"):
        EmbeddedPostgres(home).start()

    assert not EmbeddedPostgres(home).status().is_running


def test_home_with_awkward_characters_works(home: Path) -> None:
    with EmbeddedPostgres(home / 'it\'s "my" $HOME `x` ü') as server:
        assert run(server.start(), "SELECT 1") == [(1,)]


def test_moved_home_keeps_its_data(home: Path) -> None:
    with EmbeddedPostgres(home / "old") as server:
        run(server.start(), "CREATE TABLE kept AS SELECT 7 AS id")
    (home / "old").rename(home / "new")

    with EmbeddedPostgres(home / "new") as server:
        assert run(server.start(), "SELECT id FROM kept") == [(7,)]


def test_home_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BackendUnavailableError):
        EmbeddedPostgres(tmp_path / "file" / "home").start()


def effective_capabilities(pid: int | None) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff"))


@needs_root
def test_root_gives_the_server_no_capability_where_it_needs_none() -> None:
    with tempfile.TemporaryDirectory(prefix="stratigraph-tests-") as directory:
        Path(directory).chmod(0o755)
        with EmbeddedPostgres(Path(directory)) as server:
            pid = server.status().pid
            assert psutil.Process(pid).uids().effective != 0
            assert effective_capabilities(pid) == 0


@needs_root
def test_root_gives_the_server_one_capability_and_changes_no_directory_above_a_private_home(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    modes = {path: path.stat().st_mode for path in home.parents}
    with EmbeddedPostgres(private / "home") as server:
        pid = server.status().pid
        assert psutil.Process(pid).uids().effective != 0
        assert effective_capabilities(pid).bit_count() == 1

    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert {path: path.stat().st_mode for path in home.parents} == modes


@needs_root
def test_root_runs_programs_installed_below_a_private_directory(home: Path) -> None:
    installed = programs_dir().parents[1]
    site = home / "site"
    site.mkdir(mode=0o700)
    for package in (installed, installed.with_name(f"{installed.name}.libs")):
        shutil.copytree(package, site / package.name, symlinks=True, ignore=shutil.ignore_patterns("pginstall", "*.a"))

    with UserProcess(home, import_from=site) as user:
        assert run(user.line(), "SELECT count(*) > 0 FROM pg_timezone_names") == [(True,)]
        program = psutil.Process(EmbeddedPostgres(home).status().pid).cmdline()[0]
        assert Path(program).is_relative_to(site)
        user.leave()


@needs_root
def test_ordinary_user_runs_it_as_itself_and_root_then_as_that_user() -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="stratigraph-tests-") as directory:
        home = Path(directory)
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        # Forked, because the user may be unable to read the interpreter's own files.
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.environ["HOME"] = directory
                os.setgroups([])
                os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
                os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
                with EmbeddedPostgres(home) as server:
                    run(server.start(), "CREATE TABLE kept AS SELECT 7 AS id")
                    status = 0 if psutil.Process(server.status().pid).uids().effective == nobody.pw_uid else 2
            except BaseException:  # noqa: BLE001 - told, and turned into the exit status
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (home / "postgres").stat().st_uid == nobody.pw_uid

        with EmbeddedPostgres(home) as server:
            assert run(server.start(), "SELECT id FROM kept") == [(7,)]
            assert psutil.Process(server.status().pid).uids().effective == nobody.pw_uid
