"""Operations on the command line: listed, shown, waited for and cancelled; and what restarts leave of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest

from app.domain.operations import Operation, OperationFailure, OperationStatus
from app.errors import OperationAbandonedError
from app.postgres.pool import open_pool
from app.registry.operation_leases import OperationLeases
from app.registry.operations import OperationStore
from app.registry.workers import Workers
from app.services.operation_runner import OperationRunner
from app.services.operations import Operations
from tests.cli.results import ROOT, TIMEOUT_S, Cli
from tests.cli.test_cli_program import serving
from tests.cli.test_cli_worker import checks
from tests.integration.operations.jobs import HALF, KIND, by, claim
from tests.integration.operations.jobs import start as start_operation
from tests.integration.operations.scripted import Scripted
from tests.integration.operations.workers import workers
from tests.lake_tables import SmallLake

Answer = TypeVar("Answer")


class Bench:
    """What is asked of operations, and done with them, beside the program."""

    def __init__(self, lake: SmallLake) -> None:
        self._url = str(lake.settings.database_url)
        self.settings = lake.settings.model_copy(update={"lease_s": 2.0})

    def run(self, work: Callable[[Operations, OperationLeases], Awaitable[Answer]]) -> Answer:
        async def call() -> Answer:
            async with await open_pool(self._url, min_size=1) as pool:
                return await work(Operations(OperationStore(pool), Workers(pool)), OperationLeases(pool))

        return asyncio.run(call())

    def start(self, **request: Any) -> str:
        return str(self.run(lambda operations, _: start_operation(operations, **request)).operation_id)

    def fail(self, failure: OperationFailure) -> None:
        async def work(_: Operations, leases: OperationLeases) -> None:
            assert await leases.fail((await claim(leases)).lease, HALF, failure)

        self.run(work)

    def begin(self) -> None:
        self.run(lambda _, leases: claim(leases))

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """A runner at work, in a thread of its own."""
        loop, stop = asyncio.new_event_loop(), asyncio.Event()

        async def work() -> None:
            async with await open_pool(self._url, min_size=1) as pool:
                runner = OperationRunner(OperationStore(pool), OperationLeases(pool), self.settings)
                runner.register(KIND, Scripted())
                await runner.run(stop)

        thread = threading.Thread(target=lambda: loop.run_until_complete(work()))
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


@pytest.fixture
def bench(own_lake: SmallLake) -> Bench:
    return Bench(own_lake)


def test_operations_are_listed_last_first(cli: Cli, bench: Bench) -> None:
    first, second = bench.start(n=1), bench.start(n=2)
    bench.begin()

    listed = cli("operation", "list", "--json").answer
    table = cli("operation", "list")

    assert [entry["id"] for entry in listed["operations"]] == [second, first]
    assert listed["total"] == 2
    assert "result" not in listed["operations"][0]
    lines = table.stdout.splitlines()
    assert lines[0].split()[:4] == ["operation", "kind", "status", "progress"]
    assert lines[1].startswith(second) and "QUEUED" in lines[1]
    assert lines[2].startswith(first) and "RUNNING" in lines[2]
    assert [
        entry["id"] for entry in cli("operation", "list", "--status", "running", "--json").answer["operations"]
    ] == [first]
    cut = cli("operation", "list", "--kind", "row_diff", "--limit", "1")
    assert len(cut.stdout.splitlines()) == 2
    assert "1 of 2 are shown" in cut.stderr


def test_one_that_is_waited_for_is_shown_with_its_result(cli: Cli, bench: Bench) -> None:
    asked = bench.start(steps=3, step_s=0.3)

    with bench.working():
        waited = cli("operation", "wait", asked)
    again = cli("operation", "wait", asked, "--json")

    assert waited.exit_code == 0, waited.stderr
    assert f"Operation {asked} (ROW_DIFF): SUCCEEDED, 100 %" in waited.stdout
    assert '"steps": 3' in waited.stdout
    notes = waited.stderr.splitlines()
    assert notes[-1] == "SUCCEEDED 100 % step 3 of 3"
    assert again.stderr == ""
    assert len(notes) == len(set(notes))
    assert again.answer["result"]["steps"] == 3
    assert again.answer == cli("operation", "show", asked, "--json").answer


@pytest.mark.parametrize(
    ("failure", "exit_code"),
    [
        (OperationFailure(code="DATASET_NOT_FOUND", message="There is no dataset 'a.b'."), 3),
        (OperationFailure.of(OperationAbandonedError(3)), 7),
        (OperationFailure(code="INTERNAL_ERROR", message="Something.", fields={"traceId": "abc123"}), 1),
    ],
    ids=lambda value: value.code if isinstance(value, OperationFailure) else "",
)
def test_waiting_for_one_that_fails_fails_as_it_did(
    cli: Cli, bench: Bench, failure: OperationFailure, exit_code: int
) -> None:
    asked = bench.start()
    bench.fail(failure)

    waited, told = cli("operation", "wait", asked), cli("operation", "wait", asked, "--json")

    assert (waited.exit_code, waited.stdout) == (exit_code, "")
    assert failure.message in waited.stderr
    assert told.error["code"] == failure.code
    assert told.error["exit_code"] == exit_code
    if "traceId" in failure.fields:
        assert "abc123" in told.error["message"]
    shown = cli("operation", "show", asked)
    assert shown.exit_code == 0
    assert f"Error: {failure.code}: {failure.message}" in shown.stdout


def test_one_that_waits_is_cancelled_at_once_and_waiting_for_it_says_so(cli: Cli, bench: Bench) -> None:
    asked = bench.start()

    first = cli("operation", "cancel", asked, "--actor", "bo")
    again = cli("operation", "cancel", asked, "--json")
    waited = cli("operation", "wait", asked, "--json")

    assert (first.exit_code, first.stdout) == (0, f"Operation {asked} is cancelled.\n")
    assert again.answer["status"] == "CANCELLED"
    assert (waited.exit_code, waited.error["code"]) == (4, "OPERATION_CANCELLED")


def test_one_that_runs_is_stopped(cli: Cli, bench: Bench) -> None:
    asked = bench.start(steps=1000, step_s=0.1)

    with bench.working():
        while cli("operation", "show", asked, "--json").answer["status"] == "QUEUED":
            continue
        told = cli("operation", "cancel", asked)
        waited = cli("operation", "wait", asked)

    assert told.stdout == f"Operation {asked} runs, and was told to stop.\n"
    assert waited.exit_code == 4
    assert f"Operation {asked} was cancelled." in waited.stderr


def test_one_that_has_ended_refuses_to_be_cancelled(cli: Cli, bench: Bench) -> None:
    asked = bench.start()
    bench.fail(OperationFailure(code="NO_SNAPSHOT", message="There is none."))

    refused = cli("operation", "cancel", asked, "--json")

    assert (refused.exit_code, refused.error["code"]) == (4, "OPERATION_ENDED")


@pytest.mark.parametrize("command", ["show", "wait", "cancel"])
@pytest.mark.parametrize(
    ("name", "operation_id", "code", "exit_code"),
    [
        ("unknown", "5f0b3c6e-6a5d-4c93-9a53-0d1f3e4a7b21", "OPERATION_NOT_FOUND", 3),
        ("a word", "nobody", "INVALID_ARGUMENT", 2),
        ("empty", "", "INVALID_ARGUMENT", 2),
        ("10 kB", "x" * 10_000, "INVALID_ARGUMENT", 2),
        ("a node id", "WyJvcGVyYXRpb24iLCJ4Il0", "INVALID_ARGUMENT", 2),
    ],
)
def test_ids_that_are_none_are_refused(
    cli: Cli, command: str, name: str, operation_id: str, code: str, exit_code: int
) -> None:
    refused = cli("operation", command, operation_id, "--json")

    assert (refused.exit_code, refused.error["code"]) == (exit_code, code), name
    assert len(refused.error["message"]) < 300


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--status", "sleeping"], "--status"),
        (["--kind", "tidying"], "--kind"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_choices_that_are_none_are_refused(cli: Cli, options: list[str], named: str) -> None:
    refused = cli("operation", "list", *options, "--json")

    assert refused.exit_code == 2
    assert refused.error["fields"]["argument"] == named


def test_a_terminal_shows_a_bar(bench: Bench, environment: dict[str, str]) -> None:
    asked = bench.start(steps=3, step_s=0.5)
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "operation", "wait", asked],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=end,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(end)
    shown = b""
    while b"QUEUED" not in shown:
        shown += os.read(terminal, 4096)
    with bench.working():
        with contextlib.suppress(OSError):  # which ends a terminal
            while data := os.read(terminal, 4096):
                shown += data
        assert process.wait(TIMEOUT_S) == 0
    os.close(terminal)
    assert process.stdout is not None
    assert "SUCCEEDED, 100 %" in process.stdout.read()
    assert "step 3 of 3" in shown.decode()
    assert "100%" in shown.decode()
    del environment


def test_ctrl_c_leaves_it_waiting(bench: Bench, environment: dict[str, str]) -> None:
    del environment
    asked = bench.start()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "operation", "wait", asked],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # What is started in the background is deaf to Ctrl-C, and so would be what the tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert "No worker" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 130
    assert "Traceback" not in said
    assert bench.run(lambda operations, _: _only(operations)).status is OperationStatus.QUEUED


async def _only(operations: Operations) -> Operation:
    from app.domain.pages import PageRequest

    (found,) = (await operations.page(PageRequest())).items
    return found


@pytest.mark.slow
def test_operations_survive_the_server_and_are_missed_where_no_worker_is(bench: Bench, program: Cli) -> None:
    # given a server without a worker, and an operation that waits
    with serving("--no-demo", "--no-worker") as (server, said):
        asked = bench.run(lambda operations, _: operations.start(KIND, {"steps": 2}, by(key="k"))).operation_id
        found = checks(said)["worker"]
        assert found["ok"] is False
        assert "an operation that was asked for" in found["detail"] and "stratigraph worker" in found["hint"]
        doctor = program("doctor", "--json")
        assert [check["name"] for check in json.loads(doctor.stdout)["checks"] if not check["ok"]] == ["worker"]

        # when the server is killed, and another one started
        server.kill()
        server.communicate(timeout=TIMEOUT_S)
    with serving("--no-demo", "--no-worker") as (server, said):
        path = f"{said['url']}/api/v1/operations/{asked}"
        assert httpx.get(path).json()["status"] == "QUEUED"

        # and a worker comes, which the server need not know of
        with workers(bench.settings, 1):
            assert program("operation", "wait", str(asked)).exit_code == 0
        done = httpx.get(path).json()
        assert (done["status"], done["result"]["steps"]) == ("SUCCEEDED", 2)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=TIMEOUT_S)
    assert server.returncode == 0
