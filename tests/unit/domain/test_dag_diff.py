"""DAGs compared as graphs, and tasks that were only renamed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from app.domain.dag_diff import DagDiff, diff_dags
from app.domain.dags import Dag, parse_dag


def dag(*edges: str, **tasks: dict[str, Any]) -> Dag:
    """`dag("a>b")`; the tasks of the edges, and those that say something."""
    pairs = [edge.split(">") for edge in edges]
    ids = {end for pair in pairs for end in pair} | tasks.keys()
    return parse_dag({"tasks": [{"id": name, **tasks.get(name, {})} for name in sorted(ids)], "edges": pairs})


def renames(before: Dag, after: Dag) -> dict[str, str]:
    return {rename.before: rename.after for rename in diff_dags(before, after).tasks_renamed}


def test_what_is_added_removed_and_changed():
    before = dag("load>clean", "clean>store", clean={"retries": 1, "env": {"A": "1"}})
    after = dag(
        "load>clean", "clean>check", "load>check", clean={"retries": 2, "env": {"A": "1", "B": "2"}}, check={"x": 1}
    )

    diff = diff_dags(before, after)

    assert (diff.tasks_added, diff.tasks_removed) == (("check",), ("store",))
    assert [delta.task for delta in diff.tasks_changed] == ["clean"]
    assert [(each.key, each.before, each.after) for each in diff.tasks_changed[0].changes] == [
        ("env.B", None, "2"),
        ("retries", 1, 2),
    ]
    assert diff.edges_added == (("clean", "check"), ("load", "check"))
    assert diff.edges_removed == (("clean", "store"),)
    assert diff.tasks_renamed == () and not diff.is_empty


def test_order_and_ways_to_write_numbers_change_nothing():
    one = parse_dag({"tasks": [{"id": "a", "n": 1, "m": 2}, {"id": "b"}], "edges": [["a", "b"]]})
    other = parse_dag({"edges": [["a", "b"]], "tasks": [{"id": "b"}, {"m": 2.0, "n": 1.0, "id": "a"}]})

    assert diff_dags(one, other) == DagDiff()
    assert DagDiff().is_empty


@pytest.mark.parametrize(
    ("case", "before", "after", "expected"),
    [
        ("one task", dag("load>clean"), dag("fetch>clean"), {"load": "fetch"}),
        ("in the middle", dag("a>b", "b>c", b={"x": 1}), dag("a>z", "z>c", z={"x": 1}), {"b": "z"}),
        ("neighbours", dag("a>b", "b>c"), dag("x>y", "y>c"), {"a": "x", "b": "y"}),
        ("all of them", dag("a>b", "b>c"), dag("x>y", "y>z"), {"a": "x", "b": "y", "c": "z"}),
        ("without an edge", dag(a={"x": 1}), dag(b={"x": 1}), {"a": "b"}),
        ("a neighbour says something else", dag("a>b", b={"x": 1}), dag("z>b", b={"x": 2}), {"a": "z"}),
        ("another task comes elsewhere", dag("a>b"), dag("z>b", "b>new", new={"x": 1}), {"a": "z"}),
        ("says something else", dag("a>b", a={"x": 1}), dag("z>b", z={"x": 2}), {}),
        ("says something else by type", dag("a>b", a={"x": 1}), dag("z>b", z={"x": True}), {}),
        ("another edge", dag("a>b", "b>c"), dag("z>b", "b>c", "z>c"), {}),
        ("an edge less", dag("a>b", "a>c"), dag("z>b", c={}), {}),
        ("turned round", dag("a>b"), dag("b>z"), {}),
        ("two that are alike", dag("a>c", "b>c"), dag("x>c", "y>c"), {}),
        ("two for one", dag("a>c"), dag("x>c", "y>c"), {}),
        (
            "told apart by what they say",
            dag("a>c", "b>c", a={"x": 1}),
            dag("x>c", "y>c", y={"x": 1}),
            {"a": "y", "b": "x"},
        ),
        (
            "told apart by what follows",
            dag("s>a", "a>c", "s>b", "b>d"),
            dag("s>x", "x>d", "s>y", "y>c"),
            {"a": "y", "b": "x"},
        ),
        (
            "leans on two that are alike",
            dag("a>j", "b>j", "j>end"),
            dag("x>k", "y>k", "k>end"),
            {},
        ),
        (
            "alike but for a fork further up",
            dag("r>a", "r>b", "a>c", "b>c", "a>d"),
            dag("r>x", "r>y", "x>c", "y>c", "y>d"),
            {"a": "y", "b": "x"},
        ),
        ("to an id that was there", dag("a>b", a={"x": 1}), dag("b>c", b={"x": 1}), {}),
    ],
)
def test_renamed_tasks(case: str, before: Dag, after: Dag, expected: dict[str, str]):
    assert renames(before, after) == expected, case
    assert renames(after, before) == {new: old for old, new in expected.items()}


def test_a_rename_is_told_beside_what_came_and_went():
    diff = diff_dags(dag("load>clean", "clean>store"), dag("fetch>clean", "clean>check", check={"x": 1}))

    assert (diff.tasks_added, diff.tasks_removed) == (("check", "fetch"), ("load", "store"))
    assert (diff.edges_added, diff.edges_removed) == (
        (("clean", "check"), ("fetch", "clean")),
        (("clean", "store"), ("load", "clean")),
    )
    folded = diff.without_renames()
    assert (folded.tasks_added, folded.tasks_removed) == (("check",), ("store",))
    assert (folded.edges_added, folded.edges_removed) == ((("clean", "check"),), (("clean", "store"),))
    assert [(rename.before, rename.after) for rename in folded.tasks_renamed] == [("load", "fetch")]


def test_a_path_of_renamed_tasks_is_recognised_to_its_end():
    names = [f"t{place}" for place in range(300)]
    before = dag(*(f"{a}>{b}" for a, b in pairwise(names)))
    after = dag(*(f"u{a}>u{b}" for a, b in pairwise(names)))

    assert renames(before, after) == {name: f"u{name}" for name in names}
