"""Laws of differences between DAGs: of no order, mirrored, enough to make the one of the other; renames are renames."""

from __future__ import annotations

import json
from typing import Any

import networkx
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.dag_diff import diff_dags
from app.domain.dags import Dag, parse_dag

MODERATE = settings(max_examples=300, deadline=None)


@st.composite
def documents(draw: st.DrawFn, ids: str = "abcdefg") -> dict[str, Any]:
    """A small DAG whose tasks are often alike, so that there is something to confuse."""
    names = draw(st.lists(st.sampled_from(ids), unique=True, max_size=6))
    contents = st.sampled_from([{}, {}, {"x": 1}, {"x": 1.0}, {"x": True}, {"x": {"y": [1]}}])
    tasks = [{**draw(contents), "id": name} for name in names]
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return {"tasks": tasks, "edges": [list(edge) for edge in edges]}


@MODERATE
@given(documents(), documents("efghijk"), st.data())
def test_order_changes_nothing(before: dict[str, Any], after: dict[str, Any], data: st.DataObject) -> None:
    reordered = {
        "edges": data.draw(st.permutations(after["edges"])),
        "tasks": [dict(reversed(task.items())) for task in data.draw(st.permutations(after["tasks"]))],
    }

    assert diff_dags(parse_dag(before), parse_dag(after)) == diff_dags(parse_dag(before), parse_dag(reordered))


@MODERATE
@given(documents(), documents("efghijk"))
def test_the_one_is_made_of_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = parse_dag(before), parse_dag(after)
    diff = diff_dags(old, new)
    texts = {task.id: task.canonical for task in new.tasks}

    tasks = {task.id: task.canonical for task in old.tasks if task.id not in diff.tasks_removed}
    tasks |= {task: texts[task] for task in diff.tasks_added}
    tasks |= {delta.task: texts[delta.task] for delta in diff.tasks_changed}
    edges = {*old.edges} - {*diff.edges_removed} | {*diff.edges_added}
    made = parse_dag({"tasks": [json.loads(text) for text in tasks.values()], "edges": [list(edge) for edge in edges]})

    assert made == new
    assert diff.is_empty is (old == new)
    assert all(delta.changes for delta in diff.tasks_changed)


@MODERATE
@given(documents(), documents("efghijk"))
def test_dags_mirror(before: dict[str, Any], after: dict[str, Any]) -> None:
    there, back = (diff_dags(parse_dag(a), parse_dag(b)) for a, b in ((before, after), (after, before)))

    assert (there.tasks_added, there.tasks_removed) == (back.tasks_removed, back.tasks_added)
    assert (there.edges_added, there.edges_removed) == (back.edges_removed, back.edges_added)
    assert [delta.task for delta in there.tasks_changed] == [delta.task for delta in back.tasks_changed]
    assert {(each.before, each.after) for each in there.tasks_renamed} == {
        (each.after, each.before) for each in back.tasks_renamed
    }


@MODERATE
@given(documents(), documents("efghijk"))
def test_a_renamed_task_differs_in_its_id_alone(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = parse_dag(before), parse_dag(after)
    diff = diff_dags(old, new)
    names = {each.before: each.after for each in diff.tasks_renamed}

    assert names.keys() <= set(diff.tasks_removed) and set(names.values()) <= set(diff.tasks_added)
    assert len(set(names.values())) == len(names)
    for one, other in names.items():
        assert content(old, one) == content(new, other)
        assert {tuple(names.get(end, end) for end in edge) for edge in old.edges if one in edge} == {
            edge for edge in new.edges if other in edge
        }
    folded = diff.without_renames()
    assert not any(edge for edge in folded.edges_removed for end in edge if end in names)
    assert not any(edge for edge in folded.edges_added for end in edge if end in names.values())


@MODERATE
@given(documents(), st.data())
def test_renaming_is_recognised_wherever_it_is_the_only_way_to_see_it(
    document: dict[str, Any], data: st.DataObject
) -> None:
    ids = [task["id"] for task in document["tasks"]]
    moved = data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
    renamed = {name: f"{name}{name}" for name in moved}
    other = {
        "tasks": [{**task, "id": renamed.get(task["id"], task["id"])} for task in document["tasks"]],
        "edges": [[renamed.get(end, end) for end in edge] for edge in document["edges"]],
    }
    before, after = parse_dag(document), parse_dag(other)

    found = {each.before: each.after for each in diff_dags(before, after).tasks_renamed}

    # What networkx finds: every way to lay the one graph on the other, with the tasks that kept their ids in place.
    ways = list(isomorphisms(before, after, renamed))
    assert renamed in ways
    certain = {name: new for name, new in renamed.items() if all(way[name] == new for way in ways)}
    assert found.items() <= certain.items()
    if len(ways) == 1:
        assert found == renamed


def content(dag: Dag, task_id: str) -> dict[str, Any]:
    (said,) = (json.loads(task.canonical) for task in dag.tasks if task.id == task_id)
    del said["id"]
    return {key: repr(value) for key, value in said.items()}


def isomorphisms(before: Dag, after: Dag, renamed: dict[str, str]) -> Any:
    def graph(dag: Dag, moved: set[str]) -> networkx.DiGraph:
        made = networkx.DiGraph(dag.edges)
        for task in dag.tasks:
            made.add_node(task.id, said=content(dag, task.id), kept=None if task.id in moved else task.id)
        return made

    matcher = networkx.algorithms.isomorphism.DiGraphMatcher(
        graph(before, set(renamed)),
        graph(after, set(renamed.values())),
        node_match=lambda one, other: one == other,
    )
    for way in matcher.isomorphisms_iter():
        yield {one: other for one, other in way.items() if one in renamed}
