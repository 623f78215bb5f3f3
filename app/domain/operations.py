"""Long jobs: what is asked for, how it stands, and how that may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.changes import Actor
from app.errors import AppError, JsonValue

MAX_MESSAGE_CHARS = 500
_NUL, _SHOWN_NUL = "\x00", "\ufffd"


class OperationKind(StrEnum):
    """What is done."""

    ROW_DIFF = "ROW_DIFF"
    RETENTION = "RETENTION"
    ORPHANS = "ORPHANS"
    COMPACTION = "COMPACTION"


class OperationStatus(StrEnum):
    """Where an operation stands; it ends once, in one of the last three."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_ended(self) -> bool:
        """Whether nothing follows any more."""
        return not _FOLLOWING[self]

    def may_become(self, after: OperationStatus) -> bool:
        """Whether the one may follow the other."""
        return after in _FOLLOWING[self]


_FOLLOWING: Mapping[OperationStatus, frozenset[OperationStatus]] = {
    OperationStatus.QUEUED: frozenset({OperationStatus.RUNNING, OperationStatus.CANCELLED}),
    # RUNNING again: taken over from a worker that died. QUEUED again: given back by one that is told to stop.
    OperationStatus.RUNNING: frozenset(OperationStatus),
    OperationStatus.SUCCEEDED: frozenset(),
    OperationStatus.FAILED: frozenset(),
    OperationStatus.CANCELLED: frozenset(),
}
OPEN = tuple(status for status in OperationStatus if not status.is_ended)


class OperationCancelledError(Exception):
    """Raised in a handler whose operation shall not go on: it was cancelled, or is no longer this worker's.

    Not an answer to anybody, and so none of `app.errors`: what handles those must let it pass.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFailure:
    """What an operation failed of, as the faces tell errors."""

    code: str
    message: str
    fields: Mapping[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def of(cls, error: AppError) -> OperationFailure:
        """The failure that an expected error is."""
        return cls(code=error.code, message=error.message.replace(_NUL, _SHOWN_NUL), fields=error.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far an attempt is, from 0 to 1, and what it is at."""

    progress: float = 0.0
    message: str | None = None

    def advanced(self, fraction: float, message: str | None) -> Standing:
        """It is so far now, and never less far than it was; without a message, at what it was."""
        return Standing(
            progress=max(self.progress, min(fraction, 1.0)),
            message=self.message if message is None else _to_message(message),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A long job. Its result is not in it: that may be large, and is had by itself.

    `started_at` and `progress` (0 to 1) are those of the attempt that runs now or ran last; `attempts` counts those
    that a worker has begun and not given back.
    """

    operation_id: UUID
    kind: OperationKind
    status: OperationStatus
    request: Mapping[str, JsonValue]
    requested_by: Actor
    reason: str | None
    requested_at: datetime
    progress: float = 0.0
    message: str | None = None
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_cancel_requested: bool = False
    failure: OperationFailure | None = None


def _to_message(text: str) -> str:
    # Whatever a handler says of itself can be kept; what is cut says so.
    text = text.replace(_NUL, _SHOWN_NUL).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"
