"""Models, pipelines, runs and their tags as plain entries: the one shape in which REST, Python and the CLI show them.

Snapshot ids are texts, so that no JSON reader rounds them; times are RFC 3339 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from app.domain.models import Metric, Model, ModelVersion
from app.domain.pipelines import Pipeline, PipelineRun, PipelineVersion, RunDataset
from app.domain.tags import find_convention, find_protection
from app.domain.uses import VersionUse
from app.errors import JsonValue
from app.registry.version_tags import VersionTag
from app.services.listings import to_utc_text


class MetricEntry(TypedDict):
    """One measure; `higher_is_better` is None where nobody said."""

    name: str
    value: float | None
    higher_is_better: bool | None


class UseEntry(TypedDict):
    """A version of a dataset, and what it was used for; inferred where nobody told the version, but only the time."""

    dataset: str
    snapshot_id: str
    role: str
    inferred: bool


class ModelEntry(TypedDict):
    """One model; `latest` is the number of its latest version."""

    name: str
    description: str | None
    created_at: str
    latest: int | None


class ModelVersionEntry(TypedDict):
    """One version of a model."""

    model: str
    number: int
    label: str
    created_at: str
    created_by: str
    reason: str | None
    framework: str | None
    artifact_uri: str | None
    parameters: dict[str, JsonValue]
    metrics: list[MetricEntry]
    training_data: list[UseEntry]
    run_id: str | None
    archived_at: str | None
    tags: list[str]


class PipelineEntry(TypedDict):
    """One pipeline; `latest` is None for one that is known by its runs alone."""

    pipeline_id: str
    name: str
    description: str | None
    created_at: str
    latest: int | None


class PipelineVersionEntry(TypedDict):
    """One version of a pipeline."""

    pipeline_id: str
    number: int
    label: str
    created_at: str
    created_by: str
    reason: str | None
    dag: JsonValue
    dag_digest: str
    code: str | None
    code_hash: str | None
    git_commit: str | None
    tags: list[str]


class RunUseEntry(TypedDict):
    """A version that a run read or wrote; `version` is None where nobody knows which."""

    dataset: str
    version: str | None
    role: str
    inferred: bool


class RunEntry(TypedDict):
    """One run of a pipeline."""

    run_id: str
    pipeline_id: str
    version_number: int | None
    status: str
    started_at: str
    start_inferred: bool
    ended_at: str | None
    duration_ms: int | None
    error: str | None
    inputs: list[RunUseEntry]
    outputs: list[RunUseEntry]
    producer: str | None
    recorded_by: str | None
    parent_run_id: str | None
    git_commit: str | None
    source_url: str | None
    sql: str | None
    owners: list[dict[str, str | None]]


class VersionTagEntry(TypedDict):
    """One tag on a version of a model or pipeline."""

    name: str
    number: int
    convention: str | None
    protected: bool
    created_at: str
    created_by: str
    reason: str | None


def model_entry(model: Model, latest: Mapping[str, int]) -> ModelEntry:
    """The entry of a model."""
    return ModelEntry(
        name=model.name,
        description=model.description,
        created_at=to_utc_text(model.created_at),
        latest=latest.get(model.name),
    )


def model_version_entry(version: ModelVersion, tags: Iterable[VersionTag]) -> ModelVersionEntry:
    """The entry of a version; `tags` are those of its model."""
    return ModelVersionEntry(
        model=version.model,
        number=version.number,
        label=version.label,
        created_at=to_utc_text(version.created_at),
        created_by=version.created_by.subject,
        reason=version.reason,
        framework=version.framework,
        artifact_uri=version.artifact_uri,
        parameters=dict(version.parameters),
        metrics=[_metric_entry(metric) for metric in version.metrics],
        training_data=[use_entry(use) for use in version.training_data],
        run_id=None if version.run_id is None else str(version.run_id),
        archived_at=None if version.archived_at is None else to_utc_text(version.archived_at),
        tags=tags_on(version.number, tags),
    )


def use_entry(use: VersionUse) -> UseEntry:
    """The entry of a use."""
    return UseEntry(
        dataset=str(use.dataset), snapshot_id=str(use.snapshot_id), role=use.role.value, inferred=use.is_inferred
    )


def pipeline_entry(pipeline: Pipeline, latest: Mapping[str, int]) -> PipelineEntry:
    """The entry of a pipeline."""
    return PipelineEntry(
        pipeline_id=pipeline.pipeline_id,
        name=pipeline.name,
        description=pipeline.description,
        created_at=to_utc_text(pipeline.created_at),
        latest=latest.get(pipeline.pipeline_id),
    )


def pipeline_version_entry(version: PipelineVersion, tags: Iterable[VersionTag]) -> PipelineVersionEntry:
    """The entry of a version; `tags` are those of its pipeline."""
    return PipelineVersionEntry(
        pipeline_id=version.pipeline_id,
        number=version.number,
        label=version.label,
        created_at=to_utc_text(version.created_at),
        created_by=version.created_by.subject,
        reason=version.reason,
        dag=version.dag,
        dag_digest=version.dag_digest,
        code=version.code,
        code_hash=version.code_hash,
        git_commit=version.git_commit,
        tags=tags_on(version.number, tags),
    )


def run_entry(run: PipelineRun) -> RunEntry:
    """The entry of a run."""
    return RunEntry(
        run_id=str(run.run_id),
        pipeline_id=run.pipeline_id,
        version_number=run.version_number,
        status=run.status.value,
        started_at=to_utc_text(run.started_at),
        start_inferred=run.is_start_inferred,
        ended_at=None if run.ended_at is None else to_utc_text(run.ended_at),
        duration_ms=run.duration_ms,
        error=run.error,
        inputs=[_run_use_entry(use) for use in run.inputs],
        outputs=[_run_use_entry(use) for use in run.outputs],
        producer=run.producer,
        recorded_by=run.recorded_by,
        parent_run_id=None if run.parent_run_id is None else str(run.parent_run_id),
        git_commit=run.git_commit,
        source_url=run.source_url,
        sql=run.sql,
        owners=[{"name": owner.name, "type": owner.type} for owner in run.owners],
    )


def version_tag_entry(tag: VersionTag) -> VersionTagEntry:
    """The entry of a tag."""
    convention = find_convention(tag.name)
    return VersionTagEntry(
        name=tag.name,
        number=tag.number,
        convention=convention.value if convention else None,
        protected=find_protection(tag.name, is_requested=tag.is_protection_requested) is not None,
        created_at=to_utc_text(tag.set_at),
        created_by=tag.set_by.subject,
        reason=tag.reason,
    )


def tags_on(number: int, tags: Iterable[VersionTag]) -> list[str]:
    """The names of the tags that are on this version, in order."""
    return sorted(tag.name for tag in tags if tag.number == number)


def _metric_entry(metric: Metric) -> MetricEntry:
    return MetricEntry(name=metric.name, value=metric.value, higher_is_better=metric.higher_is_better)


def _run_use_entry(use: RunDataset) -> RunUseEntry:
    return RunUseEntry(
        dataset=use.vertex.name, version=use.vertex.version or None, role=use.role.value, inferred=use.is_inferred
    )
