"""Walks with `history`: what the model answers whose graph has every parent of every snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.datasets import TableState
from app.domain.history import History, SnapshotOperation
from app.domain.lineage import (
    Direction,
    EdgeKind,
    EntityKind,
    Projection,
    TruncationReason,
    Vertex,
    Walk,
)
from app.lineage.store import LineageStore
from app.services.history_walks import HistoryWalks
from tests.contract.lineage.conftest import opened
from tests.contract.lineage.graphs import BOTH, CONSUMES, DERIVED, DOWN, UP, depths, derived, edge, pairs, said, v, walk
from tests.contract.lineage.histories import (
    SNAPSHOTS,
    TABLES,
    A,
    B,
    KnownTables,
    WithParents,
    key,
    table_state,
    tables,
)
from tests.contract.lineage.model import Model
from tests.strategies import make_history

anyio_test = pytest.mark.anyio
LAWS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Those of a law; a JanusGraph answers three in a second.
EXAMPLES = [30, pytest.param(150, marks=pytest.mark.long)]
IDS = (*(key(table, number) for table in TABLES for number in SNAPSHOTS), f"dataset:{A}@", "ext@1", "m:x@1", "p:etl@")
OWNERS = ("run:1", "run:2")


@st.composite
def projections(draw: st.DrawFn) -> Projection:
    owner = draw(st.sampled_from(OWNERS))
    ends = st.sampled_from(IDS)
    kinds = st.sampled_from([*EdgeKind, *[EdgeKind.DERIVED_FROM] * 4])
    stated = draw(st.lists(st.builds(edge, ends, kinds, ends, owner=st.just(owner)), max_size=8))
    return said(stated, owner)


roots = st.sampled_from([*map(v, IDS), *(v(key(table, 1)).as_entity for table in TABLES)])
walks = st.builds(
    Walk,
    root=st.just(""),
    direction=st.sampled_from(Direction),
    depth=st.integers(0, 5) | st.just(50),
    max_nodes=st.integers(1, 12) | st.just(500),
    kinds=st.just(frozenset(EntityKind)) | st.frozensets(st.sampled_from(EntityKind)),
    timeout_s=st.just(30.0),
)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_walk_with_history_answers_what_the_model_answers(store_url: str, examples: int) -> None:
    with asyncio.Runner() as runner:
        stack = opened(store_url)
        store = runner.run(stack.__aenter__())
        try:
            runner.run(_emptied(store))

            @settings(LAWS, max_examples=examples)
            @given(
                batch=st.lists(projections(), max_size=3),
                states=tables(),
                asked=st.lists(st.tuples(roots, walks), min_size=8, max_size=8),
            )
            def check(batch, states, asked) -> None:
                runner.run(_check(store, batch, states, asked))

            check()
        finally:
            runner.run(stack.__aexit__(None, None, None))


async def _emptied(store: LineageStore) -> None:
    await store.drop()
    await store.prepare()


async def _check(
    store: LineageStore,
    batch: Sequence[Projection],
    states: Mapping[UUID, TableState],
    asked: Sequence[tuple[Vertex, Walk]],
) -> None:
    await store.apply([said([], owner) for owner in OWNERS])
    await store.apply(batch)
    model = Model()
    model.apply(batch)
    expected = WithParents(model, states)
    for root, plain in asked:
        asked_walk = replace(plain, root=root.vertex_id)
        found = await HistoryWalks(store, KnownTables(states)).walk(root, asked_walk)
        assert found == expected.walk(asked_walk)
        # Without tables it is the walk of the store.
        assert await HistoryWalks(store, KnownTables({})).walk(root, asked_walk) == await store.walk(asked_walk)


def line(table: UUID, *chain: int, compacted: tuple[int, ...] = ()) -> dict[UUID, TableState]:
    """A table whose snapshots were made one after the other."""
    history = make_history(*chain)
    snapshots = {
        number: replace(each, operation=SnapshotOperation.REPLACE) if number in compacted else each
        for number, each in history.snapshots.items()
    }
    return {table: table_state(table, History(snapshots=snapshots, refs=history.refs))}


@anyio_test
async def test_parents_and_reported_lineage_are_one_way(store: LineageStore) -> None:
    # given b@2 made from a@3, and a@3 built on a@2 and a@1
    await store.apply([derived((key(B, 2), key(A, 3)))])
    walker = HistoryWalks(store, KnownTables(line(A, 1, 2, 3) | line(B, 1, 2)))

    up = await walker.walk(v(key(B, 2)), walk(key(B, 2), UP))
    assert depths(up) == {key(B, 2): 0, key(A, 3): 1, key(B, 1): 1, key(A, 2): 2, key(A, 1): 3}
    assert {item.source for item in up.edges} == {"test", "iceberg"}
    assert set(pairs(up)) >= {(key(A, 3), "DERIVED_FROM", key(A, 2)), (key(B, 2), "DERIVED_FROM", key(B, 1))}
    down = await walker.walk(v(key(A, 1)), walk(key(A, 1), DOWN))
    assert depths(down) == {key(A, 1): 0, key(A, 2): 1, key(A, 3): 2, key(B, 2): 3}
    assert down.is_complete
    cut = await walker.walk(v(key(A, 1)), walk(key(A, 1), DOWN, depth=2))
    assert cut.truncated == {TruncationReason.DEPTH}


@anyio_test
async def test_a_compaction_is_stepped_over(store: LineageStore) -> None:
    walker = HistoryWalks(store, KnownTables(line(A, 1, 2, 3, 4, compacted=(2, 3))))

    found = await walker.walk(v(key(A, 4)), walk(key(A, 4), UP))

    assert depths(found) == {key(A, 4): 0, key(A, 1): 1}


@anyio_test
async def test_an_expired_parent_leads_to_what_the_graph_remembers(store: LineageStore) -> None:
    await store.apply([derived((key(A, 1), "ext@1"))])
    states = line(A, 1, 2, 3)
    (state,) = states.values()
    left = {number: each for number, each in state.history.snapshots.items() if number != 1}
    walker = HistoryWalks(store, KnownTables({A: table_state(A, History(snapshots=left, refs={}))}))

    found = await walker.walk(v(key(A, 3)), walk(key(A, 3), UP))

    assert depths(found) == {key(A, 3): 0, key(A, 2): 1, key(A, 1): 2, "ext@1": 3}


@anyio_test
async def test_one_query_a_hop_and_each_table_once(store: LineageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.apply(
        [derived((key(B, 2), key(A, 3))), said([edge("p:etl@", CONSUMES, key(A, 3), owner="run:2")], "run:2")]
    )
    asked: list[str] = []
    for method in ("walk", "neighbours"):
        real = getattr(store, method)

        async def counting(*args: Any, _real: Any = real, _method: str = method, **kwargs: Any) -> Any:
            asked.append(_method)
            return await _real(*args, **kwargs)

        monkeypatch.setattr(store, method, counting)
    known = KnownTables(line(A, 1, 2, 3) | line(B, 1, 2))

    await HistoryWalks(store, known).walk(v(key(A, 3)), walk(key(A, 3), BOTH, depth=2))

    # One for the root, one for each of its two hops and one for whether there is more.
    assert asked == ["walk", *["neighbours"] * 3]
    assert sorted(known.asked) == [A, B]


@anyio_test
async def test_a_pipeline_beyond_the_depth_counts_where_it_would_be_shown(store: LineageStore) -> None:
    read = edge("p:etl@", CONSUMES, key(A, 2))
    await store.apply([said([read])])
    walker = HistoryWalks(store, KnownTables(line(A, 1, 2)))

    async def truncated(**options: Any) -> frozenset[TruncationReason]:
        return (await walker.walk(v(key(A, 1)), walk(key(A, 1), DOWN, depth=1, **options))).truncated

    assert await truncated() == {TruncationReason.DEPTH}
    assert await truncated(kinds=frozenset({EntityKind.DATASET})) == frozenset()


@anyio_test
async def test_limits_are_told(store: LineageStore) -> None:
    children = [f"c{number}@1" for number in range(20)]
    await store.apply([said([edge(child, DERIVED, key(A, 1)) for child in children])])
    known = KnownTables(line(A, 1))

    few = await HistoryWalks(store, known, max_edges=5).walk(v(key(A, 1)), walk(key(A, 1), DOWN))
    assert few.truncated == {TruncationReason.NODE_LIMIT}
    assert len(few.nodes) == 6
    none = await HistoryWalks(store, known).walk(v(key(A, 1)), walk(key(A, 1), DOWN, timeout_s=0.001))
    assert none.truncated == {TruncationReason.TIMEOUT}
    assert len(none.nodes) <= 1
