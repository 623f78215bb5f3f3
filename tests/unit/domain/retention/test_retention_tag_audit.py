"""The audit of tags: what each is for, how old it is, and whether it is stale."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.changes import Actor, TagRecord
from app.domain.history import ENDLESS_AGE_MS
from app.domain.pins import PinState
from app.domain.retention import tag_audit
from app.domain.retention.holders import Hold, Holders, Release
from app.domain.retention.instants import DAY_MS
from app.domain.retention.tag_audit import LIVES_DAYS, Staleness, audit_tags
from app.domain.tags import TagConvention
from tests.unit.domain.retention.tables import NOW, NOW_MS, later, make_table, pin, tag

NAMES = {
    TagConvention.PRODUCTION: "production_2026_02_15",
    TagConvention.PRE_MIGRATION: "pre_migration_keys",
    TagConvention.MODEL_TRAINING: "model_training_churn_v3",
    TagConvention.AUDIT: "audit_Q4_2025",
    TagConvention.GOLD_VALIDATED: "gold_validated_2026_02_15",
    TagConvention.PRE_ROLLBACK: "pre_rollback_20260215T100000000Z_1",
    None: "before_the_move",
}


def audit(ref, *, days=10, holders=None, record=None, now=NOW):
    history = make_table({1: days, 2: 0}, ref)
    (found,) = audit_tags(history, holders or Holders(), {} if record is None else {ref.name: record}, now)
    return found


def record(name, snapshot_id=1, *, days_ago=5, reason="before the move", is_protected=False):
    return TagRecord(
        name=name,
        snapshot_id=snapshot_id,
        set_at=NOW - timedelta(days=days_ago),
        set_by=Actor(subject="ada"),
        reason=reason,
        is_protection_requested=is_protected,
    )


def stale_kinds(found):
    return [reason.kind for reason in found.stale]


@pytest.mark.parametrize(("convention", "name"), NAMES.items(), ids=str)
def test_tag_is_stale_once_it_is_past_the_life_of_its_convention(convention, name):
    life = LIVES_DAYS[convention]

    within, past = (audit(tag(name, 1), days=days) for days in (life, life + 1))

    assert within.convention is convention
    assert within.life_ms == life * DAY_MS
    assert stale_kinds(within) == []
    assert stale_kinds(past) == [Staleness.PAST_LIFE]
    assert str(life) in past.stale[0].text


def test_every_convention_has_a_life_that_the_table_gives_a_reason_for():
    assert LIVES_DAYS.keys() == {*TagConvention, None}
    rows = [line for line in (tag_audit.__doc__ or "").splitlines() if line.startswith("| ")][1:]
    told = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in rows}
    assert told == {str(convention or "none"): f"{days:,} days" for convention, days in LIVES_DAYS.items()}


@pytest.mark.parametrize(
    ("case", "name", "expected"),
    [
        ("ambiguous", "backup", [Staleness.AMBIGUOUS_NAME]),
        ("reads as an id", "20260215", [Staleness.AMBIGUOUS_NAME]),
        ("slip in a convention", "audit_2026", [Staleness.AMBIGUOUS_NAME]),
        ("clear", "before_the_move", []),
        ("of a convention", "production_2026_02_15", []),
    ],
)
def test_ambiguous_name_is_stale_from_the_first_day(case, name, expected):
    assert stale_kinds(audit(tag(name, 1))) == expected


def test_ambiguous_and_past_its_life_is_both():
    assert stale_kinds(audit(tag("tmp", 1), days=366)) == [Staleness.AMBIGUOUS_NAME, Staleness.PAST_LIFE]


@pytest.mark.parametrize(
    ("case", "name", "holders", "purpose"),
    [
        (
            "pin of a live model",
            "model_training_churn_v3",
            Holders(pins=(pin("churn", 3, 1),)),
            "training data of churn v3",
        ),
        (
            "ambiguous tag that a live model adopted",
            "tmp",
            Holders(pins=(pin("churn", 3, 1, tag="tmp", is_adopted=True),)),
            "training data of churn v3",
        ),
        ("release", "r", Holders(releases=(Release(name="2026.1", snapshot_id=1, tag="r"),)), "release 2026.1"),
        (
            "hold",
            "hold_7",
            Holders(holds=(Hold(hold_id="7", snapshot_id=1, reason="lawsuit", actor="eve"),)),
            "hold 7: lawsuit",
        ),
    ],
)
def test_tag_that_something_needs_is_never_stale(case, name, holders, purpose):
    found = audit(tag(name, 1, 1), days=9000, holders=holders)

    assert found.purposes == (purpose,)
    assert found.is_protected
    assert found.life_ms is None
    assert not found.is_stale


def test_pin_of_an_archived_model_needs_nothing():
    holders = Holders(pins=(pin("churn", 3, 1, state=PinState.RELEASING),))

    found = audit(tag("model_training_churn_v3", 1), days=366, holders=holders)

    assert stale_kinds(found) == [Staleness.PAST_LIFE]
    assert not found.is_protected


def test_pin_that_was_moved_to_another_snapshot_is_not_what_the_model_needs():
    found = audit(tag("model_training_churn_v3", 1), days=366, holders=Holders(pins=(pin("churn", 3, 2),)))

    assert found.is_stale


def test_hold_that_nobody_recorded_is_stale_and_protected_all_the_same():
    found = audit(tag("hold_7", 1))

    assert stale_kinds(found) == [Staleness.UNKNOWN_HOLD]
    assert found.is_protected
    assert found.life_ms is None


def test_record_tells_age_owner_and_purpose():
    found = audit(tag("before_the_move", 1), days=900, record=record("before_the_move"))

    assert (found.owner, found.purposes, found.is_age_known) == ("ada", ("before the move",), True)
    assert found.age_ms == 5 * DAY_MS
    assert not found.is_stale


def test_record_of_a_tag_that_was_moved_since_tells_nothing():
    found = audit(tag("before_the_move", 1), days=900, record=record("before_the_move", 2, is_protected=True))

    assert (found.owner, found.purposes, found.is_age_known) == (None, (), False)
    assert found.set_at_ms == NOW_MS - 900 * DAY_MS
    assert not found.is_protected


def test_name_tells_the_purpose_where_nobody_else_does():
    assert audit(tag("pre_migration_keys", 1)).purposes == ("the state before a migration",)


def test_age_that_is_set_on_a_tag_counts_instead_of_its_convention():
    # Given an undo pin on a snapshot of 400 days, which was set 5 days ago for 90
    name = NAMES[TagConvention.PRE_ROLLBACK]
    ref = tag(name, 1, 485)

    now, on_the_day, after = (
        audit(ref, days=400, record=record(name)),
        audit(ref, days=400 + 85, record=record(name, days_ago=90)),
        audit(ref, days=400 + 86, record=record(name, days_ago=91)),
    )

    assert now.life_ms == 90 * DAY_MS
    assert not on_the_day.is_stale
    assert stale_kinds(after) == [Staleness.PAST_LIFE]
    assert "max-ref-age-ms" in after.stale[0].text


def test_age_without_end_leaves_a_tag_the_life_of_its_convention():
    # Given what a pin leaves that was somebody's tag before the model had it
    name = NAMES[TagConvention.MODEL_TRAINING]
    ref = replace(tag(name, 1), max_ref_age_ms=ENDLESS_AGE_MS)

    within, past = audit(ref, days=365), audit(ref, days=366)

    assert within.life_ms == 365 * DAY_MS
    assert not within.is_stale
    assert past.stale[0].text == "It is 366 days old, and tags of convention MODEL_TRAINING are for 365 days."


def test_clock_that_runs_behind_makes_no_tag_older_than_new():
    found = audit(tag("before_the_move", 1), now=later(days=-900))

    assert found.age_ms == 0


def test_tags_are_audited_by_name_and_those_without_snapshot_are_not():
    history = make_table({1: 5, 2: 0}, tag("b", 1), tag("a", 2), tag("gone", 99))

    assert [found.tag.name for found in audit_tags(history, Holders(), {}, NOW)] == ["a", "b"]
