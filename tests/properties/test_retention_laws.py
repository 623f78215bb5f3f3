"""Laws of retention, over random tables: branches, tags, ages, settings, expired parents, clocks that run back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.history import MAIN, History, Ref, RefKind
from app.domain.pins import PinState
from app.domain.retention.holders import Hold, Holders, Release
from app.domain.retention.iceberg import IcebergSettings, expire_as_iceberg
from app.domain.retention.instants import DAY_MS, to_ms
from app.domain.retention.overrides import rules_of_table
from app.domain.retention.plans import history_after
from app.domain.retention.policy import RetentionPolicy
from app.domain.retention.reasons import ReasonKind
from app.domain.versions import INT64_MAX
from tests.strategies import make_snapshot
from tests.unit.domain.retention.tables import NOW, NOW_MS, kept_of, pin, plan_of

MODERATE = settings(max_examples=30, deadline=None)
# Small numbers that meet: ages, counts and limits are of one range, so that limits are hit to the millisecond.
days = st.integers(0, 12)
# Names of every kind that the rules tell apart, as many as there can be tags.
TAG_NAMES = (
    "t1", "t2", "backup", "production_2026_02_15", "audit_2026", "hold_7", "model_training_churn_v1",
    "pre_rollback_20260215T100000000Z_1",
)  # fmt: skip
spans_ms = st.none() | days.map(lambda count: count * DAY_MS) | st.just(2**63 - 1)


@st.composite
def tables(draw: st.DrawFn) -> History:
    """Up to 14 snapshots, of which some have lost their parents, some run back in time and some are yet to come."""
    ids = list(range(1, draw(st.integers(1, 14)) + 1))
    snapshots = {}
    for number in ids:
        parent = draw(st.sampled_from([None, 99, *[other for other in ids if other < number]]))
        if number > 1 and draw(st.booleans()):
            parent = number - 1
        age_ms = draw(st.integers(-2, 12)) * DAY_MS + draw(st.sampled_from([-1, 0, 1]))
        snapshots[number] = make_snapshot(
            number, parent, timestamp_ms=NOW_MS - age_ms, sequence_number=draw(st.none() | st.just(number))
        )
    targets = st.sampled_from(ids)
    refs = {MAIN: draw(branches(MAIN, targets))}
    for name in draw(st.lists(st.sampled_from(["dev", "old", "x"]), unique=True)):
        refs[name] = draw(branches(name, targets))
    for name in draw(st.lists(st.sampled_from(TAG_NAMES), unique=True)):
        refs[name] = Ref(name=name, kind=RefKind.TAG, snapshot_id=draw(targets), max_ref_age_ms=draw(spans_ms))
    return History(snapshots=snapshots, refs=refs)


@st.composite
def branches(draw: st.DrawFn, name: str, targets: st.SearchStrategy[int]) -> Ref:
    return Ref(
        name=name,
        kind=RefKind.BRANCH,
        snapshot_id=draw(targets),
        min_snapshots_to_keep=draw(st.none() | st.integers(1, 6)),
        max_snapshot_age_ms=draw(spans_ms),
        max_ref_age_ms=draw(spans_ms),
    )


@st.composite
def policies(draw: st.DrawFn) -> RetentionPolicy:
    return RetentionPolicy(
        keep_last_n=draw(st.integers(0, 6)),
        keep_days=draw(st.integers(1, 12)),
        keep_tagged=draw(st.booleans()),
        production_keep_days=draw(st.integers(1, 12)),
    )


@st.composite
def properties(draw: st.DrawFn) -> dict[str, str]:
    spans = days.map(lambda count: str(count * DAY_MS))
    return draw(
        st.fixed_dictionaries(
            {},
            optional={
                "retention.keep-last-n": st.integers(0, 6).map(str),
                "retention.keep-days": st.integers(1, 12).map(str),
                "retention.keep-tagged": st.sampled_from(["true", "false"]),
                "retention.production": st.sampled_from(["true", "false"]),
                "history.expire.min-snapshots-to-keep": st.integers(0, 6).map(str),
                "history.expire.max-snapshot-age-ms": spans,
                "history.expire.max-ref-age-ms": spans,
            },
        )
    )


@st.composite
def holders_of(draw: st.DrawFn) -> Holders:
    """Some that are of snapshots which the table may not have."""
    targets = st.integers(1, 15)
    return Holders(
        pins=tuple(
            pin("churn", number, draw(targets), state=draw(st.sampled_from(PinState)), is_adopted=draw(st.booleans()))
            for number in draw(st.lists(st.integers(1, 3), unique=True))
        ),
        holds=tuple(
            Hold(hold_id=hold_id, snapshot_id=draw(targets), reason="audit", actor="ada")
            for hold_id in draw(st.lists(st.sampled_from(["7", "8"]), unique=True))
        ),
        releases=tuple(
            Release(name=name, snapshot_id=draw(targets), tag=draw(st.none() | st.sampled_from(TAG_NAMES)))
            for name in draw(st.lists(st.sampled_from(["r1", "r2"]), unique=True))
        ),
        protected_tags=frozenset(draw(st.lists(st.sampled_from(TAG_NAMES), max_size=2))),
    )


@st.composite
def questions(draw: st.DrawFn) -> tuple[History, dict[str, Any]]:
    """A table, and all else that a plan is made of."""
    asked = {
        "policy": draw(policies()),
        "properties": draw(properties()),
        "is_production": draw(st.booleans()),
        "holders": draw(holders_of()),
    }
    return draw(tables()), asked


spans = st.builds(timedelta, days=days, milliseconds=st.integers(-2, 2)).map(abs)


@MODERATE
@given(question=questions())
def test_every_snapshot_has_one_verdict_and_what_expires_has_no_reason(question):
    history, asked = question
    plan = plan_of(history, **asked)

    assert sorted(verdict.snapshot.snapshot_id for verdict in plan.verdicts) == sorted(history.snapshots)
    for verdict in plan.verdicts:
        assert verdict.is_kept is bool(verdict.reasons)
        assert verdict.expires_at_ms is None or (verdict.expires_at_ms > NOW_MS) is verdict.is_kept


@MODERATE
@given(question=questions())
def test_heads_and_what_is_needed_and_protected_always_stay(question):
    history, asked = question
    plan = plan_of(history, **asked)

    holders = asked["holders"]
    needed = {ref.snapshot_id for ref in history.branches}
    needed |= {each.snapshot_id for each in (*holders.keeping_pins, *holders.holds, *holders.releases)}
    protected = {name for name in history.refs if name in holders.protected_tags or name in TAG_NAMES[3:6]}
    needed |= {history.refs[name].snapshot_id for name in protected}
    assert needed & history.snapshots.keys() <= kept_of(plan)
    assert not plan.removed_refs & (protected | {branch.name for branch in history.branches})


@MODERATE
@given(question=questions())
def test_no_ref_is_left_without_its_snapshot(question):
    history, asked = question

    after = history_after(history, plan_of(history, **asked))

    assert {ref.snapshot_id for ref in after.refs.values()} <= after.snapshots.keys()


@MODERATE
@given(question=questions())
def test_plan_of_what_a_plan_leaves_is_empty(question):
    history, asked = question
    plan = plan_of(history, **asked)

    again = plan_of(history_after(history, plan), **asked)

    assert again.is_empty
    assert {verdict.snapshot.snapshot_id for verdict in again.verdicts} == kept_of(plan)


@MODERATE
@given(question=questions(), more=policies())
def test_policy_that_keeps_more_never_expires_more(question, more):
    history, asked = question
    policy = asked["policy"]
    generous = RetentionPolicy(
        keep_last_n=max(policy.keep_last_n, more.keep_last_n),
        keep_days=max(policy.keep_days, more.keep_days),
        keep_tagged=policy.keep_tagged or more.keep_tagged,
        production_keep_days=max(policy.production_keep_days, more.production_keep_days),
    )

    plan, other = plan_of(history, **asked), plan_of(history, **asked | {"policy": generous})

    assert other.expired_ids <= plan.expired_ids
    assert other.removed_refs <= plan.removed_refs


@MODERATE
@given(question=questions(), data=st.data())
def test_property_that_is_taken_away_never_keeps_more(question, data):
    history, asked = question
    kept = data.draw(st.sets(st.sampled_from(sorted(asked["properties"]))) if asked["properties"] else st.just(set()))
    fewer = {name: value for name, value in asked["properties"].items() if name in kept}

    assert plan_of(history, **asked).expired_ids <= plan_of(history, **asked | {"properties": fewer}).expired_ids


@MODERATE
@given(question=questions(), name=st.sampled_from(["new", *TAG_NAMES]), age_ms=spans_ms, data=st.data())
def test_new_tag_never_lets_more_expire(question, name, age_ms, data):
    history, asked = question
    target = data.draw(st.sampled_from(sorted(history.snapshots)))
    added = Ref(name=name, kind=RefKind.TAG, snapshot_id=target, max_ref_age_ms=age_ms)
    if name in history.refs:
        history = replace(history, refs={key: ref for key, ref in history.refs.items() if key != name})
    tagged = replace(history, refs=history.refs | {name: added})

    plan, other = plan_of(history, **asked), plan_of(tagged, **asked)

    assert other.expired_ids <= plan.expired_ids
    assert other.removed_refs - {name} <= plan.removed_refs


@MODERATE
@given(question=questions(), more=holders_of())
def test_new_hold_pin_release_or_protection_never_lets_more_expire(question, more):
    history, asked = question
    known = asked["holders"]
    together = Holders(
        pins=(*known.pins, *more.pins),
        holds=(*known.holds, *more.holds),
        releases=(*known.releases, *more.releases),
        protected_tags=known.protected_tags | more.protected_tags,
    )

    plan, other = plan_of(history, **asked), plan_of(history, **asked | {"holders": together})

    assert other.expired_ids <= plan.expired_ids
    assert other.removed_refs <= plan.removed_refs


@MODERATE
@given(question=questions(), span=spans)
def test_later_plan_expires_all_that_an_earlier_one_does(question, span):
    # Given one table, to which nothing happens but time. Then there is no exception: each reason holds over a span that
    # does not depend on when the plan is made.
    history, asked = question

    plan, later = plan_of(history, **asked), plan_of(history, **asked, now=NOW + span)

    assert plan.expired_ids <= later.expired_ids
    assert plan.removed_refs <= later.removed_refs


@MODERATE
@given(question=questions(), span=spans)
def test_clock_that_jumps_back_never_expires_more(question, span):
    history, asked = question

    assert plan_of(history, **asked, now=NOW - span).expired_ids <= plan_of(history, **asked).expired_ids


@MODERATE
@given(question=questions(), span=spans)
def test_plan_carried_out_expires_as_much_later_as_one_that_was_not(question, span):
    history, asked = question
    after = history_after(history, plan_of(history, **asked))

    left = kept_of(plan_of(after, **asked, now=NOW + span))

    # Then what is left may stay a little longer, where it was young but no branch leads to it any more
    assert kept_of(plan_of(history, **asked, now=NOW + span)) <= left


@MODERATE
@given(question=questions())
def test_date_of_expiry_is_exact(question):
    history, asked = question
    for verdict in plan_of(history, **asked).kept:
        number, expires_at = verdict.snapshot.snapshot_id, verdict.expires_at
        if expires_at is None:
            assert number in kept_of(plan_of(history, **asked, now=NOW + timedelta(days=400_000)))
        else:
            assert number in kept_of(plan_of(history, **asked, now=expires_at - timedelta(milliseconds=1)))
            assert number not in kept_of(plan_of(history, **asked, now=expires_at))


@MODERATE
@given(question=questions())
def test_each_reason_alone_would_do_until_it_ends(question):
    history, asked = question
    plan = plan_of(history, **asked)
    for verdict in plan.kept:
        for reason in verdict.reasons:
            assert reason.until_ms is None or reason.until_ms >= NOW_MS
            assert reason.text
        ends = [reason.until_ms for reason in verdict.reasons]
        assert verdict.expires_at_ms == (None if None in ends else max(ends) + 1)


@MODERATE
@given(question=questions())
def test_reasons_are_those_that_a_walk_along_each_branch_finds(question):
    # Given the rules as one would write them down: branch by branch, snapshot by snapshot
    history, asked = question
    rules = rules_of_table(asked["policy"], asked["properties"], is_production=asked["is_production"])
    recent, first, aged = set(), set(), set()
    for branch in history.branches:
        count, span_ms = branch.min_snapshots_to_keep, branch.max_snapshot_age_ms
        count = rules.iceberg.min_snapshots_to_keep if count is None else count
        span_ms = rules.iceberg.max_snapshot_age_ms if span_ms is None else span_ms
        for place, snapshot in enumerate(history.ancestors(branch.snapshot_id)):
            if place < rules.policy.keep_last_n:
                recent.add(snapshot.snapshot_id)
            if count is not None and place < count:
                first.add(snapshot.snapshot_id)
            made_ms = max(each.timestamp_ms for each in history.ancestors(snapshot.snapshot_id))
            if span_ms is not None and NOW_MS - made_ms <= span_ms:
                aged.add(snapshot.snapshot_id)

    verdicts = plan_of(history, **asked).verdicts

    # Then walking all at once finds the same
    def having(kind):
        return {each.snapshot.snapshot_id for each in verdicts if any(reason.kind is kind for reason in each.reasons)}

    assert having(ReasonKind.RECENT) == recent
    assert having(ReasonKind.MIN_SNAPSHOTS_TO_KEEP) == first
    on_branches = {each.snapshot.snapshot_id for each in verdicts if each.branch is not None}
    assert having(ReasonKind.MAX_SNAPSHOT_AGE) & on_branches == aged
    span_ms = rules.policy.keep_days * DAY_MS
    assert having(ReasonKind.WITHIN_RETENTION) == {
        number
        for number in history.snapshots
        if NOW_MS - max(each.timestamp_ms for each in history.ancestors(number)) <= span_ms
    }


@MODERATE
@given(question=questions())
def test_what_iceberg_keeps_by_settings_that_are_set_is_kept(question):
    # Given branches that Iceberg ends no more than we do: what is on one that ends has the table's age there
    history, asked = question
    endless = {branch.name: replace(branch, max_ref_age_ms=INT64_MAX) for branch in history.branches}
    history = replace(history, refs=history.refs | endless)

    # When Iceberg keeps nothing by what is not set
    given_ = asked["properties"]
    set_ = IcebergSettings(
        min_snapshots_to_keep=int(given_.get("history.expire.min-snapshots-to-keep", 0)),
        max_snapshot_age_ms=int(given_.get("history.expire.max-snapshot-age-ms", -(2**62))),
        max_ref_age_ms=int(given_.get("history.expire.max-ref-age-ms", -(2**62))),
    )
    retained = expire_as_iceberg(history, now_ms=NOW_MS, settings=set_).retained

    # Then whatever it keeps we keep too
    assert retained <= kept_of(plan_of(history, **asked))


@MODERATE
@given(question=questions(), name=st.sampled_from(["new", *TAG_NAMES]), age_ms=spans_ms, data=st.data())
def test_iceberg_alone_keeps_what_an_endless_tag_is_on(question, name, age_ms, data):
    history, _ = question
    target = data.draw(st.sampled_from(sorted(history.snapshots)))
    pin = Ref(name=name, kind=RefKind.TAG, snapshot_id=target, max_ref_age_ms=INT64_MAX)
    history = replace(history, refs=history.refs | {name: pin})

    found = expire_as_iceberg(history, now_ms=NOW_MS, settings=IcebergSettings(max_ref_age_ms=age_ms), retain_last=1)

    assert target in found.retained
    assert name not in found.removed_refs


@MODERATE
@given(question=questions(), older_ms=days.map(lambda count: NOW_MS - count * DAY_MS), last=st.integers(1, 6))
def test_iceberg_alone_keeps_main_and_every_ref_that_it_leaves(question, older_ms, last):
    history, _ = question

    found = expire_as_iceberg(history, now_ms=NOW_MS, older_than_ms=older_ms, retain_last=last)

    assert MAIN not in found.removed_refs
    left = [ref for name, ref in history.refs.items() if name not in found.removed_refs]
    assert {ref.snapshot_id for ref in left} <= found.retained
    assert found.retained | found.expired == history.snapshots.keys()
    assert not found.retained & found.expired


@MODERATE
@given(span=st.timedeltas(min_value=timedelta(days=-3000), max_value=timedelta(days=3000)))
def test_instants_become_milliseconds_without_rounding_up(span):
    instant = NOW + span

    milliseconds = to_ms(instant)

    assert NOW + timedelta(milliseconds=milliseconds - NOW_MS) <= instant
    assert instant < NOW + timedelta(milliseconds=milliseconds - NOW_MS + 1)
