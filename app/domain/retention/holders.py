"""What needs snapshots of a table beyond the names of its tags: models, holds, releases, protection asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.domain.pins import Pin, PinState

HOLD_PREFIX = "hold_"
# A pin that is being set keeps its snapshot already; one that is to go keeps it no more.
_KEEPING = (PinState.WANTED, PinState.LIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Somebody's order to keep one snapshot until the hold is released, pinned by the tag `hold_<id>`."""

    hold_id: str
    snapshot_id: int
    reason: str
    actor: str
    placed_at: datetime | None = None

    @property
    def tag(self) -> str:
        """The tag that pins it."""
        return f"{HOLD_PREFIX}{self.hold_id}"

    @property
    def described(self) -> str:
        """What it is for and whose it is, in words."""
        return f"{self.reason}; by {self.actor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release that was made of a snapshot; `tag` is what pins it, where the release has a tag of its own.

    The rules know releases, and no store has any: what is released to production today is a `production_…` tag.
    """

    name: str
    snapshot_id: int
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """All that needs snapshots of one table.

    `pins` are those of model versions; only live and wanted ones count. `protected_tags` are the tags for which
    protection was asked; names that are protected by themselves need not be among them.
    """

    pins: tuple[Pin, ...] = ()
    holds: tuple[Hold, ...] = ()
    releases: tuple[Release, ...] = ()
    protected_tags: frozenset[str] = field(default=frozenset())

    @property
    def keeping_pins(self) -> tuple[Pin, ...]:
        """The pins that keep something."""
        return tuple(pin for pin in self.pins if pin.state in _KEEPING)

    @property
    def tags(self) -> frozenset[tuple[str, int]]:
        """The tags that these go by, each with the snapshot that it is needed on."""
        pins = {(pin.tag, pin.snapshot_id) for pin in self.keeping_pins}
        holds = {(hold.tag, hold.snapshot_id) for hold in self.holds}
        releases = {(each.tag, each.snapshot_id) for each in self.releases if each.tag is not None}
        return frozenset(pins | holds | releases)
