"""How a change spreads: hop by hop, by columns, and where it begins."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from app.domain.history import History
from app.domain.lineage import ROWS, Edge, Vertex
from app.domain.spreading import Spread, abandoned_by, column_spellings
from app.errors import InvalidArgumentError, UnknownColumnError
from tests.contract.lineage.graphs import CONSUMES, DERIVED, GENERATED, TRAINED, edge, said, v
from tests.strategies import make_field, make_schema, make_snapshot


def spread(
    roots: Sequence[str],
    edges: Sequence[Edge],
    *,
    hops: int = 10,
    by_entity: bool = False,
    columns: Collection[str] | None = None,
) -> Spread:
    """What a change reaches within so many hops, told of by all edges at each."""
    vertices = {end: v(end) for item in edges for end in (item.from_id, item.to_id)}
    found = Spread(map(v, roots), by_entity=by_entity, columns=columns)
    for _ in range(hops):
        near = [item for item in edges if {item.to_id, v(item.to_id).entity} & set(found.frontier)]
        found.advance(near, vertices)
    return found


def ids(path: Sequence[Vertex]) -> list[str]:
    return [vertex.vertex_id for vertex in path]


def reached(found: Spread) -> dict[str, tuple[int, list[str]]]:
    return {key: (reach.depth, ids(reach.path)) for key, reach in found.reached.items()}


def test_each_version_is_reached_once_by_the_shortest_and_then_least_path() -> None:
    edges = [
        edge("d@1", DERIVED, "c@1"),
        edge("d@1", DERIVED, "b@1"),
        edge("c@1", DERIVED, "a@1"),
        edge("b@1", DERIVED, "a@1"),
        edge("e@1", DERIVED, "d@1"),
        edge("e@1", DERIVED, "a@1"),
        edge("a@1", DERIVED, "e@1"),
    ]
    expected = {
        "b@1": (1, ["a@1", "b@1"]),
        "c@1": (1, ["a@1", "c@1"]),
        "d@1": (2, ["a@1", "b@1", "d@1"]),
        "e@1": (1, ["a@1", "e@1"]),
    }
    assert reached(spread(["a@1"], edges)) == expected
    assert reached(spread(["a@1"], edges[::-1])) == expected


def test_pipelines_are_reached_and_lead_nowhere_and_upstream_does_not_count() -> None:
    edges = [
        edge("p:etl@", CONSUMES, "a@1"),
        edge("x@1", DERIVED, "p:etl@"),
        edge("a@1", DERIVED, "source@1"),
        edge("a@1", GENERATED, "p:make@"),
        edge("m:churn@1", TRAINED, "a@1"),
        edge("scored@1", DERIVED, "m:churn@1"),
    ]
    assert set(spread(["a@1"], edges).reached) == {"p:etl@", "m:churn@1", "scored@1"}


def test_by_entity_any_version_leads_on_and_a_model_keeps_its_versions() -> None:
    edges = [
        edge("b@1", DERIVED, "a@1"),
        edge("b@2", DERIVED, "a@2"),
        edge("a@2", DERIVED, "a@1"),
        # Never made from what was made from a: but whoever reads b reads what a leads to.
        edge("m:churn@4", TRAINED, "b@9"),
        edge("m:churn@2", TRAINED, "b@1"),
    ]
    found = spread(["a@1"], edges, by_entity=True)
    assert reached(found) == {"b": (1, ["a", "b"]), "m:churn": (2, ["a", "b", "m:churn"])}
    assert {vertex.version for vertex in found.versions["m:churn"]} == {"2", "4"}
    assert set(spread(["a@1"], edges).reached) == {"a@2", "b@1", "b@2", "m:churn@2"}


def test_columns_take_out_what_is_known_not_to_use_them() -> None:
    edges = [
        edge("b@1", DERIVED, "a@1", ("total", "price")),
        edge("c@1", DERIVED, "a@1", ("who", "name"), owner="run:2"),
        edge("d@1", DERIVED, "a@1", owner="run:3"),
        edge("e@1", DERIVED, "b@1", ("sum", "total"), owner="run:4"),
        edge("f@1", DERIVED, "b@1", ("n", "count"), owner="run:4"),
    ]
    found = spread(["a@1"], edges, columns=["price"]).reached
    assert {key: (reach.columns, reach.is_certain) for key, reach in found.items()} == {
        "b@1": (("total",), True),
        "d@1": ((), False),
        "e@1": (("sum",), True),
    }
    assert set(spread(["a@1"], edges).reached) == {"b@1", "c@1", "d@1", "e@1", "f@1"}


def test_a_column_that_decides_about_rows_may_affect_every_column() -> None:
    edges = [
        edge("b@1", DERIVED, "a@1", ("total", "price"), (ROWS, "status")),
        edge("c@1", DERIVED, "b@1", ("sum", "total"), owner="run:2"),
    ]
    found = spread(["a@1"], edges, columns=["status"]).reached
    assert {key: (reach.columns, reach.is_certain) for key, reach in found.items()} == {
        "b@1": ((), False),
        "c@1": ((), False),
    }
    assert spread(["a@1"], edges, columns=["name"]).reached == {}


def test_once_columns_are_not_told_all_behind_may_be_affected() -> None:
    edges = [edge("b@1", DERIVED, "a@1"), edge("c@1", DERIVED, "b@1", ("x", "y"), owner="run:2")]
    found = spread(["a@1"], edges, columns=["price"]).reached
    assert {key: reach.is_certain for key, reach in found.items()} == {"b@1": False, "c@1": False}


def test_a_column_that_is_reached_later_leads_on_later() -> None:
    edges = [
        edge("b@1", DERIVED, "a@1", ("near", "price")),
        edge("c@1", DERIVED, "a@1", ("x", "price"), owner="run:2"),
        edge("b@1", DERIVED, "c@1", ("late", "x"), owner="run:3"),
        edge("d@1", DERIVED, "b@1", ("y", "late"), owner="run:4"),
    ]
    found = spread(["a@1"], edges, columns=["price"])
    assert reached(found)["d@1"] == (3, ["a@1", "c@1", "b@1", "d@1"])
    assert found.reached["b@1"].depth == 1


@pytest.mark.parametrize(
    ("case", "outputs", "expected"),
    [
        ("its runs use another column", [("b@1", [("who", "name")])], None),
        ("its runs use this column", [("b@1", [("total", "price")])], (("price",), True)),
        ("one of its outputs does", [("b@1", [("who", "name")]), ("c@1", [("t", "price")])], (("price",), True)),
        ("one of its outputs does not tell", [("b@1", [("who", "name")]), ("c@1", [])], ((), False)),
        ("it made nothing", [], ((), False)),
    ],
)
def test_a_pipeline_is_judged_by_what_its_run_made(
    case: str, outputs: list[tuple[str, list[tuple[str, str]]]], expected: tuple[tuple[str, ...], bool] | None
) -> None:
    edges = [edge("p:etl@", CONSUMES, "a@1"), *(edge(made, DERIVED, "a@1", *links) for made, links in outputs)]
    found = spread(["a@1"], edges, columns=["price"]).reached.get("p:etl@")
    assert (None if found is None else (found.columns, found.is_certain)) == expected, case


def test_what_was_made_from_may_be_more_than_what_was_asked() -> None:
    # A dataset that makes a column of another one of its own, which is what others read.
    edges = [edge("a@2", DERIVED, "a@1", ("gross", "net")), edge("b@1", DERIVED, "a@2", ("x", "gross"), owner="run:2")]
    found = spread(["a@1"], edges, by_entity=True, columns=["net"])
    assert reached(found) == {"b": (2, ["a", "b"])}


def test_leads_on_tells_whether_there_is_more() -> None:
    edges = said([edge("b@1", DERIVED, "a@1"), edge("c@1", DERIVED, "b@1")])
    found = Spread([v("a@1")], by_entity=False)
    found.advance(edges.edges[:1], edges.vertices)
    assert found.frontier == ("b@1",)
    assert found.leads_on(edges.edges, edges.vertices)
    assert not found.leads_on(edges.edges[:1], edges.vertices)
    assert set(found.reached) == {"b@1"}


@pytest.mark.parametrize(
    ("case", "parents", "from_id", "to_id", "expected"),
    [
        ("back", {1: None, 2: 1, 3: 2}, 3, 1, {2, 3}),
        ("forth", {1: None, 2: 1, 3: 2}, 1, 3, set()),
        ("aside", {1: None, 2: 1, 3: 1, 4: 3}, 4, 2, {3, 4}),
        ("unrelated", {1: None, 2: None}, 1, 2, {1}),
        ("an expired parent of both", {3: 2, 4: 3}, 4, 3, {4}),
        ("an expired parent in between", {1: None, 4: 3}, 4, 1, {3, 4}),
    ],
)
def test_what_a_branch_abandons(
    case: str, parents: dict[int, int | None], from_id: int, to_id: int, expected: set[int]
) -> None:
    history = History(snapshots={child: make_snapshot(child, parent) for child, parent in parents.items()}, refs={})
    assert abandoned_by(history, from_id, to_id) == expected, case


BEFORE = make_schema(0, make_field(1, "id"), make_field(2, "name", "string"))
NOW = make_schema(
    1,
    make_field(1, "id"),
    make_field(2, "label", "string"),
    make_field(3, "address", "struct", make_field(4, "address.zip"), make_field(5, "address.city")),
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["id"], {"id"}),
        (["label"], {"label", "name"}),
        (["address"], {"address", "address.zip", "address.city"}),
        (["address.zip"], {"address", "address.zip"}),
        (["id", "id"], {"id"}),
    ],
)
def test_a_column_by_all_its_names(asked: list[str], expected: set[str]) -> None:
    assert column_spellings(NOW, [BEFORE, NOW], asked, "a.b") == expected


def test_columns_that_are_not_there_are_refused() -> None:
    with pytest.raises(UnknownColumnError) as refused:
        column_spellings(NOW, [BEFORE, NOW], ["id", "labl"], "a.b")
    assert refused.value.fields["suggestions"] == ["label"]
    for asked in ([], ["id"] * 1001):
        with pytest.raises(InvalidArgumentError):
            column_spellings(NOW, [NOW], asked, "a.b")
    with pytest.raises(UnknownColumnError):
        column_spellings(NOW, [BEFORE, NOW], ["name"], "a.b")
