"""What names a snapshot and so keeps it: tags, models, releases, holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.history import History, Ref
from app.domain.retention import reasons
from app.domain.retention.holders import HOLD_PREFIX, Holders
from app.domain.retention.instants import end_of_span
from app.domain.retention.overrides import TableRules
from app.domain.retention.reasons import Reason, ReasonKind
from app.domain.tags import TagConvention, find_convention, find_protection

_ORDER = {kind: place for place, kind in enumerate(ReasonKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFate:
    """What becomes of one tag.

    `reason` is what it keeps its snapshot for, until when; None where it keeps nothing by itself. After `ends_after_ms`
    the max-ref-age-ms that is set on it takes it away, whatever else keeps the snapshot.
    """

    tag: Ref
    reason: Reason | None
    ends_after_ms: int | None = None


def tag_fates(history: History, rules: TableRules, holders: Holders) -> tuple[TagFate, ...]:
    """What becomes of each tag whose snapshot there is, by name.

    A protected tag stays. So does every other one with `keep_tagged`, but for a max-ref-age-ms that is set on the tag
    itself: that decides of this tag alone, either way. Without `keep_tagged` a tag keeps nothing, unless the table sets
    `history.expire.max-ref-age-ms`, and goes with its snapshot. A ref is as old as its snapshot (Iceberg's spec).
    """
    needed = holders.tags
    own = _own_tags(holders)
    return tuple(
        _fate(tag, history.snapshots[tag.snapshot_id].timestamp_ms, rules, holders, needed, own)
        for tag in history.tags
        if tag.snapshot_id in history.snapshots
    )


def named_reasons(fates: tuple[TagFate, ...], holders: Holders) -> Mapping[int, list[Reason]]:
    """The reasons that tags and holders give, by id of snapshot, in the order in which they are told.

    Also of snapshots that the table does not have, and those that hold no more.
    """
    found: defaultdict[int, list[Reason]] = defaultdict(list)
    for fate in fates:
        if fate.reason is not None:
            found[fate.tag.snapshot_id].append(fate.reason)
    for pin in holders.keeping_pins:
        found[pin.snapshot_id].append(reasons.training_data_of(pin.model, pin.number, pin.tag))
    for release in holders.releases:
        found[release.snapshot_id].append(reasons.release_of(release.name, release.tag))
    for hold in holders.holds:
        found[hold.snapshot_id].append(reasons.held_by(hold.hold_id, hold.tag, hold.described))
    for each in found.values():
        each.sort(key=lambda reason: _ORDER[reason.kind])
    return found


def _own_tags(holders: Holders) -> frozenset[tuple[str, int]]:
    """The tags that are there for a holder alone, and go when it goes: what they keep is told once, as the holder's.

    An adopted tag is somebody else's too, and keeps its snapshot when the model is archived: that is told twice.
    """
    adopted = {(pin.tag, pin.snapshot_id) for pin in holders.keeping_pins if pin.is_adopted}
    return holders.tags - adopted


def _fate(
    tag: Ref,
    timestamp_ms: int,
    rules: TableRules,
    holders: Holders,
    needed: frozenset[tuple[str, int]],
    own: frozenset[tuple[str, int]],
) -> TagFate:
    key = (tag.name, tag.snapshot_id)
    is_requested = tag.name in holders.protected_tags or key in needed
    if find_protection(tag.name, is_requested=is_requested) is not None:
        reason = None if key in own else _reason(tag, None)
        return TagFate(tag=tag, reason=reason)
    if tag.max_ref_age_ms is not None:
        ends_after_ms = end_of_span(timestamp_ms, tag.max_ref_age_ms)
        return TagFate(tag=tag, reason=_reason(tag, ends_after_ms), ends_after_ms=ends_after_ms)
    if rules.policy.keep_tagged:
        return TagFate(tag=tag, reason=_reason(tag, None))
    if rules.iceberg.max_ref_age_ms is not None:
        reason = _reason(tag, end_of_span(timestamp_ms, rules.iceberg.max_ref_age_ms))
        return TagFate(tag=tag, reason=reason)
    return TagFate(tag=tag, reason=None)


def _reason(tag: Ref, until_ms: int | None) -> Reason:
    hold_id = tag.name.removeprefix(HOLD_PREFIX)
    if hold_id and hold_id != tag.name:
        # A hold that nobody recorded holds all the same: its tag is protected by its name.
        return reasons.held_by(hold_id, tag.name)
    if find_convention(tag.name) is TagConvention.PRE_ROLLBACK:
        return reasons.undo_pin(tag.name, until_ms)
    return reasons.tagged(tag.name, until_ms)
