"""Laws of rollbacks, undos and their plans, over random tables."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.history import MAIN, RefKind
from app.domain.ref_changes import PRE_ROLLBACK, plan_rollback, plan_undo
from app.domain.ref_plans import RefPlan, check_plan_is_current
from app.domain.tags import check_ref_name
from app.errors import (
    HeadMovedError,
)
from tests.strategies import (
    NOW,
    apply_plan,
    named_ids,
    ref_plans,
    snapshot_ids,
    table_states,
)

MODERATE = settings(max_examples=30, deadline=None)


@st.composite
def rollbacks(draw):
    """A table, and a rollback of one of its branches to some other snapshot."""
    state = draw(table_states(min_snapshots=2))
    branch = draw(st.sampled_from([ref.name for ref in state.history.branches]))
    head = state.history.refs[branch].snapshot_id
    to_id = draw(st.sampled_from(sorted(state.history.snapshots.keys() - {head})))
    rollback = plan_rollback(
        state,
        to_id=to_id,
        branch=branch,
        expected_head=head,
        restore_schema=branch == MAIN and draw(st.booleans()),
        now=NOW + timedelta(milliseconds=draw(st.integers(0, 3))),
        keep_days=draw(st.integers(1, 36_500)),
    )
    return state, rollback


def undo_of(state, rollback):
    return plan_undo(
        state,
        undo_tag=rollback.undo_tag,
        branch=rollback.branch,
        expected_head=state.history.refs[rollback.branch].snapshot_id,
        restored_schema=rollback.plan.schema,
        now=NOW,
        keep_days=90,
    )


def without_undo_tags(state):
    return {name: ref for name, ref in state.history.refs.items() if not name.startswith(PRE_ROLLBACK)}


@MODERATE
@given(rolled=rollbacks())
def test_rollback_and_undo_leave_every_ref_and_the_schema_as_they_were(rolled):
    before, rollback = rolled
    between = apply_plan(before, rollback.plan)

    after = apply_plan(between, undo_of(between, rollback).plan)

    assert without_undo_tags(after) == without_undo_tags(before)
    assert after.current_schema_id == before.current_schema_id


@MODERATE
@given(rolled=rollbacks())
def test_rollback_changes_one_branch_alone_and_pins_the_head_it_left(rolled):
    before, rollback = rolled

    after = apply_plan(before, rollback.plan)

    expected = dict(before.history.refs)
    moved = expected.pop(rollback.branch)
    refs = dict(after.history.refs)
    branch, pin = refs.pop(rollback.branch), refs.pop(rollback.undo_tag)
    assert refs == expected
    assert branch.snapshot_id == rollback.to_id
    assert (branch.min_snapshots_to_keep, branch.max_snapshot_age_ms, branch.max_ref_age_ms) == (
        moved.min_snapshots_to_keep,
        moved.max_snapshot_age_ms,
        moved.max_ref_age_ms,
    )
    assert (pin.kind, pin.snapshot_id) == (RefKind.TAG, moved.snapshot_id)
    assert check_ref_name("tag", pin.name) == pin.name


@MODERATE
@given(rolled=rollbacks(), data=st.data())
def test_no_rollback_or_undo_takes_the_last_name_of_a_snapshot(rolled, data):
    state, rollback = rolled
    named = named_ids(state.history)
    between = apply_plan(state, rollback.plan)
    assert named <= named_ids(between.history)

    # Someone deletes other refs in between: what only they named is theirs to lose, the rest is not.
    gone = data.draw(st.sets(st.sampled_from(sorted(between.history.refs))), label="deleted meanwhile")
    refs = {
        name: ref
        for name, ref in between.history.refs.items()
        if name not in gone or name in (rollback.branch, rollback.undo_tag)
    }
    between = replace(between, history=replace(between.history, refs=refs))
    after = apply_plan(between, undo_of(between, rollback).plan)

    assert named_ids(between.history) <= named_ids(after.history)


@MODERATE
@given(rolled=rollbacks())
def test_plan_is_seen_in_its_own_step_alone(rolled):
    before, rollback = rolled
    between = apply_plan(before, rollback.plan)
    undone = undo_of(between, rollback)
    after = apply_plan(between, undone.plan)

    steps = [
        (before, between),
        (between, after),
        (before, before),
        (between, between),
        (after, after),
        (between, before),
    ]
    assert [rollback.plan.is_visible_in(*step) for step in steps] == [True, False, False, False, False, False]
    assert [undone.plan.is_visible_in(*step) for step in steps[:5]] == [False, True, False, False, False]


@MODERATE
@given(rolled=rollbacks(), data=st.data())
def test_plan_is_refused_once_any_ref_of_it_moved(rolled, data):
    before, rollback = rolled
    check_plan_is_current(before, rollback.plan)
    update = data.draw(st.sampled_from(rollback.plan.updates))
    elsewhere = data.draw(snapshot_ids.filter(lambda snapshot_id: snapshot_id != update.before))
    refs = {**before.history.refs, update.name: replace(update.after, snapshot_id=elsewhere)}
    moved = replace(before, history=replace(before.history, refs=refs))

    with pytest.raises(HeadMovedError) as caught:
        check_plan_is_current(moved, rollback.plan)

    assert caught.value.fields["expected"] == (None if update.before is None else str(update.before))
    assert caught.value.fields["actual"] == str(elsewhere)


@MODERATE
@given(plan=ref_plans())
def test_plans_round_trip_through_json(plan):
    for dump, load in ((json.dumps, json.loads), (orjson.dumps, orjson.loads)):
        assert RefPlan.from_json(load(dump(plan.to_json()))) == plan
