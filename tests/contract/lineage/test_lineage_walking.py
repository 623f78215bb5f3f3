"""Walks, counts, hops and columns, on every store."""

from __future__ import annotations

import pytest

from app.domain.lineage import (
    ColumnLink,
    Edge,
    EntityKind,
    Grain,
    Projection,
    TruncationReason,
)
from app.errors import LineageUnavailableError
from app.lineage.store import LineageStore
from tests.contract.lineage.graphs import (
    BOTH,
    CONSUMES,
    DERIVED,
    DOWN,
    GENERATED,
    PRODUCES,
    TRAINED,
    UP,
    depths,
    derived,
    edge,
    pairs,
    said,
    v,
    walk,
)

pytestmark = pytest.mark.anyio

DEPTH = frozenset({TruncationReason.DEPTH})
NODE_LIMIT = frozenset({TruncationReason.NODE_LIMIT})
WHOLE = frozenset[TruncationReason]()

CHAIN = derived(("e@1", "d@1"), ("d@1", "c@1"), ("c@1", "b@1"), ("b@1", "a@1"))
# bronze -> silver -> gold by two pipelines, and a model.
LAKE = said(
    [
        edge("silver@1", DERIVED, "bronze@1"),
        edge("silver@1", GENERATED, "p:clean@1"),
        edge("p:clean@1", CONSUMES, "bronze@1"),
        edge("p:clean@1", PRODUCES, "silver@1"),
        edge("gold@1", DERIVED, "silver@1"),
        edge("gold@1", GENERATED, "p:total@2"),
        edge("p:total@2", CONSUMES, "silver@1"),
        edge("p:total@2", PRODUCES, "gold@1"),
        edge("m:churn@1", TRAINED, "gold@1"),
        edge("m:churn@1", GENERATED, "p:train@1"),
        edge("p:train@1", CONSUMES, "gold@1"),
        edge("p:train@1", PRODUCES, "m:churn@1"),
        # What else the pipeline did.
        edge("p:clean@1", CONSUMES, "other@1"),
        edge("p:clean@1", PRODUCES, "elsewhere@1"),
        edge("elsewhere@1", DERIVED, "other@1"),
        edge("elsewhere@1", GENERATED, "p:clean@1"),
    ]
)


def stacked_diamonds(layers: int) -> Projection:
    """Top to bottom 2^layers paths."""
    found = []
    for layer in range(layers):
        for side in "lr":
            found += [(f"top{layer}@1", f"{side}{layer}@1"), (f"{side}{layer}@1", f"top{layer + 1}@1")]
    return derived(*found)


async def test_an_unknown_root_has_no_node(store: LineageStore) -> None:
    await store.apply([CHAIN])
    for root in ("z@1", "a@2", "z"):
        for grain in Grain:
            found = await store.walk(walk(root, BOTH, grain=grain))
            assert (found.nodes, found.edges, found.truncated) == ((), (), WHOLE)
            assert await store.count(walk(root, BOTH, grain=grain)) == 0


@pytest.mark.parametrize(
    ("depth", "upstream", "truncated"),
    [
        (0, ["e@1"], DEPTH),
        (1, ["e@1", "d@1"], DEPTH),
        (3, ["e@1", "d@1", "c@1", "b@1"], DEPTH),
        (4, ["e@1", "d@1", "c@1", "b@1", "a@1"], WHOLE),
        (5, ["e@1", "d@1", "c@1", "b@1", "a@1"], WHOLE),
    ],
)
async def test_depth_n_means_n_hops(
    store: LineageStore, depth: int, upstream: list[str], truncated: frozenset[TruncationReason]
) -> None:
    await store.apply([CHAIN])

    found = await store.walk(walk("e@1", depth=depth))

    assert depths(found) == {key: hops for hops, key in enumerate(upstream)}
    assert len(found.edges) == len(upstream) - 1
    assert found.truncated == truncated
    assert found.is_complete is (truncated == WHOLE)
    assert await store.count(walk("e@1", depth=depth)) == len(upstream) - 1


async def test_both_ways_is_up_and_down_but_not_across(store: LineageStore) -> None:
    # given a sibling, which is up and then down again
    await store.apply([CHAIN, derived(("sibling@1", "b@1"), ("e@1", "other@1"), owner="run:2")])

    assert depths(await store.walk(walk("c@1", DOWN))) == {"c@1": 0, "d@1": 1, "e@1": 2}
    both = await store.walk(walk("c@1", BOTH))
    assert depths(both) == {"c@1": 0, "b@1": 1, "d@1": 1, "a@1": 2, "e@1": 2}
    assert len(both.edges) == 4
    assert await store.count(walk("c@1", BOTH)) == 4


async def test_each_way_tells_its_own_truncation(store: LineageStore) -> None:
    await store.apply([CHAIN])

    assert (await store.walk(walk("b@1", BOTH, depth=3))).truncated == WHOLE
    assert (await store.walk(walk("b@1", BOTH, depth=2))).truncated == DEPTH
    assert (await store.walk(walk("b@1", UP, depth=2))).truncated == WHOLE
    assert (await store.walk(walk("b@1", BOTH, depth=3, max_nodes=4))).truncated == NODE_LIMIT
    # Each within the limit, and together over it.
    assert (await store.walk(walk("c@1", BOTH, depth=2, max_nodes=4))).truncated == NODE_LIMIT
    assert (await store.walk(walk("c@1", BOTH, depth=1, max_nodes=2))).truncated == NODE_LIMIT | DEPTH


@pytest.mark.parametrize(("limit", "truncated"), [(1, NODE_LIMIT), (4, NODE_LIMIT), (5, WHOLE), (6, WHOLE)])
async def test_the_limit_of_nodes_is_told_exactly(
    store: LineageStore, limit: int, truncated: frozenset[TruncationReason]
) -> None:
    await store.apply([derived(("root@1", "d@1"), ("root@1", "b@1"), ("root@1", "c@1"), ("root@1", "a@1"))])

    found = await store.walk(walk("root@1", max_nodes=limit))

    assert list(depths(found)) == ["root@1", "a@1", "b@1", "c@1", "d@1"][:limit]
    assert len(found.edges) == min(limit, 5) - 1
    assert found.truncated == truncated


async def test_nodes_are_ordered_by_depth_and_then_by_their_text(store: LineageStore) -> None:
    near = ["B@1", "a@10", "a@9", "b@1", "z@1", "é@1", "数@1"]
    await store.apply([derived(*(("root@1", key) for key in reversed(near)), ("b@1", "A@1"))])

    assert list(depths(await store.walk(walk("root@1")))) == ["root@1", *sorted(near), "A@1"]


@pytest.mark.parametrize("size", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_a_large_hub_is_cut_in_a_stable_order(store: LineageStore, size: int) -> None:
    children = [f"child{number}@1" for number in range(size)]
    # In parts: a JanusGraph on Cassandra does not write ten thousand edges of one owner in the time for one call.
    for start in range(0, len(children), 1_000):
        part = children[start : start + 1_000]
        await store.apply([derived(*((child, "hub@1") for child in part), owner=f"run:{start}")])
    await store.apply([derived(("under@1", "child7@1"))])

    found = await store.walk(walk("hub@1", DOWN, max_nodes=500))

    assert list(depths(found)) == ["hub@1", *sorted(children)[:499]]
    assert len(found.edges) == 499
    assert found.truncated == NODE_LIMIT
    assert await store.walk(walk("hub@1", DOWN, max_nodes=500)) == found
    assert await store.count(walk("hub@1", DOWN)) == size + 1
    assert await store.count(walk("hub", DOWN, grain=Grain.ENTITY)) == size + 1
    edges, vertices = await store.neighbours(["hub@1"], DOWN, limit=100)
    assert [item.from_id for item in edges] == sorted(children)[:100]
    assert len(vertices) == 101


async def test_stacked_diamonds_cost_their_edges_and_not_their_paths(store: LineageStore) -> None:
    await store.apply([stacked_diamonds(20)])

    for grain, root, leaf in ((Grain.VERSION, "top0@1", "top20@1"), (Grain.ENTITY, "top0", "top20")):
        found = await store.walk(walk(root, depth=50, grain=grain))
        assert (len(found.nodes), len(found.edges), found.truncated) == (61, 80, WHOLE)
        assert depths(found)[leaf] == 40
        assert await store.count(walk(root, depth=50, grain=grain)) == 60


async def test_cycles_end(store: LineageStore) -> None:
    await store.apply([derived(("b@1", "a@1"), ("c@1", "b@1"), ("a@1", "c@1"), ("a@1", "a@1"))])

    for direction in (UP, DOWN, BOTH):
        found = await store.walk(walk("a@1", direction, depth=50))
        assert set(depths(found)) == {"a@1", "b@1", "c@1"}
        assert len(found.edges) == 4
        assert found.is_complete
        assert await store.count(walk("a@1", direction, depth=50)) == 2
    rolled = await store.walk(walk("a", grain=Grain.ENTITY))
    assert pairs(rolled) == [("a", "DERIVED_FROM", "c"), ("b", "DERIVED_FROM", "a"), ("c", "DERIVED_FROM", "b")]


async def test_an_edge_between_the_last_nodes_is_shown(store: LineageStore) -> None:
    # given two nodes at the depth asked for, one of which was made from the other
    await store.apply([derived(("root@1", "a@1"), ("root@1", "b@1"), ("a@1", "b@1"))])

    found = await store.walk(walk("root@1", depth=1))

    assert len(found.edges) == 3
    assert found.is_complete


async def test_pipelines_are_named_but_not_walked_through(store: LineageStore) -> None:
    await store.apply([LAKE])

    up = await store.walk(walk("gold@1"))
    assert depths(up) == {"gold@1": 0, "p:total@2": 1, "silver@1": 1, "bronze@1": 2, "p:clean@1": 2}
    assert ("p:clean@1", "CONSUMES", "bronze@1") not in pairs(up)
    down = await store.walk(walk("bronze@1", DOWN))
    assert depths(down) == {
        "bronze@1": 0,
        "p:clean@1": 1,
        "silver@1": 1,
        "gold@1": 2,
        "p:total@2": 2,
        "m:churn@1": 3,
        "p:train@1": 3,
    }
    assert ("p:clean@1", "PRODUCES", "silver@1") not in pairs(down)
    assert await store.count(walk("bronze@1", DOWN)) == 6


async def test_a_pipeline_as_root_is_left_along_what_it_read_and_wrote(store: LineageStore) -> None:
    await store.apply([LAKE])

    up = await store.walk(walk("p:clean@1"))
    assert depths(up) == {"p:clean@1": 0, "bronze@1": 1, "other@1": 1}
    assert pairs(up) == [("p:clean@1", "CONSUMES", "bronze@1"), ("p:clean@1", "CONSUMES", "other@1")]
    down = await store.walk(walk("p:clean@1", DOWN, depth=2))
    assert depths(down) == {"p:clean@1": 0, "elsewhere@1": 1, "silver@1": 1, "gold@1": 2, "p:total@2": 2}
    assert down.truncated == DEPTH
    assert depths(await store.walk(walk("p:clean", DOWN, depth=1, grain=Grain.ENTITY))) == {
        "p:clean": 0,
        "elsewhere": 1,
        "silver": 1,
    }


async def test_kinds_say_what_is_shown_and_not_what_is_passed(store: LineageStore) -> None:
    await store.apply([LAKE])

    models = walk("bronze@1", DOWN, kinds=frozenset({EntityKind.MODEL}))
    assert depths(await store.walk(models)) == {"bronze@1": 0, "m:churn@1": 3}
    assert (await store.walk(models)).edges == ()
    assert await store.count(models) == 1
    # The root is shown whatever its kind, and what is not shown does not count.
    found = await store.walk(walk("m:churn@1", kinds=frozenset({EntityKind.DATASET}), max_nodes=4))
    assert depths(found) == {"m:churn@1": 0, "gold@1": 1, "silver@1": 2, "bronze@1": 3}
    assert found.is_complete
    assert await store.count(walk("m:churn@1", kinds=frozenset())) == 0


async def test_what_would_not_be_shown_does_not_make_an_answer_incomplete(store: LineageStore) -> None:
    await store.apply([LAKE])
    datasets = frozenset({EntityKind.DATASET})

    # One hop beyond is only the pipeline that made bronze's heir: a leaf, and of no kind asked for.
    assert (await store.walk(walk("silver@1", depth=0, kinds=datasets))).truncated == DEPTH
    await store.apply([said([edge("lone@1", GENERATED, "p:clean@1", owner="run:2")], "run:2")])
    assert (await store.walk(walk("lone@1", depth=0, kinds=datasets))).truncated == WHOLE
    assert (await store.walk(walk("lone@1", depth=0))).truncated == DEPTH
    # A model would not be shown either, but what is behind it might.
    assert (await store.walk(walk("gold@1", DOWN, depth=0, kinds=datasets))).truncated == DEPTH


async def test_an_entity_as_root_stands_for_all_its_versions(store: LineageStore) -> None:
    await store.apply([derived(("b@2", "a@2"), ("b@1", "a@1"), ("b@2", "b@1"), ("a@1", "s@1"))])

    found = await store.walk(walk("b"))

    assert depths(found) == {"b@1": 0, "b@2": 0, "a@1": 1, "a@2": 1, "s@1": 2}
    assert await store.count(walk("b")) == 3
    assert depths(await store.walk(walk("b", max_nodes=1))) == {"b@1": 0}
    assert (await store.walk(walk("b", max_nodes=1))).truncated == NODE_LIMIT


async def test_entities_are_walked_through_all_their_versions(store: LineageStore) -> None:
    # given a path that no single version has: c@1 was made from b@1, and only b@2 from a@1
    await store.apply(
        [derived(("c@1", "b@1"), ("b@2", "a@1"), ("b@2", "b@1"), owner="run:2"), derived(("c@1", "b@1"), owner="run:1")]
    )

    assert depths(await store.walk(walk("c@1"))) == {"c@1": 0, "b@1": 1}
    for root in ("c", "c@1"):
        found = await store.walk(walk(root, grain=Grain.ENTITY))
        assert depths(found) == {"c": 0, "b": 1, "a": 2}
        assert [node.vertex for node in found.nodes] == [v("c@1").as_entity, v("b@1").as_entity, v("a@1").as_entity]
        assert [(item.from_id, item.to_id, item.owner) for item in found.edges] == [
            ("b", "a", "run:2"),
            ("c", "b", "run:1"),
        ]
        assert await store.count(walk(root, grain=Grain.ENTITY)) == 2


async def test_a_walk_out_of_time_says_so_and_keeps_what_it_has(store: LineageStore) -> None:
    # given more than can be walked within a millisecond
    await store.apply(
        [derived(*((f"l{n + 1}@{a}", f"l{n}@{b}") for n in range(30) for a in range(15) for b in range(15)))]
    )
    whole = await store.walk(walk("l30@0", depth=50))
    assert len(whole.nodes) == 1 + 29 * 15 + 15

    found = await store.walk(walk("l30@0", depth=50, timeout_s=0.001))

    assert found.truncated == {TruncationReason.TIMEOUT}
    assert not found.is_complete
    assert set(found.nodes) <= set(whole.nodes)
    assert set(found.edges) <= set(whole.edges)
    with pytest.raises(LineageUnavailableError):
        await store.count(walk("l30@0", depth=50, timeout_s=0.001))
    # And the next one has its own time.
    assert await store.walk(walk("l30@0", depth=50)) == whole


async def test_one_hop_from_several(store: LineageStore) -> None:
    await store.apply([LAKE])

    edges, vertices = await store.neighbours(["silver@1", "gold@1", "gone@1", "gold@1"], UP, limit=100)
    assert [(item.from_id, item.to_id) for item in edges] == [
        ("gold@1", "p:total@2"),
        ("gold@1", "silver@1"),
        ("silver@1", "bronze@1"),
        ("silver@1", "p:clean@1"),
    ]
    assert vertices == {key: v(key) for key in ("gold@1", "p:total@2", "silver@1", "bronze@1", "p:clean@1")}
    down, _ = await store.neighbours(["silver@1"], DOWN, limit=100)
    assert [(item.from_id, item.kind) for item in down] == [("gold@1", DERIVED), ("p:total@2", CONSUMES)]
    both, _ = await store.neighbours(["p:clean@1"], BOTH, limit=100)
    assert [item.kind for item in both] == [CONSUMES, PRODUCES, CONSUMES, PRODUCES]
    some, few = await store.neighbours(["silver@1"], BOTH, limit=2)
    assert [(item.from_id, item.to_id) for item in some] == [("gold@1", "silver@1"), ("p:total@2", "silver@1")]
    assert set(few) == {"gold@1", "silver@1", "p:total@2"}
    assert await store.neighbours([], BOTH, limit=10) == ([], {})


def linked(near: str, far: str, *columns: tuple[str, str], owner: str = "run:1") -> Edge:
    return edge(near, DERIVED, far, *columns, owner=owner)


COLUMNS = said(
    [
        linked("gold@1", "silver@1", ("total", "price"), ("total", "amount"), ("id", "id")),
        linked("silver@1", "bronze@1", ("price", "raw_price"), ("amount", "raw"), ("id", "raw")),
        linked("silver@1", "fx@1", ("price", "rate")),
        linked("fx@1", "bronze@1", ("rate", "raw_price")),
        # Not of the kind that is followed.
        edge("m:churn@1", TRAINED, "gold@1", ("input", "total")),
    ]
)


async def steps(store: LineageStore, root: str, column: str, **options) -> list[tuple[int, str, str]]:
    values = {"direction": UP, "depth": 10, "limit": 100, **options}
    found, is_complete = await store.column_edges(root, column, **values)
    return [
        *(
            (
                step.depth,
                f"{step.from_vertex.vertex_id}.{step.from_column}",
                f"{step.to_vertex.vertex_id}.{step.to_column}",
            )
            for step in found
        ),
        *([] if is_complete else [(-1, "and", "more")]),
    ]


MORE = (-1, "and", "more")


async def test_columns_upstream(store: LineageStore) -> None:
    await store.apply([COLUMNS])
    whole = [
        (1, "silver@1.amount", "gold@1.total"),
        (1, "silver@1.price", "gold@1.total"),
        (2, "bronze@1.raw", "silver@1.amount"),
        (2, "bronze@1.raw_price", "silver@1.price"),
        (2, "fx@1.rate", "silver@1.price"),
        (3, "bronze@1.raw_price", "fx@1.rate"),
    ]
    for root in ("gold@1", "gold"):
        assert await steps(store, root, "total") == whole
        assert await steps(store, root, "total", depth=3) == whole
        assert await steps(store, root, "total", depth=2) == [*whole[:5], MORE]
        assert await steps(store, root, "total", depth=0) == [MORE]
        assert await steps(store, root, "total", limit=6) == whole
        for limit in range(1, 6):
            assert await steps(store, root, "total", limit=limit) == [*whole[:limit], MORE]
    assert await steps(store, "gold@1", "nothing") == []
    assert await steps(store, "gold@1", "Total") == []


async def test_columns_downstream_and_both(store: LineageStore) -> None:
    await store.apply([COLUMNS])

    assert await steps(store, "bronze@1", "raw", direction=DOWN) == [
        (1, "bronze@1.raw", "silver@1.amount"),
        (1, "bronze@1.raw", "silver@1.id"),
        (2, "silver@1.amount", "gold@1.total"),
        (2, "silver@1.id", "gold@1.id"),
    ]
    assert await steps(store, "silver@1", "price", direction=BOTH, depth=1) == [
        (1, "bronze@1.raw_price", "silver@1.price"),
        (1, "fx@1.rate", "silver@1.price"),
        (1, "silver@1.price", "gold@1.total"),
        MORE,
    ]
    vertices = {step.to_vertex for step in (await store.column_edges("bronze@1", "raw", DOWN, depth=9, limit=9))[0]}
    assert vertices == {v("silver@1"), v("gold@1")}


async def test_a_step_is_told_once_for_each_description(store: LineageStore) -> None:
    def told(owner: str, *links: ColumnLink) -> Projection:
        return said([edge("b@1", DERIVED, "a@1", owner=owner, columns=links)], owner)

    plain = ColumnLink(from_column="x", to_column="y")
    masked = ColumnLink(from_column="x", to_column="y", transformation="MASKED", description="sha256")
    await store.apply([told("run:1", plain, plain), told("run:2", plain, masked)])

    found, is_complete = await store.column_edges("b@1", "x", UP, depth=5, limit=2)

    assert is_complete
    assert [(step.transformation, step.description) for step in found] == [(None, None), ("MASKED", "sha256")]


async def test_columns_that_go_round_end(store: LineageStore) -> None:
    await store.apply([said([linked("b@1", "a@1", ("x", "x")), linked("a@1", "b@1", ("x", "x"), ("y", "y"))])])

    for direction in (UP, DOWN, BOTH):
        found, is_complete = await store.column_edges("a@1", "x", direction, depth=50, limit=100)
        assert is_complete
        assert len(found) == 2
    # The second step is beyond, also though it leads to where the walk began.
    found, is_complete = await store.column_edges("a@1", "x", UP, depth=1, limit=100)
    assert (len(found), is_complete) == (1, False)


async def test_three_thousand_columns(store: LineageStore) -> None:
    names = [f"c{number}" for number in range(3_000)]
    await store.apply([said([linked("wide@1", "narrow@1", *((name, "key") for name in names))])])

    assert await steps(store, "wide@1", "c17") == [(1, "narrow@1.key", "wide@1.c17")]
    found, is_complete = await store.column_edges("narrow@1", "key", DOWN, depth=3, limit=500)
    assert [step.to_column for step in found] == sorted(names)[:500]
    assert not is_complete
    (said_edge,), _ = await store.edges_of("run:1")
    assert [link.from_column for link in said_edge.columns] == names
