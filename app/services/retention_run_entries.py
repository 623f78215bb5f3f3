"""Past runs of retention, and what became of single snapshots, as plain entries for REST, the CLI and Python."""

from __future__ import annotations

from typing import TypedDict

from app.domain.retention.explaining import explain_snapshot
from app.domain.retention.past import PastExpiry, explain_past_expiry
from app.domain.retention.plans import RetentionPlan, Verdict
from app.registry.retention_history import RunSummary
from app.registry.retention_runs import RunState
from app.services.listings import to_utc_text


class RunEntry(TypedDict):
    """A run that was committed; times are RFC 3339 in UTC. `is_done` is false while files are left to delete."""

    run_id: str
    operation_id: str | None
    at: str
    by: str
    reason: str | None
    kept: int
    expired: int
    removed_tags: int
    bytes_total: int
    bytes_planned: int
    bytes_freed: int
    files_planned: int
    files_deleted: int
    is_done: bool
    failure: str | None


class ExpiredEntry(TypedDict):
    """Who had a snapshot expired, when and why."""

    at: str
    by: str
    reason: str | None
    run_id: str


class VerdictEntry(TypedDict):
    """What becomes of a snapshot, or became of it.

    `state` is KEPT, EXPIRES (by the next run) or EXPIRED (by one of ours: `expired` tells which, null otherwise).
    """

    snapshot_id: str
    timestamp_ms: int
    state: str
    reasons: list[str]
    expires_at_ms: int | None
    expired: ExpiredEntry | None
    explanation: list[str]


def run_entry(run: RunSummary) -> RunEntry:
    """The entry of a past run."""
    return RunEntry(
        run_id=str(run.run_id),
        operation_id=None if run.operation_id is None else str(run.operation_id),
        at=to_utc_text(run.committed_at or run.planned_at),
        by=run.requested_by.subject,
        reason=run.reason,
        kept=run.kept,
        expired=run.expired,
        removed_tags=run.removed_tags,
        bytes_total=run.bytes_total,
        bytes_planned=run.bytes_planned,
        bytes_freed=run.bytes_freed,
        files_planned=run.files_planned,
        files_deleted=run.files_deleted,
        is_done=run.state is RunState.DONE,
        failure=run.failure,
    )


def verdict_entry(plan: RetentionPlan, verdict: Verdict) -> VerdictEntry:
    """The entry of a snapshot that is there."""
    return VerdictEntry(
        snapshot_id=str(verdict.snapshot.snapshot_id),
        timestamp_ms=verdict.snapshot.timestamp_ms,
        state="KEPT" if verdict.is_kept else "EXPIRES",
        reasons=list(verdict.texts),
        expires_at_ms=verdict.expires_at_ms,
        expired=None,
        explanation=explain_snapshot(plan, verdict),
    )


def past_entry(expiry: PastExpiry) -> VerdictEntry:
    """The entry of a snapshot that is gone."""
    return VerdictEntry(
        snapshot_id=str(expiry.snapshot_id),
        timestamp_ms=expiry.timestamp_ms,
        state="EXPIRED",
        reasons=[],
        expires_at_ms=None,
        expired=ExpiredEntry(at=to_utc_text(expiry.at), by=expiry.by, reason=expiry.reason, run_id=str(expiry.run_id)),
        explanation=explain_past_expiry(expiry),
    )
