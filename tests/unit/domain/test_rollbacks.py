"""Deciding on rollbacks and undos: the plan, or the typed refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.domain.history import MAIN, History, RefKind
from app.domain.ref_changes import (
    plan_rollback,
    plan_undo,
)
from app.domain.ref_plans import RefUpdate, SchemaUpdate
from app.domain.tags import TagConvention, check_ref_name, find_convention
from app.errors import (
    AlreadyCurrentError,
    BranchNotFoundError,
    HeadMovedError,
    InvalidArgumentError,
    NoSnapshotError,
    TagNotFoundError,
    UnsupportedTableError,
    VersionNotFoundError,
)
from tests.strategies import (
    DATASET,
    NOW,
    apply_plan,
    make_field,
    make_history,
    make_ref,
    make_schema,
    make_snapshot,
    make_state,
    named_ids,
)

DAY_MS = 24 * 60 * 60 * 1000
STATE = make_state(
    make_history(
        1, 2, 3, tags={"a": 1, "production_2026_02_15": 2, "pre_rollback_20260101T000000Z_1": 1}, branches={"dev": 2}
    )
)

OLDER = make_schema(0, make_field(1, "id"), make_field(2, "day", "date"))
NEWER = make_schema(1, make_field(1, "id"), make_field(3, "amount"))


def evolved(*, required_field_ids: frozenset[int] = frozenset()):
    """Snapshot 1 was written with the older schema, snapshot 2, main's head, with the newer."""
    history = History(
        snapshots={1: make_snapshot(1, schema_id=0), 2: make_snapshot(2, 1, schema_id=1)},
        refs={MAIN: make_ref(MAIN, 2, RefKind.BRANCH), "dev": make_ref("dev", 2, RefKind.BRANCH)},
    )
    return make_state(history, schemas=(OLDER, NEWER), current_schema_id=1, required_field_ids=required_field_ids)


def roll_back(state, to_id, *, branch=MAIN, expected_head=None, restore_schema=False, now=NOW, keep_days=90):
    return plan_rollback(
        state,
        to_id=to_id,
        branch=branch,
        expected_head=expected_head,
        restore_schema=restore_schema,
        now=now,
        keep_days=keep_days,
    )


def undo(state, undo_tag, *, branch=MAIN, expected_head=None, restored_schema=None, now=NOW, keep_days=90):
    return plan_undo(
        state,
        undo_tag=undo_tag,
        branch=branch,
        expected_head=expected_head,
        restored_schema=restored_schema,
        now=now,
        keep_days=keep_days,
    )


# Rollbacks


def test_rollback_pins_the_head_it_leaves_and_moves_main_in_one_plan():
    rollback = roll_back(STATE, 1, expected_head=3, keep_days=7)

    tag = "pre_rollback_20260215T100000000Z_3"
    assert (rollback.branch, rollback.from_id, rollback.to_id, rollback.undo_tag) == (MAIN, 3, 1, tag)
    assert rollback.plan.schema is None
    assert rollback.plan.updates == (
        RefUpdate(name=tag, before=None, after=make_ref(tag, 3, max_ref_age_ms=7 * DAY_MS)),
        RefUpdate(name=MAIN, before=3, after=make_ref(MAIN, 1, RefKind.BRANCH)),
    )


def test_rollback_carries_the_retention_settings_of_the_branch():
    retention = {"min_snapshots_to_keep": 5, "max_snapshot_age_ms": 2**63 - 1, "max_ref_age_ms": 3}
    state = make_state(make_history(1, 2))
    refs = state.history.refs | {"dev": make_ref("dev", 2, RefKind.BRANCH, **retention)}
    state = replace(state, history=replace(state.history, refs=refs))

    rollback = roll_back(state, 1, branch="dev")

    assert rollback.plan.updates[1].after == make_ref("dev", 1, RefKind.BRANCH, **retention)


def test_rollback_takes_a_snapshot_that_is_no_ancestor():
    state = make_state(make_history(1, 2, 3, branches={"dev": 3, MAIN: 2}))

    assert roll_back(state, 3).to_id == 3


@pytest.mark.parametrize(
    ("case", "now", "stamp"),
    [
        ("milliseconds", NOW.replace(microsecond=123_999), "20260215T100000123Z"),
        ("another zone", datetime(2026, 2, 15, 2, tzinfo=timezone(timedelta(hours=-8))), "20260215T100000000Z"),
    ],
)
def test_undo_tag_tells_when_in_utc(case, now, stamp):
    assert roll_back(STATE, 1, now=now).undo_tag == f"pre_rollback_{stamp}_3"


def test_undo_tag_of_a_second_rollback_in_the_same_millisecond_is_another():
    taken = {"pre_rollback_20260215T100000000Z_3": 3, "pre_rollback_20260215T100000001Z_3": 3}

    rollback = roll_back(make_state(make_history(1, 2, 3, tags=taken)), 1)

    assert rollback.undo_tag == "pre_rollback_20260215T100000002Z_3"


@pytest.mark.parametrize(("case", "head"), [("positive", 2**63 - 1), ("negative", -(2**63))])
def test_undo_tag_is_a_good_name_of_its_convention(case, head):
    name = roll_back(make_state(make_history(1, head)), 1).undo_tag

    assert name is not None
    assert check_ref_name("tag", name) == name
    assert find_convention(name) is TagConvention.PRE_ROLLBACK


@pytest.mark.parametrize(
    ("case", "to_id", "given", "error"),
    [
        ("current snapshot", 3, {}, AlreadyCurrentError),
        ("snapshot of another table", 99, {}, VersionNotFoundError),
        ("unknown branch", 1, {"branch": "nope"}, BranchNotFoundError),
        ("tag for a branch", 1, {"branch": "a"}, BranchNotFoundError),
        ("stale expectation", 1, {"expected_head": 2}, HeadMovedError),
        ("stale expectation and current snapshot", 3, {"expected_head": 2}, HeadMovedError),
    ],
)
def test_rollback_against_the_rules_is_refused(case, to_id, given, error):
    with pytest.raises(error):
        roll_back(STATE, to_id, **given)


def test_rollback_of_an_empty_table_is_refused():
    with pytest.raises(NoSnapshotError):
        roll_back(make_state(History(snapshots={}, refs={})), 1)


def test_stale_expectation_is_told_with_both_ids():
    with pytest.raises(HeadMovedError) as caught:
        roll_back(STATE, 1, expected_head=2**62)

    assert caught.value.fields == {"dataset": DATASET, "ref": MAIN, "expected": str(2**62), "actual": "3"}


# What a rollback means for the schema


def test_rollback_warns_that_the_schema_stays():
    rollback = roll_back(evolved(), 1)

    assert rollback.plan.schema is None
    assert not rollback.restores_schema
    assert rollback.schema_warning is not None
    assert "adds amount (long); drops day (date)" in rollback.schema_warning


def test_rollback_brings_the_schema_back_where_asked():
    rollback = roll_back(evolved(), 1, restore_schema=True)

    assert rollback.plan.schema == SchemaUpdate(before=1, after=0)
    assert rollback.restores_schema
    assert rollback.schema_warning is None


@pytest.mark.parametrize("restore_schema", [False, True])
def test_rollback_to_a_snapshot_of_the_same_schema_says_nothing_of_it(restore_schema):
    rollback = roll_back(STATE, 1, restore_schema=restore_schema)

    assert (rollback.plan.schema, rollback.schema_warning, rollback.restores_schema) == (None, None, False)


def test_schema_is_not_brought_back_by_another_branch():
    with pytest.raises(InvalidArgumentError) as caught:
        roll_back(evolved(), 1, branch="dev", restore_schema=True)

    assert caught.value.fields["argument"] == "restoreSchema"


def test_schema_is_not_brought_back_that_lacks_a_partition_column():
    with pytest.raises(UnsupportedTableError, match=r"\[3\]"):
        roll_back(evolved(required_field_ids=frozenset({1, 3})), 1, restore_schema=True)


# Undos


def test_undo_moves_main_back_asserts_the_tag_and_keeps_it():
    rollback = roll_back(STATE, 1)
    after = apply_plan(STATE, rollback.plan)

    undone = undo(after, rollback.undo_tag)

    assert (undone.from_id, undone.to_id, undone.undo_tag) == (1, 3, None)
    tag = make_ref(rollback.undo_tag, 3, max_ref_age_ms=90 * DAY_MS)
    assert undone.plan.updates == (
        RefUpdate(name=rollback.undo_tag, before=3, after=tag),
        RefUpdate(name=MAIN, before=1, after=make_ref(MAIN, 3, RefKind.BRANCH)),
    )


def test_undo_pins_what_was_committed_since_the_rollback():
    # given a rollback from 3 to 1, after which 4 was appended to main
    rolled_back = apply_plan(STATE, roll_back(STATE, 1).plan)
    snapshots = {**rolled_back.history.snapshots, 4: make_snapshot(4, 1)}
    refs = {**rolled_back.history.refs, MAIN: make_ref(MAIN, 4, RefKind.BRANCH)}
    state = replace(rolled_back, history=History(snapshots=snapshots, refs=refs))

    # when the rollback is undone
    undone = undo(state, "pre_rollback_20260215T100000000Z_3", now=NOW + timedelta(hours=1), keep_days=2)

    # then 4 stays reachable, by a tag that can be undone in turn
    assert undone.undo_tag == "pre_rollback_20260215T110000000Z_4"
    after = apply_plan(state, undone.plan)
    # its age counts from the snapshot, which is an hour old by now
    age_ms = 60 * 60 * 1000
    assert after.history.refs[undone.undo_tag] == make_ref(undone.undo_tag, 4, max_ref_age_ms=age_ms + 2 * DAY_MS)
    assert named_ids(after.history) == named_ids(state.history)


@pytest.mark.parametrize(
    ("case", "tag", "given", "error"),
    [
        ("unknown tag", "pre_rollback_20260215T100000000Z_9", {}, TagNotFoundError),
        ("another tag", "a", {}, InvalidArgumentError),
        ("branch", "dev", {}, TagNotFoundError),
        ("unknown branch", "pre_rollback_20260101T000000Z_1", {"branch": "nope"}, BranchNotFoundError),
        ("stale expectation", "pre_rollback_20260101T000000Z_1", {"expected_head": 2}, HeadMovedError),
    ],
)
def test_undo_against_the_rules_is_refused(case, tag, given, error):
    with pytest.raises(error):
        undo(STATE, tag, **given)


def test_second_undo_finds_nothing_to_do():
    rollback = roll_back(STATE, 1)
    rolled_back = apply_plan(STATE, rollback.plan)
    undone = apply_plan(rolled_back, undo(rolled_back, rollback.undo_tag).plan)

    with pytest.raises(AlreadyCurrentError):
        undo(undone, rollback.undo_tag)


def test_undo_takes_back_the_schema_that_the_rollback_brought():
    rollback = roll_back(evolved(), 1, restore_schema=True)
    state = apply_plan(evolved(), rollback.plan)

    undone = undo(state, rollback.undo_tag, restored_schema=rollback.plan.schema)

    assert undone.plan.schema == SchemaUpdate(before=0, after=1)
    assert undone.restores_schema
    assert undone.schema_warning is None


@pytest.mark.parametrize(
    ("case", "change"),
    [
        (
            "schema evolved since",
            {"schemas": {0: OLDER, 1: NEWER, 2: replace(OLDER, schema_id=2)}, "current_schema_id": 2},
        ),
        ("partitioned since by a column that the newer lacks", {"required_field_ids": frozenset({2})}),
    ],
)
def test_undo_leaves_a_schema_that_cannot_go_and_says_so(case, change):
    rollback = roll_back(evolved(), 1, restore_schema=True)
    state = replace(apply_plan(evolved(), rollback.plan), **change)

    undone = undo(state, rollback.undo_tag, restored_schema=rollback.plan.schema)

    assert undone.plan.schema is None
    assert not undone.restores_schema
    assert undone.schema_warning is not None
    assert "day" in undone.schema_warning


def test_undo_leaves_the_schema_where_the_earlier_one_is_gone():
    rollback = roll_back(evolved(), 1, restore_schema=True)
    state = replace(apply_plan(evolved(), rollback.plan), schemas={0: OLDER})

    undone = undo(state, rollback.undo_tag, restored_schema=rollback.plan.schema)

    assert undone.plan.schema is None
    assert apply_plan(state, undone.plan).history.head_id == 2


def test_undo_of_a_rollback_that_left_the_schema_leaves_it_too():
    rollback = roll_back(evolved(), 1)
    state = apply_plan(evolved(), rollback.plan)

    undone = undo(state, rollback.undo_tag)

    assert (undone.plan.schema, undone.schema_warning) == (None, None)


def test_undo_tags_of_the_present_are_in_utc():
    now = datetime.now(UTC)

    assert roll_back(STATE, 1, now=now).undo_tag.startswith(f"pre_rollback_{now:%Y%m%dT%H%M%S}")
