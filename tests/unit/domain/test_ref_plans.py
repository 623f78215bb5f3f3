"""Plans as values: what they expect, whether a step made them, and how they are kept."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.domain.history import ENDLESS_AGE_MS, MAIN, RefKind
from app.domain.ref_plans import RefPlan, RefUpdate, SchemaUpdate, check_plan_is_current
from app.errors import HeadMovedError
from tests.strategies import DATASET, apply_plan, make_field, make_history, make_ref, make_schema, make_state

BEFORE = make_state(
    make_history(1, 2, 3, tags={"a": 1}),
    schemas=(make_schema(0, make_field(1, "id")), make_schema(1, make_field(1, "key"))),
    current_schema_id=1,
)
PLAN = RefPlan(
    updates=(
        RefUpdate(name="undo", before=None, after=make_ref("undo", 3)),
        RefUpdate(name=MAIN, before=3, after=make_ref(MAIN, 1, RefKind.BRANCH)),
        RefUpdate(name="a", before=1, after=None),
    ),
    schema=SchemaUpdate(before=1, after=0),
)
AFTER = apply_plan(BEFORE, PLAN)
MENDED = make_ref("a", 1, max_ref_age_ms=ENDLESS_AGE_MS)
MENDING = RefPlan(updates=(RefUpdate(name="a", before=1, after=MENDED, sets_age=True),))


def with_refs(state, **targets):
    refs = {name: ref for name, ref in state.history.refs.items() if targets.get(name, 0) is not None}
    refs |= {name: make_ref(name, target) for name, target in targets.items() if target is not None}
    return replace(state, history=replace(state.history, refs=refs))


def test_plan_is_seen_in_the_step_that_made_it():
    assert PLAN.is_visible_in(BEFORE, AFTER)


@pytest.mark.parametrize(
    ("case", "earlier", "later"),
    [
        ("nothing happened before it", BEFORE, BEFORE),
        ("nothing happened after it", AFTER, AFTER),
        ("the way back", AFTER, BEFORE),
        ("began with another head", with_refs(BEFORE, main=2), AFTER),
        ("began with the new tag", with_refs(BEFORE, undo=3), AFTER),
        ("began without the old tag", with_refs(BEFORE, a=None), AFTER),
        ("ended at another head", BEFORE, with_refs(AFTER, main=2)),
        ("ended with the new tag elsewhere", BEFORE, with_refs(AFTER, undo=2)),
        ("ended without the new tag", BEFORE, with_refs(AFTER, undo=None)),
        ("ended with the old tag", BEFORE, with_refs(AFTER, a=1)),
        ("began with another schema", replace(BEFORE, current_schema_id=0), AFTER),
        ("ended with another schema", BEFORE, replace(AFTER, current_schema_id=1)),
        ("an append by someone else", BEFORE, with_refs(BEFORE, main=99)),
    ],
)
def test_plan_is_not_seen_in_another_step(case, earlier, later):
    assert not PLAN.is_visible_in(earlier, later)


def with_tag(age_ms, at=1):
    """The table with tag `a`, of that age."""
    return replace(
        BEFORE,
        history=replace(
            BEFORE.history, refs=BEFORE.history.refs | {"a": replace(MENDED, snapshot_id=at, max_ref_age_ms=age_ms)}
        ),
    )


@pytest.mark.parametrize("age_ms", [None, 1])
def test_age_is_seen_in_the_step_that_set_it(age_ms):
    assert MENDING.is_visible_in(with_tag(age_ms), with_tag(ENDLESS_AGE_MS))


@pytest.mark.parametrize(
    ("case", "earlier", "later"),
    [
        ("nothing happened before it", with_tag(None), with_tag(None)),
        ("nothing happened after it", with_tag(ENDLESS_AGE_MS), with_tag(ENDLESS_AGE_MS)),
        ("another age", with_tag(None), with_tag(1)),
        ("the way back", with_tag(ENDLESS_AGE_MS), with_tag(None)),
        ("began elsewhere", with_tag(None, at=2), with_tag(ENDLESS_AGE_MS)),
        ("ended elsewhere", with_tag(None), with_tag(ENDLESS_AGE_MS, at=2)),
        ("the tag appeared", with_refs(BEFORE, a=None), with_tag(ENDLESS_AGE_MS)),
        ("the tag vanished", with_tag(None), with_refs(BEFORE, a=None)),
    ],
)
def test_age_is_not_seen_in_another_step(case, earlier, later):
    assert not MENDING.is_visible_in(earlier, later)


def test_update_is_an_assertion_where_nothing_of_the_ref_is_to_change():
    assert RefUpdate(name="a", before=1, after=MENDED).is_assertion
    assert not MENDING.updates[0].is_assertion
    assert not any(update.is_assertion for update in PLAN.updates)


def test_age_that_is_set_is_kept_in_the_record():
    data = MENDING.to_json()

    assert data["updates"][0]["setsAge"] is True
    assert RefPlan.from_json(json.loads(json.dumps(data))) == MENDING


def test_what_the_plan_does_not_speak_of_does_not_matter():
    assert replace(PLAN, schema=None).is_visible_in(
        with_refs(BEFORE, other=1), replace(with_refs(AFTER, other=2), current_schema_id=1)
    )


def test_plan_that_is_current_passes():
    check_plan_is_current(BEFORE, PLAN)


@pytest.mark.parametrize(
    ("case", "state", "ref", "expected", "actual"),
    [
        ("head moved", with_refs(BEFORE, main=2), MAIN, "3", "2"),
        ("tag appeared", with_refs(BEFORE, undo=2), "undo", None, "2"),
        ("tag vanished", with_refs(BEFORE, a=None), "a", "1", None),
    ],
)
def test_stale_plan_is_refused_with_what_was_expected_and_what_is(case, state, ref, expected, actual):
    with pytest.raises(HeadMovedError) as caught:
        check_plan_is_current(state, PLAN)

    assert caught.value.fields == {"dataset": DATASET, "ref": ref, "expected": expected, "actual": actual}


def test_plan_is_kept_with_its_ids_as_texts():
    data = PLAN.to_json()

    assert data["updates"][1] == {
        "name": MAIN,
        "before": "3",
        "after": {
            "kind": "branch",
            "snapshotId": "1",
            "minSnapshotsToKeep": None,
            "maxSnapshotAgeMs": None,
            "maxRefAgeMs": None,
        },
    }
    assert RefPlan.from_json(json.loads(json.dumps(data))) == PLAN


@pytest.mark.parametrize(
    ("case", "data", "error"),
    [
        ("no updates", {}, KeyError),
        ("updates that are no list", {"updates": "x"}, TypeError),
        # A plan of no updates would be seen in every step.
        ("an update that is no object", {"updates": ["x"]}, TypeError),
        ("an update without a name", {"updates": [{"before": None, "after": None}]}, KeyError),
        ("an id that is no number", {"updates": [{"name": "a", "before": "x", "after": None}]}, ValueError),
        ("an id that is a list", {"updates": [{"name": "a", "before": [], "after": None}]}, TypeError),
        ("a fractional id", {"updates": [{"name": "a", "before": 1.5, "after": None}]}, TypeError),
    ],
)
def test_record_that_is_no_plan_is_not_taken_for_one(case, data, error):
    with pytest.raises(error):
        RefPlan.from_json(data)
