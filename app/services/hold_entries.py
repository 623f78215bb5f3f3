"""Holds as plain entries: the one shape in which REST, Python and the CLI show them."""

from __future__ import annotations

from typing import TypedDict

from app.domain.holds import Hold
from app.services.listings import to_utc_text


class HoldEntry(TypedDict):
    """One hold; times are RFC 3339 in UTC. `dataset` is the name at which it was placed, `tag` what keeps it."""

    hold_id: str
    dataset: str
    snapshot_id: str
    tag: str
    state: str
    placed_by: str
    placed_at: str
    reason: str
    released_by: str | None
    released_at: str | None
    release_reason: str | None


def hold_entry(hold: Hold) -> HoldEntry:
    """The entry of a hold."""
    return HoldEntry(
        hold_id=hold.hold_id,
        dataset=str(hold.dataset),
        snapshot_id=str(hold.snapshot_id),
        tag=hold.tag,
        state=hold.state.value,
        placed_by=hold.placed_by.subject,
        placed_at=to_utc_text(hold.placed_at),
        reason=hold.reason,
        released_by=None if hold.released_by is None else hold.released_by.subject,
        released_at=None if hold.released_at is None else to_utc_text(hold.released_at),
        release_reason=hold.release_reason,
    )
