"""Laws of DAGs: order says nothing, everything else does, and networkx judges what is a cycle."""

from __future__ import annotations

import copy
from typing import Any

import networkx
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.domain.dag_cycles import find_cycle
from app.domain.dags import parse_dag, parse_dag_text
from tests.strategies import int64s

MODERATE = settings(max_examples=150, deadline=None)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
ids = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), int64s, st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A DAG: edges lead from earlier to later tasks."""
    names = draw(st.lists(ids, unique=True, max_size=7))
    tasks = [{**draw(st.dictionaries(texts, values, max_size=3)), "id": name} for name in names]
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return {"tasks": tasks, "edges": [list(edge) for edge in edges]}


def shuffled(draw: st.DrawFn, value: Any, *, is_set: bool = False) -> Any:
    """The same with members of objects in another order, and elements of the list itself where that says nothing."""
    if isinstance(value, dict):
        return {key: shuffled(draw, value[key]) for key in draw(st.permutations(list(value)))}
    if isinstance(value, list):
        return [shuffled(draw, item) for item in (draw(st.permutations(value)) if is_set else value)]
    return value


@MODERATE
@given(documents(), st.data())
def test_order_says_nothing(document: dict[str, Any], data: st.DataObject) -> None:
    other = {
        "edges": shuffled(data.draw, document["edges"], is_set=True),
        "tasks": shuffled(data.draw, document["tasks"], is_set=True),
    }

    assert parse_dag(other) == parse_dag(document)
    assert parse_dag(other).digest == parse_dag(document).digest


@MODERATE
@given(documents())
def test_canonical_text_gives_the_same_dag(document: dict[str, Any]) -> None:
    dag = parse_dag(document)

    assert parse_dag_text(dag.canonical) == dag


@MODERATE
@given(documents(), st.data())
def test_any_change_is_seen(document: dict[str, Any], data: st.DataObject) -> None:
    # given
    assume(document["tasks"])
    changed = copy.deepcopy(document)
    task = data.draw(st.sampled_from(changed["tasks"]))
    kind = data.draw(st.sampled_from(["value", "member", "less", "rename", "edge", "no edge", "task"]))
    names = [task["id"] for task in changed["tasks"]]

    # when
    if kind == "value":
        key = data.draw(st.sampled_from(sorted(task)))
        assume(key != "id")
        task[key] = [task[key]]
    elif kind == "member":
        key = data.draw(texts)
        assume(key not in task)
        task[key] = data.draw(values)
    elif kind == "less":
        key = data.draw(st.sampled_from(sorted(task)))
        assume(key != "id")
        del task[key]
    elif kind == "rename":
        new = data.draw(ids)
        assume(new not in names)
        old, task["id"] = task["id"], new
        changed["edges"] = [[new if end == old else end for end in edge] for edge in changed["edges"]]
    elif kind == "edge":
        missing = [
            [a, b] for place, a in enumerate(names) for b in names[place + 1 :] if [a, b] not in changed["edges"]
        ]
        assume(missing)
        changed["edges"].append(data.draw(st.sampled_from(missing)))
    elif kind == "no edge":
        assume(changed["edges"])
        changed["edges"].remove(data.draw(st.sampled_from(changed["edges"])))
    else:
        new = data.draw(ids)
        assume(new not in names)
        changed["tasks"].append({"id": new})

    # then
    assert parse_dag(changed) != parse_dag(document)
    assert parse_dag(changed).digest != parse_dag(document).digest


graphs = st.integers(1, 9).flatmap(
    lambda size: st.lists(
        st.tuples(st.integers(0, size - 1).map(str), st.integers(0, size - 1).map(str)), unique=True, max_size=25
    )
)


@MODERATE
@given(graphs)
def test_cycles_are_those_of_networkx_and_the_shortest(edges: list[tuple[str, str]]) -> None:
    graph = networkx.DiGraph(edges)

    cycle = find_cycle(edges)

    if networkx.is_directed_acyclic_graph(graph):
        assert cycle == ()
    else:
        assert networkx.is_simple_path(graph, list(cycle))
        assert graph.has_edge(cycle[-1], cycle[0])
        assert cycle[0] == min(cycle)
        assert len(cycle) == min(map(len, networkx.simple_cycles(graph)))


@MODERATE
@given(graphs.flatmap(lambda edges: st.tuples(st.just(edges), st.permutations(edges))))
def test_same_cycle_is_found_in_any_order(pair: tuple[list[tuple[str, str]], list[tuple[str, str]]]) -> None:
    assert find_cycle(pair[0]) == find_cycle(pair[1])
