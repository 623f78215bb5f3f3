"""Who did what, when and why: the record that every mutation leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from app.domain.names import DatasetName, is_storable
from app.errors import InvalidArgumentError, JsonValue

MAX_ACTOR_CHARS = 200
MAX_REASON_CHARS = 2000
MAX_IDEMPOTENCY_KEY_CHARS = 200


class ChangeKind(StrEnum):
    """What was done."""

    TAG_CREATED = "TAG_CREATED"
    TAG_MOVED = "TAG_MOVED"
    TAG_DELETED = "TAG_DELETED"
    BRANCH_CREATED = "BRANCH_CREATED"
    BRANCH_DELETED = "BRANCH_DELETED"
    ROLLED_BACK = "ROLLED_BACK"
    ROLLBACK_UNDONE = "ROLLBACK_UNDONE"
    SNAPSHOTS_EXPIRED = "SNAPSHOTS_EXPIRED"
    ORPHANS_REMOVED = "ORPHANS_REMOVED"
    COMPACTED = "COMPACTED"
    MODEL_REGISTERED = "MODEL_REGISTERED"
    MODEL_ARCHIVED = "MODEL_ARCHIVED"
    PIPELINE_REGISTERED = "PIPELINE_REGISTERED"
    DATASET_PROMOTED = "DATASET_PROMOTED"


class ChangeState(StrEnum):
    """Where a change stands: written down first as INTENDED, then settled as one of the others.

    UNCHANGED is what was found so already; it is no change, and kept for the sake of its idempotency key alone.
    """

    INTENDED = "INTENDED"
    DONE = "DONE"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: a subject that some face vouches for."""

    subject: str

    @classmethod
    def checked(cls, subject: str) -> Actor:
        """The actor of that name.

        Raises:
            InvalidArgumentError: empty, too long or unprintable.
        """
        subject = subject.strip()
        if not subject or len(subject) > MAX_ACTOR_CHARS or not subject.isprintable():
            raise InvalidArgumentError("actor", f"a name of 1 to {MAX_ACTOR_CHARS} printable characters is needed")
        return cls(subject=subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What every mutation carries beside its own arguments."""

    actor: Actor
    reason: str | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        if self.reason is not None and len(self.reason) > MAX_REASON_CHARS:
            raise InvalidArgumentError("reason", f"it has more than {MAX_REASON_CHARS} characters")
        if self.reason is not None and not is_storable(self.reason):
            raise InvalidArgumentError("reason", "it has a character that cannot be kept: NUL or a lone surrogate")
        key = self.idempotency_key
        if key is not None and (not key or len(key) > MAX_IDEMPOTENCY_KEY_CHARS or not key.isprintable()):
            raise InvalidArgumentError(
                "idempotencyKey", f"a key of 1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable characters is needed"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSubject:
    """A dataset that something was done to, under the name that it had then."""

    dataset: DatasetName
    table_uuid: UUID

    def __str__(self) -> str:
        return str(self.dataset)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSubject:
    """A model that something was done to; `owner_field` is what errors tell it in."""

    owner_field: ClassVar[str] = "model"
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSubject:
    """A pipeline that something was done to; `owner_field` is what errors tell it in."""

    owner_field: ClassVar[str] = "pipelineId"
    pipeline_id: str

    def __str__(self) -> str:
        return self.pipeline_id


RegistrySubject = ModelSubject | PipelineSubject
Subject = DatasetSubject | RegistrySubject


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One recorded change of a dataset, a model or a pipeline."""

    change_id: UUID
    kind: ChangeKind
    state: ChangeState
    subject: Subject
    actor: Actor
    reason: str | None
    intended_at: datetime
    settled_at: datetime | None
    details: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """When it was done; when it was begun while that is open."""
        return self.settled_at or self.intended_at


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRecord:
    """What our record says about a tag: nothing of this is in Iceberg.

    Of a tag that another engine set and that was protected here, nobody knows who set it, when and why.
    """

    name: str
    snapshot_id: int
    set_at: datetime | None
    set_by: Actor | None
    reason: str | None
    is_protection_requested: bool
