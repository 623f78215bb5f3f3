"""Server, worker and JanusGraph as real processes, killed in the middle of an ingest: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from app.bootstrap import open_services
from app.domain.lineage import EdgeKind
from app.settings import Settings
from tests.integration.lineage.events import body
from tests.integration.lineage.test_upkeep import NAMESPACE, events_of, run_id
from tests.servers.janusgraph import FragileJanusGraph

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[3]
BATCH = 20
CLIENTS = 3
LEASE_S = 3
# For one batch, over all restarts of the server; and for the graph to have everything in the end.
SEND_TIMEOUT_S, CATCH_UP_TIMEOUT_S = 60, 240
# Events, and for how long at least they are sent: the kills have to fall into it.
FULL = (20_000, 40)
SIZES = [pytest.param(1_200, 8, id="short"), pytest.param(*FULL, id="full", marks=pytest.mark.long)]


_ALL_PROJECTED = "SELECT count(*) = 0 FROM lineage_pending"
_CLAIMED_JUST_NOW = f"""
    SELECT EXISTS (
        SELECT FROM lineage_pending
        WHERE failure IS NULL AND lease_until > clock_timestamp() + make_interval(secs => {LEASE_S - 0.1})
    )
"""


class Server:
    """`stratigraph serve` on one port, killed and started again, with its worker."""

    def __init__(self, settings: Settings) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._log = settings.home / "serve.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("STRATIGRAPH_")},
            "STRATIGRAPH_HOME": str(settings.home),
            "STRATIGRAPH_DATABASE_URL": str(settings.database_url),
            "STRATIGRAPH_LEASE_S": str(LEASE_S),
            **({"STRATIGRAPH_GRAPH_URL": settings.graph_url} if settings.graph_url else {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1/lineage"

    def start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve", "--no-demo", "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=ROOT,
                env=self._environment,
            )

    def find_worker(self) -> psutil.Process:
        """Its worker, as soon as there is one."""
        assert self._process is not None
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for child in psutil.Process(self._process.pid).children():
                if child.status() != psutil.STATUS_ZOMBIE and "worker" in child.cmdline():
                    return child
            time.sleep(0.05)
        raise AssertionError(f"there is no worker:\n{self.log}")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    @property
    def log(self) -> str:
        return self._log.read_text()[-4000:]


class Clients:
    """Threads that send batches, each again until it is answered for: also what may have been taken already.

    The last tenth is kept back until `release`, so that nothing is killed when all is over.
    """

    def __init__(self, url: str, events: list[dict[str, Any]], *, at_least_s: float) -> None:
        self._url = url
        self._batches = [events[place : place + BATCH] for place in range(0, len(events), BATCH)]
        self._pause_s = at_least_s * CLIENTS / len(self._batches)
        self._left = iter(enumerate(self._batches))
        self._lock = threading.Lock()
        self._kept_back_from = len(self._batches) * 9 // 10
        self._released = threading.Event()
        self.sent = 0
        self.answers: Counter[str] = Counter()
        self.failures: list[Exception] = []
        self._threads = [threading.Thread(target=self._send_all, daemon=True) for _ in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def release(self) -> None:
        self._released.set()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        assert self.failures == []

    @property
    def share(self) -> float:
        """How much of all is answered for."""
        assert self.failures == []
        return self.sent / len(self._batches)

    @property
    def unanswered(self) -> int:
        """How often something was sent in vain."""
        return sum(self.answers.values()) - self.answers["201"]

    def _send_all(self) -> None:
        try:
            with httpx.Client(timeout=10) as client:
                while True:
                    with self._lock:
                        found = next(self._left, None)
                    if found is None:
                        return
                    if found[0] >= self._kept_back_from:
                        self._released.wait()
                    self._send(client, body(*found[1]))
                    with self._lock:
                        self.sent += 1
                    time.sleep(self._pause_s)
        except (AssertionError, httpx.HTTPError) as error:  # told by `join`
            self.failures.append(error)

    def _send(self, client: httpx.Client, content: bytes) -> None:
        deadline = time.monotonic() + SEND_TIMEOUT_S
        while True:
            assert time.monotonic() < deadline, self.answers
            try:
                answer = client.post(self._url, content=content, headers={"Content-Type": "application/json"})
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
            else:
                self.answers[str(answer.status_code)] += 1
                if answer.status_code == 201:
                    return
                assert answer.status_code == 503, answer.text
            time.sleep(0.1)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", database_url=database_url)
    settings.warehouse.mkdir(parents=True)
    return settings


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[FragileJanusGraph]:
    """A JanusGraph on disk, whose data outlive it."""
    server = FragileJanusGraph(tmp_path, backend="berkeleyje")
    server.start()
    try:
        yield server
    finally:
        server.kill()


def expected_edges(number: int) -> set[tuple[EdgeKind, str, str]]:
    """What the three events of a run amount to: kind and ends."""
    chain, link = divmod(number, 8)
    read, made = f"external:{NAMESPACE}|{chain}-{link}@", f"external:{NAMESPACE}|{chain}-{link + 1}@"
    pipeline = "pipeline:tests/refresh@"
    return {
        (EdgeKind.CONSUMES, pipeline, read),
        (EdgeKind.GENERATED_BY, made, pipeline),
        (EdgeKind.PRODUCES, pipeline, made),
        (EdgeKind.DERIVED_FROM, made, read),
    }


def send_and_kill(
    settings: Settings, size: int, graph: FragileJanusGraph | None, *, at_least_s: float
) -> tuple[list[dict[str, Any]], Counter[str], float]:
    """Events in no order, some of them sent twice, to a server that is killed, and so are its worker and the graph."""
    chance = random.Random(size)
    # Three events a run; of the last run what is left of the number.
    events = [event for number in range(-(-size // 3)) for event in events_of(number)][:size]
    sent = events + chance.sample(events, k=size // 10)
    chance.shuffle(sent)
    server = Server(settings)
    clients = Clients(server.url, sent, at_least_s=at_least_s)
    kills = ["server", "worker", "graph"] * (2 if size > 5_000 else 1)
    begun = time.monotonic()
    server.start()
    try:
        server.find_worker()
        clients.start()
        for place, victim in enumerate(kills):
            share = (place + 0.3) / len(kills)
            while clients.share < share:
                time.sleep(0.005)
            if victim != "server":
                wait_until(settings, "a run is in a projector's hands", _CLAIMED_JUST_NOW, server)
            if victim == "server":
                felt = clients.unanswered
                server.kill()
                # Not before somebody has knocked in vain.
                while clients.unanswered == felt:
                    assert clients.share < 1
                    time.sleep(0.005)
                server.start()
            elif victim == "worker":
                server.find_worker().kill()
            elif graph is not None:
                graph.kill()
                graph.start()
        clients.release()
        clients.join()
        wait_until(settings, "all runs are in the graph", _ALL_PROJECTED, server)
        return events, clients.answers, time.monotonic() - begun
    finally:
        server.stop()


def wait_until(settings: Settings, what: str, condition: str, server: Server) -> None:
    async def wait() -> None:
        connection = await asyncpg.connect(settings.database_url)
        try:
            deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
            while not await connection.fetchval(condition):
                assert time.monotonic() < deadline, f"not yet: {what}\n{server.log}"
                await asyncio.sleep(0.01)
        finally:
            await connection.close()

    asyncio.run(wait())


async def check_counts(settings: Settings, events: list[dict[str, Any]]) -> None:
    """Each event is in the log once, and each run in the graph, whole, and nothing else."""
    runs = -(-len(events) // 3)
    connection = await asyncpg.connect(settings.database_url)
    try:
        counts = await connection.fetch("SELECT run_key, count(*) AS events FROM lineage_events GROUP BY run_key")
    finally:
        await connection.close()
    wanted = Counter(f"run:{event['run']['runId']}" for event in events)
    assert {row["run_key"]: row["events"] for row in counts} == wanted
    async with open_services(settings) as services:
        store = services.lineage._store
        assert {owner async for owner in store.owners()} == set(wanted)
        # The last run may have no COMPLETE, and then has written nothing yet.
        for number in range(runs - 1):
            edges, _ = await store.edges_of(f"run:{run_id(number)}")
            found = [(edge.kind, edge.from_id, edge.to_id) for edge in edges]
            assert len(found) == 4
            assert set(found) == expected_edges(number)
        report = await services.upkeep.check()
    assert (report.is_same, report.compared, report.pending) == (True, runs, 0)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("size", "at_least_s"), SIZES)
async def test_a_killed_server_and_worker_lose_and_double_nothing(
    settings: Settings, size: int, at_least_s: float
) -> None:
    events, answers, took_s = await asyncio.to_thread(send_and_kill, settings, size, None, at_least_s=at_least_s)

    assert answers["201"] == -(-(size + size // 10) // BATCH)
    await check_counts(settings, events)
    print(f"{size} events, {dict(answers)}, {took_s:.1f} s")


@pytest.mark.timeout(900)
@pytest.mark.janusgraph
@pytest.mark.parametrize(("size", "at_least_s"), SIZES)
async def test_a_killed_server_worker_and_janusgraph_lose_and_double_nothing(
    settings: Settings, graph: FragileJanusGraph, size: int, at_least_s: float
) -> None:
    settings = settings.model_copy(update={"graph_url": graph.url})

    events, answers, took_s = await asyncio.to_thread(send_and_kill, settings, size, graph, at_least_s=at_least_s)

    assert answers["201"] == -(-(size + size // 10) // BATCH)
    await check_counts(settings, events)
    print(f"{size} events, {dict(answers)}, {took_s:.1f} s")
