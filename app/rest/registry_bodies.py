"""The bodies of what is written to the registry, as JSON has them."""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, FailFast, Field, PlainValidator

from app.domain.models import MAX_METRICS, MAX_TRAINING_DATA, Metric
from app.domain.names import DatasetName
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus
from app.domain.versions import VersionSelector, parse_instant, parse_snapshot_id
from app.errors import InvalidReferenceError
from app.rest.bodies import Body
from app.rest.parameters import read_uuid

MAX_SAFE_INTEGER = 2**53 - 1
MAX_USES = 1_000

KIB = 1024
TAG_BYTES = PROMOTION_BYTES = ARCHIVE_BYTES = 64 * KIB
RUN_BYTES = 1024 * KIB
MODEL_BYTES = 4 * 1024 * KIB
# A DAG of 4 MiB and code of two million characters, each of which may be spelled in six bytes.
PIPELINE_BYTES = 16 * 1024 * KIB


def _read_dataset(value: Any) -> DatasetName:
    if isinstance(value, str):
        return DatasetName.parse(value)
    if isinstance(value, dict) and value.keys() == {"namespace", "name"}:
        namespace, name = value["namespace"], value["name"]
        if isinstance(namespace, str) and isinstance(name, str):
            return DatasetName.checked(namespace, name)
    raise ValueError('write "namespace.table", or {"namespace": …, "name": …}')


def _read_snapshot_id(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > MAX_SAFE_INTEGER:
            raise ValueError("a number above 2^53-1 may have been rounded on its way; write it as a text")
        value = str(value)
    return parse_snapshot_id(_text(value, "a snapshot id is a text of decimal digits"))


def _read_instant(value: Any) -> datetime:
    text = _text(value, "a time is a text such as 2026-02-15T10:00:00Z")
    try:
        return parse_instant(text)
    except InvalidReferenceError as error:
        raise ValueError(f"{text[:60]!r}: {error.fields['reason']}") from error


def _read_run_id(value: Any) -> UUID:
    return read_uuid("run_id", _text(value, "a run id is the text of a UUID"))


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(what)  # noqa: TRY004  pydantic takes a TypeError for a fault of ours
    return value


def _read_choice(kind: type[RunStatus] | type[InputRole]) -> PlainValidator:
    def read(value: Any) -> RunStatus | InputRole:
        known = [choice.value for choice in kind]
        if not isinstance(value, str) or value not in known:
            close = difflib.get_close_matches(str(value)[:40].upper(), known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"it is one of {', '.join(known)}{hint}")
        return kind(value)

    return PlainValidator(read)


def _read_metrics(value: Any) -> Any:
    if isinstance(value, dict):
        return [{"name": name, "value": number} for name, number in value.items()]
    return value


Dataset = Annotated[DatasetName, PlainValidator(_read_dataset)]
Instant = Annotated[datetime, PlainValidator(_read_instant)]
RunId = Annotated[UUID, PlainValidator(_read_run_id)]


class At(Body):
    """A version of a dataset: exactly one member; as a text it is `ref`."""

    ref: str | None = None
    snapshot_id: Annotated[int, PlainValidator(_read_snapshot_id)] | None = None
    tag: str | None = None
    branch: str | None = None
    as_of: Instant | None = None

    def to_selector(self) -> VersionSelector | str:
        """The version as the services take it."""
        if self.ref is not None and len(self.model_fields_set) == 1:
            return self.ref
        return VersionSelector(
            ref=self.ref, snapshot_id=self.snapshot_id, tag=self.tag, branch=self.branch, as_of=self.as_of
        )


DatasetVersion = Annotated[At, BeforeValidator(lambda value: {"ref": value} if isinstance(value, str) else value)]


class UseBody(Body):
    """A version of a dataset, and what it was used for."""

    dataset: Dataset
    at: DatasetVersion
    role: Annotated[InputRole, _read_choice(InputRole)] | None = None


class MetricBody(Body):
    """One measure."""

    name: str
    value: float
    higher_is_better: bool | None = None

    def to_metric(self) -> Metric:
        """The measure as a value."""
        return Metric(name=self.name, value=self.value, higher_is_better=self.higher_is_better)


Uses = Annotated[
    list[UseBody], FailFast(), Field(max_length=MAX_USES), BeforeValidator(lambda value: [] if value is None else value)
]


class ModelVersionBody(Body):
    """A model version to register; metrics as a list of objects, or as one object of names and values."""

    description: str | None = None
    framework: str | None = None
    artifact_uri: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    metrics: Annotated[list[MetricBody], FailFast(), Field(max_length=MAX_METRICS), BeforeValidator(_read_metrics)] = (
        Field(default_factory=list)
    )
    training_data: Annotated[list[UseBody], FailFast(), Field(max_length=MAX_TRAINING_DATA)] = Field(
        default_factory=list
    )
    run_id: RunId | None = None
    reason: str | None = None


class ArchiveBody(Body):
    """Why a version is archived, and where its artifact is to go."""

    cold_storage_uri: str | None = None
    reason: str | None = None


class PipelineVersionBody(Body):
    """A pipeline version to register."""

    dag: Any
    name: str | None = None
    description: str | None = None
    code: str | None = None
    git_commit: str | None = None
    reason: str | None = None


class RunBody(Body):
    """A run, begun or over."""

    run_id: RunId
    pipeline_id: str
    version_number: int | None = None
    status: Annotated[RunStatus, _read_choice(RunStatus)]
    started_at: Instant | None = None
    ended_at: Instant | None = None
    inputs: Uses = Field(default_factory=list)
    outputs: Uses = Field(default_factory=list)
    error: str | None = None


class PromotionBody(Body):
    """That a version of one dataset was made from a version of another."""

    source: Dataset
    source_at: DatasetVersion
    target: Dataset
    target_at: DatasetVersion
    pipeline_id: str | None = None
    reason: str | None = None


class TagBody(Body):
    """Where a tag is to be; with `expected` or `force` one that exists is moved."""

    version: Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)] | None = None
    expected: int | None = None
    force: bool = False
    protected: bool = False
    reason: str | None = None


class UntagBody(Body):
    """How a tag is removed."""

    expected: int | None = None
    force: bool = False
    reason: str | None = None
