"""The audit of tags: what each is for, how old it is, and whether anybody may still need it.

How long a tag lives, by its convention, before somebody should look at it:

| convention     | life       | because                                                                              |
|----------------|------------|--------------------------------------------------------------------------------------|
| PRODUCTION     | 730 days   | as long as a production dataset's snapshots are kept anyway                           |
| PRE_MIGRATION  | 180 days   | a migration that nobody took back in half a year stays                                |
| MODEL_TRAINING | 365 days   | one that a live model needs is a pin and never stale; others are set by hand      |
| AUDIT          | 2,557 days | seven years, as auditors of listed companies keep records (17 CFR § 210.2-06)          |
| GOLD_VALIDATED | 400 days   | a year and the days to compare a month with the same month of the year before          |
| PRE_ROLLBACK   | 90 days    | as long as an undo is offered, unless its own max-ref-age-ms says otherwise            |
| none           | 365 days   | what no convention explains should be confirmed once a year                            |

A max-ref-age-ms that is set on a tag counts instead, unless it has no end: that keeps engines from removing the tag,
and does not say for how long somebody needs it. A hold lives until it is released. A tag past its life is told, and
nothing else: only retention removes tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.changes import TagRecord
from app.domain.history import History, Ref
from app.domain.retention.holders import HOLD_PREFIX, Hold, Holders
from app.domain.retention.instants import DAY_MS, shown_count, shown_span, to_ms
from app.domain.tags import CONVENTIONS, TagConvention, find_convention, find_protection, warnings_for

LIVES_DAYS: Mapping[TagConvention | None, int] = {
    TagConvention.PRODUCTION: 730,
    TagConvention.PRE_MIGRATION: 180,
    TagConvention.MODEL_TRAINING: 365,
    TagConvention.AUDIT: 2_557,
    TagConvention.GOLD_VALIDATED: 400,
    TagConvention.PRE_ROLLBACK: 90,
    None: 365,
}
_PROTECTS = {rule.convention: rule.protects for rule in CONVENTIONS}


class Staleness(StrEnum):
    """Why a tag may be one that nobody needs."""

    AMBIGUOUS_NAME = "AMBIGUOUS_NAME"
    PAST_LIFE = "PAST_LIFE"
    UNKNOWN_HOLD = "UNKNOWN_HOLD"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleReason:
    """One such reason, as a sentence."""

    kind: Staleness
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TagAudit:
    """What is known of one tag.

    `set_at_ms` is when it was set: as our record has it, else its snapshot's timestamp, before which it cannot have
    been; `is_age_known` tells which. `purposes` are what it is for, from what needs it to what its name says; empty
    where nobody knows. `life_ms` is None of what lives as long as it is needed.
    """

    tag: Ref
    convention: TagConvention | None
    is_protected: bool
    owner: str | None
    set_at_ms: int
    is_age_known: bool
    age_ms: int
    life_ms: int | None
    purposes: tuple[str, ...]
    stale: tuple[StaleReason, ...]

    @property
    def is_stale(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.stale)


def audit_tags(
    history: History, holders: Holders, records: Mapping[str, TagRecord], now: datetime
) -> tuple[TagAudit, ...]:
    """What is known of each tag whose snapshot there is, by name; `records` are those of the table's tags, by name."""
    now_ms = to_ms(now)
    holds = {(hold.tag, hold.snapshot_id): hold for hold in holders.holds}
    return tuple(
        _audit(tag, history.snapshots[tag.snapshot_id].timestamp_ms, holders, holds, records.get(tag.name), now_ms)
        for tag in history.tags
        if tag.snapshot_id in history.snapshots
    )


def _audit(
    tag: Ref,
    timestamp_ms: int,
    holders: Holders,
    holds: Mapping[tuple[str, int], Hold],
    record: TagRecord | None,
    now_ms: int,
) -> TagAudit:
    if record is not None and record.snapshot_id != tag.snapshot_id:
        # Somebody else moved the tag since: the record is of one that is no more.
        record = None
    key = (tag.name, tag.snapshot_id)
    hold = holds.get(key)
    is_needed = key in holders.tags
    is_hold = tag.name.startswith(HOLD_PREFIX)
    convention = find_convention(tag.name)
    known_ms = _known_ms(hold, record)
    set_at_ms = timestamp_ms if known_ms is None else known_ms
    # A clock that ran backwards makes nothing younger than new.
    age_ms = max(0, now_ms - set_at_ms)
    life_ms = None if is_needed or is_hold else _life_ms(tag, convention, set_at_ms, timestamp_ms)
    requested = tag.name in holders.protected_tags or (record is not None and record.is_protection_requested)
    return TagAudit(
        tag=tag,
        convention=convention,
        is_protected=find_protection(tag.name, is_requested=requested or is_needed) is not None,
        owner=_owner(hold, record),
        set_at_ms=set_at_ms,
        is_age_known=known_ms is not None,
        age_ms=age_ms,
        life_ms=life_ms,
        purposes=_purposes(key, convention, holders, hold, record),
        stale=() if is_needed else _stale(tag, convention, age_ms, life_ms, is_hold=is_hold),
    )


def _known_ms(hold: Hold | None, record: TagRecord | None) -> int | None:
    if hold is not None and hold.placed_at is not None:
        return to_ms(hold.placed_at)
    return to_ms(record.set_at) if record is not None and record.set_at is not None else None


def _owner(hold: Hold | None, record: TagRecord | None) -> str | None:
    if hold is not None:
        return hold.actor
    return record.set_by.subject if record is not None and record.set_by is not None else None


def _life_ms(tag: Ref, convention: TagConvention | None, set_at_ms: int, timestamp_ms: int) -> int:
    """How long after it was set the tag is past its life: what is set on it, else what its convention says."""
    if tag.max_ref_age_ms is None or tag.is_endless:
        return LIVES_DAYS[convention] * DAY_MS
    return max(0, timestamp_ms + tag.max_ref_age_ms - set_at_ms)


def _purposes(
    key: tuple[str, int],
    convention: TagConvention | None,
    holders: Holders,
    hold: Hold | None,
    record: TagRecord | None,
) -> tuple[str, ...]:
    found = [f"training data of {p.model} v{p.number}" for p in holders.keeping_pins if (p.tag, p.snapshot_id) == key]
    found += [f"release {each.name}" for each in holders.releases if (each.tag, each.snapshot_id) == key]
    if hold is not None:
        found.append(f"hold {hold.hold_id}: {hold.reason}")
    if record is not None and record.reason and not any(record.reason in purpose for purpose in found):
        found.append(record.reason)
    if not found and convention is not None:
        found.append(_PROTECTS[convention])
    return tuple(found)


def _stale(
    tag: Ref, convention: TagConvention | None, age_ms: int, life_ms: int | None, *, is_hold: bool
) -> tuple[StaleReason, ...]:
    if is_hold:
        text = f"No hold is recorded by which {tag.name!r} would be there; nobody can release it."
        return (StaleReason(kind=Staleness.UNKNOWN_HOLD, text=text),)
    found = [StaleReason(kind=Staleness.AMBIGUOUS_NAME, text=text) for text in warnings_for(tag.name)]
    if life_ms is not None and age_ms > life_ms:
        what = "tags outside the conventions" if convention is None else f"tags of convention {convention}"
        if tag.max_ref_age_ms is not None and not tag.is_endless:
            what = "this tag, by its max-ref-age-ms,"
        text = f"It is {shown_count(age_ms // DAY_MS, 'day')} old, and {what} are for {shown_span(life_ms)}."
        found.append(StaleReason(kind=Staleness.PAST_LIFE, text=text))
    return tuple(found)
