"""What differs between two versions of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from app.domain.json_diff import DeltaKind, KeyDelta, diff_objects
from app.domain.metrics_diff import MetricDelta, Thresholds, diff_metrics
from app.domain.models import ModelVersion
from app.domain.numbered import relation_of_numbers
from app.domain.training_diff import InputDelta
from app.domain.version_relation import VersionRelation


@dataclass(frozen=True, kw_only=True)
class ModelDiff:
    """What the registry alone tells of the difference; `diff_models` makes it."""

    before: ModelVersion
    after: ModelVersion
    metrics: tuple[MetricDelta, ...]
    parameters: tuple[KeyDelta, ...]

    @property
    def relation(self) -> VersionRelation:
        """What `before` is to `after`."""
        return relation_of_numbers(self.before.number, self.after.number)

    @cached_property
    def regressions(self) -> tuple[MetricDelta, ...]:
        """The metrics that got worse by more than their thresholds, by name."""
        return tuple(delta for delta in self.metrics if delta.regressed)

    def is_identical(self, training_data: Sequence[InputDelta]) -> bool:
        """Whether framework, parameters and metrics are the same, and the rows that both were trained on.

        The artifacts are not looked at.
        """
        return (
            self.before.framework == self.after.framework
            and not self.parameters
            and all(delta.kind is DeltaKind.UNCHANGED for delta in self.metrics)
            and not is_training_data_changed(training_data)
        )


def diff_models(before: ModelVersion, after: ModelVersion, thresholds: Thresholds | None = None) -> ModelDiff:
    """What differs, but for the training data. Raises as `diff_metrics`."""
    return ModelDiff(
        before=before,
        after=after,
        metrics=diff_metrics(before.metrics, after.metrics, thresholds),
        parameters=diff_objects(before.parameters, after.parameters),
    )


def is_training_data_changed(deltas: Sequence[InputDelta]) -> bool:
    """Whether the two were trained, validated or tested on different rows."""
    return any(delta.is_changed for delta in deltas)
