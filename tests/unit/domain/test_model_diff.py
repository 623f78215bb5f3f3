"""What two versions of a model are to each other, and when they are the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.domain.changes import Actor
from app.domain.model_diff import diff_models, is_training_data_changed
from app.domain.models import Metric, ModelVersion
from app.domain.names import DatasetName
from app.domain.roles import InputRole
from app.domain.training_diff import InputDelta
from app.domain.version_relation import VersionRelation

MODEL = ModelVersion(
    model="churn",
    number=1,
    created_at=datetime(2026, 2, 15, tzinfo=UTC),
    created_by=Actor(subject="ada"),
    reason=None,
    framework="scikit-learn",
    artifact_uri="s3://models/1",
    parameters={"depth": 3},
    metrics=(Metric(name="auc", value=0.85),),
    training_data=(),
    run_id=None,
    archived_at=None,
)
DECLARED = (Metric(name="auc", value=0.85, higher_is_better=True),)


@pytest.mark.parametrize(
    ("before", "after", "relation"),
    [(1, 1, VersionRelation.SAME), (1, 3, VersionRelation.ANCESTOR), (3, 1, VersionRelation.DESCENDANT)],
)
def test_what_the_one_is_to_the_other(before: int, after: int, relation: VersionRelation):
    assert diff_models(replace(MODEL, number=before), replace(MODEL, number=after)).relation is relation


@pytest.mark.parametrize(
    ("case", "changes", "identical"),
    [
        ("another number", {"number": 2}, True),
        ("another artifact", {"artifact_uri": "s3://models/2"}, True),
        ("a metric that says which way it improves", {"metrics": DECLARED}, True),
        ("a metric", {"metrics": (Metric(name="auc", value=0.86),)}, False),
        ("a metric more", {"metrics": (*MODEL.metrics, Metric(name="f1", value=None))}, False),
        ("a parameter", {"parameters": {"depth": 4}}, False),
        ("the framework", {"framework": None}, False),
    ],
)
def test_which_models_are_identical(case: str, changes: dict[str, Any], identical: bool):
    assert diff_models(MODEL, replace(MODEL, **changes)).is_identical([]) is identical, case


@pytest.mark.parametrize("is_changed", [True, False])
def test_other_training_data_is_a_difference(is_changed: bool):
    delta = InputDelta(
        table_uuid=UUID(int=1),
        dataset=DatasetName.parse("silver.sales"),
        role=InputRole.TRAINING,
        before=1,
        after=2,
        is_changed=is_changed,
    )

    assert diff_models(MODEL, MODEL).is_identical([delta]) is not is_changed
    assert is_training_data_changed([delta]) is is_changed
