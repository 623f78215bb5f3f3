"""Runs of retention that have taken place, and what became of snapshots that are gone."""

from __future__ import annotations

from datetime import datetime

import strawberry

from app.domain.changes import Actor as DomainActor
from app.domain.history import to_instant
from app.domain.retention.past import PastExpiry as DomainExpiry
from app.domain.retention.past import explain_past_expiry
from app.graphql.scalars import BigInt, SnapshotId
from app.graphql.types.actor import Actor, show_actor
from app.registry.retention_history import RunSummary
from app.registry.retention_runs import RunState


@strawberry.type(description="A run of retention that took snapshots out of a dataset.")
class RetentionRun:
    """A run of retention."""

    run_id: strawberry.ID = strawberry.field(description="The run's UUID.")
    operation_id: strawberry.ID | None = strawberry.field(
        description="The UUID of the operation that it was part of; null where it was of none."
    )
    at: datetime = strawberry.field(description="When the snapshots were taken out.")
    by: Actor = strawberry.field(description="Who asked for it.")
    reason: str | None = strawberry.field(description="Why, in the words of who asked for it.")
    kept: int = strawberry.field(description="How many snapshots it left.")
    expired: int = strawberry.field(description="How many snapshots it took out.")
    removed_tags: int = strawberry.field(description="How many tags went with them.")
    bytes_total: BigInt = strawberry.field(description="Bytes that the dataset had before it.")
    bytes_planned: BigInt = strawberry.field(description="Bytes that it was to free.")
    bytes_freed: BigInt = strawberry.field(description="Bytes that are freed by now.")
    files_planned: BigInt = strawberry.field(description="Files that it was to delete.")
    files_deleted: BigInt = strawberry.field(description="Files that are deleted by now.")
    is_done: bool = strawberry.field(
        description="Whether nothing of it is left to do; what is left, the next run does."
    )
    failure: str | None = strawberry.field(description="Why files were kept that were to be deleted, where they were.")

    @classmethod
    def of(cls, run: RunSummary) -> RetentionRun:
        """A run as GraphQL shows it."""
        return cls(
            run_id=strawberry.ID(str(run.run_id)),
            operation_id=None if run.operation_id is None else strawberry.ID(str(run.operation_id)),
            at=run.committed_at or run.planned_at,
            by=show_actor(run.requested_by),
            reason=run.reason,
            kept=run.kept,
            expired=run.expired,
            removed_tags=run.removed_tags,
            bytes_total=BigInt(run.bytes_total),
            bytes_planned=BigInt(run.bytes_planned),
            bytes_freed=BigInt(run.bytes_freed),
            files_planned=BigInt(run.files_planned),
            files_deleted=BigInt(run.files_deleted),
            is_done=run.state is RunState.DONE,
            failure=run.failure,
        )


@strawberry.type(description="What is known of a snapshot that a run of retention took out of its dataset.")
class PastExpiry:
    """What is known of a snapshot that was expired."""

    snapshot_id: SnapshotId = strawberry.field(description="Iceberg's id of the snapshot.")
    created_at: datetime = strawberry.field(description="When the snapshot was committed.")
    expired_at: datetime = strawberry.field(description="When it was taken out.")
    by: Actor = strawberry.field(description="Who asked for it.")
    reason: str | None = strawberry.field(description="Why, in the words of who asked for it.")
    run_id: strawberry.ID = strawberry.field(description="The UUID of the run, as `Dataset.retentionRuns` has it.")
    explanation: list[str] = strawberry.field(
        description="The same in sentences, with the rules that held then and what else went."
    )

    @classmethod
    def of(cls, expiry: DomainExpiry) -> PastExpiry:
        """A past expiry as GraphQL shows it."""
        return cls(
            snapshot_id=SnapshotId(expiry.snapshot_id),
            created_at=to_instant(expiry.timestamp_ms),
            expired_at=expiry.at,
            by=show_actor(DomainActor(subject=expiry.by)),
            reason=expiry.reason,
            run_id=strawberry.ID(str(expiry.run_id)),
            explanation=explain_past_expiry(expiry),
        )
