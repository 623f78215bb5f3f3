"""A change as a row of Postgres: how it is written, and what is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from app.domain.changes import Actor, Change, ChangeKind, ChangeState, Command
from app.domain.history import RefKind
from app.domain.names import DatasetName
from app.domain.ref_plans import RefPlan
from app.errors import JsonValue

COLUMNS = (
    "change_id, kind, state, table_uuid, namespace, table_name, actor, reason, plan, details, base_metadata, "
    "request_hash, intended_at, settled_at, lease_until < now() AS is_overdue"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be done, written down before it is."""

    change_id: UUID
    kind: ChangeKind
    dataset: DatasetName
    table_uuid: UUID
    command: Command
    request_hash: bytes
    plan: RefPlan
    base_metadata: str
    lease_s: float
    is_protection_requested: bool = False
    details: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChange:
    """A change with what is needed to settle or repeat it."""

    change: Change
    plan: RefPlan
    base_metadata: str
    request_hash: bytes | None
    is_overdue: bool


class IdempotencyKeyTakenError(Exception):
    """Another attempt with this actor and key exists; look at it."""


async def insert_change(connection: Any, intent: Intent) -> None:
    """Write an intention. Raises IdempotencyKeyTakenError."""
    try:
        await connection.execute(
            """
            INSERT INTO changes (change_id, kind, table_uuid, namespace, table_name, actor, reason, plan,
                                 details, base_metadata, idempotency_key, request_hash, lease_until)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now() + make_interval(secs => $13))
            """,
            intent.change_id,
            intent.kind.value,
            intent.table_uuid,
            intent.dataset.namespace,
            intent.dataset.name,
            intent.command.actor.subject,
            intent.command.reason,
            intent.plan.to_json(),
            dict(intent.details),
            intent.base_metadata,
            intent.command.idempotency_key,
            intent.request_hash,
            intent.lease_s,
        )
    except asyncpg.UniqueViolationError as error:
        raise IdempotencyKeyTakenError from error


async def record_tags(connection: Any, plan: RefPlan, intent: Intent) -> None:
    """Write what a plan says of tags."""
    # A tag that is only asserted is no news, unless its protection is.
    records = [
        (intent.change_id, intent.table_uuid, update.name, update.after.snapshot_id, intent.is_protection_requested)
        for update in plan.updates
        if update.after is not None
        and update.after.kind is RefKind.TAG
        and (update.before != update.after.snapshot_id or intent.is_protection_requested)
    ]
    await connection.executemany(
        "INSERT INTO tag_records (change_id, table_uuid, tag, snapshot_id, is_protected) VALUES ($1, $2, $3, $4, $5)",
        records,
    )


def to_stored(row: asyncpg.Record) -> StoredChange:
    """The change in a row of `COLUMNS`."""
    change = Change(
        change_id=row["change_id"],
        kind=ChangeKind(row["kind"]),
        state=ChangeState(row["state"]),
        dataset=DatasetName(namespace=row["namespace"], name=row["table_name"]),
        table_uuid=row["table_uuid"],
        actor=Actor(subject=row["actor"]),
        reason=row["reason"],
        intended_at=row["intended_at"],
        settled_at=row["settled_at"],
        details=row["details"],
    )
    return StoredChange(
        change=change,
        plan=RefPlan.from_json(row["plan"]),
        base_metadata=row["base_metadata"],
        request_hash=row["request_hash"],
        is_overdue=row["is_overdue"],
    )
