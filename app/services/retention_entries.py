"""Retention as JSON: what a run keeps of its plan, and the shapes of the contract for REST, the CLI and Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from app.domain.expiry import FileTally
from app.domain.retention.plans import RetentionPlan, Verdict
from app.errors import JsonValue
from app.services.retention_planning import MeasuredPlan

# Of each list of a table, in the result of an operation: that of a thousand tables has to be kept and sent.
MAX_LISTED = 100


class SnapshotEntry(TypedDict):
    """A snapshot and why it is kept, expired without reasons; `expires_at_ms` is null of what stays as things are."""

    snapshot_id: str
    timestamp_ms: int
    reasons: list[str]
    expires_at_ms: int | None


class TableEntry(TypedDict):
    """What was done to a table, or would be. `error` is null where nothing failed.

    Counts and bytes are of all; the lists may be cut (`cut_entry`), and then their `…_truncated` is true.
    """

    namespace: str
    table: str
    total_snapshots: int
    kept: int
    expired: int
    kept_snapshots: list[SnapshotEntry]
    expired_snapshots: list[SnapshotEntry]
    kept_snapshots_truncated: bool
    expired_snapshots_truncated: bool
    removed_tags: list[str]
    removed_tags_truncated: bool
    bytes_freed: int
    bytes_total: int
    files_deleted: int
    files_left: int
    pinned: dict[str, int]
    pinned_truncated: bool
    warnings: list[str]
    run_id: str | None
    dry_run: bool
    error: dict[str, JsonValue] | None


class SummaryEntry(TypedDict):
    """All tables of a run."""

    tables: list[TableEntry]
    total_snapshots: int
    kept: int
    expired: int
    bytes_freed: int
    bytes_total: int


def run_document(planned: MeasuredPlan) -> dict[str, JsonValue]:
    """What a run was decided on, and what it decided: kept for as long as anybody may ask why."""
    plan = planned.plan
    return {
        "policy": policy_document(plan),
        "now_ms": plan.now_ms,
        "expiry": planned.files.expiry.to_json(),
        "kept": [_document(verdict) for verdict in plan.kept],
        "expired": [_document(verdict) for verdict in plan.expired],
        "removed_tags": [
            {
                "name": removal.ref.name,
                "snapshot_id": str(removal.ref.snapshot_id),
                "cause": removal.cause.value,
            }
            for removal in plan.removals
        ],
        "freed": _tally(planned.files.freed),
        "pinned": dict(planned.pinned),
    }


def policy_document(plan: RetentionPlan) -> dict[str, JsonValue]:
    """The rules that a table's plan was made by, its own properties taken in."""
    policy = plan.rules.policy
    return {
        "keep_last_n": policy.keep_last_n,
        "keep_days": policy.keep_days,
        "keep_tagged": policy.keep_tagged,
        "production_keep_days": policy.production_keep_days,
        "is_production": plan.rules.is_production,
        "gc_enabled": plan.rules.is_gc_enabled,
    }


def snapshot_entry(verdict: Verdict) -> SnapshotEntry:
    """A snapshot of a plan."""
    return SnapshotEntry(
        snapshot_id=str(verdict.snapshot.snapshot_id),
        timestamp_ms=verdict.snapshot.timestamp_ms,
        reasons=list(verdict.texts),
        expires_at_ms=verdict.expires_at_ms,
    )


def cut_entry(entry: TableEntry, limit: int = MAX_LISTED) -> TableEntry:
    """The entry with at most so many items in each list: the newest snapshots, the pins that keep most."""
    costly = sorted(entry["pinned"].items(), key=lambda pin: (-pin[1], pin[0]))
    return TableEntry(
        **{
            **entry,
            "kept_snapshots": entry["kept_snapshots"][:limit],
            "expired_snapshots": entry["expired_snapshots"][:limit],
            "kept_snapshots_truncated": entry["kept_snapshots_truncated"] or len(entry["kept_snapshots"]) > limit,
            "expired_snapshots_truncated": entry["expired_snapshots_truncated"]
            or len(entry["expired_snapshots"]) > limit,
            "removed_tags": entry["removed_tags"][:limit],
            "removed_tags_truncated": entry["removed_tags_truncated"] or len(entry["removed_tags"]) > limit,
            "pinned": dict(costly[:limit]),
            "pinned_truncated": entry["pinned_truncated"] or len(costly) > limit,
        }
    )


def summary_entry(tables: Sequence[TableEntry]) -> SummaryEntry:
    """All tables together; those that failed count with what is known of them."""
    return SummaryEntry(
        tables=list(tables),
        total_snapshots=sum(table["total_snapshots"] for table in tables),
        kept=sum(table["kept"] for table in tables),
        expired=sum(table["expired"] for table in tables),
        bytes_freed=sum(table["bytes_freed"] for table in tables),
        bytes_total=sum(table["bytes_total"] for table in tables),
    )


def _document(verdict: Verdict) -> dict[str, JsonValue]:
    return {
        "snapshot_id": str(verdict.snapshot.snapshot_id),
        "timestamp_ms": verdict.snapshot.timestamp_ms,
        "reasons": list(verdict.texts),
        "expires_at_ms": verdict.expires_at_ms,
    }


def _tally(tally: FileTally) -> dict[str, JsonValue]:
    return {
        "files": {kind.value: count for kind, count in tally.files.items()},
        "bytes": {kind.value: size for kind, size in tally.bytes.items()},
    }
