"""What another registry of models holds, as values: read by a store, judged by rules, written by nobody here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class RunPresence(StrEnum):
    """Whether the run that made a version can still be asked."""

    NONE = "NONE"
    """The version names no run."""
    PRESENT = "PRESENT"
    DELETED = "DELETED"
    """Marked as deleted, its facts still there."""
    GONE = "GONE"
    """Removed for good: the version is all there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedDataset:
    """A dataset that a run logged as its input.

    `source` is JSON as the other registry has it (or any text), `schema` too. `context` says what it was for, in small
    letters (`training`, `validation`, `test`), where that was said; `tags` are those of the input, not of the run.
    """

    name: str
    source_type: str
    source: str
    digest: str
    schema: str | None = None
    context: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedVersion:
    """One version of a model, with the facts of the run that made it.

    `source` is what was registered, `artifact_uri` where the files are. Metrics are final values, and may be NaN or
    infinite; names are as they are, with slashes and blanks. Without a run (`run` says why) there are no metrics, no
    parameters, no datasets and no times of the run.
    """

    number: int
    created_at: datetime
    status: str
    source: str
    artifact_uri: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None
    run: RunPresence = RunPresence.NONE
    run_status: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    user: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[ImportedDataset, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel:
    """A registered model with all its versions in order of number, and its aliases (name -> number of a version)."""

    name: str
    created_at: datetime
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    versions: tuple[ImportedVersion, ...] = ()
