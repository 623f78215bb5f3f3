"""What a walk through the lineage graph costs, beside networkx in memory and a bare round trip.

    python -m benchmarks.lineage [--store postgres|janusgraph] [--url …] [--vertices 5000,50000,500000] [--rounds 200]
                                [--warm-up 1000]

The graph: versions of datasets, each derived from about three of the few hundred before it, so that depth 10 has some
4,000 ancestors; one version with 10,000 children, one with 3,000 columns, 20 stacked diamonds. Each round asks about
another version; contestants take turns. The store's call alone is timed, its values included. The sizes before the last
are asked for a walk of depth 3 only. Without `--url` an embedded Postgres is started; a store that is given is emptied.
Each size is walked `--warm-up` times before: a JVM that has just started compiles while it answers, and the size that
is measured first would pay for all.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import networkx as nx

from app.domain.lineage import (
    Direction,
    Grain,
    Projection,
    Subgraph,
    Walk,
)
from app.lineage.postgres.store import PostgresLineage
from app.lineage.store import LineageStore
from app.postgres.embedded import EmbeddedPostgres
from app.postgres.migrate import migrate
from app.postgres.pool import open_pool
from benchmarks.lineage_graph import COLUMNS, projections, runs, version_id

# Owners in one call, as the projector has them.
BATCH = 500
HUB, WIDE, NARROW = "dataset:hub@1", "dataset:wide@1", "dataset:narrow@1"

Timed = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What one contestant took, in milliseconds, and how large its last answer was."""

    ms: list[float]
    size: Mapping[str, int]

    @property
    def median(self) -> float:
        return statistics.median(self.ms)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.ms, n=20)[-1]


async def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=["postgres", "janusgraph"], default="postgres")
    parser.add_argument("--url", help="of the store; it is emptied")
    parser.add_argument("--vertices", default="5000,500000,50000", help="sizes, separated by commas")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=1000)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    sizes = [int(text) for text in arguments.vertices.split(",")]
    async with _opened(arguments.store, arguments.url) as store:
        for size in sizes:
            await _measure(store, size, arguments.rounds, arguments.warm_up, is_full=size == sizes[-1])


async def _measure(store: LineageStore, size: int, rounds: int, warm_up: int, *, is_full: bool) -> None:
    await store.drop()
    await store.prepare()
    graph = nx.DiGraph()
    await _load(store, graph, size)
    await _settle(store)
    # Of those that have ten generations before them.
    numbers = random.Random(size)
    roots = [version_id(numbers.randrange(size // 2, size)) for _ in range(rounds + 1)]
    facts = {"store": store.kind, "vertices": graph.number_of_nodes(), "edges": graph.number_of_edges()}

    async def round_trip(_: int) -> str:
        return await store.ping()

    async def bfs(turn: int) -> int:
        return len(nx.single_source_shortest_path_length(graph, roots[turn], cutoff=3))

    walk = _walking(store, roots, depth=3)
    for turn in range(warm_up):
        await walk(turn % len(roots))
    times = await _race({"depth_3": walk, "networkx": bfs, "round_trip": round_trip}, rounds)
    _report("upstream_depth_3", times, "depth_3", **facts)
    if not is_full:
        return
    await _measure_deep(store, graph, roots, rounds, facts)
    await _measure_hubs(store, rounds, facts)
    await _measure_writing(store, facts)


async def _measure_deep(
    store: LineageStore, graph: nx.DiGraph, roots: list[str], rounds: int, facts: Mapping[str, object]
) -> None:
    async def count(turn: int) -> int:
        return await store.count(Walk(root=roots[turn], direction=Direction.UPSTREAM, depth=10))

    async def bfs(turn: int) -> int:
        return len(nx.single_source_shortest_path_length(graph, roots[turn], cutoff=10)) - 1

    async def first_500(turn: int) -> int:
        edges = nx.bfs_edges(graph, roots[turn], depth_limit=10)
        return len(graph.subgraph([roots[turn], *(far for _, far in islice(edges, 499))]).edges)

    async def round_trip(_: int) -> str:
        return await store.ping()

    limited = await _race(
        {
            "limited": _walking(store, roots, depth=10),
            "both": _walking(store, roots, depth=10, direction=Direction.BOTH),
            "entities": _walking(store, roots, depth=10, grain=Grain.ENTITY),
            "networkx": first_500,
            "round_trip": round_trip,
        },
        rounds,
    )
    _report("upstream_depth_10_limit_500", limited, "limited", **facts)
    _report("both_depth_10_limit_500", limited, "both", **facts)
    _report("entities_depth_10_limit_500", limited, "entities", **facts)

    counted = await _race({"count": count, "networkx": bfs, "round_trip": round_trip}, rounds)
    assert counted["count"].size == counted["networkx"].size
    _report("count_depth_10", counted, "count", **facts)

    top = ["dataset:top0@1"] * len(roots)

    async def diamonds(_: int) -> int:
        return len(nx.single_source_shortest_path_length(graph, top[0], cutoff=50))

    stacked = await _race(
        {"diamonds": _walking(store, top, depth=50), "networkx": diamonds, "round_trip": round_trip}, rounds
    )
    _report("stacked_diamonds", stacked, "diamonds", **facts)


async def _measure_hubs(store: LineageStore, rounds: int, facts: Mapping[str, object]) -> None:
    numbers = random.Random(1)

    async def column(_: int) -> int:
        name = f"c{numbers.randrange(COLUMNS)}"
        return len((await store.column_edges(WIDE, name, Direction.UPSTREAM, depth=10, limit=500))[0])

    async def columns(_: int) -> int:
        return len((await store.column_edges(NARROW, "key", Direction.DOWNSTREAM, depth=10, limit=500))[0])

    async def round_trip(_: int) -> str:
        return await store.ping()

    hubs = [HUB] * (rounds + 1)
    times = await _race(
        {
            "hub": _walking(store, hubs, direction=Direction.DOWNSTREAM, depth=10),
            "column": column,
            "columns": columns,
            "round_trip": round_trip,
        },
        max(rounds // 4, 20),
    )
    _report("hub_of_10000_children_limit_500", times, "hub", **facts)
    _report("one_of_3000_columns", times, "column", **facts)
    _report("from_3000_columns_limit_500", times, "columns", **facts)


async def _measure_writing(store: LineageStore, facts: Mapping[str, object]) -> None:
    """New owners on the loaded graph: one call after the other, and four at once; and what was said before, again."""
    for case, callers, batch in (("apply", 1, BATCH), ("apply", 4, BATCH), ("apply", 1, 1), ("apply", 4, 1)):
        await _write(
            store, runs(random.Random(callers * batch), 4 * BATCH if batch > 1 else 200), callers, batch, facts, case
        )
    again = list(runs(random.Random(BATCH), 4 * BATCH))
    await _write(store, again, 1, BATCH, facts, "apply_again")


async def _write(
    store: LineageStore,
    projections: list[Projection],
    callers: int,
    batch: int,
    facts: Mapping[str, object],
    case: str,
) -> None:
    batches = [projections[at : at + batch] for at in range(0, len(projections), batch)]

    async def caller(number: int) -> None:
        for mine in batches[number::callers]:
            await store.apply(mine)

    start = time.perf_counter()
    await asyncio.gather(*map(caller, range(callers)))
    seconds = time.perf_counter() - start
    edges = sum(len(projection.edges) for projection in projections)
    line = {"case": case, **facts, "callers": callers, "owners_per_call": batch, "edges_per_s": round(edges / seconds)}
    _print(line)


async def _load(store: LineageStore, graph: nx.DiGraph, size: int) -> None:
    start, edges = time.perf_counter(), 0
    batches = projections(size)
    while batch := list(islice(batches, BATCH)):
        await store.apply(batch)
        for projection in batch:
            graph.add_edges_from((edge.from_id, edge.to_id) for edge in projection.edges)
            edges += len(projection.edges)
    seconds = time.perf_counter() - start
    _print(
        {"case": "load", "store": store.kind, "vertices": size, "edges": edges, "edges_per_s": round(edges / seconds)}
    )


async def _settle(store: LineageStore) -> None:
    """What autovacuum does within a minute, so that no run of it falls into what is timed."""
    if isinstance(store, PostgresLineage):
        await store._pool.execute("VACUUM ANALYZE")


def _walking(store: LineageStore, roots: list[str], **options: object) -> Timed:
    asked = {"direction": Direction.UPSTREAM, "timeout_s": 30.0, **options}

    async def run(turn: int) -> object:
        return await store.walk(Walk(root=roots[turn], **asked))  # type: ignore[arg-type]

    return run


async def _race(contestants: Mapping[str, Timed], rounds: int) -> dict[str, Times]:
    """All in turns; the first round is to warm up. Garbage is collected between turns, for nobody's account."""
    ms: dict[str, list[float]] = {name: [] for name in contestants}
    sizes: dict[str, Mapping[str, int]] = {}
    gc.collect()
    gc.freeze()
    try:
        for turn in range(rounds + 1):
            for name, run in contestants.items():
                gc.collect()
                start = time.perf_counter()
                answer = await run(turn)
                if turn:
                    ms[name].append(1000 * (time.perf_counter() - start))
                sizes[name] = _size(answer)
    finally:
        gc.unfreeze()
    return {name: Times(ms=values, size=sizes[name]) for name, values in ms.items()}


def _size(answer: object) -> Mapping[str, int]:
    if isinstance(answer, Subgraph):
        return {"found_nodes": len(answer.nodes), "found_edges": len(answer.edges)}
    return {"found": answer} if isinstance(answer, int) else {}


def _report(case: str, times: Mapping[str, Times], ours: str, **facts: object) -> None:
    line: dict[str, object] = {
        "case": case,
        **facts,
        **times[ours].size,
        "ms_median": round(times[ours].median, 2),
        "ms_p95": round(times[ours].p95, 2),
    }
    for peer in ("networkx", "round_trip"):
        if peer in times:
            line[f"{peer}_ms_median"] = round(times[peer].median, 2)
    _print(line)


def _print(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


@contextlib.asynccontextmanager
async def _opened(kind: str, url: str | None) -> AsyncIterator[LineageStore]:
    if kind == "janusgraph":
        from app.lineage.janusgraph.store import open_janusgraph

        store: LineageStore = await open_janusgraph(url or "ws://127.0.0.1:8182/gremlin")
        try:
            yield store
        finally:
            await store.close()
        return
    with contextlib.ExitStack() as stack:
        if url is None:
            server = EmbeddedPostgres(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-lineage-"))))
            url = server.start()
            stack.callback(server.stop)
        await migrate(url)
        pool = await open_pool(url)
        try:
            yield PostgresLineage(pool)
        finally:
            await pool.close()


if __name__ == "__main__":
    asyncio.run(main())
