"""Planning retention: from the state of a table and what it is needed for to what stays and what goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from app.domain.history import History
from app.domain.retention.holders import Holders
from app.domain.retention.instants import to_ms
from app.domain.retention.judging import Judge
from app.domain.retention.lines import Lines
from app.domain.retention.naming import TagFate, named_reasons, tag_fates
from app.domain.retention.oddities import find_oddities
from app.domain.retention.overrides import TableRules, rules_of_table
from app.domain.retention.plans import RefRemoval, RemovalCause, RetentionPlan
from app.domain.retention.policy import RetentionPolicy


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
        InvalidTablePropertyError: a table property with a value that it cannot have (`rules_of_table`).
    """
    rules = rules_of_table(policy, properties, is_production=is_production)
    now_ms = to_ms(now)
    lines = Lines(history)
    fates = tag_fates(history, rules, holders)
    judge = Judge(history, rules, lines, named_reasons(fates, holders), now_ms)
    verdicts = tuple(judge.verdict(snapshot) for snapshot in history.newest_first)
    removals = _removals(fates, {each.snapshot.snapshot_id for each in verdicts if not each.is_kept}, rules, now_ms)
    return RetentionPlan(
        now_ms=now_ms,
        rules=rules,
        verdicts=verdicts,
        removals=removals,
        warnings=find_oddities(history, rules, lines, holders, {each.ref.name for each in removals}, now_ms),
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
