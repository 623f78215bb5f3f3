"""Expiries that have taken place: who had a snapshot expired, when, why and by which rules, once it is long gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain.retention.explaining import joined
from app.domain.retention.explaining_tables import shown_bytes
from app.domain.retention.instants import shown_count, shown_instant, to_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class PastPolicy:
    """The rules that held for a table then, its own properties taken in."""

    keep_last_n: int
    keep_days: int
    keep_tagged: bool
    production_keep_days: int
    is_production: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PastExpiry:
    """What is known of a snapshot that a run of ours expired; `snapshots` and `freed_bytes` are of the whole run."""

    dataset: str
    snapshot_id: int
    timestamp_ms: int
    run_id: UUID
    at: datetime
    by: str
    reason: str | None
    policy: PastPolicy
    snapshots: int
    freed_bytes: int


def explain_past_expiry(expiry: PastExpiry) -> list[str]:
    """Sentences: who, when and why; by which rules nothing kept it; and what else went."""
    why = "without a reason given" if expiry.reason is None else f"because: {expiry.reason.rstrip('.')}"
    return [
        (
            f"Snapshot {expiry.snapshot_id} of {shown_instant(expiry.timestamp_ms)} was expired on "
            f"{shown_instant(to_ms(expiry.at))} by {expiry.by}, {why}."
        ),
        (
            f"Kept then were {joined(_kept(expiry.policy))}; none of that held for it, and no model version, release "
            "or hold needed it."
        ),
        (
            f"The same run, {expiry.run_id}, expired {shown_count(expiry.snapshots, 'snapshot')} and freed "
            f"{shown_bytes(expiry.freed_bytes)}."
        ),
    ]


def _kept(policy: PastPolicy) -> list[str]:
    days = policy.keep_days
    if policy.is_production:
        days = max(days, policy.production_keep_days)
    kept = ["the heads of branches"]
    if policy.keep_last_n > 1:
        kept.append(f"the newest {policy.keep_last_n:,} snapshots of each branch")
    if days:
        of = " of a production dataset" if policy.is_production else ""
        kept.append(f"what{of} was no older than {shown_count(days, 'day')}")
    return [*kept, "what a tag named" if policy.keep_tagged else "what a protected tag named"]
