"""Differences of models and pipelines as plain entries: the one shape in which REST, Python and the CLI show them.

`from` and `to` are what the one and the other version has, null where that has none. Snapshot ids are texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from app.domain.dag_diff import DagDiff
from app.domain.json_diff import KeyDelta
from app.domain.metrics_diff import MetricDelta, to_float
from app.domain.training_diff import InputDelta
from app.domain.versions import LATEST
from app.errors import JsonValue
from app.services.comparing_models import ModelComparison, TrainingComparison
from app.services.comparing_pipelines import PipelineComparison
from app.services.listings import to_utc_text

Sides = TypedDict("Sides", {"from": str | None, "to": str | None})
KeyDeltaEntry = TypedDict("KeyDeltaEntry", {"from": JsonValue, "to": JsonValue, "kind": str})
InputDeltaEntry = TypedDict(
    "InputDeltaEntry", {"dataset": str, "role": str, "from": str | None, "to": str | None, "changed": bool}
)
MetricDeltaEntry = TypedDict(
    "MetricDeltaEntry",
    {
        "from": float | None,
        "to": float | None,
        "delta": float | None,
        "percent_change": float | None,
        "kind": str,
        "higher_is_better": bool,
        "direction": str,
        "threshold": float | None,
        "regressed": bool,
    },
)


class ModelComparisonEntry(TypedDict):
    """What differs between two versions of a model.

    `from_version` and `to_version` are as they were asked for, the numbers what they are. `regressions` are names of
    metrics. `notes` say what could not be looked at, in sentences.
    """

    from_version: str
    to_version: str
    from_number: int
    to_number: int
    relation: str
    identical: bool
    metrics_diff: dict[str, MetricDeltaEntry]
    regressions: list[str]
    parameters_diff: dict[str, KeyDeltaEntry]
    framework: Sides
    training_data_changed: bool
    training_data: list[InputDeltaEntry]
    notes: list[str]


class DagDiffEntry(TypedDict):
    """What differs between two DAGs; edges are pairs, as in a DAG.

    The first five are the whole difference, by ids. `tasks_renamed` says which of the removed and added tasks are one,
    `task_changes` what became of those that changed.
    """

    tasks_added: list[str]
    tasks_removed: list[str]
    tasks_changed: list[str]
    edges_added: list[list[str]]
    edges_removed: list[list[str]]
    tasks_renamed: list[Sides]
    task_changes: dict[str, dict[str, KeyDeltaEntry]]


class PipelineComparisonEntry(TypedDict):
    """What differs between two versions of a pipeline; `code_diff` is None where one of them has no code stored."""

    from_version: str
    to_version: str
    from_number: int
    to_number: int
    relation: str
    identical: bool
    dag_changed: bool
    code_changed: bool
    git_commits: Sides
    created_at: Sides
    dag_diff: DagDiffEntry
    code_diff: str | None
    code_diff_cut: bool


def model_comparison_entry(
    found: ModelComparison, from_version: str | None, to_version: str | None
) -> ModelComparisonEntry:
    """The entry of a comparison that was asked for by these references."""
    diff = found.diff
    return ModelComparisonEntry(
        from_version=from_version or LATEST,
        to_version=to_version or LATEST,
        from_number=diff.before.number,
        to_number=diff.after.number,
        relation=diff.relation.value,
        identical=found.is_identical,
        metrics_diff={delta.name: _metric_entry(delta) for delta in diff.metrics},
        regressions=[delta.name for delta in diff.regressions],
        parameters_diff=_key_entries(diff.parameters),
        framework={"from": diff.before.framework, "to": diff.after.framework},
        training_data_changed=found.training.is_changed,
        training_data=[_input_entry(delta) for delta in found.training.deltas],
        notes=_notes(found.training),
    )


def pipeline_comparison_entry(
    found: PipelineComparison, from_version: str | None, to_version: str | None
) -> PipelineComparisonEntry:
    """The entry of a comparison that was asked for by these references."""
    diff = found.diff
    return PipelineComparisonEntry(
        from_version=from_version or LATEST,
        to_version=to_version or LATEST,
        from_number=diff.before.number,
        to_number=diff.after.number,
        relation=diff.relation.value,
        identical=diff.is_identical,
        dag_changed=diff.is_dag_changed,
        code_changed=diff.is_code_changed,
        git_commits={"from": diff.before.git_commit, "to": diff.after.git_commit},
        created_at={"from": to_utc_text(diff.before.created_at), "to": to_utc_text(diff.after.created_at)},
        dag_diff=_dag_entry(found.dag),
        code_diff=None if found.code is None else found.code.text,
        code_diff_cut=found.code is not None and found.code.is_cut,
    )


def _metric_entry(delta: MetricDelta) -> MetricDeltaEntry:
    return {
        "from": to_float(delta.before),
        "to": to_float(delta.after),
        "delta": to_float(delta.delta),
        "percent_change": to_float(delta.percent_change),
        "kind": delta.kind.value,
        "higher_is_better": delta.higher_is_better,
        "direction": "declared" if delta.is_direction_declared else "guessed",
        "threshold": to_float(delta.threshold),
        "regressed": delta.regressed,
    }


def _key_entries(deltas: Iterable[KeyDelta]) -> dict[str, KeyDeltaEntry]:
    return {delta.key: {"from": delta.before, "to": delta.after, "kind": delta.kind.value} for delta in deltas}


def _input_entry(delta: InputDelta) -> InputDeltaEntry:
    return {
        "dataset": str(delta.dataset),
        "role": delta.role.value,
        "from": None if delta.before is None else str(delta.before),
        "to": None if delta.after is None else str(delta.after),
        "changed": delta.is_changed,
    }


def _notes(training: TrainingComparison) -> list[str]:
    return [
        f"Whether different snapshots of {name} have the same rows cannot be told, and is not assumed: "
        + ("the table is not there any more." if error is None else error.message)
        for name, error in training.unreadable.items()
    ]


def _dag_entry(diff: DagDiff) -> DagDiffEntry:
    return DagDiffEntry(
        tasks_added=list(diff.tasks_added),
        tasks_removed=list(diff.tasks_removed),
        tasks_changed=[delta.task for delta in diff.tasks_changed],
        edges_added=[list(edge) for edge in diff.edges_added],
        edges_removed=[list(edge) for edge in diff.edges_removed],
        tasks_renamed=[{"from": rename.before, "to": rename.after} for rename in diff.tasks_renamed],
        task_changes={delta.task: _key_entries(delta.changes) for delta in diff.tasks_changed},
    )
