"""What a lineage event says, whatever format it came in: runs, jobs and datasets as their producers report them.

Nothing here is resolved: a dataset is what its producer calls it, and a version is a text. An event is known by the
hash of its body, so that the same one sent twice is one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar
from uuid import UUID

from app.domain.names import escape_key
from app.domain.roles import InputRole

# Postgres' B-trees take keys of up to 2,704 bytes, and two names of 2,000 characters can have 16,000.
MAX_KEY_BYTES = 1000


class EventType(StrEnum):
    """Which transition of its run an event reports (OpenLineage's `eventType`)."""

    START = "START"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ABORT = "ABORT"
    FAIL = "FAIL"
    OTHER = "OTHER"

    @property
    def is_terminal(self) -> bool:
        """Whether the run is over with it."""
        return self in (EventType.COMPLETE, EventType.ABORT, EventType.FAIL)


class DatasetRole(StrEnum):
    """How a run or job uses a dataset."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


class LifecycleChange(StrEnum):
    """What an event did to a dataset as a whole."""

    ALTER = "ALTER"
    CREATE = "CREATE"
    DROP = "DROP"
    OVERWRITE = "OVERWRITE"
    RENAME = "RENAME"
    TRUNCATE = "TRUNCATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWarning:
    """What was left out or guessed when an event was read, and where: an RFC 6901 pointer into the event."""

    pointer: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class JobId:
    """A job, as its scheduler calls it."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DatasetId:
    """A dataset, as the producer calls it: often a location rather than the name of a table."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Alias:
    """Another name of the same dataset (a symlink); `type` is TABLE, VIEW, LOCATION or what else a producer says."""

    namespace: str
    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventField:
    """A column as an event describes it; `type` in the words of its engine."""

    name: str
    type: str | None = None
    description: str | None = None
    fields: tuple[EventField, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnUse:
    """One column of an output that depends on a column of an input.

    `column` is None where the input decides about whole rows of the output (filters, joins, grouping, sorting).
    `transformation` is `DIRECT/IDENTITY`, `INDIRECT/GROUP_BY` or the like; older producers give the last part alone.
    """

    column: str | None
    dataset: DatasetId
    field: str
    transformation: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """A lifecycle change; of a rename, also what the dataset was called before."""

    change: LifecycleChange
    previous: DatasetId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who answers for a job or dataset."""

    name: str
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetUse:
    """A dataset as one event says that it was used; None and empty where the event is silent.

    `purpose` is what an input was read for; INPUT where the event does not say more.
    """

    dataset: DatasetId
    role: DatasetRole
    version: str | None = None
    purpose: InputRole = InputRole.INPUT
    aliases: tuple[Alias, ...] = ()
    fields: tuple[EventField, ...] = ()
    columns: tuple[ColumnUse, ...] = ()
    lifecycle: Lifecycle | None = None
    row_count: int | None = None
    size_bytes: int | None = None
    owners: tuple[Owner, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLocation:
    """Where the code of a job is kept; `version` is a commit, not a branch."""

    type: str | None
    url: str
    repo_url: str | None = None
    path: str | None = None
    version: str | None = None
    tag: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCode:
    """The code of a job itself."""

    language: str | None
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What an event says about its job beside the name."""

    sql: str | None = None
    location: SourceLocation | None = None
    code: SourceCode | None = None
    owners: tuple[Owner, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentRun:
    """The run that started this one."""

    run_id: UUID
    job: JobId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """Why a run failed."""

    message: str
    stack_trace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """A run reports about itself; `event_time` is UTC, to the microsecond.

    Who recorded it and the number of its pipeline's version are told only by what was recorded through this system.
    """

    run_id: UUID
    type: EventType
    event_time: datetime
    body_hash: bytes
    job: JobId
    producer: str | None = None
    facts: JobFacts = JobFacts()
    parent: ParentRun | None = None
    failure: RunFailure | None = None
    recorded_by: str | None = None
    pipeline_version: int | None = None
    inputs: tuple[DatasetUse, ...] = ()
    outputs: tuple[DatasetUse, ...] = ()
    warnings: tuple[EventWarning, ...] = ()

    @property
    def run_key(self) -> str:
        """What the event is merged by."""
        return run_key(self.run_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """What a job reads and writes, told without a run."""

    event_time: datetime
    body_hash: bytes
    job: JobId
    producer: str | None = None
    facts: JobFacts = JobFacts()
    inputs: tuple[DatasetUse, ...] = ()
    outputs: tuple[DatasetUse, ...] = ()
    warnings: tuple[EventWarning, ...] = ()

    @property
    def run_key(self) -> str:
        """What the event is merged by."""
        return _named_key("job", self.job.namespace, self.job.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetEvent:
    """What a dataset is, told without a run; its role is OUTPUT, so that every facet has a place."""

    event_time: datetime
    body_hash: bytes
    dataset: DatasetUse
    producer: str | None = None
    warnings: tuple[EventWarning, ...] = ()

    @property
    def run_key(self) -> str:
        """What the event is merged by."""
        return _named_key("dataset", self.dataset.dataset.namespace, self.dataset.dataset.name)


LineageEvent = RunEvent | JobEvent | DatasetEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedEvent:
    """An event and the canonical bytes of its body, of which `event.body_hash` is the SHA-256."""

    event: LineageEvent
    body: bytes


def run_key(run_id: UUID) -> str:
    """The key of all events of a run."""
    return f"run:{run_id}"


def _named_key(kind: str, namespace: str, name: str) -> str:
    key = f"{kind}:{escape_key(namespace)}|{escape_key(name)}"
    if len(key.encode()) <= MAX_KEY_BYTES:
        return key
    # A short one always has a bar, so that no name can look like this.
    return f"{kind}:sha256-{hashlib.sha256(key.encode()).hexdigest()}"


def unite(uses: Sequence[DatasetUse]) -> DatasetUse:
    """What several uses of one dataset say together, later ones having the last word; its version is the last one told.

    Aliases are united; of every other fact the last that is told holds as a whole.
    """
    first = uses[0]
    if any((use.dataset, use.role) != (first.dataset, first.role) for use in uses):
        raise ValueError(f"uses of other datasets than {first.dataset}")
    return replace(
        first,
        version=_last(use.version for use in uses),
        purpose=_last(use.purpose for use in uses if use.purpose is not InputRole.INPUT) or InputRole.INPUT,
        aliases=tuple(sorted({alias for use in uses for alias in use.aliases})),
        fields=_last_told(use.fields for use in uses),
        columns=_last_told(use.columns for use in uses),
        lifecycle=_last(use.lifecycle for use in uses),
        row_count=_last(use.row_count for use in uses),
        size_bytes=_last(use.size_bytes for use in uses),
        owners=_last_told(use.owners for use in uses),
    )


def by_dataset(uses: Iterable[DatasetUse]) -> dict[DatasetId, list[DatasetUse]]:
    """Uses by what they use, in the order of their first mention."""
    found: dict[DatasetId, list[DatasetUse]] = {}
    for use in uses:
        found.setdefault(use.dataset, []).append(use)
    return found


def merge_repeated(uses: Iterable[DatasetUse]) -> tuple[DatasetUse, ...]:
    """One use for each dataset and version: a table read at two versions is told twice, and was used twice."""
    merged: list[DatasetUse] = []
    for same in by_dataset(uses).values():
        whole = unite(same)
        versions = dict.fromkeys(use.version for use in same if use.version is not None)
        merged += [at_version(whole, same, version) for version in versions] or [whole]
    return tuple(merged)


def at_version(whole: DatasetUse, uses: Iterable[DatasetUse], version: str) -> DatasetUse:
    """One version of a dataset of which `uses` are all uses, and `whole` what they say together.

    What it was read for is what was said of this very version, or of no version: a run may train on one and test on
    another.
    """
    told = [use.purpose for use in uses if use.version in (version, None) and use.purpose is not InputRole.INPUT]
    return replace(whole, version=version, purpose=_last(told) or InputRole.INPUT)


class _Sized(Protocol):
    def __len__(self) -> int: ...


_T = TypeVar("_T")
_S = TypeVar("_S", bound=_Sized)


def _last(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in reversed(list(values)) if value is not None), None)


def _last_told(values: Iterable[_S]) -> _S:
    told = list(values)
    return next((value for value in reversed(told) if len(value)), told[-1])
