"""What owners say comes, changes and goes, on every store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.domain.lineage import ColumnLink, EntityKind, Grain, Vertex, external_vertex, model_vertex, pipeline_vertex
from app.lineage.store import LineageStore
from tests.contract.lineage.graphs import (
    BOTH,
    CONSUMES,
    DERIVED,
    DOWN,
    GENERATED,
    NOW,
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
from tests.contract.lineage.model import Model

pytestmark = pytest.mark.anyio


async def listed(owners: AsyncIterator[str]) -> list[str]:
    return [owner async for owner in owners]


async def test_it_says_what_it_is_and_answers(store: LineageStore) -> None:
    assert store.kind in ("postgres", "janusgraph")
    assert await store.ping()


async def test_preparing_is_repeatable_and_keeps_the_graph(store: LineageStore) -> None:
    await store.apply([derived(("b@1", "a@1"))])

    await asyncio.gather(*(store.prepare() for _ in range(4)))

    assert await listed(store.owners()) == ["run:1"]


async def test_an_owner_is_read_back_as_it_spoke(store: LineageStore) -> None:
    # given every fact that an edge can have
    links = (
        ColumnLink(from_column="z", to_column="y", transformation="DIRECT", description="as it is"),
        ColumnLink(from_column="a", to_column="y", transformation="", description=None),
        ColumnLink(from_column="z", to_column="x"),
    )
    full = replace(
        edge("b@1", DERIVED, "a@1", source="openlineage", is_inferred=True, run_id=UUID(int=2**127 + 1)),
        recorded_at=datetime(2026, 2, 15, 23, 59, 59, 123456, tzinfo=UTC),
        columns=links,
    )
    others = [
        edge("b@1", GENERATED, "p:etl@3", run_id=None),
        edge("p:etl@3", CONSUMES, "a@1"),
        edge("m:x@1", TRAINED, "b@1"),
    ]

    # when
    await store.apply([said([full, *others])])

    # then
    edges, vertices = await store.edges_of("run:1")
    assert edges == sorted([full, *others], key=lambda item: item.order)
    assert vertices == {key: v(key) for key in ("a@1", "b@1", "p:etl@3", "m:x@1")}
    assert {key: vertex.name for key, vertex in vertices.items()} == {key: v(key).name for key in vertices}


async def test_an_unknown_owner_says_nothing(store: LineageStore) -> None:
    assert await store.edges_of("run:nobody") == ([], {})


async def test_what_an_owner_says_is_replaced_as_a_whole(store: LineageStore) -> None:
    await store.apply([derived(("b@1", "a@1"), ("c@1", "b@1"))])

    await store.apply([derived(("b@1", "a@1"), ("d@1", "b@1"))])

    assert pairs(await store.walk(walk("a@1", DOWN))) == [
        ("b@1", "DERIVED_FROM", "a@1"),
        ("d@1", "DERIVED_FROM", "b@1"),
    ]
    assert (await store.walk(walk("c@1"))).nodes == ()


async def test_an_edge_said_anew_has_its_new_facts(store: LineageStore) -> None:
    await store.apply([said([edge("b@1", DERIVED, "a@1", ("x", "y"), ("w", "y"), is_inferred=True)])])
    later = edge("b@1", DERIVED, "a@1", ("x", "z"), source="other", recorded_at=NOW + timedelta(days=1), run_id=None)

    await store.apply([said([later])])

    assert (await store.edges_of("run:1"))[0] == [later]
    assert (await store.walk(walk("b@1"))).edges == (replace(later, columns=()),)
    assert await store.column_edges("b@1", "w", UP, depth=3, limit=10) == ([], True)


async def test_repeating_it_changes_nothing(store: LineageStore) -> None:
    one = said([edge("b@1", DERIVED, "a@1", ("x", "y")), edge("b@1", GENERATED, "p:etl@1")])
    await store.apply([one])
    before = (await store.totals(), await store.edges_of("run:1"), await store.walk(walk("b@1")))

    await store.apply([one, one])
    await store.apply([one])

    assert (await store.totals(), await store.edges_of("run:1"), await store.walk(walk("b@1"))) == before


async def test_of_two_projections_of_an_owner_in_one_call_the_last_counts(store: LineageStore) -> None:
    await store.apply([derived(("b@1", "a@1")), derived(("c@1", "a@1"))])
    assert list(depths(await store.walk(walk("a@1", DOWN)))) == ["a@1", "c@1"]

    await store.apply([derived(("d@1", "a@1")), derived()])
    assert await store.totals() == ({}, {})


async def test_two_owners_may_say_the_same(store: LineageStore) -> None:
    await store.apply([derived(("b@1", "a@1"), owner="run:1"), derived(("b@1", "a@1"), owner="run:2")])
    assert [item.owner for item in (await store.walk(walk("b@1"))).edges] == ["run:1", "run:2"]

    await store.apply([derived(owner="run:1")])
    assert [item.owner for item in (await store.walk(walk("b@1"))).edges] == ["run:2"]

    await store.apply([derived(owner="run:2")])
    assert (await store.walk(walk("b@1"))).nodes == ()


async def test_vertices_go_with_their_last_edge(store: LineageStore) -> None:
    await store.apply([derived(("b@1", "a@1"), ("b@2", "a@1"), owner="run:1"), derived(("c@1", "b@1"), owner="run:2")])
    assert await store.totals() == (
        {"Dataset": 3, "DatasetVersion": 4},
        {"DERIVED_FROM": 3, "VERSION_OF": 4},
    )

    await store.apply([derived(owner="run:1")])

    assert await store.totals() == (
        {"Dataset": 2, "DatasetVersion": 2},
        {"DERIVED_FROM": 1, "VERSION_OF": 2},
    )
    assert await store.edges_of("run:1") == ([], {})
    assert (await store.walk(walk("a@1"))).nodes == ()
    assert (await store.walk(walk("a", grain=Grain.ENTITY))).nodes == ()
    assert list(depths(await store.walk(walk("b", DOWN)))) == ["b@1", "c@1"]


async def test_an_entity_keeps_its_edge_while_one_of_its_versions_has_one(store: LineageStore) -> None:
    # given two runs that each join other versions of the same two entities
    await store.apply([derived(("b@1", "a@1"), owner="run:1"), derived(("b@2", "a@2"), owner="run:2")])
    first = await store.walk(walk("b", grain=Grain.ENTITY))
    assert [(item.from_id, item.to_id, item.owner) for item in first.edges] == [("b", "a", "run:1")]

    # when the one that lends its facts goes, comes back, and both go
    await store.apply([derived(owner="run:1")])
    second = await store.walk(walk("b", grain=Grain.ENTITY))
    assert [(item.from_id, item.to_id, item.owner) for item in second.edges] == [("b", "a", "run:2")]
    await store.apply([derived(("b@1", "a@1"), owner="run:1")])
    assert await store.walk(walk("b", grain=Grain.ENTITY)) == first
    await store.apply([derived(owner="run:1"), derived(("b@2", "c@1"), owner="run:2")])

    # then
    last = await store.walk(walk("b", grain=Grain.ENTITY))
    assert [(item.from_id, item.to_id) for item in last.edges] == [("b", "c")]


async def test_owners_come_in_order_and_only_those_with_edges(store: LineageStore) -> None:
    names = ["run:10", "run:2", "Run:1", "promotion:é", "promotion:z", "model:a b@1", "model:" + "x" * 1000]
    await store.apply([derived(("b@1", "a@1"), owner=name) for name in names])
    await store.apply([derived(owner="run:2")])

    assert await listed(store.owners()) == sorted(set(names) - {"run:2"})


async def test_many_owners_come_in_order(store: LineageStore) -> None:
    names = [f"run:{number}" for number in range(1, 2_302)]
    await store.apply([derived(("b@1", "a@1"), owner=name) for name in names])

    assert await listed(store.owners()) == sorted(names)


async def test_a_name_that_was_told_later_is_the_name(store: LineageStore) -> None:
    # given a table that was renamed between two runs, told in the wrong order
    def told(owner: str, name: str, days: int) -> object:
        item = edge("b@1", DERIVED, "a@1", owner=owner, recorded_at=NOW + timedelta(days=days))
        vertices = {"a@1": v("a@1"), "b@1": replace(v("b@1"), name=name)}
        return replace(said([item], owner), vertices=vertices)

    await store.apply([told("run:2", "gold.new", 2)])  # type: ignore[list-item]
    await store.apply([told("run:1", "gold.old", 1)])  # type: ignore[list-item]

    found = await store.walk(walk("b@1"))
    assert [node.vertex.name for node in found.nodes] == ["gold.new", "the a"]


ODD = [
    "it's",
    'a "quoted" one',
    "a|b|c",
    "a@b",
    "@",
    "%40%7C",
    "back\\slash",
    "tab\tline\nend",
    "$1 {0} %s ${x}",
    "数据/表",
    "e\u0301 and \u00e9",
    "\U0001f9ca iceberg",
    "\u202eright to left",
    " leading and trailing ",
    "x" * 1_000,
    "漢" * 1_000,
    "'; DROP TABLE lineage_edges; --",
    "g.V().drop()",
]


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
async def test_any_text_can_be_a_name(store: LineageStore, name: str) -> None:
    # given a name in every place where one can be
    vertices = [
        external_vertex(name, name, name),
        external_vertex("s3://bucket", name, ""),
        model_vertex(name, 3),
        pipeline_vertex(name, name),
    ]
    dataset, source, model, pipeline = (vertex.vertex_id for vertex in vertices)
    links = (ColumnLink(from_column=name, to_column=name + "!", transformation=name, description=name),)
    edges = [
        replace(edge(dataset, DERIVED, source, owner=name, source=name), columns=links),
        edge(dataset, GENERATED, pipeline, owner=name),
        edge(model, TRAINED, dataset, owner=name),
    ]
    projection = replace(said(edges, name), vertices={vertex.vertex_id: vertex for vertex in vertices})

    # when
    await store.apply([projection])
    await store.apply([projection])

    # then it is found by it everywhere
    assert await listed(store.owners()) == [name]
    assert await store.edges_of(name) == (sorted(edges, key=lambda item: item.order), projection.vertices)
    assert set(depths(await store.walk(walk(dataset)))) == {dataset, source, pipeline}
    assert set(depths(await store.walk(walk(vertices[2].entity, grain=Grain.ENTITY)))) == {
        vertex.entity for vertex in vertices
    }
    steps, is_complete = await store.column_edges(dataset, name, UP, depth=3, limit=10)
    assert is_complete
    assert [(step.from_column, step.to_column, step.transformation) for step in steps] == [(name + "!", name, name)]


@pytest.mark.parametrize("root", ["", "@", "a\x00b", "\ud800", "x" * 10_000, "a@1@", "A@1"])
async def test_no_text_asked_for_is_an_accident(store: LineageStore, root: str) -> None:
    await store.apply([said([edge("b@1", DERIVED, "a@1", ("x", "y"))])])

    assert (await store.walk(walk(root, BOTH))).nodes == ()
    assert (await store.walk(walk(root, BOTH, grain=Grain.ENTITY))).nodes == ()
    assert await store.count(walk(root, BOTH)) == 0
    assert await store.neighbours([root], BOTH, limit=10) == ([], {})
    assert await store.edges_of(root) == ([], {})
    assert await store.column_edges(root, "x", BOTH, depth=3, limit=10) == ([], True)
    assert await store.column_edges("b@1", root, BOTH, depth=3, limit=10) == ([], True)


async def test_totals_tell_all_kinds(store: LineageStore) -> None:
    await store.apply(
        [
            said(
                [
                    edge("b@1", DERIVED, "a@1"),
                    edge("b@2", DERIVED, "a@1"),
                    edge("b@1", GENERATED, "p:etl@1"),
                    edge("p:etl@1", CONSUMES, "a@1"),
                    edge("p:etl@1", PRODUCES, "b@1"),
                    edge("m:x@1", TRAINED, "b@1"),
                    edge("f:age@1", DERIVED, "b@1"),
                ]
            ),
            derived(("b@1", "a@1"), owner="run:2"),
        ]
    )

    vertices, edges = await store.totals()
    kinds = {"Dataset": 2, "Model": 1, "Pipeline": 1, "Feature": 1}
    versions = {"DatasetVersion": 3, "ModelVersion": 1, "PipelineVersion": 1, "FeatureVersion": 1}
    assert vertices == kinds | versions
    assert edges == {
        "DERIVED_FROM": 4,
        "GENERATED_BY": 1,
        "CONSUMES": 1,
        "PRODUCES": 1,
        "TRAINED_ON": 1,
        "VERSION_OF": 6,
    }


async def test_dropping_leaves_nothing(store: LineageStore) -> None:
    await store.apply([said([edge("b@1", DERIVED, "a@1", ("x", "y"))])])

    await store.drop()
    await store.prepare()

    assert await store.totals() == ({}, {})
    assert await listed(store.owners()) == []
    assert await store.column_edges("b@1", "x", UP, depth=1, limit=1) == ([], True)


async def test_applying_nothing_does_nothing(store: LineageStore) -> None:
    await store.apply([])
    await store.apply([derived(owner="run:1")])

    assert await store.totals() == ({}, {})


async def test_crossing_calls_end_in_the_graph_of_all(store: LineageStore) -> None:
    # given owners whose edges share vertices, each of which says things and takes them back
    numbers = random.Random(4)
    names = [f"{entity}@{version}" for entity in "abcde" for version in range(3)]

    def spoken(owner: str) -> object:
        return derived(*(tuple(numbers.sample(names, 2)) for _ in range(12)), owner=owner)  # type: ignore[arg-type]

    model = Model()
    first = [spoken(f"run:{number}") for number in range(20)]
    last = [spoken(f"run:{number}") if number % 3 else derived(owner=f"run:{number}") for number in range(20)]
    model.apply(last)  # type: ignore[arg-type]

    # when all speak at once, in batches that cross
    await asyncio.gather(*(store.apply([first[number], first[-1 - number]]) for number in range(20)))  # type: ignore[list-item]
    await asyncio.gather(*(store.apply([last[number], last[-1 - number]]) for number in range(20)))  # type: ignore[list-item]

    # then
    assert await store.totals() == model.totals()
    for root in names:
        asked = walk(root, BOTH)
        assert await store.walk(asked) == model.walk(asked)
    for entity in "abcde":
        asked = walk(entity, BOTH, grain=Grain.ENTITY)
        assert await store.walk(asked) == model.walk(asked)


async def test_concurrent_calls_for_one_owner_end_in_one_of_them(store: LineageStore) -> None:
    choices = [derived(*((f"b{n}@1", f"a{m}@1") for m in range(5))) for n in range(8)]

    await asyncio.gather(*(store.apply([choice]) for choice in choices))

    edges, _ = await store.edges_of("run:1")
    assert tuple(edges) in [choice.edges for choice in choices]
    assert (await store.totals())[0] == {"Dataset": 6, "DatasetVersion": 6}


async def test_a_vertex_is_what_was_said(store: LineageStore) -> None:
    vertex = Vertex(entity="dataset:6f1a", version="9223372036854775807", kind=EntityKind.DATASET, name="gold.orders")
    projection = said([edge(vertex.vertex_id, DERIVED, "a@1")])
    await store.apply([replace(projection, vertices={**projection.vertices, vertex.vertex_id: vertex})])

    root = (await store.walk(walk(vertex.vertex_id))).nodes[0].vertex
    assert (root, root.name, root.version) == (vertex, "gold.orders", "9223372036854775807")
