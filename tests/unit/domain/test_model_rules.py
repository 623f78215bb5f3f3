"""Rules of models: names, metrics, and which way they improve; names of pins."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.models import Metric, check_model_name, guess_higher_is_better
from app.domain.pins import pin_names
from app.domain.roles import InputRole
from app.domain.tags import TagConvention, check_ref_name, find_convention
from app.errors import AppError


@pytest.mark.parametrize(
    ("name", "is_better_high"),
    [
        ("accuracy", True),
        ("f1", True),
        ("roc_auc", True),
        ("recall@10", True),
        ("loss", False),
        ("val_loss", False),
        ("valLoss", False),
        ("test-RMSE", False),
        ("p95_latency_ms", False),
        ("log_loss", False),
        ("neg_log_loss", True),
        ("neg_mean_squared_error", True),
        ("mean_absolute_error", False),
        ("error_rate", False),
        ("training_time_s", False),
        ("glossary_coverage", True),
        ("timeliness", True),
        ("test_neg_log_loss", True),
        ("negative_predictive_value", True),
        ("true_negative_rate", True),
        ("negative_log_likelihood", False),
        ("log_likelihood", True),
        ("false_positive_rate", False),
        ("falseNegatives", False),
        ("AIC", False),
        ("train_duration_s", False),
    ],
)
def test_which_way_a_metric_improves_is_guessed_from_its_name(name: str, is_better_high: bool) -> None:
    assert guess_higher_is_better(name) is is_better_high


def test_what_is_declared_is_not_guessed() -> None:
    assert Metric(name="loss", value=1.0, higher_is_better=True).is_better_high
    assert not Metric(name="accuracy", value=1.0, higher_is_better=False).is_better_high


@given(model=st.text(max_size=210), number=st.integers(1, 2**31 - 1), role=st.sampled_from(InputRole))
def test_pins_have_names_that_tags_may_have(model: str, number: int, role: InputRole) -> None:
    try:
        check_model_name(model)
    except AppError:
        return
    names = list(islice(pin_names(model, number, role), 5))

    assert len(set(names)) == 5
    for name in names:
        assert check_ref_name("tag", name) == name
        assert find_convention(name) is TagConvention.MODEL_TRAINING


def test_the_names_of_pins_are_those_of_the_contract() -> None:
    assert list(islice(pin_names("churn", 3, InputRole.VALIDATION), 3)) == [
        "model_training_churn_v3",
        "model_training_churn_v3_validation",
        "model_training_churn_v3_validation_2",
    ]
