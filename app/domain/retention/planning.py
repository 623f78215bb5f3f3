"""Planning retention: from the state of a table and what it is needed for to what stays and what goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from app.domain.history import History, Snapshot
from app.domain.retention import reasons
from app.domain.retention.holders import Holders
from app.domain.retention.instants import DAY_MS, end_of_span, to_ms
from app.domain.retention.lines import Along, Lines
from app.domain.retention.naming import TagFate, named_reasons, tag_fates
from app.domain.retention.oddities import find_oddities
from app.domain.retention.overrides import TableRules, rules_of_table
from app.domain.retention.plans import RefRemoval, RemovalCause, RetentionPlan, Verdict
from app.domain.retention.policy import RetentionPolicy
from app.domain.retention.reasons import Reason, ReasonKind

_ORDER = {kind: place for place, kind in enumerate(ReasonKind)}


def plan_retention(
    history: History,
    policy: RetentionPolicy,
    *,
    properties: Mapping[str, str],
    is_production: bool,
    holders: Holders,
    now: datetime,
) -> RetentionPlan:
    """What stays and what goes of a table at a moment, with all the reasons, and until when they hold.

    `properties` are the table's own, as its metadata has them. `is_production` is what `policy.is_production` says.

    The head of every branch stays, so branches do too: a max-ref-age-ms on a branch ends it in other engines, not here.
    The rules for ages hold for every snapshot, on a branch or not. A snapshot as old as a rule allows, to the
    millisecond, stays. What is younger than now says stays, so a clock that runs behind expires less. Time alone takes
    reasons away, at instants that do not depend on when the plan is made: what a plan expires, every later plan of
    the same table expires too. Carrying a plan out takes no reason from what stays.

    Costs a few passes over the snapshots, whatever the number of branches and tags.

    Raises:
        InvalidArgumentError: a table property with a value that it cannot have (`rules_of_table`).
    """
    rules = rules_of_table(policy, properties, is_production=is_production)
    now_ms = to_ms(now)
    lines = Lines(history)
    fates = tag_fates(history, rules, holders)
    named = named_reasons(history, fates, holders)
    lasting = _Lasting(history, rules, lines)
    verdicts = tuple(
        _verdict(snapshot, (*named.get(snapshot.snapshot_id, ()), *lasting.of(snapshot)), lines, now_ms)
        for snapshot in history.newest_first
    )
    removals = _removals(fates, {each.snapshot.snapshot_id for each in verdicts if not each.is_kept}, rules, now_ms)
    return RetentionPlan(
        now_ms=now_ms,
        rules=rules,
        verdicts=verdicts,
        removals=removals,
        warnings=find_oddities(history, rules, lines, holders, {each.ref.name for each in removals}, now_ms),
    )


class _Lasting:
    """The reasons that come of where a snapshot stands and how old it is."""

    def __init__(self, history: History, rules: TableRules, lines: Lines) -> None:
        self._rules = rules
        self._lines = lines
        iceberg = rules.iceberg
        self._counts = {
            branch.name: count
            for branch in history.branches
            if (count := _set_either(branch.min_snapshots_to_keep, iceberg.min_snapshots_to_keep)) is not None
        }
        spans_ms = {
            branch.name: span_ms
            for branch in history.branches
            if (span_ms := _set_either(branch.max_snapshot_age_ms, iceberg.max_snapshot_age_ms)) is not None
        }
        self._counted: Mapping[int, Along] = lines.counted(self._counts) if self._counts else {}
        self._longest: Mapping[int, Along] = lines.longest(spans_ms) if spans_ms else {}

    def of(self, snapshot: Snapshot) -> Iterator[Reason]:
        """All such reasons of one snapshot, also those that hold no more."""
        snapshot_id, policy = snapshot.snapshot_id, self._rules.policy
        made_ms = self._lines.made_ms[snapshot_id]
        place = self._lines.places.get(snapshot_id)
        if place is not None and place.amount < policy.keep_last_n:
            commits = policy.keep_last_n - place.amount
            yield reasons.recent(place.branch, policy.keep_last_n, commits)
        yield _aged(ReasonKind.WITHIN_RETENTION, made_ms, policy.keep_days * DAY_MS)
        if self._rules.is_production:
            yield _aged(ReasonKind.PRODUCTION, made_ms, policy.production_keep_days * DAY_MS)
        counted = self._counted.get(snapshot_id)
        if counted is not None:
            yield reasons.first_of_branch(counted.branch, self._counts[counted.branch], counted.amount)
        longest = self._longest.get(snapshot_id)
        if longest is not None:
            yield _aged(ReasonKind.MAX_SNAPSHOT_AGE, made_ms, longest.amount, longest.branch)
        elif place is None and self._rules.iceberg.max_snapshot_age_ms is not None:
            # What no branch leads to has the table's age (Iceberg's RemoveSnapshots). By its own timestamp: a parent
            # with a branch of its own may be gone sooner, and what it lent must not be missed then.
            yield _aged(ReasonKind.MAX_SNAPSHOT_AGE, snapshot.timestamp_ms, self._rules.iceberg.max_snapshot_age_ms)
        if not self._rules.is_gc_enabled:
            yield reasons.GC_DISABLED
        if snapshot_id in self._lines.circular:
            yield reasons.CIRCULAR


def _aged(kind: ReasonKind, made_ms: int, length_ms: int, branch: str | None = None) -> Reason:
    return Reason(
        kind=kind,
        text=reasons.age_text(kind, length_ms, branch),
        until_ms=end_of_span(made_ms, length_ms),
        ref=branch,
        limit=length_ms,
    )


def _verdict(snapshot: Snapshot, found: Iterable[Reason], lines: Lines, now_ms: int) -> Verdict:
    all_reasons = sorted(found, key=lambda reason: _ORDER[reason.kind])
    ends = [reason.until_ms for reason in all_reasons if reason.until_ms is not None]
    is_for_ever = len(ends) < len(all_reasons)
    place = lines.places.get(snapshot.snapshot_id)
    return Verdict(
        snapshot=snapshot,
        reasons=tuple(each for each in all_reasons if each.until_ms is None or each.until_ms >= now_ms),
        # There is always one: every snapshot has an age.
        expires_at_ms=None if is_for_ever else max(ends) + 1,
        made_ms=lines.made_ms[snapshot.snapshot_id],
        branch=place.branch if place else None,
        place=place.amount if place else None,
    )


def _removals(fates: Iterable[TagFate], expired: set[int], rules: TableRules, now_ms: int) -> tuple[RefRemoval, ...]:
    if not rules.is_gc_enabled:
        return ()
    found: list[RefRemoval] = []
    for fate in fates:
        if fate.ends_after_ms is not None and fate.ends_after_ms < now_ms:
            found.append(RefRemoval(ref=fate.tag, cause=RemovalCause.MAX_REF_AGE))
        elif fate.tag.snapshot_id in expired:
            found.append(RefRemoval(ref=fate.tag, cause=RemovalCause.PAST_RETENTION))
    return tuple(found)


def _set_either(own: int | None, table: int | None) -> int | None:
    return table if own is None else own
