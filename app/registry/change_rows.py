"""A change as a row of Postgres: how it is written, and what is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from app.domain.changes import (
    Actor,
    Change,
    ChangeKind,
    ChangeState,
    Command,
    DatasetSubject,
    ModelSubject,
    PipelineSubject,
    Subject,
)
from app.domain.history import RefKind
from app.domain.names import DatasetName
from app.domain.ref_plans import RefPlan
from app.errors import JsonValue

COLUMNS = (
    "change_id, kind, state, subject_kind, subject_name, table_uuid, namespace, table_name, actor, reason, plan, "
    "details, base_metadata, request_hash, intended_at, settled_at, lease_until < now() AS is_overdue"
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

    @classmethod
    def without_plan(
        cls,
        change_id: UUID,
        kind: ChangeKind,
        subject: DatasetSubject,
        command: Command,
        base_metadata: str,
        details: Mapping[str, JsonValue],
    ) -> Intent:
        """Of what is no plan for refs, such as a compaction. The command's key is not its own: what asked for it may do
        several, and has a record of its own.
        """
        return cls(
            change_id=change_id,
            kind=kind,
            dataset=subject.dataset,
            table_uuid=subject.table_uuid,
            command=Command(actor=command.actor, reason=command.reason),
            request_hash=b"",
            plan=RefPlan(updates=()),
            base_metadata=base_metadata,
            lease_s=0.0,
            details=details,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChange:
    """A change of a dataset with what is needed to settle or repeat it."""

    change: Change
    subject: DatasetSubject
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


def to_change(row: asyncpg.Record) -> Change:
    """The change in a row of `COLUMNS`."""
    return Change(
        change_id=row["change_id"],
        kind=ChangeKind(row["kind"]),
        state=ChangeState(row["state"]),
        subject=_subject(row),
        actor=Actor(subject=row["actor"]),
        reason=row["reason"],
        intended_at=row["intended_at"],
        settled_at=row["settled_at"],
        details=row["details"],
    )


def to_stored(row: asyncpg.Record) -> StoredChange:
    """The change of a dataset in a row of `COLUMNS`."""
    change = to_change(row)
    if not isinstance(change.subject, DatasetSubject):
        raise TypeError(f"change {change.change_id} is about {change.subject}, which is no dataset")
    return StoredChange(
        change=change,
        subject=change.subject,
        plan=RefPlan.from_json(row["plan"]),
        base_metadata=row["base_metadata"],
        request_hash=row["request_hash"],
        is_overdue=row["is_overdue"],
    )


def _subject(row: asyncpg.Record) -> Subject:
    match row["subject_kind"]:
        case "MODEL":
            return ModelSubject(name=row["subject_name"])
        case "PIPELINE":
            return PipelineSubject(pipeline_id=row["subject_name"])
        case _:
            dataset = DatasetName(namespace=row["namespace"], name=row["table_name"])
            return DatasetSubject(dataset=dataset, table_uuid=row["table_uuid"])
