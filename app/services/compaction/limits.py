"""How far a run goes that somebody asks for by hand or by a job of their own."""

from __future__ import annotations

from app.services.compaction.sweeps import Limits

# Of tables that are come to by a schedule, those that are being written to are left to the next time.
DUE_SKIP_ACTIVE = "15m"


def parse_limits(budget: str | None = None, skip_active: str | None = None, *, is_due_only: bool = False) -> Limits:
    """As `Limits.parse`; of tables that are due `skip_active` is 15m unless given. Raises InvalidArgumentError."""
    unless_given = DUE_SKIP_ACTIVE if is_due_only else None
    return Limits.parse(
        budget=budget, is_due_only=is_due_only, skip_active=unless_given if skip_active is None else skip_active
    )
