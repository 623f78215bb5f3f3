"""The worker as a process: beside a server, by itself, and killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import httpx
import psutil
import pytest

from app.cli.worker_process import WorkerProcess
from app.postgres.cluster import DATABASE, ROLE
from tests.cli.results import ROOT, TIMEOUT_S, Cli
from tests.cli.test_cli_program import serving
from tests.integration.lineage.events import body, run_event
from tests.lake_tables import SmallLake

Found = TypeVar("Found")
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture
def own_home(own_lake: SmallLake, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A database of this test alone, whose abandoned work is soon taken over."""
    del own_lake
    monkeypatch.setenv("STRATIGRAPH_LEASE_S", "2")
    return environment


@pytest.fixture
def embedded_home(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a Postgres of its own."""
    del environment
    monkeypatch.delenv("STRATIGRAPH_DATABASE_URL")
    home = tmp_path / "home"
    monkeypatch.setenv("STRATIGRAPH_HOME", str(home))
    return home


def soon(what: str, look: Callable[[], Found | None], *, timeout_s: float = 30) -> Found:
    """What is found within the time."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)
    return found


def checks(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    response = httpx.get(said["ready"], timeout=10)
    assert response.status_code == 200
    return {check["name"]: check for check in response.json()["checks"]}


def worker_at_work(said: dict[str, Any]) -> bool:
    return "at work" in checks(said)["worker"]["detail"]


def report_run(said: dict[str, Any]) -> None:
    event = run_event(
        "COMPLETE",
        uuid4(),
        "2026-02-15T10:00:00Z",
        [{"namespace": "kafka://broker", "name": "read"}],
        [{"namespace": "kafka://broker", "name": "made"}],
    )
    answer = httpx.post(f"{said['url']}/api/v1/lineage", content=body(event), headers=HEADERS)
    assert answer.json()["accepted"] == 1


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The workers of a server."""
    return [
        child
        for child in psutil.Process(process.pid).children()
        if child.status() != psutil.STATUS_ZOMBIE and "worker" in child.cmdline()
    ]


def processes_of(home: Path) -> list[list[str]]:
    """The processes of a home: Postgres by its arguments, our own by their variables."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = str(home) in " ".join(process.cmdline()) or process.environ().get("STRATIGRAPH_HOME") == str(home)
            if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


def pending(url: str) -> int:
    async def ask() -> int:
        connection = await asyncpg.connect(url)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM lineage_pending"))
        finally:
            await connection.close()

    return asyncio.run(ask())


def embedded_url(home: Path) -> str:
    port, password = ((home / name).read_text() for name in ("postgres.port", "postgres.password"))
    return f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}"


@contextlib.contextmanager
def working(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A worker of this environment, and what it says about itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "worker", "--json", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline() if process.stdout else ""
            assert line, process.communicate()[1]
            text += line
        yield process, json.loads(text)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_killed_worker_comes_back_and_what_was_reported_meanwhile_is_projected(
    program: Cli, own_home: dict[str, str]
) -> None:
    with serving("--no-demo") as (server, said):
        soon("a worker", lambda: worker_at_work(said))
        (first,) = children_of(server)

        first.kill()
        report_run(said)
        soon("the worker's end", lambda: not first.is_running() or first.status() == psutil.STATUS_ZOMBIE)
        (second,) = soon("another worker", lambda: children_of(server))

        soon("the run in the graph", lambda: pending(own_home["STRATIGRAPH_DATABASE_URL"]) == 0)
        assert second.pid != first.pid
        server.send_signal(signal.SIGTERM)
        log = server.communicate(timeout=TIMEOUT_S)[1]

    assert server.returncode == 0
    assert not second.is_running()
    assert "another one starts" in log
    found = json.loads(program("lineage", "check", "--json").stdout)
    assert (found["same"], found["compared"], found["pending"]) == (True, 1, 0)


def test_without_a_worker_runs_stay_pending_and_that_is_said(program: Cli, own_home: dict[str, str]) -> None:
    with serving("--no-demo", "--no-worker") as (server, said):
        assert children_of(server) == []
        assert checks(said)["worker"]["ok"] is True  # nothing waits for one
        report_run(said)

        # then it is ready all the same, and says what is missing
        found = checks(said)["worker"]
        assert found["ok"] is False
        assert "none was ever seen" in found["detail"] and "stratigraph worker" in found["hint"]
        doctor = program("doctor", "--json")
        assert doctor.exit_code == 7
        assert [check["name"] for check in json.loads(doctor.stdout)["checks"] if not check["ok"]] == ["worker"]
        assert pending(own_home["STRATIGRAPH_DATABASE_URL"]) == 1

        # and a worker that somebody starts does what waits
        with working() as (process, told):
            assert told == {
                "pid": process.pid,
                "duties": ["project lineage", "settle changes that dead processes left", "run operations"],
            }
            soon("the run in the graph", lambda: pending(own_home["STRATIGRAPH_DATABASE_URL"]) == 0)
            assert checks(said)["worker"]["ok"] is True
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 0
        assert "none was ever seen" in checks(said)["worker"]["detail"]  # it said goodbye
        server.send_signal(signal.SIGINT)
        assert "No worker is started" in server.communicate(timeout=TIMEOUT_S)[1]


def test_a_worker_ends_with_its_standard_input(own_home: dict[str, str]) -> None:
    with working("--exit-with-stdin") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        assert process.wait(TIMEOUT_S) == 0


def test_a_worker_says_plainly_what_it_does(own_home: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "worker"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(5)]
    finally:
        process.terminate()
        process.communicate()

    assert process.returncode == 0
    assert "at work" in said[0]
    assert "project lineage" in said[1]
    assert "run operations" in said[3]
    assert "Ctrl-C" in said[4]


@pytest.mark.slow
def test_of_a_killed_server_nothing_is_left(embedded_home: Path) -> None:
    """Neither its worker nor the embedded Postgres, which the worker leaves last; and the next start finds all."""
    with serving("--no-demo") as (server, said):
        soon("a worker", lambda: worker_at_work(said))
        report_run(said)
        server.kill()
        server.communicate(timeout=TIMEOUT_S)  # the worker holds its stderr, and lets it go
    soon("the end of all its processes", lambda: not processes_of(embedded_home))

    with serving("--no-demo") as (server, said):
        soon("a worker", lambda: worker_at_work(said))
        soon("the run in the graph", lambda: pending(embedded_url(embedded_home)) == 0)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=TIMEOUT_S)
    assert server.returncode == 0
    assert not processes_of(embedded_home)


@pytest.mark.slow
def test_a_killed_worker_takes_the_servers_postgres_with_it_neither_then_nor_later(embedded_home: Path) -> None:
    with serving("--no-demo") as (server, said):
        soon("a worker", lambda: worker_at_work(said))
        (child,) = children_of(server)

        # when one is killed, and another one stopped
        child.kill()
        (second,) = soon("another worker", lambda: [one for one in children_of(server) if one.pid != child.pid])
        soon("it at work", lambda: "2 at work" in checks(said)["worker"]["detail"])
        second.terminate()
        soon("a third", lambda: [one for one in children_of(server) if one.pid not in (child.pid, second.pid)])

        # then the server has its database all the time, and stops it at its own end
        assert checks(said)["postgres"]["ok"] is True
        report_run(said)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=TIMEOUT_S)
    assert server.returncode == 0
    assert not processes_of(embedded_home)


def test_what_cannot_start_is_started_again_with_growing_pauses() -> None:
    worker = WorkerProcess([sys.executable, "-c", "raise SystemExit(3)"], first_pause_s=0.05)
    begun = time.monotonic()
    seen: set[int] = set()

    worker.start()
    while len(seen) < 3 and time.monotonic() - begun < 10:
        pid = worker.pid
        if pid is not None:
            seen.add(pid)
        time.sleep(0.001)
    worker.stop()

    assert len(seen) == 3
    assert time.monotonic() - begun > 0.05 + 0.1
    assert worker.pid is None
