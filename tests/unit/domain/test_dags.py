"""DAGs of pipelines: what is one, what is not and where that is said, and which are the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from app.domain.dag_cycles import find_cycle
from app.domain.dags import MAX_EDGES, MAX_NESTING, MAX_TASKS, code_hash, parse_dag, parse_dag_text
from app.errors import InvalidArgumentError, InvalidDagError


def dag_of(ids: str, *edges: str) -> dict[str, Any]:
    return {"tasks": [{"id": task} for task in ids], "edges": [list(edge) for edge in edges]}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("case", "document"),
    [
        ("nothing in it", {"tasks": [], "edges": []}),
        ("no edges", {"tasks": [{"id": "a"}]}),
        ("chain", dag_of("abc", "ab", "bc")),
        ("diamond", dag_of("abcd", "ab", "ac", "bd", "cd")),
        ("two ways of different length", dag_of("abc", "ab", "bc", "ac")),
        ("two parts", dag_of("abcd", "ab", "cd")),
        (
            "names of any kind",
            {"tasks": [{"id": "gold/cüstomers 1"}, {"id": "東"}], "edges": [["東", "gold/cüstomers 1"]]},
        ),
        ("more about a task", {"tasks": [{"id": "a", "retries": 3, "config": {"x": [None, True, 1.5]}}]}),
        ("as deep as allowed", {"tasks": [{"id": "a", "x": nested(MAX_NESTING - 1)}]}),
    ],
)
def test_dag_is_parsed_and_its_canonical_text_gives_it_again(case: str, document: Any) -> None:
    dag = parse_dag(document)

    assert [task.id for task in dag.tasks] == sorted(task["id"] for task in document["tasks"])
    assert parse_dag_text(dag.canonical) == dag
    assert dag.digest == hashlib.sha256(dag.canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    ("case", "document", "pointer", "reason"),
    [
        ("a list", [], "", "write"),
        ("null", None, "", "write"),
        ("a text", "a -> b", "", "write"),
        ("no tasks", {"edges": []}, "", "tasks are missing"),
        ("another member", {"tasks": [], "egdes": []}, "/egdes", "Did you mean 'edges'"),
        ("member with a slash", {"tasks": [], "a/b~c": []}, "/a~1b~0c", "nothing else"),
        ("tasks by name", {"tasks": {"a": {}}}, "/tasks", "no list"),
        ("edges by name", {"tasks": [], "edges": {}}, "/edges", "no list"),
        ("edges that are null", {"tasks": [], "edges": None}, "/edges", "no list"),
        ("task that is a text", {"tasks": [{"id": "a"}, "b"]}, "/tasks/1", "object"),
        ("task without id", {"tasks": [{"name": "a"}]}, "/tasks/0", "no id"),
        ("id that is a number", {"tasks": [{"id": 1}]}, "/tasks/0/id", "a text"),
        ("empty id", {"tasks": [{"id": ""}]}, "/tasks/0/id", "empty"),
        ("long id", {"tasks": [{"id": "a" * 256}]}, "/tasks/0/id", "256 characters"),
        ("id with NUL", {"tasks": [{"id": "a\0"}]}, "/tasks/0/id", "NUL"),
        ("lone surrogate", {"tasks": [{"id": "a", "x": ["\ud800"]}]}, "/tasks/0/x/0", "surrogate"),
        ("lone surrogate in a key", {"tasks": [{"id": "a", "x": {"\ud800": 1}}]}, "/tasks/0/x", "surrogate"),
        ("no number", {"tasks": [{"id": "a", "x": {"y": float("nan")}}]}, "/tasks/0/x/y", "NaN"),
        ("infinite", {"tasks": [{"id": "a", "x": float("-inf")}]}, "/tasks/0/x", "infinity"),
        ("enormous", {"tasks": [{"id": "a", "x": 10**400}]}, "/tasks/0/x", "digits"),
        ("beyond 64 bits", {"tasks": [{"id": "a", "x": {"y": 2**63}}]}, "/tasks/0/x/y", "64 bits"),
        ("far below", {"tasks": [{"id": "a", "x": -(2**63) - 1}]}, "/tasks/0/x", "64 bits"),
        ("deep", {"tasks": [{"id": "a", "x": nested(MAX_NESTING)}]}, "/tasks/0/x" + "/0" * 31, "deeper"),
        ("edge that is a text", {"tasks": [], "edges": ["ab"]}, "/edges/0", "list of two"),
        ("edge of three", dag_of("abc", "abc"), "/edges/0", "list of two"),
        ("edge of numbers", {"tasks": [], "edges": [[1, 2]]}, "/edges/0/0", "a text"),
        ("dangling start", dag_of("ab", "ab", "xb"), "/edges/1/0", "no task 'x'"),
        ("dangling end", dag_of("ab", "ax"), "/edges/0/1", "no task 'x'"),
        ("itself", dag_of("ab", "ab", "bb"), "/edges/1", "b -> b"),
        ("cycle", dag_of("abc", "ab", "bc", "ca"), "/edges/2", "a -> b -> c -> a"),
    ],
)
def test_what_is_no_dag_is_refused_at_its_place(case: str, document: Any, pointer: str, reason: str) -> None:
    with pytest.raises(InvalidDagError) as caught:
        parse_dag(document)

    assert caught.value.fields["pointer"] == pointer
    assert reason in caught.value.message


def test_text_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidDagError, match="bytes"):
        parse_dag({"tasks": [{"id": "a", "sql": "x" * (4 * 1024 * 1024)}]})


@pytest.mark.parametrize(
    ("case", "ids", "edges", "cycle"),
    [
        ("itself, beside a longer one", "abc", ["ab", "ba", "cc"], ["c"]),
        ("short one behind a long one", "abcdef", ["ab", "bc", "cd", "da", "de", "ef", "fe"], ["e", "f"]),
        ("chord", "abcd", ["ab", "bc", "cd", "da", "ca"], ["a", "b", "c"]),
        ("way in and way out", "xabcy", ["xa", "ab", "bc", "ca", "cy"], ["a", "b", "c"]),
        ("between two", "abmcd", ["ab", "ba", "bm", "mc", "cd", "dc"], ["a", "b"]),
    ],
)
def test_cycle_is_a_shortest_one_from_its_least_task(case: str, ids: str, edges: list[str], cycle: list[str]) -> None:
    with pytest.raises(InvalidDagError) as caught:
        parse_dag(dag_of(ids, *edges))

    assert caught.value.fields["cycle"] == cycle
    assert caught.value.fields["cycleLength"] == len(cycle)


def test_duplicate_task_is_told_with_both_places() -> None:
    with pytest.raises(InvalidDagError) as caught:
        parse_dag(dag_of("abca"))

    assert (caught.value.fields["pointer"], caught.value.fields["otherPointer"]) == ("/tasks/3", "/tasks/0")


def test_duplicate_edge_is_told_with_both_places() -> None:
    with pytest.raises(InvalidDagError) as caught:
        parse_dag(dag_of("abc", "ab", "bc", "ab"))

    assert (caught.value.fields["pointer"], caught.value.fields["otherPointer"]) == ("/edges/2", "/edges/0")


def test_dangling_edge_is_told_the_closest_tasks() -> None:
    tasks = [{"id": name} for name in ("load_orders", "load_customers", "clean")]

    with pytest.raises(InvalidDagError) as caught:
        parse_dag({"tasks": tasks, "edges": [["load_order", "clean"]]})

    assert caught.value.fields["suggestions"] == ["load_orders", "load_customers"]


def test_closest_task_is_found_among_thousands() -> None:
    tasks = [{"id": f"step_{n:05d}_of_the_chain"} for n in range(MAX_TASKS - 1)] + [{"id": "report"}]

    with pytest.raises(InvalidDagError) as caught:
        parse_dag({"tasks": tasks, "edges": [["reprot", "step_00000_of_the_chain"]]})

    assert caught.value.fields["suggestions"] == ["report"]


def test_longest_chain_is_taken_and_closed_it_is_a_cycle() -> None:
    # given
    tasks = [{"id": f"t{n:04d}"} for n in range(MAX_TASKS)]
    edges = [[f"t{n:04d}", f"t{n + 1:04d}"] for n in range(MAX_TASKS - 1)]

    # when
    dag = parse_dag({"tasks": tasks, "edges": edges})

    # then
    assert (len(dag.tasks), len(dag.edges)) == (MAX_TASKS, MAX_TASKS - 1)
    with pytest.raises(InvalidDagError) as caught:
        parse_dag({"tasks": tasks, "edges": [*edges, [f"t{MAX_TASKS - 1:04d}", "t0000"]]})
    assert caught.value.fields["cycleLength"] == MAX_TASKS
    assert caught.value.fields["cycle"] == [f"t{n:04d}" for n in range(100)]
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("case", "tasks", "edges", "pointer"),
    [("tasks", MAX_TASKS + 1, 0, "/tasks"), ("edges", MAX_TASKS, MAX_EDGES + 1, "/edges")],
)
def test_too_many_are_refused(case: str, tasks: int, edges: int, pointer: str) -> None:
    document = {
        "tasks": [{"id": str(n)} for n in range(tasks)],
        "edges": [[str(n // 10), str(n // 10 + 1 + n % 10)] for n in range(edges)],
    }
    with pytest.raises(InvalidDagError, match="at most") as caught:
        parse_dag(document)

    assert caught.value.fields["pointer"] == pointer


def test_as_many_as_allowed_are_taken() -> None:
    document = {
        "tasks": [{"id": str(n)} for n in range(MAX_TASKS)],
        "edges": [[str(n // 10), str(n // 10 + 1 + n % 10)] for n in range(MAX_EDGES)],
    }
    assert len(parse_dag(document).edges) == MAX_EDGES


@pytest.mark.parametrize(
    ("case", "text", "reason"),
    [
        ("empty", "", "no JSON"),
        ("cut", '{"tasks": [', "no JSON"),
        ("NaN", '{"tasks": [{"id": "a", "x": NaN}]}', "NaN"),
        ("beyond doubles", '{"tasks": [{"id": "a", "x": 1e400}]}', "infinity"),
        ("very deep", "[" * 200_000, "deeper"),
        ("very long number", f'{{"tasks": [{{"id": "a", "x": {"9" * 5000}}}]}}', "digits"),
        ("member twice", '{"tasks": [], "edges": [], "tasks": []}', "'tasks' twice"),
        ("member of a task twice", '{"tasks": [{"id": "a", "x": 1, "x": 2}]}', "'x' twice"),
    ],
)
def test_text_that_is_no_dag_is_refused(case: str, text: str, reason: str) -> None:
    with pytest.raises(InvalidDagError, match=reason):
        parse_dag_text(text)


@pytest.mark.parametrize(
    ("case", "one", "other", "is_same"),
    [
        ("1 and 1.0", "1", "1.0", True),
        ("1 and 1e0", "1", "1e0", True),
        ("0 and -0.0", "0", "-0.0", True),
        ("large and exponent", "10000000000000000", "1e16", True),
        ("0.1 and 1e-1", "0.1", "1e-1", True),
        ("members of an object", '{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True),
        ("escapes", '"\\u00e9"', '"é"', True),
        ("neighbours beyond 2^53", "9007199254740993", "9007199254740992", False),
        ("1 and true", "1", "true", False),
        ("0 and false", "0", "false", False),
        ("1 and its text", "1", '"1"', False),
        ("null and nothing", "null", '""', False),
        ("elements of a list", "[1, 2]", "[2, 1]", False),
        ("composed and not", '"é"', '"e\\u0301"', False),
        ("a blank", '"a"', '"a "', False),
    ],
)
def test_which_values_of_a_task_are_the_same(case: str, one: str, other: str, is_same: bool) -> None:
    first, second = (parse_dag_text(f'{{"tasks": [{{"id": "a", "x": {text}}}]}}') for text in (one, other))

    assert (first == second) is is_same
    assert (first.digest == second.digest) is is_same


def test_canonical_text_is_written_down() -> None:
    document = json.loads(
        '{"edges": [["b", "é"], ["a", "b"]], "tasks": [{"n": 2.0, "id": "é"}, {"id": "b"}, {"id": "a"}]}'
    )

    dag = parse_dag(document)

    assert dag.canonical == '{"edges":[["a","b"],["b","é"]],"tasks":[{"id":"a"},{"id":"b"},{"id":"é","n":2}]}'
    # Digests are kept: one that changed would make every pipeline's next registration a new version.
    assert dag.digest == "ca2eab6296dd8f0deead4145c9bde50c6e77afcc7d064a3427596d0060dfdd7f"


def test_code_hash_is_what_sha256sum_says() -> None:
    assert code_hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert code_hash("select 'é'\n") == hashlib.sha256("select 'é'\n".encode()).hexdigest()
    assert code_hash("a\nb") != code_hash("a\r\nb")


@pytest.mark.parametrize("code", ["\ud800", "a\0"])
def test_code_that_cannot_be_kept_is_refused(code: str) -> None:
    with pytest.raises(InvalidArgumentError):
        code_hash(code)


def test_search_for_a_short_cycle_ends_in_a_dense_graph() -> None:
    # given so many long ways round that looking at all of them would take minutes
    count = MAX_TASKS
    ids = [f"t{n:04d}" for n in range(count)]
    edges = [(ids[n], ids[(n + step) % count]) for n in range(count) for step in (1, 2, 3, 4)]

    # when
    cycle = find_cycle(edges)

    # then what is found is a cycle all the same
    steps = set(edges)
    assert all((cycle[n - 1], cycle[n]) in steps for n in range(len(cycle)))
