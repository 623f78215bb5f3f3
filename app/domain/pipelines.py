"""Pipelines, their versions, and their runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from app.domain.changes import Actor
from app.domain.events import JobId, Owner
from app.domain.lineage import Vertex
from app.domain.names import is_storable
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus
from app.domain.uses import VersionUse
from app.errors import InvalidArgumentError, InvalidNameError, JsonValue

# The namespace of jobs that are told by `recordPipelineRun`: their name is the pipeline's id.
NATIVE_NAMESPACE = "stratigraph"
MAX_ID_CHARS = 500
# Schedulers may have names of any length, and Postgres' B-trees take keys of up to 2,704 bytes.
MAX_ID_BYTES = 1_000
MAX_CODE_CHARS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline: registered, or known by its runs alone."""

    pipeline_id: str
    name: str
    description: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineVersion:
    """One immutable version of a pipeline: its DAG, and its code where it was given."""

    pipeline_id: str
    number: int
    created_at: datetime
    created_by: Actor
    reason: str | None
    dag: JsonValue
    dag_digest: str
    code: str | None
    code_hash: str | None
    git_commit: str | None

    @property
    def label(self) -> str:
        """The version as people call it: `v3`."""
        return f"v{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDataset:
    """A version of a dataset that a run read or wrote; inferred where no event told which version."""

    vertex: Vertex
    role: InputRole
    is_inferred: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run as it is recorded through this system, begun or over."""

    run_id: UUID
    pipeline_id: str
    version_number: int | None
    status: RunStatus
    started_at: datetime | None
    ended_at: datetime | None
    inputs: tuple[VersionUse, ...]
    outputs: tuple[VersionUse, ...]
    error: str | None
    recorded_by: str

    def __post_init__(self) -> None:
        check_pipeline_id(self.pipeline_id)
        if self.status is RunStatus.RUNNING:
            if self.ended_at is not None:
                raise InvalidArgumentError("endedAt", "a run that goes on has not ended; give its status")
            if self.started_at is None:
                raise InvalidArgumentError("startedAt", "when did it start?")
        elif self.ended_at is None:
            raise InvalidArgumentError("endedAt", f"a run that is over ({self.status.value}) has ended at some time")
        if self.started_at is not None and self.ended_at is not None and self.ended_at < self.started_at:
            raise InvalidArgumentError(
                "endedAt", f"it ends at {self.ended_at.isoformat()}, before it starts at {self.started_at.isoformat()}"
            )
        if self.error is not None and self.status in (RunStatus.RUNNING, RunStatus.SUCCESS):
            raise InvalidArgumentError("error", f"a run that is {self.status.value} has no error")

    def with_data(self, *, inputs: Iterable[VersionUse], outputs: Iterable[VersionUse]) -> NewRun:
        """The same run, with what it read and wrote."""
        return replace(self, inputs=tuple(inputs), outputs=tuple(outputs))


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRun:
    """What all that was reported of a run amounts to, as of `event_count` reports."""

    run_id: UUID
    pipeline_id: str
    version_number: int | None
    status: RunStatus
    started_at: datetime
    is_start_inferred: bool
    ended_at: datetime | None
    error: str | None
    producer: str | None
    recorded_by: str | None
    parent_run_id: UUID | None
    sql: str | None
    source_url: str | None
    git_commit: str | None
    owners: tuple[Owner, ...]
    inputs: tuple[RunDataset, ...]
    outputs: tuple[RunDataset, ...]
    event_count: int

    @property
    def duration_ms(self) -> int | None:
        """How long it took; None while it runs, and where its start or end cannot be true."""
        if self.ended_at is None or self.is_start_inferred or self.ended_at < self.started_at:
            return None
        return round((self.ended_at - self.started_at).total_seconds() * 1000)


def check_pipeline_id(pipeline_id: str) -> str:
    """The id itself, once a pipeline may have it. That of a scheduler's job is `<namespace>/<name>`.

    Raises:
        InvalidNameError: empty, too long, or with a character that is not allowed.
    """
    if not pipeline_id.strip() or pipeline_id != pipeline_id.strip():
        raise InvalidNameError("pipeline", pipeline_id, "it is empty, or begins or ends with a space")
    if len(pipeline_id) > MAX_ID_CHARS or len(pipeline_id.encode(errors="replace")) > MAX_ID_BYTES:
        raise InvalidNameError("pipeline", pipeline_id, f"at most {MAX_ID_CHARS} characters are allowed")
    if not pipeline_id.isprintable() or not is_storable(pipeline_id):
        raise InvalidNameError("pipeline", pipeline_id, "it has an unprintable character")
    return pipeline_id


def pipeline_id_of(job: JobId) -> str:
    """The id under which a scheduler's job is a pipeline of ours: `<namespace>/<name>`."""
    whole = job.name if job.namespace == NATIVE_NAMESPACE else f"{job.namespace}/{job.name}"
    if len(whole.encode()) <= MAX_ID_BYTES:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()
    return f"{whole.encode()[: MAX_ID_BYTES - 80].decode(errors='ignore')}…{digest}"
