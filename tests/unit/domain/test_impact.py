"""How much a change matters, and the sentence that says why."""

from __future__ import annotations

import pytest

from app.domain.impact import Impact, ImpactKind, Reach, Severity, Standing, assess, severity_of, sum_up
from app.domain.lineage import TruncationReason, Vertex
from tests.contract.lineage.graphs import v

NONE, LOW, MEDIUM, HIGH, CRITICAL = Severity
BREAKING = (ImpactKind.ANY, ImpactKind.SCHEMA, ImpactKind.DELETE)


@pytest.mark.parametrize(
    ("standing", "breaking", "rollback", "data"),
    [
        (Standing.PRODUCTION_DATASET, CRITICAL, CRITICAL, HIGH),
        (Standing.PRODUCTION_MODEL, CRITICAL, CRITICAL, HIGH),
        (Standing.MODEL, HIGH, HIGH, MEDIUM),
        (Standing.PIPELINE, HIGH, MEDIUM, LOW),
        (Standing.DATASET, MEDIUM, MEDIUM, LOW),
        (Standing.ARCHIVED_MODEL, LOW, LOW, LOW),
        (Standing.GONE_DATASET, LOW, LOW, LOW),
    ],
)
def test_what_is_one_hop_away(standing: Standing, breaking: Severity, rollback: Severity, data: Severity) -> None:
    expected = {**dict.fromkeys(BREAKING, breaking), ImpactKind.ROLLBACK: rollback, ImpactKind.DATA: data}
    assert expected.keys() == set(ImpactKind)
    for kind, severity in expected.items():
        assert severity_of(kind, standing, depth=1, is_certain=True) is severity


@pytest.mark.parametrize(
    ("case", "depth", "is_certain", "severity"),
    [
        ("near", 1, True, CRITICAL),
        ("two hops", 2, True, HIGH),
        ("three hops", 3, True, HIGH),
        ("four hops", 4, True, MEDIUM),
        ("far", 50, True, MEDIUM),
        ("near, perhaps", 1, False, HIGH),
        ("two hops, perhaps", 2, False, MEDIUM),
        ("far, perhaps", 4, False, LOW),
    ],
)
def test_distance_and_doubt_lessen_it(case: str, depth: int, is_certain: bool, severity: Severity) -> None:
    found = severity_of(ImpactKind.ANY, Standing.PRODUCTION_DATASET, depth=depth, is_certain=is_certain)
    assert found is severity, case


def test_what_is_affected_is_never_less_than_low() -> None:
    for kind in ImpactKind:
        for standing in Standing:
            assert severity_of(kind, standing, depth=50, is_certain=False).rank >= LOW.rank
    assert NONE.lowered(1) is NONE


def reach(vertex: Vertex, *path: Vertex, **facts: object) -> Reach:
    values = {"depth": len(path), "path": (*path, vertex), **facts}
    return Reach(vertex=vertex, **values)  # type: ignore[arg-type]


ORDERS, DAILY, CHURN, ETL = v("orders@1"), v("daily@7"), v("m:churn@3"), v("p:etl@")


@pytest.mark.parametrize(
    ("case", "found", "standing", "reason"),
    [
        (
            "direct",
            reach(DAILY, ORDERS),
            Standing.PRODUCTION_DATASET,
            "the daily @ 7, a production dataset, is made from the orders @ 1.",
        ),
        (
            "further",
            reach(CHURN, ORDERS, DAILY),
            Standing.MODEL,
            "the m:churn @ 3, a live model, was trained on the daily @ 7, 2 hops from the orders @ 1.",
        ),
        (
            "entities",
            reach(DAILY.as_entity, ORDERS.as_entity),
            Standing.GONE_DATASET,
            "the daily, a dataset that the catalog no longer has, is made from the orders.",
        ),
        (
            "columns of a dataset",
            reach(DAILY, ORDERS, columns=("a", "b")),
            Standing.DATASET,
            "the daily @ 7, a dataset, is made from the orders @ 1; it reaches columns a, b.",
        ),
        (
            "a column of a pipeline",
            reach(ETL, ORDERS, columns=("a",)),
            Standing.PIPELINE,
            "the p:etl, a pipeline, reads the orders @ 1; it reads column a.",
        ),
        (
            "many columns",
            reach(DAILY, ORDERS, columns=tuple("abcdefg")),
            Standing.DATASET,
            "the daily @ 7, a dataset, is made from the orders @ 1; it reaches columns a, b, c, d, e and 2 more.",
        ),
        (
            "may",
            reach(CHURN, ORDERS, is_certain=False),
            Standing.ARCHIVED_MODEL,
            (
                "the m:churn @ 3, an archived model, was trained on the orders @ 1; it may be affected: on the way it "
                "is not reported which columns are used."
            ),
        ),
    ],
)
def test_the_reason_is_a_sentence(case: str, found: Reach, standing: Standing, reason: str) -> None:
    assert assess(ImpactKind.ANY, found, standing).reason == reason, case


def test_the_worst_come_first_and_decide() -> None:
    reached = [
        (reach(v("b@1"), ORDERS), Standing.DATASET),
        (reach(v("a@1"), ORDERS), Standing.DATASET),
        (reach(v("far@1"), ORDERS, DAILY), Standing.PRODUCTION_DATASET),
        (reach(v("f:age@1"), ORDERS), Standing.DATASET),
        (reach(CHURN, ORDERS), Standing.ARCHIVED_MODEL),
        (reach(ETL, ORDERS), Standing.PIPELINE),
    ]
    found = [assess(ImpactKind.ROLLBACK, each, standing) for each, standing in reached]

    impact = sum_up(ImpactKind.ROLLBACK, reversed(found), frozenset({TruncationReason.DEPTH}))

    assert [one.vertex.vertex_id for one in impact.datasets] == ["far@1", "a@1", "b@1", "f:age@1"]
    assert [one.severity for one in impact.datasets] == [HIGH, MEDIUM, MEDIUM, MEDIUM]
    assert [one.vertex for one in impact.models] == [CHURN]
    assert [one.vertex for one in impact.pipelines] == [ETL]
    assert (impact.total_affected, impact.severity, impact.is_complete) == (6, HIGH, False)


def test_nothing_affected_is_none() -> None:
    impact = Impact(kind=ImpactKind.ANY)
    assert (impact.total_affected, impact.severity, impact.is_complete) == (0, NONE, True)
