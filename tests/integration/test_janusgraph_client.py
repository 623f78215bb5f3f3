"""A JanusGraph that freezes, dies, is slow and fought over: what its clients answer meanwhile and afterwards."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from app.domain.lineage import Direction, TruncationReason, Walk
from app.errors import LineageUnavailableError
from app.lineage.janusgraph.breaker import CircuitBreaker
from app.lineage.janusgraph.client import GremlinClient, ScriptTimeoutError
from app.lineage.janusgraph.store import JanusGraphLineage, open_janusgraph
from tests.contract.lineage.graphs import derived
from tests.servers.janusgraph import FragileJanusGraph

pytestmark = [pytest.mark.anyio, pytest.mark.janusgraph]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What is left of killed connections is collected here, and complained of with the test that left it."""
    yield
    gc.collect()


# A script that waits for so many milliseconds and answers what it was asked.
ECHO = """
Map asked = (Map) new groovy.json.JsonSlurper().parseText((String) request)
Thread.sleep((long) asked.wait_ms)
groovy.json.JsonOutput.toJson(asked.word)
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FragileJanusGraph]:
    """One server for all tests here; who kills it starts it again."""
    server = FragileJanusGraph(tmp_path_factory.mktemp("fragile"))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
async def server(shared: FragileJanusGraph, anyio_backend: str) -> FragileJanusGraph:
    store = await open_janusgraph(shared.url)
    await store.prepare()
    await store.drop()
    await store.close()
    return shared


@pytest.fixture
async def client(server: FragileJanusGraph) -> AsyncIterator[GremlinClient]:
    client = make_client(server.url)
    yield client
    await client.close()


def make_client(
    url: str, *, failures: int = 10_000, pause_s: float = 0.5, now: Callable[[], float] = time.monotonic
) -> GremlinClient:
    """One whose circuit stays closed unless a test wants it open."""
    breaker = CircuitBreaker(failures=failures, pause_s=pause_s, now=now)
    return GremlinClient(url, connections=4, connect_timeout_s=1.0, breaker=breaker)


async def echo(client: GremlinClient, word: str, *, wait_ms: int = 0, timeout_s: float = 2.0) -> str:
    return str(await client.run(ECHO, {"word": word, "wait_ms": wait_ms}, timeout_s=timeout_s))


async def assert_own_answers(client: GremlinClient, name: str) -> None:
    words = [f"{name} {number}" for number in range(100)]
    assert await asyncio.gather(*(echo(client, word, timeout_s=20) for word in words)) == words


async def test_a_frozen_server_is_unavailable_in_time_and_mixes_no_answers_up(
    server: FragileJanusGraph, client: GremlinClient
) -> None:
    # given connections that work
    await assert_own_answers(client, "before")

    # when the server freezes, with queries under way and others that come
    # Of so long that none of them is answered before it freezes, on a machine however slow
    under_way = [asyncio.create_task(echo(client, f"under way {n}", wait_ms=60_000)) for n in range(4)]
    await asyncio.sleep(0.1)
    server.freeze()
    try:
        began = time.monotonic()
        later = [echo(client, f"later {n}", timeout_s=1.0) for n in range(8)]
        answers = await asyncio.gather(*under_way, *later, return_exceptions=True)
        took_s = time.monotonic() - began
    finally:
        server.thaw()

    # then all were refused, none waited for the others', and what comes next is answered for itself
    assert [type(answer) for answer in answers] == [LineageUnavailableError] * 12
    assert took_s < 2 * (2.0 + 1.0) + 1.0
    for turn in range(5):
        await assert_own_answers(client, f"after {turn}")


async def test_a_walk_of_a_frozen_server_ends_within_its_time(server: FragileJanusGraph) -> None:
    store = await open_janusgraph(server.url, connect_timeout_s=1.0)
    try:
        await store.apply([derived(("b@1", "a@1"))])
        asked = Walk(root="b@1", direction=Direction.UPSTREAM, timeout_s=0.5)
        server.freeze()
        try:
            began = time.monotonic()
            with pytest.raises(LineageUnavailableError, match="did not answer within"):
                await store.walk(asked)
            assert time.monotonic() - began < 3
        finally:
            server.thaw()
        assert len((await store.walk(Walk(root="b@1", direction=Direction.UPSTREAM))).nodes) == 2
    finally:
        await store.close()


async def test_a_killed_server_is_found_again_when_it_is_back(server: FragileJanusGraph) -> None:
    store = await open_janusgraph(server.url, pause_s=0.2)
    try:
        await store.apply([derived(("b@1", "a@1"))])

        # when it dies
        server.kill()
        for _ in range(3):
            with pytest.raises(LineageUnavailableError):
                await store.walk(Walk(root="b@1", direction=Direction.UPSTREAM))

        # then the same store works on its successor, whose graph is empty
        server.start()
        await asyncio.sleep(0.3)
        await store.prepare()
        await store.apply([derived(("c@1", "a@1"))])
        assert [node.vertex.vertex_id for node in (await _up(store, "c@1"))] == ["c@1", "a@1"]
    finally:
        await store.close()


async def test_a_restart_between_two_calls_is_not_noticed(server: FragileJanusGraph, client: GremlinClient) -> None:
    await assert_own_answers(client, "before")

    server.kill()
    server.start()

    await assert_own_answers(client, "after")


async def test_a_slow_query_ends_at_the_server_and_the_next_are_right(client: GremlinClient) -> None:
    for turn in range(3):
        slow = [echo(client, "slow", wait_ms=10_000, timeout_s=0.3) for _ in range(4)]
        answers = await asyncio.gather(*slow, return_exceptions=True)
        assert [type(answer) for answer in answers] == [ScriptTimeoutError] * 4
        await assert_own_answers(client, f"turn {turn}")


async def test_a_walk_without_time_answers_that_it_is_cut(server: FragileJanusGraph) -> None:
    store = await open_janusgraph(server.url)
    try:
        await store.apply([derived(*((f"v{n + 1}@1", f"v{n}@1") for n in range(50)))])
        # As long as it takes: a server that has just been started is slow at first.
        patient = Walk(root="v50@1", direction=Direction.UPSTREAM, depth=50, timeout_s=60.0)
        whole = await store.walk(patient)
        assert (len(whole.nodes), whole.truncated) == (51, frozenset())

        found = await store.walk(Walk(root="v50@1", direction=Direction.UPSTREAM, depth=50, timeout_s=0.001))

        assert found.truncated == {TruncationReason.TIMEOUT}
        assert found.nodes == whole.nodes[: len(found.nodes)]
        with pytest.raises(LineageUnavailableError):
            await store.count(Walk(root="v50@1", direction=Direction.UPSTREAM, depth=50, timeout_s=0.001))
        assert await store.walk(patient) == whole
    finally:
        await store.close()


async def test_a_caller_that_gives_up_leaves_the_connections_in_order(client: GremlinClient) -> None:
    for turn in range(10):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.gather(*(echo(client, "given up", wait_ms=200) for _ in range(4)))
        await assert_own_answers(client, f"turn {turn}")


async def test_the_circuit_opens_fails_at_once_and_closes_again(server: FragileJanusGraph) -> None:
    now = 0.0
    client = make_client(server.url, failures=3, pause_s=1.0, now=lambda: now)
    try:
        await echo(client, "before")
        server.freeze()
        try:
            for _ in range(3):
                with pytest.raises(LineageUnavailableError, match="did not answer"):
                    await echo(client, "lost", timeout_s=0.2)
            # then nobody waits any more
            began = time.monotonic()
            for _ in range(50):
                with pytest.raises(LineageUnavailableError, match="tried again within"):
                    await echo(client, "refused", timeout_s=5)
            assert time.monotonic() - began < 5
        finally:
            server.thaw()

        # when the pause is over, one call tries, and the circuit is closed
        now = 1.1
        assert await echo(client, "tried", timeout_s=5) == "tried"
        await assert_own_answers(client, "after")
    finally:
        await client.close()


PREPARER = """
import asyncio, sys
from app.lineage.janusgraph.store import open_janusgraph

async def main():
    store = await open_janusgraph(sys.argv[1])
    await store.prepare()
    await store.close()

asyncio.run(main())
"""


async def test_four_processes_prepare_one_empty_server(tmp_path: Path) -> None:
    server = FragileJanusGraph(tmp_path)
    server.start()
    try:
        command = (sys.executable, "-c", PREPARER, server.url)
        processes = [
            await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE) for _ in range(4)
        ]
        errors = [(await process.communicate())[1].decode() for process in processes]
        assert [(process.returncode, text) for process, text in zip(processes, errors, strict=True)] == [(0, "")] * 4

        store = await open_janusgraph(server.url)
        await store.apply([derived(("b@1", "a@1"))])
        assert len(await _up(store, "b@1")) == 2
        await store.close()
    finally:
        server.kill()


async def test_eight_writers_of_the_same_vertices_make_each_once(server: FragileJanusGraph) -> None:
    # given stores of their own, so that only the server keeps them apart
    stores = [await open_janusgraph(server.url, connections=1) for _ in range(8)]
    pairs = [(f"b{n}@1", f"a{n}@1") for n in range(20)]
    try:
        # when all say the same, and half of them take it back while the others say it again
        await asyncio.gather(*(store.apply([derived(*pairs, owner=f"run:{n}")]) for n, store in enumerate(stores)))
        vertices, edges = await stores[0].totals()
        assert vertices == {"Dataset": 40, "DatasetVersion": 40}
        assert edges == {"DERIVED_FROM": 160, "VERSION_OF": 40}

        await asyncio.gather(
            *(
                store.apply([derived(*(pairs if n % 2 else ()), owner=f"run:{turn * 8 + n}")])
                for turn in range(3)
                for n, store in enumerate(stores)
            )
        )
        await asyncio.gather(*(store.apply([derived(owner=f"run:{n}")]) for n, store in enumerate(stores)))
        assert (await stores[0].totals())[0] == {"Dataset": 40, "DatasetVersion": 40}
        await asyncio.gather(
            *(
                store.apply([derived(owner=f"run:{turn * 8 + n}") for turn in range(3)])
                for n, store in enumerate(stores)
            )
        )
        assert await stores[0].totals() == ({}, {})
    finally:
        for store in stores:
            await store.close()


@pytest.mark.parametrize("turns", [10, pytest.param(100, marks=pytest.mark.long)])
async def test_a_vertex_that_loses_an_edge_while_it_gets_another_stays(server: FragileJanusGraph, turns: int) -> None:
    stores = [await open_janusgraph(server.url, connections=1) for _ in range(2)]
    taking, giving = stores
    try:
        for turn in range(turns):
            old, new = f"run:{turn}", f"run:{turn}b"
            await taking.apply([derived(("b@1", "a@1"), owner=old)])
            await asyncio.gather(taking.apply([derived(owner=old)]), giving.apply([derived(("c@1", "a@1"), owner=new)]))
            assert [node.vertex.vertex_id for node in await _up(giving, "c@1")] == ["c@1", "a@1"]
            await giving.apply([derived(owner=new)])
            assert await giving.totals() == ({}, {})
    finally:
        for store in stores:
            await store.close()


async def _up(store: JanusGraphLineage, root: str) -> tuple:
    return (await store.walk(Walk(root=root, direction=Direction.UPSTREAM))).nodes
