"""What it costs to take lineage events in, to project them, and to answer with 500 nodes of the graph.

    python -m benchmarks.ingest [--graph-url ws://127.0.0.1:8182/gremlin] [--events 6000] [--runs 2000] [--rounds 100]

A real server and its worker, each a process of its own, on an embedded Postgres; the client sends over HTTP. Of each
run there are three events; each reads two datasets and writes one, so that it makes five edges. The yardsticks are
requests to `/healthz` on the same connections, and `SELECT 1` in Postgres. A graph that is given is emptied.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import orjson

from app.bootstrap import Services, open_services
from app.postgres.embedded import EmbeddedPostgres
from app.settings import Settings

SENDERS = 8
BATCH = 50
INPUTS = 520
EDGES_OF_RUN = 5
NAMESPACE = "kafka://broker"
PRODUCER = "https://example.org/benchmark"
_LINEAGE = """
    {
      pipeline(pipelineId: "benchmark/chain") {
        lineage(direction: UPSTREAM, options: {depth: 50, maxNodes: 500}) {
          nodeCount edgeCount completeness { complete }
          nodes { id kind name versionLabel depth }
          edges { from to kind recordedAt source }
        }
      }
    }
"""


async def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph-url")
    parser.add_argument("--events", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    store = "janusgraph" if arguments.graph_url else "postgres"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-ingest-")))
        postgres = EmbeddedPostgres(folder)
        url = postgres.start()
        stack.callback(postgres.stop)
        settings = Settings(home=folder, database_url=url, graph_url=arguments.graph_url, demo_on_serve=False)
        async with open_services(settings) as services:
            await services.upkeep.rebuild(lambda done, total: None)
        await _measure_ingest(settings, arguments.events, store)
        await _measure_projector(settings, arguments.runs, store)
        await _measure_answer(settings, arguments.rounds, store)


async def _measure_ingest(settings: Settings, events: int, store: str) -> None:
    """Events a second over HTTP, one a request and in batches, while a worker projects them beside."""
    with _server(settings, "--no-worker") as url:
        singles = [_posted(orjson.dumps(event)) for event in _events("single", events)]
        batches = [_posted(orjson.dumps(batch)) for batch in _cut(list(_events("batch", events)), BATCH)]
        ping_s = await _send(url, [b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"] * events)
        single_s = await _send(url, singles)
        batch_s = await _send(url, batches)
    _print(
        "ingest",
        store=store,
        events=events,
        single_events_per_s=round(events / single_s),
        batched_events_per_s=round(events / batch_s),
        healthz_requests_per_s=round(events / ping_s),
        senders=SENDERS,
        batch=BATCH,
        in_the_log=await _count(settings, "SELECT count(*) FROM lineage_events"),
        sent=2 * events,
    )


async def _measure_projector(settings: Settings, runs: int, store: str) -> None:
    """Edges a second that one process projects, from events that are in the log already."""
    async with open_services(settings) as services:
        await _drain(services)
        for batch in _cut(list(_events("project", 3 * runs)), 300):
            await services.ingesting.ingest(orjson.dumps(batch))
        pending = await _count(settings, "SELECT count(*) FROM lineage_pending")
        start = time.perf_counter()
        await _drain(services)
        elapsed_s = time.perf_counter() - start
        left = await _count(settings, "SELECT count(*) FROM lineage_pending")
    _print(
        "project",
        store=store,
        runs=pending,
        edges_per_s=round(EDGES_OF_RUN * pending / elapsed_s),
        runs_per_s=round(pending / elapsed_s),
        left=left,
    )


async def _measure_answer(settings: Settings, rounds: int, store: str) -> None:
    """A lineage field of 500 nodes over HTTP."""
    chain = [
        _event(
            "COMPLETE", UUID(int=(4 << 76) | (8 << 60) | (1 << 40) | at), "chain", [f"chain-{at}"], [f"chain-{at + 1}"]
        )
        for at in range(50)
    ]
    wide = [f"wide-{at}" for at in range(INPUTS - 50)]
    chain.append(_event("COMPLETE", UUID(int=(4 << 76) | (8 << 60) | (2 << 40)), "chain", wide, ["chain-25"]))
    async with open_services(settings) as services:
        await services.ingesting.ingest(orjson.dumps(chain))
        await _drain(services)
    with _server(settings) as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            body = {"query": _LINEAGE}
            first = (await client.post("/graphql", json=body)).json()
            if "errors" in first or first["data"]["pipeline"]["lineage"]["nodeCount"] < 500:
                raise RuntimeError(f"the server does not answer as it should: {str(first)[:500]}")
            connection = await asyncpg.connect(_url(settings))
            ours, ping, select = [], [], []
            try:
                for _ in range(rounds):
                    ours.append(await _timed(lambda: client.post("/graphql", json=body)))
                    ping.append(await _timed(lambda: client.get("/healthz")))
                    select.append(await _timed(lambda: connection.fetchval("SELECT 1")))
            finally:
                await connection.close()
    lineage = first["data"]["pipeline"]["lineage"]
    _print(
        "lineage_field",
        store=store,
        nodes=lineage["nodeCount"],
        edges=lineage["edgeCount"],
        ms_median=round(statistics.median(ours), 2),
        ms_p95=round(statistics.quantiles(ours, n=20)[-1], 2),
        healthz_ms_median=round(statistics.median(ping), 2),
        select_1_ms_median=round(statistics.median(select), 2),
    )


async def _send(url: str, requests: list[bytes]) -> float:
    """Seconds that it takes to send all, several at once; each has to be answered well.

    Plain sockets: any client library takes more of the processors than the server.
    """
    waiting = iter(requests)
    port = int(url.rpartition(":")[2])

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 2"):
                raise RuntimeError(f"the server does not answer as it should: {head[:200]!r}")
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(SENDERS)))
    return time.perf_counter() - start


def _posted(body: bytes) -> bytes:
    head = f"POST /api/v1/lineage HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    answer = await call()
    elapsed = time.perf_counter() - start
    if isinstance(answer, httpx.Response):
        answer.raise_for_status()
    return 1000 * elapsed


async def _drain(services: Services) -> None:
    while await services.projector.project_pending():
        continue


async def _count(settings: Settings, query: str) -> int:
    connection = await asyncpg.connect(_url(settings))
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


def _url(settings: Settings) -> str:
    return settings.database_url or ""


def _events(prefix: str, count: int) -> Iterator[dict[str, Any]]:
    """Three events of each run: it reads two datasets and writes one."""
    for at in range(count):
        number, step = divmod(at, 3)
        run_id = UUID(bytes=bytes([*f"{prefix:<6}"[:6].encode(), 0x40, 0, 0x80, 0, *number.to_bytes(6, "big")]))
        read = [f"{prefix}-{number}", f"{prefix}-{number // 2}"] if number else [f"{prefix}-0", f"{prefix}-start"]
        kind = ("START", "RUNNING", "COMPLETE")[step]
        yield _event(kind, run_id, prefix, read, [f"{prefix}-{number + 1}"] if step == 2 else [], second=step)


def _event(
    kind: str, run_id: UUID, job: str, read: list[str], written: list[str], *, second: int = 0
) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": f"2026-02-15T10:00:{second:02}Z",
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": str(run_id)},
        "job": {"namespace": "benchmark", "name": job},
        "inputs": [{"namespace": NAMESPACE, "name": name} for name in read],
        "outputs": [{"namespace": NAMESPACE, "name": name} for name in written],
    }


def _cut(items: list[dict[str, Any]], size: int) -> list[list[dict[str, Any]]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


@contextlib.contextmanager
def _server(settings: Settings, *options: str) -> Iterator[str]:
    variables = {
        "STRATIGRAPH_HOME": str(settings.home),
        "STRATIGRAPH_DATABASE_URL": _url(settings),
        "STRATIGRAPH_LOG_LEVEL": "error",
    }
    if settings.graph_url:
        variables["STRATIGRAPH_GRAPH_URL"] = settings.graph_url
    command = [sys.executable, "-m", "app", "serve", "--port", "0", "--no-demo", "--json", *options]
    with subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True) as process:
        try:
            text = ""
            for line in process.stdout or ():
                text += line
                if line.startswith("}"):
                    break
            yield str(json.loads(text)["url"])
        finally:
            process.terminate()


def _print(case: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"case": case, **facts}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
