"""Laws of what a change reaches, on random graphs of any shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.domain.impact import ImpactKind, Reach, Standing, assess, sum_up
from app.domain.lineage import DOWNSTREAM_IN, Edge, EdgeKind, EntityKind, Vertex
from app.domain.spreading import Spread
from tests.contract.lineage.graphs import edge, v

IDS = tuple(f"{entity}@{version}" for entity in ("a", "b", "c", "d", "m:x", "p:etl") for version in "12")
COLUMNS = ("x", "y", "z")

links = st.lists(st.tuples(st.sampled_from(COLUMNS), st.sampled_from(COLUMNS)), max_size=3)
kinds = st.sampled_from([*EdgeKind, *[EdgeKind.DERIVED_FROM] * 4])
owners = st.sampled_from(["run:1", "run:2"])
edges = st.builds(
    lambda near, kind, far, columns, owner: edge(near, kind, far, *columns, owner=owner),
    st.sampled_from(IDS),
    kinds,
    st.sampled_from(IDS),
    links,
    owners,
)
graphs = st.lists(edges, max_size=25, unique_by=lambda item: item.order)
roots = st.lists(st.sampled_from(IDS[:8]), max_size=3, unique=True)
asked_columns = st.none() | st.lists(st.sampled_from(COLUMNS), min_size=1, unique=True)


def walked(
    graph: Sequence[Edge], starts: Sequence[str], depth: int, *, by_entity: bool, columns: Sequence[str] | None
) -> Spread:
    vertices = {key: v(key) for key in IDS}
    found = Spread(map(v, starts), by_entity=by_entity, columns=columns)
    for _ in range(depth):
        near = [item for item in graph if {item.to_id, v(item.to_id).entity} & set(found.frontier)]
        found.advance(near, vertices)
    return found


@given(graphs, roots, st.integers(0, 6), st.booleans(), asked_columns, st.randoms(use_true_random=False))
def test_the_order_of_edges_does_not_matter(graph, starts, depth, by_entity, columns, chance) -> None:
    shuffled = list(graph)
    chance.shuffle(shuffled)
    one = walked(graph, starts, depth, by_entity=by_entity, columns=columns)
    other = walked(shuffled, starts, depth, by_entity=by_entity, columns=columns)
    assert one.reached == other.reached
    assert one.frontier == other.frontier
    assert one.versions == other.versions


@given(graphs, roots, st.integers(0, 6), st.booleans(), asked_columns)
def test_deeper_is_more_and_what_was_found_stays(graph, starts, depth, by_entity, columns) -> None:
    near = walked(graph, starts, depth, by_entity=by_entity, columns=columns).reached
    far = walked(graph, starts, depth + 1, by_entity=by_entity, columns=columns).reached
    assert near.items() <= far.items()
    assert all(reach.depth == depth + 1 for key, reach in far.items() if key not in near)


@given(graphs, roots, st.booleans(), asked_columns)
def test_each_path_is_a_walk_along_edges_from_what_is_changed(graph, starts, by_entity, columns) -> None:
    def key(vertex: Vertex) -> str:
        return vertex.entity if by_entity else vertex.vertex_id

    steps = {(key(v(item.to_id)), key(v(item.from_id))) for item in graph if item.kind in DOWNSTREAM_IN}
    for reached, reach in walked(graph, starts, 20, by_entity=by_entity, columns=columns).reached.items():
        path = [key(vertex) for vertex in reach.path]
        assert path[0] in {key(v(start)) for start in starts}
        assert path[-1] == reached == key(reach.vertex)
        assert all(step in steps for step in pairwise(path))
        assert all(vertex.kind is not EntityKind.PIPELINE for vertex in reach.path[:-1])
        if columns is None:
            assert len(path) == reach.depth + 1
            assert len(set(path)) == len(path)


@given(graphs, roots, st.booleans())
def test_it_reaches_what_a_search_in_breadth_reaches(graph, starts, by_entity) -> None:
    def key(vertex_id: str) -> str:
        return v(vertex_id).entity if by_entity else vertex_id

    is_leaf = {key(each): v(each).kind is EntityKind.PIPELINE for each in IDS}
    depths = {key(start): 0 for start in starts}
    frontier = set(depths)
    while frontier:
        passed = [item for item in graph if item.kind in DOWNSTREAM_IN and key(item.to_id) in frontier]
        hop = {key(item.from_id) for item in passed if not is_leaf[key(item.to_id)]} - depths.keys()
        depths |= dict.fromkeys(hop, max(depths.values()) + 1)
        frontier = hop
    expected = {each: depth for each, depth in depths.items() if depth}
    found = walked(graph, starts, 20, by_entity=by_entity, columns=None)
    assert {each: reach.depth for each, reach in found.reached.items()} == expected
    assert found.frontier == ()


@given(graphs, roots, st.booleans(), asked_columns)
def test_columns_only_take_out(graph, starts, by_entity, columns) -> None:
    every = walked(graph, starts, 20, by_entity=by_entity, columns=None).reached
    some = walked(graph, starts, 20, by_entity=by_entity, columns=columns).reached
    assert some.keys() <= every.keys()
    assert all(reach.depth >= every[key].depth for key, reach in some.items())
    if not any(item.columns for item in graph):
        assert some.keys() == every.keys()


@given(graphs, roots, st.integers(0, 4), asked_columns)
def test_leads_on_says_whether_one_more_hop_reaches_more(graph, starts, depth, columns) -> None:
    found = walked(graph, starts, depth, by_entity=False, columns=columns)
    next_ones = [item for item in graph if item.to_id in found.frontier]
    reaches_more = found.leads_on(next_ones, {key: v(key) for key in IDS})
    deepest = walked(graph, starts, 40, by_entity=False, columns=columns).reached
    assert reaches_more or deepest == found.reached


@given(graphs, roots, st.sampled_from(ImpactKind), st.data())
def test_totals_are_those_of_the_lists(graph, starts, kind, data) -> None:
    reached: Mapping[str, Reach] = walked(graph, starts, 20, by_entity=False, columns=None).reached
    judged = [assess(kind, reach, data.draw(st.sampled_from(Standing))) for reach in reached.values()]
    impact = sum_up(kind, judged, frozenset())
    assert impact.total_affected == len(impact.everything) == len(reached)
    assert {one.vertex.vertex_id for one in impact.everything} == set(reached)
    assert all(one.severity.rank <= impact.severity.rank for one in impact.everything)
    assert impact.severity.rank == 0 or any(one.severity is impact.severity for one in impact.everything)
    for one in (impact.datasets, impact.models, impact.pipelines):
        assert list(one) == sorted(one, key=lambda each: each.order)
