"""The check of a model: what stops a deploy, and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.checks.models import check_model
from app.domain.checks.results import CheckResult, Finding
from app.domain.metrics_diff import Thresholds, parse_thresholds
from app.domain.model_diff import diff_models
from app.domain.models import Metric
from tests.unit.domain.test_model_diff import MODEL


def checked(
    before: dict[str, float | None],
    after: dict[str, float | None],
    thresholds: Thresholds | None = None,
    *,
    allow_missing: bool = False,
) -> CheckResult:
    old, new = (
        replace(MODEL, number=number, metrics=tuple(Metric(name=name, value=value) for name, value in side.items()))
        for number, side in ((1, before), (2, after))
    )
    return check_model(diff_models(old, new, thresholds), allow_missing=allow_missing)


def test_what_got_better_passes():
    result = checked({"auc": 0.85, "rmse": 1.2}, {"auc": 0.92, "rmse": 1.1, "f1": 0.1})

    assert (result.passed, result.findings, result.checked) == (True, (), 2)
    assert result.name == "metrics of churn from v1 to v2"


def test_a_regression_fails_and_says_how_much():
    result = checked({"auc": 0.85, "rmse": 1.2}, {"auc": 0.85, "rmse": 1.5})

    assert not result.passed
    assert result.failures == result.findings
    assert [(finding.subject, finding.message) for finding in result.findings] == [
        ("rmse", "rmse went from 1.2 to 1.5 (+25 %); lower is better, by its name, and 5 % are allowed")
    ]


@pytest.mark.parametrize(
    ("thresholds", "passed"),
    [(["0.05"], False), (["25%"], True), (["24.9%"], False), (["0", "rmse=0.3"], True), (["1", "rmse=0"], False)],
)
def test_thresholds_are_those_of_the_difference(thresholds: list[str], passed: bool):
    assert checked({"rmse": 1.2}, {"rmse": 1.5}, parse_thresholds(thresholds)).passed is passed


def test_five_per_cent_exactly_are_allowed():
    assert checked({"accuracy": 0.8}, {"accuracy": 0.76}).passed
    assert not checked({"accuracy": 0.8}, {"accuracy": 0.7599}).passed


def test_from_nothing_anything_worse_is_too_much():
    (finding,) = checked({"errors": 0}, {"errors": 1}).findings

    assert finding.message == "errors went from 0.0 to 1.0; lower is better, by its name, and 5 % are allowed"


@pytest.mark.parametrize("after", [{"auc": 0.9}, {"auc": 0.9, "rmse": None}])
def test_a_metric_that_is_gone_is_no_pass_unless_that_is_allowed(after: dict[str, float | None]):
    before = {"auc": 0.9, "rmse": 1.2}

    strict, lenient = checked(before, after), checked(before, after, allow_missing=True)

    assert (strict.passed, lenient.passed) == (False, True)
    message = "rmse was 1.2, and is told no more"
    assert strict.findings == (Finding(subject="rmse", message=message),)
    assert lenient.findings == (Finding(subject="rmse", message=message, is_failure=False),)


@pytest.mark.parametrize(("before", "after"), [({}, {}), ({}, {"auc": 1}), ({"auc": None}, {"auc": 1})])
def test_nothing_to_compare_is_no_pass(before: dict[str, float | None], after: dict[str, float | None]):
    assert not checked(before, after).passed
    assert checked(before, after).checked == 0
    assert checked(before, after, allow_missing=True).passed
