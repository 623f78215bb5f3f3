"""Deciding on tags and branches: the plan, or the typed refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.history import END_OF_TIME_MS, ENDLESS_AGE_MS, RefKind
from app.domain.ref_changes import (
    plan_branch,
    plan_branch_removal,
    plan_tag,
    plan_tag_move,
    plan_tag_removal,
)
from app.domain.ref_plans import RefUpdate
from app.errors import (
    BranchExistsError,
    BranchNotFoundError,
    HeadMovedError,
    InvalidNameError,
    ProtectedBranchError,
    ProtectedTagError,
    TagExistsError,
    TagNotFoundError,
)
from tests.strategies import (
    DATASET,
    apply_plan,
    make_history,
    make_ref,
    make_state,
)

DAY_MS = 24 * 60 * 60 * 1000
STATE = make_state(
    make_history(1, 2, 3, tags={"a": 1, "production_2026_02_15": 2, "pre_rollback_mine": 1}, branches={"dev": 2})
)


@pytest.mark.parametrize(
    ("case", "plan", "kind"), [("tag", plan_tag, RefKind.TAG), ("branch", plan_branch, RefKind.BRANCH)]
)
def test_new_ref_is_expected_absent(case, plan, kind):
    planned = plan(STATE, "new", 2)

    assert planned.updates == (RefUpdate(name="new", before=None, after=make_ref("new", 2, kind)),)


@pytest.mark.parametrize(("case", "plan", "name", "at"), [("tag", plan_tag, "a", 1), ("branch", plan_branch, "dev", 2)])
def test_ref_that_is_there_already_needs_no_plan(case, plan, name, at):
    assert plan(STATE, name, at) is None


def test_endless_tag_has_the_largest_age():
    planned = plan_tag(STATE, "new", 2, endless=True)

    assert planned.updates == (
        RefUpdate(name="new", before=None, after=make_ref("new", 2, max_ref_age_ms=ENDLESS_AGE_MS)),
    )


@pytest.mark.parametrize("age_ms", [None, 1, DAY_MS, END_OF_TIME_MS - 1])
def test_tag_that_may_end_is_made_endless_where_it_is(age_ms):
    state = replace(STATE, history=replace(STATE.history, refs={"a": make_ref("a", 1, max_ref_age_ms=age_ms)}))

    planned = plan_tag(state, "a", 1, endless=True)

    mended = make_ref("a", 1, max_ref_age_ms=ENDLESS_AGE_MS)
    assert planned.updates == (RefUpdate(name="a", before=1, after=mended, sets_age=True),)
    assert apply_plan(state, planned).history.refs == {"a": mended}
    assert plan_tag(apply_plan(state, planned), "a", 1, endless=True) is None


@pytest.mark.parametrize(
    ("age_ms", "endless"), [(ENDLESS_AGE_MS, True), (END_OF_TIME_MS, True), (ENDLESS_AGE_MS, False), (DAY_MS, False)]
)
def test_tag_that_is_no_less_than_asked_for_needs_no_plan(age_ms, endless):
    state = replace(STATE, history=replace(STATE.history, refs={"a": make_ref("a", 1, max_ref_age_ms=age_ms)}))

    assert plan_tag(state, "a", 1, endless=endless) is None


@pytest.mark.parametrize(
    ("case", "plan", "name", "at", "error", "existing"),
    [
        ("tag elsewhere", plan_tag, "a", 2, TagExistsError, "1"),
        ("tag named like a branch", plan_tag, "dev", 2, BranchExistsError, "2"),
        ("branch elsewhere", plan_branch, "dev", 3, BranchExistsError, "2"),
        ("branch named like a tag", plan_branch, "a", 1, TagExistsError, "1"),
    ],
)
def test_name_that_is_taken_is_refused_with_what_has_it(case, plan, name, at, error, existing):
    with pytest.raises(error) as caught:
        plan(STATE, name, at)

    assert caught.value.fields == {"dataset": DATASET, "ref": name, "existing": existing}


@pytest.mark.parametrize("plan", [plan_tag, plan_branch])
@pytest.mark.parametrize(("case", "name"), [("main", "main"), ("latest", "latest"), ("space", "a b"), ("empty", "")])
def test_name_that_is_not_allowed_is_refused(case, name, plan):
    with pytest.raises(InvalidNameError):
        plan(STATE, name, 2)


def test_moved_tag_keeps_its_age():
    state = make_state(make_history(1, 2))
    state = replace(state, history=replace(state.history, refs={"a": make_ref("a", 1, max_ref_age_ms=DAY_MS)}))

    planned = plan_tag_move(state, "a", 2, expected=1, force=False, is_protection_requested=False)

    assert planned is not None
    assert planned.updates == (RefUpdate(name="a", before=1, after=make_ref("a", 2, max_ref_age_ms=DAY_MS)),)


def test_tag_that_points_there_already_is_not_moved_even_where_it_is_protected():
    assert (
        plan_tag_move(STATE, "production_2026_02_15", 2, expected=2, force=False, is_protection_requested=True) is None
    )


def test_removed_tag_is_expected_where_it_was():
    planned = plan_tag_removal(STATE, "a", expected=None, force=False, is_protection_requested=False)

    assert planned.updates == (RefUpdate(name="a", before=1, after=None),)


def move(name, **given):
    return plan_tag_move(STATE, name, 3, **given)


def remove(name, **given):
    return plan_tag_removal(STATE, name, **given)


@pytest.mark.parametrize("change", [move, remove])
@pytest.mark.parametrize(
    ("case", "name", "given", "error"),
    [
        ("unknown", "nope", {}, TagNotFoundError),
        ("branch", "dev", {}, TagNotFoundError),
        ("main", "main", {}, TagNotFoundError),
        ("stale expectation", "a", {"expected": 2}, HeadMovedError),
        ("stale expectation, with force", "a", {"expected": 2, "force": True}, HeadMovedError),
        ("protected by its name", "production_2026_02_15", {}, ProtectedTagError),
        ("protected on request", "a", {"is_protection_requested": True}, ProtectedTagError),
    ],
)
def test_tag_is_not_changed_against_the_rules(case, name, given, error, change):
    with pytest.raises(error):
        change(name, **{"expected": None, "force": False, "is_protection_requested": False} | given)


@pytest.mark.parametrize("change", [move, remove])
@pytest.mark.parametrize(
    ("case", "name", "requested"), [("by its name", "production_2026_02_15", False), ("on request", "a", True)]
)
def test_protected_tag_is_changed_by_force(case, name, requested, change):
    planned = change(name, expected=None, force=True, is_protection_requested=requested)

    assert [update.name for update in planned.updates] == [name]


def test_removed_branch_is_expected_where_it_was():
    assert plan_branch_removal(STATE, "dev", expected=2).updates == (RefUpdate(name="dev", before=2, after=None),)


@pytest.mark.parametrize(
    ("case", "name", "expected", "error"),
    [
        ("main", "main", None, ProtectedBranchError),
        ("unknown", "nope", None, BranchNotFoundError),
        ("tag", "a", None, BranchNotFoundError),
        ("stale expectation", "dev", 3, HeadMovedError),
    ],
)
def test_branch_is_not_removed_against_the_rules(case, name, expected, error):
    with pytest.raises(error):
        plan_branch_removal(STATE, name, expected=expected)
