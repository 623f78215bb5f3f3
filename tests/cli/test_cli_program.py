"""The program as a user starts it: real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cli.results import ROOT, TIMEOUT_S, Cli
from tests.lake_tables import ORDERS, TAG, SmallLake

HEAVY = ("pyarrow", "pyiceberg", "asyncpg", "strawberry", "pydantic", "uvicorn", "starlette")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from app.cli.main import run; assert run(['--help']) == 0; "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)

    assert done.stderr.strip() == "[]"
    assert "rollback" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["serve", "--help"], ["demo", "load", "--help"], ["doctor", "--help"]]
)
def test_every_help_is_found(program: Cli, arguments: list[str]) -> None:
    assert program(*arguments).exit_code == 0


def test_a_whole_story(program: Cli, own_lake: SmallLake) -> None:
    listed = program("datasets")
    rolled_back = program("rollback", ORDERS, TAG, "--actor", "ada", "--reason", "bad load", "--json").answer
    shown = program("show", ORDERS, "--json").answer
    undone = program("undo", ORDERS, rolled_back["undo_tag"], "--json").answer

    assert listed.exit_code == 0
    assert ORDERS in listed.stdout
    assert len(shown["rows"]) == 3
    assert undone["snapshot_id"] == str(own_lake.orders.third)


def test_errors_leave_stdout_empty_and_show_no_traceback(program: Cli) -> None:
    result = program("show", "sales.nothing")

    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr


def test_an_unreachable_database_is_a_plain_error(program: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATIGRAPH_DATABASE_URL", f"postgresql://u:secret@127.0.0.1:{_free_port()}/d")

    result = program("datasets", "--json")

    assert result.exit_code == 7
    assert result.error["code"] == "BACKEND_UNAVAILABLE"
    assert "secret" not in result.stderr


def test_a_reader_that_leaves_early_gets_no_traceback(environment: dict[str, str]) -> None:
    command = f"{sys.executable} -m app snapshots {ORDERS} | true"

    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT_S, check=True
    )

    assert done.stderr == ""


@contextmanager
def serving(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A server of this environment on a free port, and what it says about itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--port", "0", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            text += line
        yield process, json.loads(text)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=TIMEOUT_S)
    return process.returncode


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_until_it_is_told_to_stop(environment: dict[str, str], ending: int) -> None:
    with serving("--no-demo") as (process, said):
        ready = httpx.get(said["ready"])
        rows = httpx.get(f"{said['url']}/api/v1/datasets/sales/orders/data", params={"limit": 1})
        process.send_signal(ending)
        code = _ended(process)

    assert ready.status_code == 200
    assert rows.json()["truncated"] is True
    assert code == 0


def test_a_second_server_on_one_home_is_refused(program: Cli, environment: dict[str, str]) -> None:
    with serving("--no-demo") as (process, said):
        error = program("serve", "--port", "0", "--no-demo", "--json").error

    assert error["code"] == "HOME_IN_USE"
    assert error["exit_code"] == 4
    assert error["fields"]["pid"] == process.pid
    assert error["fields"]["url"] == said["url"]


def test_a_port_that_is_taken_is_said_plainly(program: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = program("serve", "--no-demo", "--port", str(taken.getsockname()[1]))

    assert result.exit_code == 2
    assert "cannot listen on port" in result.stderr
    assert "--port" in result.stderr


def test_the_cli_works_beside_a_server_and_doctor_sees_it(
    program: Cli, own_lake: SmallLake, environment: dict[str, str]
) -> None:
    with serving("--no-demo") as (_, said):
        tagged = program("tag", ORDERS, "gold_validated_2026_02_15", "--json").answer
        listed = httpx.get(f"{said['url']}/api/v1/datasets/sales/orders/tags").json()
        doctor = program("doctor", "--json").answer

    entry = {tag["name"]: tag for tag in listed["tags"]}[tagged["tag"]]
    assert entry["snapshot_id"] == tagged["snapshot_id"]
    assert entry["created_by"]
    assert entry["created_at"]
    (server,) = [check for check in doctor["checks"] if check["name"] == "server"]
    assert said["url"] in server["detail"]


@pytest.mark.slow
def test_on_an_empty_home_the_embedded_default_starts_and_stops_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two starts: the second finds what the first has made, and neither leaves a process behind."""
    home = tmp_path / "home"
    monkeypatch.delenv("STRATIGRAPH_DATABASE_URL", raising=False)
    monkeypatch.setenv("STRATIGRAPH_HOME", str(home))

    found = []
    for _ in range(2):
        with serving() as (process, said):
            found.append(httpx.get(f"{said['url']}/api/v1/datasets/gold/customers/snapshots").json()["total"])
            process.send_signal(signal.SIGINT)
            assert _ended(process) == 0

    assert found[0] == found[1] >= 6
    assert not [one.pid for one in psutil.process_iter() if str(home) in _command_line(one)]


def test_a_server_that_was_killed_can_be_started_again(environment: dict[str, str]) -> None:
    with serving("--no-demo") as (process, _):
        process.kill()
        _ended(process)

    with serving("--no-demo") as (_, said):
        assert httpx.get(said["ready"]).status_code == 200


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("command", [("datasets",), ("doctor",)])
def test_a_broken_configuration_of_pyiceberg_is_a_plain_error(
    program: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (tmp_path / ".pyiceberg.yaml").write_text("catalog: {a: [")
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))

    result = program(*command)

    assert result.exit_code == (7 if command == ("doctor",) else 2)
    assert ".pyiceberg.yaml" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert "fault of the program" not in result.stderr


def test_a_home_that_cannot_be_one_is_a_plain_error(program: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATIGRAPH_HOME", "/etc/passwd")

    result = program("serve", "--port", "0")

    assert result.exit_code == 2
    assert "STRATIGRAPH_HOME" in result.stderr
    assert "fault of the program" not in result.stderr
