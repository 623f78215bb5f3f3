"""Judging one snapshot after the other: its reasons in the order in which they are told, and when the last one ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from app.domain.history import History, Snapshot
from app.domain.retention import reasons
from app.domain.retention.instants import DAY_MS, end_of_span
from app.domain.retention.lines import Along, Lines
from app.domain.retention.overrides import TableRules
from app.domain.retention.plans import Verdict
from app.domain.retention.reasons import Reason, ReasonKind


class _Age(NamedTuple):
    """A rule that keeps what is no older than so much; `branch` is the one whose setting it is."""

    kind: ReasonKind
    text: str
    length_ms: int
    branch: str | None


class Judge:
    """What becomes of the snapshots of one table at one moment.

    `named` are the reasons that names give, by id of snapshot, also those that hold no more.
    """

    def __init__(
        self, history: History, rules: TableRules, lines: Lines, named: Mapping[int, list[Reason]], now_ms: int
    ) -> None:
        self._rules, self._lines, self._named, self._now_ms = rules, lines, named, now_ms
        self._heads: defaultdict[int, list[Reason]] = defaultdict(list)
        for branch in history.branches:
            self._heads[branch.snapshot_id].append(reasons.head_of(branch.name))
        policy, iceberg = rules.policy, rules.iceberg
        self._ages = [_age(ReasonKind.WITHIN_RETENTION, policy.keep_days * DAY_MS)]
        if rules.is_production:
            self._ages.append(_age(ReasonKind.PRODUCTION, policy.production_keep_days * DAY_MS))
        self._counts = {
            branch.name: count
            for branch in history.branches
            if (count := _either(branch.min_snapshots_to_keep, iceberg.min_snapshots_to_keep)) is not None
        }
        spans_ms = {
            branch.name: span_ms
            for branch in history.branches
            if (span_ms := _either(branch.max_snapshot_age_ms, iceberg.max_snapshot_age_ms)) is not None
        }
        self._counted = lines.counted(self._counts) if self._counts else {}
        self._longest = lines.longest(spans_ms) if spans_ms else {}
        self._branch_ages = {name: _age(ReasonKind.MAX_SNAPSHOT_AGE, span, name) for name, span in spans_ms.items()}
        # What no branch leads to has the table's age (Iceberg's RemoveSnapshots); what one does, the branch's.
        span_ms = iceberg.max_snapshot_age_ms
        self._loose_age = None if span_ms is None else _age(ReasonKind.MAX_SNAPSHOT_AGE, span_ms)
        # Of one branch all snapshots of a place have the same reason.
        self._recent: dict[Along, Reason] = {}

    def verdict(self, snapshot: Snapshot) -> Verdict:
        """What becomes of one."""
        snapshot_id = snapshot.snapshot_id
        place = self._lines.places.get(snapshot_id)
        made_ms = self._lines.made_ms[snapshot_id]
        found: list[Reason] = [*self._heads.get(snapshot_id, ())]
        ends: list[int] = []
        if place is not None and place.amount < self._rules.policy.keep_last_n:
            found.append(self._recent_at(place))
        for age in self._ages:
            self._try_age(age, made_ms, found, ends)
        for reason in self._named.get(snapshot_id, ()):
            if reason.until_ms is not None:
                ends.append(reason.until_ms)
            if reason.until_ms is None or reason.until_ms >= self._now_ms:
                found.append(reason)
        counted = self._counted.get(snapshot_id)
        if counted is not None:
            found.append(reasons.first_of_branch(counted.branch, self._counts[counted.branch], counted.amount))
        longest = self._longest.get(snapshot_id)
        if longest is not None:
            self._try_age(self._branch_ages[longest.branch], made_ms, found, ends)
        elif self._loose_age is not None:
            # By its own timestamp: a parent that is on a branch, with an age of its own, may be gone sooner, and what
            # it lent must not be missed then.
            self._try_age(self._loose_age, snapshot.timestamp_ms, found, ends)
        if not self._rules.is_gc_enabled:
            found.append(reasons.GC_DISABLED)
        if snapshot_id in self._lines.circular:
            found.append(reasons.CIRCULAR)
        return Verdict(
            snapshot=snapshot,
            reasons=tuple(found),
            # There is always an end, or a reason without one: every snapshot has an age.
            expires_at_ms=None if any(reason.until_ms is None for reason in found) else max(ends) + 1,
            made_ms=made_ms,
            branch=place.branch if place else None,
            place=place.amount if place else None,
        )

    def _recent_at(self, place: Along) -> Reason:
        if place not in self._recent:
            top = self._rules.policy.keep_last_n
            self._recent[place] = reasons.recent(place.branch, top, top - place.amount)
        return self._recent[place]

    def _try_age(self, age: _Age, made_ms: int, found: list[Reason], ends: list[int]) -> None:
        until_ms = end_of_span(made_ms, age.length_ms)
        if until_ms is not None:
            ends.append(until_ms)
        if until_ms is None or until_ms >= self._now_ms:
            found.append(Reason(kind=age.kind, text=age.text, until_ms=until_ms, ref=age.branch, limit=age.length_ms))


def _age(kind: ReasonKind, length_ms: int, branch: str | None = None) -> _Age:
    return _Age(kind, reasons.age_text(kind, length_ms, branch), length_ms, branch)


def _either(own: int | None, table: int | None) -> int | None:
    return table if own is None else own
