"""The graph is a projection: it can be made again, drift is found, and killed projectors lose and double nothing."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.bootstrap import Services, open_services
from app.domain.lineage import Edge, EdgeKind, Projection, external_vertex
from app.registry.events import StoredEvent
from app.services.interpreting import Interpretation
from app.settings import Settings
from tests.integration.lineage.events import body, run_event

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("projector_program.py")
NAMESPACE = "kafka://broker"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", database_url=database_url)
    settings.warehouse.mkdir(parents=True)
    return settings


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened


def external(name: str) -> dict[str, Any]:
    return {"namespace": NAMESPACE, "name": name}


def run_id(number: int) -> UUID:
    return UUID(int=(4 << 76) | (8 << 60) | number)


def events_of(number: int) -> list[dict[str, Any]]:
    """Three events of a run that makes topic n+1 from topic n; eight runs form a chain."""
    chain, link = divmod(number, 8)
    read, written = external(f"{chain}-{link}"), external(f"{chain}-{link + 1}")
    second = f"{number % 60:02}"
    return [
        run_event("START", run_id(number), f"2026-02-15T10:00:{second}Z", [read], []),
        run_event("RUNNING", run_id(number), f"2026-02-15T10:01:{second}Z", [read], [written]),
        run_event("COMPLETE", run_id(number), f"2026-02-15T10:02:{second}Z", [], [written]),
    ]


async def whole_graph(services: Services) -> set[tuple[Any, ...]]:
    store = services.lineage._store
    return {
        (edge.order, edge.run_id, edge.is_inferred, edge.recorded_at)
        async for owner in store.owners()
        for edge in (await store.edges_of(owner))[0]
    }


async def drain(services: Services) -> None:
    while await services.projector.project_pending():
        continue


async def test_a_rebuilt_graph_is_the_same_graph(services: Services) -> None:
    for number in range(40):
        await services.ingesting.ingest(body(*events_of(number)))
    await drain(services)
    before = await whole_graph(services)
    assert len(before) == 40 * 4
    seen: list[tuple[int, int]] = []

    report = await services.upkeep.rebuild(lambda done, of: seen.append((done, of)))

    assert (report.runs, report.waiting) == (40, 0)
    assert await whole_graph(services) == before
    assert seen[0] == (0, 40)
    assert seen[-1] == (40, 40)
    assert (await services.upkeep.check()).is_same


async def test_drift_is_found_and_mended(services: Services, settings: Settings) -> None:
    for number in range(5):
        await services.ingesting.ingest(body(*events_of(number)))
    await drain(services)
    await services.ingesting.ingest(body(*events_of(5)))
    assert (await services.upkeep.check()).is_same

    # given a graph that lost a run's edges, and has those of a run that nobody reported
    store = services.lineage._store
    await store.apply([Projection(owner=f"run:{run_id(2)}", vertices={}, edges=())])
    made, read = external_vertex("x", "made", ""), external_vertex("x", "read", "")
    (sample, *_), _ = await store.edges_of(f"run:{run_id(0)}")
    edge = Edge(
        kind=EdgeKind.DERIVED_FROM,
        from_id=made.vertex_id,
        to_id=read.vertex_id,
        owner="run:nobody",
        source="test",
        recorded_at=sample.recorded_at,
    )
    vertices = {vertex.vertex_id: vertex for vertex in (made, read)}
    await store.apply([Projection(owner="run:nobody", vertices=vertices, edges=(edge,))])

    report = await services.upkeep.check()

    assert (report.compared, report.pending) == (5, 1)
    assert report.differing == (f"run:{run_id(2)}",)
    assert report.unknown == ("run:nobody",)
    await services.upkeep.rebuild(lambda done, total: None)
    assert (await services.upkeep.check()).is_same


async def test_a_run_that_cannot_be_projected_holds_up_no_other(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given one run that cannot be read, and one that the store cannot hold, in one batch with others
    for number in range(8):
        await services.ingesting.ingest(body(*events_of(number)))
    unreadable, unwritable = f"run:{run_id(2)}", f"run:{run_id(5)}"
    interpreting = services.projector._interpreting
    interpret, apply = interpreting.interpret_all, services.projector._store.apply

    async def interpret_most(logged: Mapping[str, Sequence[StoredEvent]]) -> dict[str, Interpretation]:
        if unreadable in logged:
            raise RuntimeError("nobody expected this")
        return await interpret(logged)

    async def apply_most(projections: Sequence[Projection]) -> None:
        if unwritable in {projection.owner for projection in projections}:
            raise TypeError("nobody expected that")
        await apply(projections)

    monkeypatch.setattr(interpreting, "interpret_all", interpret_most)
    monkeypatch.setattr(services.projector._store, "apply", apply_most)

    # when
    await services.projector.project_pending()

    # then
    assert {edge[0][3] for edge in await whole_graph(services)} == {
        f"run:{run_id(number)}" for number in range(8) if number not in (2, 5)
    }
    connection = await asyncpg.connect(services.settings.database_url)
    try:
        waiting = await connection.fetch("SELECT run_key, failure FROM lineage_pending ORDER BY run_key")
    finally:
        await connection.close()
    assert [tuple(row) for row in waiting] == [
        (unreadable, "RuntimeError: nobody expected this"),
        (unwritable, "TypeError: nobody expected that"),
    ]

    # and once they can be, they are
    monkeypatch.undo()
    rebuilt = await services.upkeep.rebuild(lambda done, total: None)
    assert (rebuilt.runs, rebuilt.waiting) == (8, 0)
    assert len(await whole_graph(services)) == 8 * 4


@pytest.mark.parametrize("runs", [pytest.param(150, id="short"), pytest.param(1500, id="full", marks=pytest.mark.long)])
async def test_killed_projectors_lose_and_double_nothing(services: Services, settings: Settings, runs: int) -> None:
    # given events in no order, some of them sent twice
    chance = random.Random(runs)
    events = [event for number in range(runs) for event in events_of(number)]
    sent = events + chance.sample(events, k=len(events) // 10)
    chance.shuffle(sent)
    command = [sys.executable, str(PROGRAM), str(settings.home), str(settings.database_url)]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, text=True)

    # when two projectors work on them, and are killed again and again
    projectors = [start(), start()]
    try:
        for place in range(0, len(sent), 10):
            await services.ingesting.ingest(body(*sent[place : place + 10]))
            if place % (10 * max(1, len(sent) // 60)) == 0 and chance.random() < 0.5:
                victim = chance.randrange(2)
                projectors[victim].send_signal(signal.SIGKILL)
                await asyncio.to_thread(projectors[victim].wait)
                projectors[victim] = start()
    finally:
        for projector in projectors:
            projector.kill()
            await asyncio.to_thread(projector.wait)
    connection = await asyncpg.connect(settings.database_url)
    try:
        # As if the leases of the dead had run out.
        await connection.execute("UPDATE lineage_pending SET lease_until = NULL WHERE failure IS NULL")
        assert await connection.fetchval("SELECT count(*) FROM lineage_events") == len(events)
    finally:
        await connection.close()
    await drain(services)

    # then each event is in the log once, and each run in the graph, whole
    graph = await whole_graph(services)
    assert len(graph) == 4 * runs
    assert (await services.upkeep.check()).is_same
