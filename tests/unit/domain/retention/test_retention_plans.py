"""Whole plans: what goes, which tags go with it, what is warned of, and what is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.history import ENDLESS_AGE_MS, MAIN, LogEntry
from app.domain.retention.holders import Hold, Holders, Release
from app.domain.retention.instants import DAY_MS
from app.domain.retention.plans import RemovalCause, WarningKind, history_after
from app.domain.retention.policy import RetentionPolicy
from tests.unit.domain.retention.tables import (
    LEAST,
    NOW,
    NOW_MS,
    branch,
    kept_of,
    later,
    make_table,
    pin,
    plan_of,
    reasons_of,
    tag,
)

LINE = {1: 400, 2: 300, 3: 200, 4: 100}
UNTAGGED = replace(LEAST, keep_tagged=False)


def removed(plan):
    return {removal.ref.name: removal.cause for removal in plan.removals}


def warned(plan):
    return {warning.kind for warning in plan.warnings}


def test_plan_tells_what_stays_and_what_goes_newest_first():
    plan = plan_of(make_table(LINE, tag("t", 2)))

    assert [verdict.snapshot.snapshot_id for verdict in plan.verdicts] == [4, 3, 2, 1]
    assert [verdict.snapshot.snapshot_id for verdict in plan.kept] == [4, 2]
    assert [verdict.snapshot.snapshot_id for verdict in plan.expired] == [3, 1]
    assert plan.expired_ids == {3, 1}
    assert plan.find_verdict(5) is None
    assert not plan.is_empty


def test_table_without_snapshots_has_an_empty_plan():
    plan = plan_of(make_table({}))

    assert plan.verdicts == plan.removals == plan.warnings == ()
    assert plan.is_empty


def test_defaults_keep_30_and_90_days():
    ages = {number: 1000 - number for number in range(1, 1000)}

    plan = plan_of(make_table(ages), RetentionPolicy())

    # Then of one commit a day those of 90 days, and the thirty newest are among them
    assert kept_of(plan) == set(range(910, 1000))
    assert reasons_of(plan)[999] == ("head of main", "recent (top 30)", "within retention (90 days)")
    assert reasons_of(plan)[970] == ("recent (top 30)", "within retention (90 days)")
    assert reasons_of(plan)[969] == ("within retention (90 days)",)


@pytest.mark.parametrize(
    ("case", "ref", "policy", "cause"),
    [
        ("kept as all are", tag("t", 1), LEAST, None),
        ("with its snapshot", tag("t", 1), UNTAGGED, RemovalCause.PAST_RETENTION),
        ("on a snapshot that stays for something else", tag("t", 4), UNTAGGED, None),
        ("past its own age", tag("t", 1, 399), LEAST, RemovalCause.MAX_REF_AGE),
        ("past its own age, on a snapshot that stays", tag("t", 4, 99), LEAST, RemovalCause.MAX_REF_AGE),
        ("as old as its own age", tag("t", 1, 400), LEAST, None),
        ("within its own age", tag("t", 1, 401), UNTAGGED, None),
        ("production tag", tag("production_2026_02_15", 1, 1), UNTAGGED, None),
        ("production tag with a slip", tag("production_2026_2_15", 1), UNTAGGED, None),
        ("audit tag", tag("audit_Q4_2025", 1), UNTAGGED, None),
        ("hold", tag("hold_1", 1, 1), UNTAGGED, None),
        ("undo pin past its age", tag("pre_rollback_20250101T000000Z_1", 1, 90), LEAST, RemovalCause.MAX_REF_AGE),
        ("branch past its own age", branch("old", 1, ref_days=1), UNTAGGED, None),
    ],
)
def test_tag_goes_by_its_own_age_or_with_its_snapshot(case, ref, policy, cause):
    plan = plan_of(make_table(LINE, ref), policy)

    assert removed(plan) == ({} if cause is None else {ref.name: cause})
    if cause is None:
        assert ref.snapshot_id in kept_of(plan)


@pytest.mark.parametrize(
    ("case", "name", "holders"),
    [
        ("asked for", "t", Holders(protected_tags=frozenset({"t"}))),
        ("pin", "model_training_churn_v1", Holders(pins=(pin("churn", 1, 1),))),
        ("adopted pin", "t", Holders(pins=(pin("churn", 1, 1, tag="t", is_adopted=True),))),
        ("release", "r", Holders(releases=(Release(name="2026.1", snapshot_id=1, tag="r"),))),
        ("hold", "hold_7", Holders(holds=(Hold(hold_id="7", snapshot_id=1, reason="audit", actor="ada"),))),
    ],
)
@pytest.mark.parametrize("days", [None, 1])
def test_protected_tag_never_goes(case, name, holders, days):
    plan = plan_of(make_table(LINE, tag(name, 1, days)), UNTAGGED, holders=holders)

    assert plan.removals == ()
    assert kept_of(plan) == {1, 4}


def test_gc_enabled_false_lets_nothing_go_and_says_so():
    history = make_table(LINE, tag("old", 1, 1))

    plan = plan_of(history, UNTAGGED, properties={"gc.enabled": "false"})

    assert plan.is_empty
    assert reasons_of(plan)[1] == ("gc.enabled=false",)
    assert plan.find_verdict(1).expires_at_ms is None


def test_heads_of_all_branches_stay_also_those_that_other_engines_would_end():
    history = make_table(LINE, branch("dev", 1, ref_days=1), branch("old", 2, count=0, days=0))

    plan = plan_of(history, properties={"history.expire.max-ref-age-ms": "1"})

    assert kept_of(plan) == {1, 2, 4}
    warning = next(each for each in plan.warnings if each.kind is WarningKind.ENDED_ELSEWHERE)
    assert warning.refs == ("dev", "old")


def test_tag_that_other_engines_would_end_is_warned_of():
    history = make_table(LINE, tag("audit_Q4_2025", 1, 1), tag("gone", 1, 1), tag("good", 1, 500))

    plan = plan_of(history)

    warning = next(each for each in plan.warnings if each.kind is WarningKind.ENDED_ELSEWHERE)
    assert warning.refs == ("audit_Q4_2025",)
    assert removed(plan) == {"gone": RemovalCause.MAX_REF_AGE}


@pytest.mark.parametrize("age_ms", [None, 1, ENDLESS_AGE_MS])
def test_pins_stay_whatever_age_the_table_gives_to_refs_and_only_endless_ones_elsewhere(age_ms):
    # Given a pin and a hold in a table that ends refs after a day
    holders = Holders(
        pins=(pin("churn", 1, 1),), holds=(Hold(hold_id="7", snapshot_id=2, reason="audit", actor="ada"),)
    )
    tags = [
        replace(tag(name, at), max_ref_age_ms=age_ms) for name, at in (("model_training_churn_v1", 1), ("hold_7", 2))
    ]

    plan = plan_of(
        make_table(LINE, *tags), UNTAGGED, properties={"history.expire.max-ref-age-ms": str(DAY_MS)}, holders=holders
    )

    assert plan.removals == ()
    assert kept_of(plan) == {1, 2, 4}
    warned = [each.refs for each in plan.warnings if each.kind is WarningKind.ENDED_ELSEWHERE]
    assert warned == ([] if age_ms == ENDLESS_AGE_MS else [("hold_7", "model_training_churn_v1")])


def test_clock_that_is_behind_expires_less_and_is_warned_of():
    history = make_table(LINE)
    policy = RetentionPolicy(keep_last_n=0, keep_days=150)

    plan = plan_of(history, policy, now=NOW - timedelta(days=250))

    # Then what was 300 days old seems to be 50, and what is to come stays
    assert kept_of(plan) == {1, 2, 3, 4}
    assert kept_of(plan_of(history, policy)) == {4}
    assert warned(plan) == {WarningKind.CLOCK_BEHIND, WarningKind.FUTURE_SNAPSHOTS}
    future = next(each for each in plan.warnings if each.kind is WarningKind.FUTURE_SNAPSHOTS)
    assert future.snapshot_ids == (4, 3)


def test_one_snapshot_of_the_future_is_kept_and_told():
    plan = plan_of(make_table({1: 9, 2: -400, 3: 5}, parents={3: 1}), LEAST)

    assert reasons_of(plan)[2] == ("within retention (1 day)",)
    assert warned(plan) == {WarningKind.FUTURE_SNAPSHOTS}
    assert plan.find_verdict(2).expires_at_ms == NOW_MS + 401 * DAY_MS + 1


def test_snapshot_of_this_very_millisecond_is_not_of_the_future():
    assert plan_of(make_table({1: 9, 2: 0})).warnings == ()


def test_timestamps_that_run_back_are_told_beyond_what_clocks_differ_by():
    minute = 1 / 1440

    assert warned(plan_of(make_table({1: 3, 2: 3 + minute}))) == set()
    assert warned(plan_of(make_table({1: 3, 2: 3 + 2 * minute}))) == {WarningKind.DISORDERED_TIMESTAMPS}


def test_parents_in_a_circle_are_kept_and_told():
    history = make_table({1: 9, 2: 8, 3: 7, 4: 6}, parents={1: 2}, main=4)

    plan = plan_of(history)

    assert kept_of(plan) == {1, 2, 4}
    assert WarningKind.CIRCULAR_PARENTS in warned(plan)


def test_ref_without_its_snapshot_is_told_and_left_alone():
    plan = plan_of(make_table(LINE, tag("gone", 99, 1), branch("lost", 98)), UNTAGGED)

    warning = next(each for each in plan.warnings if each.kind is WarningKind.DANGLING_REF)
    assert warning.refs == ("gone", "lost")
    assert plan.removals == ()


def test_what_is_needed_but_gone_is_told():
    holders = Holders(
        pins=(pin("churn", 3, 77),),
        holds=(Hold(hold_id="7", snapshot_id=78, reason="audit", actor="ada"),),
        releases=(Release(name="2026.1", snapshot_id=79),),
    )

    plan = plan_of(make_table(LINE), holders=holders)

    lost = [each for each in plan.warnings if each.kind is WarningKind.LOST_DATA]
    assert [each.snapshot_ids for each in lost] == [(77,), (79,), (78,)]
    assert "training data of churn v3" in lost[0].text


def test_override_without_effect_is_told():
    plan = plan_of(make_table(LINE), RetentionPolicy(), properties={"retention.keep-days": "7"})

    assert [warning.kind for warning in plan.warnings] == [WarningKind.OVERRIDE_WITHOUT_EFFECT]
    assert "retention.keep-days=7" in plan.warnings[0].text


def test_texts_of_warnings_stay_short_however_many_they_are_about():
    ages = {number: -number for number in range(1, 2001)}

    plan = plan_of(make_table(ages))

    assert all(len(warning.text) < 300 for warning in plan.warnings)
    assert any("2,000 snapshots" in warning.text for warning in plan.warnings)


def test_what_is_left_has_no_trace_of_what_went_but_the_names_of_parents():
    history = make_table(LINE, tag("old", 2, 1), tag("keep", 3))
    log = tuple(LogEntry(timestamp_ms=NOW_MS - age * DAY_MS, snapshot_id=number) for number, age in LINE.items())
    history = replace(history, log=log)

    after = history_after(history, plan_of(history))

    assert after.snapshots.keys() == {3, 4}
    assert after.snapshots[3].parent_id == 2
    assert after.refs.keys() == {MAIN, "keep"}
    assert [entry.snapshot_id for entry in after.log] == [3, 4]


def test_log_begins_after_the_last_snapshot_that_went():
    history = make_table({1: 400, 2: 300, 3: 200})
    entries = [(1, 400), (2, 300), (1, 250), (3, 200)]
    log = tuple(LogEntry(timestamp_ms=NOW_MS - age * DAY_MS, snapshot_id=number) for number, age in entries)
    history = replace(history, refs=history.refs | {"t": tag("t", 2)}, log=log)

    after = history_after(history, plan_of(history))

    assert [entry.snapshot_id for entry in after.log] == [3]


def test_date_that_is_told_is_the_day_it_expires():
    history = make_table({1: 50, 2: 1})
    policy = RetentionPolicy(keep_last_n=0, keep_days=60)

    expires_at = plan_of(history, policy).find_verdict(1).expires_at

    assert expires_at == later(days=10, milliseconds=1)
    assert 1 in kept_of(plan_of(history, policy, now=expires_at - timedelta(milliseconds=1)))
    assert 1 not in kept_of(plan_of(history, policy, now=expires_at))


def test_a_thousand_branches_along_one_line_each_keep_their_own():
    # Given 1,000 branches along a line of 2,000 snapshots, with settings of their own
    ages = {number: 3000 - number for number in range(1, 2001)}
    heads = [branch(f"b{place}", 2000 - place, count=1 + place % 7, days=1 + place % 5) for place in range(1000)]

    plan = plan_of(make_table(ages, *heads))

    # Then each is kept for its own
    assert kept_of(plan) == set(range(996, 2001))
