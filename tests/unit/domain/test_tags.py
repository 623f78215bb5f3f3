"""Conventions, protection, and which names of tags and branches are allowed or doubtful."""

from __future__ import annotations

import pytest

from app.domain.tags import (
    CONVENTIONS,
    MAX_REF_NAME_CHARS,
    TagConvention,
    check_ref_name,
    find_convention,
    find_protection,
    warnings_for,
)
from app.errors import InvalidNameError

FOLLOWING = {
    "production": ("production_2026_02_15", TagConvention.PRODUCTION),
    "production on a leap day": ("production_2024_02_29", TagConvention.PRODUCTION),
    "pre-migration": ("pre_migration_new-keys", TagConvention.PRE_MIGRATION),
    "model training": ("model_training_v3", TagConvention.MODEL_TRAINING),
    "model training of a model": ("model_training_churn_v12", TagConvention.MODEL_TRAINING),
    "model training, semantic version": ("model_training_v1.2.0", TagConvention.MODEL_TRAINING),
    "pin of a second snapshot": ("model_training_churn_v12_validation_2", TagConvention.MODEL_TRAINING),
    "audit": ("audit_Q4_2025", TagConvention.AUDIT),
    "gold validated": ("gold_validated_2026_02_15", TagConvention.GOLD_VALIDATED),
    "undo tag": ("pre_rollback_20260215T100000123Z_-77", TagConvention.PRE_ROLLBACK),
}

NOT_FOLLOWING = {
    "day that is none": "production_2026_02_30",
    "year 0": "production_0000_01_01",
    "date without zeros": "production_2026_2_15",
    "date and more": "production_2026_02_15_b",
    "capital": "Production_2026_02_15",
    "digits that are not ASCII": "production_２０２６_02_15",
    "no feature": "pre_migration_",
    "no version": "model_training_churn",
    "version without number": "model_training_v",
    "fifth quarter": "audit_Q5_2026",
    "no quarter": "audit_2026",
    "month that is none": "gold_validated_2026_13_01",
    "no snapshot": "pre_rollback_20260215T100000Z_",
    "newline at the end": "audit_Q4_2025\n",
    "ordinary": "before_the_move",
}


@pytest.mark.parametrize(
    ("case", "name", "convention"),
    [(case, *row) for case, row in FOLLOWING.items()] + [(case, name, None) for case, name in NOT_FOLLOWING.items()],
)
def test_convention_is_recognised(case, name, convention):
    assert find_convention(name) is convention


@pytest.mark.parametrize(("case", "name"), [(case, name) for case, (name, _) in FOLLOWING.items()])
def test_name_that_follows_a_convention_is_allowed_without_warning(case, name):
    assert check_ref_name("tag", name) == name
    assert warnings_for(name) == []


def test_every_convention_is_listed_once_with_what_it_protects():
    assert [rule.convention for rule in CONVENTIONS] == list(TagConvention)
    assert all(rule.form and rule.protects for rule in CONVENTIONS)


@pytest.mark.parametrize(("case", "name", "convention"), [(case, *row) for case, row in FOLLOWING.items()])
def test_protection_is_what_the_listed_convention_says(case, name, convention):
    rule = next(rule for rule in CONVENTIONS if rule.convention is convention)

    assert (find_protection(name) is not None) is rule.is_protected


@pytest.mark.parametrize(
    ("case", "name", "is_requested", "is_protected"),
    [
        ("production", "production_2026_02_15", False, True),
        ("production with a slip", "production_2026_2_15", False, True),
        ("audit with a slip", "audit_2026", False, True),
        ("hold", "hold_17", False, True),
        ("undo tag", "pre_rollback_20260215T100000Z_5", False, False),
        ("ordinary", "before_the_move", False, False),
        ("ordinary, on request", "before_the_move", True, True),
        ("production, on request", "production_2026_02_15", True, True),
        ("a word that only begins alike", "productive", False, False),
        ("the word in the middle", "pre_production_x", False, False),
        ("empty", "", False, False),
    ],
)
def test_protection_is_by_prefix_or_on_request(case, name, is_requested, is_protected):
    assert (find_protection(name, is_requested=is_requested) is not None) is is_protected


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("one letter", "a"),
        ("one digit", "7"),
        ("all characters", "aZ0_.-/x"),
        ("longest", "x" * MAX_REF_NAME_CHARS),
        ("latest in another case", "Latest"),
    ],
)
def test_good_name_is_allowed(case, name):
    assert check_ref_name("branch", name) == name


@pytest.mark.parametrize(
    ("case", "name", "why"),
    [
        ("empty", "", "empty"),
        ("main", "main", "reserved"),
        ("latest", "latest", "reserved"),
        ("one too long", "x" * (MAX_REF_NAME_CHARS + 1), "129 characters"),
        ("10,000 characters", "x" * 10_000, "10000 characters"),
        ("space", "my tag", "letters"),
        ("space around", " tag", "letters"),
        ("newline at the end", "tag\n", "letters"),
        ("NUL", "tag\x00", "letters"),
        ("unicode", "größe", "letters"),
        ("digits that are not ASCII", "１２", "letters"),
        ("emoji", "🏷", "letters"),
        ("lone surrogate", "\ud800", "letters"),
        ("tilde", "main~1", "letters"),
        ("colon", "tag:x", "letters"),
        ("quote", "a'b", "letters"),
        ("backslash", "a\\b", "letters"),
        ("percent", "a%2Fb", "letters"),
        ("dash first", "-rf", "begin"),
        ("dot first", "..", "begin"),
        ("slash first", "/a", "begin"),
        ("underscore first", "_a", "begin"),
    ],
)
def test_bad_name_is_refused_with_the_reason(case, name, why):
    with pytest.raises(InvalidNameError, match=why) as caught:
        check_ref_name("tag", name)

    assert caught.value.fields["kind"] == "tag"
    assert len(caught.value.message) < 400
    caught.value.message.encode()


@pytest.mark.parametrize(
    ("case", "name", "why"),
    [
        ("one word", "backup", "does not say"),
        ("test", "test", "does not say"),
        ("tmp", "tmp", "does not say"),
        ("old", "old", "does not say"),
        ("final", "final", "does not say"),
        ("capitals", "FINAL", "does not say"),
        ("two words", "final-backup", "does not say"),
        ("word and number", "backup_2", "does not say"),
        ("bare version", "v2", "does not say"),
        ("latest good", "latest_good", "does not say"),
        ("digits", "20260215", "tag:20260215"),
        ("date", "2026-02-15", "at:2026-02-15"),
        ("slip in a production tag", "production_2026_2_15", "production_YYYY_MM_DD"),
        ("slip in an audit tag", "audit_2026", "audit_Q<quarter>_YYYY"),
        ("slip in a training tag", "model_training_churn", "model_training_v<version>"),
        ("made by hand like an undo tag", "pre_rollback_mine", "pre_rollback_<UTC timestamp>_<snapshot id>"),
    ],
)
def test_doubtful_name_is_allowed_with_a_warning(case, name, why):
    check_ref_name("tag", name)

    assert any(why in warning for warning in warnings_for(name))


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("says what for", "before_the_move"),
        ("ambiguous word in good company", "backup_before_migration"),
        ("date that is none", "2026-02-30"),
    ],
)
def test_clear_name_is_answered_without_warning(case, name):
    assert warnings_for(name) == []


def test_warning_does_not_recommend_the_tags_that_the_system_sets():
    assert not any("pre_rollback" in warning for warning in warnings_for("backup"))
