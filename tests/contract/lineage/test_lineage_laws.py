"""Random projections in any order: every store answers what the model answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.lineage import (
    ColumnLink,
    Direction,
    EdgeKind,
    EntityKind,
    Grain,
    Projection,
    Subgraph,
    TruncationReason,
    Walk,
)
from app.lineage.store import LineageStore
from tests.contract.lineage.conftest import opened
from tests.contract.lineage.graphs import NOW, edge, said
from tests.contract.lineage.model import Model

LAWS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Those of a law; a JanusGraph answers three in a second.
EXAMPLES = [30, pytest.param(150, marks=pytest.mark.long)]
OWNERS = ("run:1", "run:2", "model:m@1")
ENTITIES = ("a", "b", "c", "d", "é", "m:x", "p:etl", "p:fit", "f:age")
IDS = tuple(f"{entity}@{version}" for entity in ENTITIES for version in ("", "1", "20"))

links = st.builds(
    ColumnLink,
    from_column=st.sampled_from("xyz"),
    to_column=st.sampled_from("xyz"),
    transformation=st.sampled_from([None, "", "MASKED"]),
    description=st.sampled_from([None, "told"]),
)
# Derivations more often: they alone make long ways and have columns.
kinds = st.sampled_from([*EdgeKind, *[EdgeKind.DERIVED_FROM] * 5])


@st.composite
def projections(draw: st.DrawFn) -> Projection:
    owner = draw(st.sampled_from(OWNERS))
    stated = draw(
        st.lists(
            st.builds(
                edge,
                st.sampled_from(IDS),
                kinds,
                st.sampled_from(IDS),
                owner=st.just(owner),
                source=st.sampled_from(["openlineage", "registry"]),
                recorded_at=st.integers(0, 3).map(lambda hours: NOW + timedelta(hours=hours)),
                is_inferred=st.booleans(),
                columns=st.lists(links, max_size=3).map(tuple),
            ),
            max_size=14,
        )
    )
    return said(stated, owner)


walks = st.builds(
    Walk,
    root=st.sampled_from([*IDS, *ENTITIES]),
    direction=st.sampled_from(Direction),
    depth=st.integers(0, 6) | st.just(50),
    max_nodes=st.integers(1, 12) | st.just(500),
    grain=st.sampled_from(Grain),
    kinds=st.just(frozenset(EntityKind)) | st.frozensets(st.sampled_from(EntityKind)),
    timeout_s=st.just(30.0),
)
column_questions = st.tuples(
    st.sampled_from([*IDS, *ENTITIES]),
    st.sampled_from("xyz"),
    st.sampled_from(Direction),
    st.integers(0, 5),
    st.integers(1, 8) | st.just(100),
)
hop_questions = st.tuples(
    st.lists(st.sampled_from([*IDS, *ENTITIES]), max_size=4),
    st.sampled_from(Direction),
    st.integers(1, 20),
    st.booleans(),
)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_store_answers_what_the_model_answers(store_url: str, examples: int) -> None:
    with asyncio.Runner() as runner:
        stack = opened(store_url)
        store = runner.run(stack.__aenter__())
        try:
            runner.run(_emptied(store))

            @settings(LAWS, max_examples=examples)
            @given(
                batches=st.lists(st.lists(projections(), max_size=3), min_size=1, max_size=5),
                asked=st.lists(walks, min_size=8, max_size=8),
                columns=st.lists(column_questions, min_size=3, max_size=3),
                hops=hop_questions,
            )
            def check(batches, asked, columns, hops) -> None:
                runner.run(_check(store, batches, asked, columns, hops))

            check()
        finally:
            runner.run(stack.__aexit__(None, None, None))


async def _emptied(store: LineageStore) -> None:
    await store.drop()
    await store.prepare()


async def _check(
    store: LineageStore,
    batches: Sequence[Sequence[Projection]],
    asked: Sequence[Walk],
    columns: Sequence[tuple[str, str, Direction, int, int]],
    hops: tuple[list[str], Direction, int, bool],
) -> None:
    # What the last example said is taken back rather than dropped: nothing may be left of it.
    await store.apply([said([], owner) for owner in OWNERS])
    assert await store.totals() == ({}, {})
    model = Model()
    for batch in batches:
        await store.apply(batch)
        model.apply(batch)

    assert await store.totals() == model.totals()
    assert [owner async for owner in store.owners()] == sorted(model.said)
    for owner in OWNERS:
        edges, vertices = await store.edges_of(owner)
        assert edges == [item for item in model.edges if item.owner == owner]
        assert vertices == {end: model.vertices[end] for item in edges for end in (item.from_id, item.to_id)}
    for walk in asked:
        await _check_walk(store, model, walk)
    for root, column, direction, depth, limit in columns:
        found = await store.column_edges(root, column, direction, depth=depth, limit=limit)
        assert found == model.column_edges(root, column, direction, depth=depth, limit=limit)
    ids, direction, limit, with_columns = hops
    edges, vertices = await store.neighbours(ids, direction, limit=limit, with_columns=with_columns)
    assert edges == model.neighbours(ids, direction, limit, with_columns=with_columns)
    assert vertices == {end: model.vertices[end] for item in edges for end in (item.from_id, item.to_id)}


async def _check_walk(store: LineageStore, model: Model, walk: Walk) -> None:
    found = await store.walk(walk)
    assert found == model.walk(walk)
    count = await store.count(walk)
    assert count == model.count(walk)
    assert len({node.vertex for node in found.nodes if node.depth}) <= count

    whole = await store.walk(replace(walk, depth=50, max_nodes=500))
    assert whole.is_complete
    assert _is_part(found, whole)
    assert found.is_complete or TruncationReason.DEPTH in found.truncated or len(found.nodes) < len(whole.nodes)
    if walk.depth < 50:
        assert _is_part(found, await store.walk(replace(walk, depth=walk.depth + 1)))


def _is_part(small: Subgraph, large: Subgraph) -> bool:
    return set(small.nodes) <= set(large.nodes) and set(small.edges) <= set(large.edges)
