"""Holds: snapshots that somebody wants kept until further notice, for an audit or a law case, with who and why."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.changes import Actor, Command
from app.domain.names import DatasetName
from app.errors import InvalidArgumentError

_ID_CHARS = 10


class HoldState(StrEnum):
    """How a hold stands. Only RELEASED ones keep nothing any more.

    WANTED: its tag is about to be set. RELEASING: its tag is to go.
    """

    WANTED = "WANTED"
    LIVE = "LIVE"
    RELEASING = "RELEASING"
    RELEASED = "RELEASED"

    @property
    def keeps(self) -> bool:
        """Whether the snapshot is to be kept."""
        return self in (HoldState.WANTED, HoldState.LIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A snapshot that is kept by the tag `hold_<id>`."""

    hold_id: str
    dataset: DatasetName
    table_uuid: UUID
    snapshot_id: int
    state: HoldState
    placed_by: Actor
    reason: str
    placed_at: datetime
    released_by: Actor | None = None
    release_reason: str | None = None
    released_at: datetime | None = None

    @property
    def tag(self) -> str:
        """The tag that keeps it."""
        return hold_tag(self.hold_id)


def hold_tag(hold_id: str) -> str:
    """The name of a hold's tag."""
    return f"hold_{hold_id}"


def new_hold_id(command: Command) -> str:
    """An id that nobody has; of the same idempotency key of the same actor always the same one."""
    if command.idempotency_key is None:
        digest = secrets.token_bytes(16)
    else:
        digest = hashlib.blake2b(repr((command.actor.subject, command.idempotency_key)).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:_ID_CHARS]


def reason_of(command: Command) -> str:
    """Why a hold is placed or released, which has to be said. Raises InvalidArgumentError."""
    if command.reason is None or not command.reason.strip():
        raise InvalidArgumentError("reason", "say why: a hold without a reason cannot be judged later")
    return command.reason.strip()
