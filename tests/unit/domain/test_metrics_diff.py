"""What became of metrics: in decimals, and which of them regressed."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest

from app.domain.json_diff import DeltaKind
from app.domain.metrics_diff import (
    BY_METRIC,
    OVERALL,
    MetricDelta,
    Thresholds,
    check_threshold,
    diff_metrics,
    parse_thresholds,
    to_float,
)
from app.domain.models import Metric
from app.errors import InvalidArgumentError


def delta_of(
    before: float | None, after: float | None, *, name: str = "accuracy", threshold: str = "0.05"
) -> MetricDelta:
    (delta,) = diff_metrics(
        [Metric(name=name, value=before)], [Metric(name=name, value=after)], Thresholds(overall=Decimal(threshold))
    )
    return delta


def test_the_example_of_the_contract():
    delta = delta_of(0.85, 0.92)

    assert delta.delta == Decimal("0.07")
    assert to_float(delta.delta) == 0.07
    assert str(to_float(delta.percent_change)).startswith("8.235")
    assert (delta.kind, delta.regressed) == (DeltaKind.CHANGED, False)


@pytest.mark.parametrize(
    ("case", "before", "after", "delta", "percent"),
    [
        ("fractions", 0.1, 0.3, "0.2", "200"),
        ("down", 0.92, 0.85, "-0.07", None),
        ("same", 0.5, 0.5, "0", "0"),
        ("from zero", 0.0, 0.5, "0.5", None),
        ("to zero", 0.5, 0.0, "-0.5", "-100"),
        ("negative", -2.0, -1.0, "1", "50"),
        ("through zero", -1.0, 1.0, "2", "200"),
        ("from minus zero", -0.0, 1.0, "1", None),
        ("large", 1e300, 1e300 * 2, "1e300", "100"),
        ("17 digits", 0.1 + 0.2, 0.3, "-0.00000000000000004", None),
    ],
)
def test_deltas_are_exact(case: str, before: float, after: float, delta: str, percent: str | None):
    found = delta_of(before, after)

    assert found.delta == Decimal(delta), case
    if percent is not None:
        assert found.percent_change == Decimal(percent)
    if before == 0:
        assert found.percent_change is None


def test_a_difference_of_numbers_far_apart_is_exact():
    found = delta_of(1e300, 5e-324)

    assert found.delta is not None
    digits = found.delta.as_tuple().digits
    assert len(digits) > 600 and set(digits[:600]) == {9}


@pytest.mark.parametrize("one", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_makes_nulls(one: float | None):
    for before, after in ((one, 0.5), (0.5, one), (one, one)):
        delta = delta_of(before, after)
        shown = [to_float(each) for each in (delta.before, delta.after, delta.delta, delta.percent_change)]
        assert json.loads(json.dumps(shown, allow_nan=False))[2:] == [None, None]
        assert not delta.regressed
        assert delta.kind is (DeltaKind.UNCHANGED if (before, after) == (one, one) else DeltaKind.CHANGED)


def test_what_no_double_can_hold_is_null():
    delta = delta_of(-1.7e308, 1.7e308)

    assert (delta.delta, to_float(delta.delta)) == (Decimal("3.4e308"), None)
    assert to_float(delta.percent_change) == 200
    assert to_float(delta_of(5e-324, 1e308).percent_change) is None


def test_metrics_of_one_side_have_nulls():
    gone, come = diff_metrics([Metric(name="a", value=1.0)], [Metric(name="b", value=None)])

    assert (gone.name, gone.kind, gone.before, gone.after) == ("a", DeltaKind.REMOVED, 1, None)
    assert gone.is_lost and not gone.regressed
    assert (come.name, come.kind, come.before, come.after) == ("b", DeltaKind.ADDED, None, None)
    assert (gone.delta, gone.percent_change, come.delta, come.percent_change) == (None,) * 4


@pytest.mark.parametrize(
    ("case", "name", "before", "after", "threshold", "regressed"),
    [
        ("five per cent exactly", "accuracy", 0.8, 0.76, "0.05", False),
        ("a little more", "accuracy", 0.8, 0.7599999999999999, "0.05", True),
        ("better", "accuracy", 0.8, 0.9, "0", False),
        ("loss rises", "val_loss", 1.0, 1.06, "0.05", True),
        ("loss rises by five per cent", "val_loss", 1.0, 1.05, "0.05", False),
        ("loss falls", "val_loss", 1.0, 0.5, "0", False),
        ("no tolerance", "accuracy", 0.8, 0.7999, "0", True),
        ("no change, no tolerance", "accuracy", 0.8, 0.8, "0", False),
        ("from zero", "errors", 0.0, 1e-9, "1", True),
        ("from zero, better", "accuracy", 0.0, 0.1, "0", False),
        ("negative, higher is better", "log_likelihood", -100.0, -106.0, "0.05", True),
        ("negative, less than five per cent", "log_likelihood", -100.0, -104.0, "0.05", False),
        ("negative, lower is better", "loss", -1.0, -0.9, "0.05", True),
        ("all of it", "accuracy", 0.5, 0.0, "1", False),
    ],
)
def test_regressions(case: str, name: str, before: float, after: float, threshold: str, regressed: bool):
    assert delta_of(before, after, name=name, threshold=threshold).regressed is regressed, case


@pytest.mark.parametrize(
    ("case", "before", "after", "higher", "declared"),
    [
        ("guessed", None, None, False, False),
        ("declared later", None, True, True, True),
        ("declared earlier", True, None, True, True),
        ("the later one has the word", True, False, False, True),
    ],
)
def test_which_way_is_worse(case: str, before: bool | None, after: bool | None, higher: bool, declared: bool):
    (delta,) = diff_metrics(
        [Metric(name="loss", value=1.0, higher_is_better=before)],
        [Metric(name="loss", value=2.0, higher_is_better=after)],
    )

    assert (delta.higher_is_better, delta.is_direction_declared) == (higher, declared), case
    assert delta.regressed is not higher


def test_a_metric_may_have_a_threshold_of_its_own():
    before = [Metric(name=name, value=1.0) for name in ("auc", "f1")]
    after = [Metric(name=name, value=0.9) for name in ("auc", "f1")]

    auc, f1 = diff_metrics(before, after, parse_thresholds(["20%", "f1=0.05"]))

    assert (auc.regressed, auc.threshold) == (False, Decimal("0.2"))
    assert (f1.regressed, f1.threshold) == (True, Decimal("0.05"))


def test_a_threshold_of_a_metric_that_is_not_there_is_refused():
    with pytest.raises(InvalidArgumentError, match="did you mean 'accuracy'") as caught:
        diff_metrics([Metric(name="accuracy", value=1.0)], [], parse_thresholds(["acuracy=0.1"]))

    assert caught.value.fields["argument"] == BY_METRIC


@pytest.mark.parametrize(
    ("texts", "overall", "by_metric"),
    [
        ([], "0.05", {}),
        (["0.1"], "0.1", {}),
        (["10%"], "0.1", {}),
        (["10 %"], "0.1", {}),
        ([" .5 "], "0.5", {}),
        (["0"], "0", {}),
        (["1"], "1", {}),
        (["1e-3"], "0.001", {}),
        (["a=b=2%", "0.2", "0.1=0.3"], "0.2", {"a=b": "0.02", "0.1": "0.3"}),
    ],
)
def test_thresholds_are_read(texts: list[str], overall: str, by_metric: dict[str, str]):
    found = parse_thresholds(texts)

    assert found.overall == Decimal(overall)
    assert found.by_metric == {name: Decimal(value) for name, value in by_metric.items()}


@pytest.mark.parametrize(
    ("texts", "argument"),
    [
        (["x"], OVERALL),
        ([""], OVERALL),
        (["%"], OVERALL),
        (["-1"], OVERALL),
        (["-0.01"], OVERALL),
        (["5"], OVERALL),
        (["500%"], OVERALL),
        (["nan"], OVERALL),
        (["NaN%"], OVERALL),
        (["inf"], OVERALL),
        (["1_0%"], OVERALL),
        (["٠.٥"], OVERALL),
        (["0.1", "0.2"], OVERALL),
        (["9" * 5000], OVERALL),
        (["1e999999999"], OVERALL),
        (["a=x"], BY_METRIC),
        (["=0.1"], BY_METRIC),
        (["a=0.1", "a=0.1"], BY_METRIC),
    ],
)
def test_thresholds_that_are_none_are_refused(texts: list[str], argument: str):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_thresholds(texts)

    assert caught.value.fields["argument"] == argument
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1.0001, 2**70, 5])
def test_a_threshold_is_a_fraction(value: float):
    with pytest.raises(InvalidArgumentError, match="fraction from 0 to 1"):
        check_threshold(value, OVERALL)


def test_a_threshold_is_the_number_that_was_written():
    assert check_threshold(0.05, OVERALL) == Decimal("0.05")
