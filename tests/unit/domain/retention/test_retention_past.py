"""Past expiries in sentences."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.domain.retention.past import PastExpiry, PastPolicy, explain_past_expiry

RUN = UUID(int=7)
EXPIRY = PastExpiry(
    dataset="sales.orders",
    snapshot_id=123,
    timestamp_ms=1_771_149_600_000,
    run_id=RUN,
    at=datetime(2026, 5, 17, 2, 0, tzinfo=UTC),
    by="maria",
    reason="Weekly clean-up.",
    policy=PastPolicy(keep_last_n=30, keep_days=90, keep_tagged=True, production_keep_days=730, is_production=False),
    snapshots=105,
    freed_bytes=1536,
)


def test_who_when_why_by_which_rules_and_what_else_went() -> None:
    assert explain_past_expiry(EXPIRY) == [
        "Snapshot 123 of 2026-02-15 10:00 UTC was expired on 2026-05-17 02:00 UTC by maria, because: Weekly clean-up.",
        (
            "Kept then were the heads of branches, the newest 30 snapshots of each branch, what was no older than 90 "
            "days and what a tag named; none of that held for it, and no model version, release or hold needed it."
        ),
        f"The same run, {RUN}, expired 105 snapshots and freed 1.5 KB.",
    ]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ({"is_production": True}, "what of a production dataset was no older than 730 days"),
        ({"is_production": True, "keep_days": 800}, "what of a production dataset was no older than 800 days"),
        ({"keep_days": 1}, "what was no older than 1 day"),
        ({"keep_tagged": False}, "and what a protected tag named;"),
        ({"keep_last_n": 0, "keep_days": 0}, "Kept then were the heads of branches and what a tag named;"),
    ],
)
def test_the_rules_are_those_of_then(policy: dict[str, int], kept: str) -> None:
    expiry = replace(EXPIRY, policy=replace(EXPIRY.policy, **policy))  # type: ignore[arg-type]
    assert kept in explain_past_expiry(expiry)[1]


def test_a_reason_that_was_not_given_is_told_so() -> None:
    assert explain_past_expiry(replace(EXPIRY, reason=None))[0].endswith("by maria, without a reason given.")
