"""Retention in sentences: of one snapshot, and the three classic questions about a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.retention.explaining import explain_snapshot
from app.domain.retention.explaining_tables import (
    TableBytes,
    explain_costs,
    explain_growth,
    explain_table,
    explain_what_stays,
    shown_bytes,
)
from app.domain.retention.holders import Hold, Holders, Release
from app.domain.retention.policy import RetentionPolicy
from app.domain.retention.reasons import ReasonKind
from tests.unit.domain.retention.tables import LEAST, branch, make_table, pin, plan_of, tag

GB = 1024**3


def said_of(plan, snapshot_id):
    return explain_snapshot(plan, plan.find_verdict(snapshot_id))


def test_snapshot_that_is_kept_by_its_age_is_explained_with_its_last_day():
    plan = plan_of(make_table({1: 30, 2: 1}), RetentionPolicy(keep_last_n=0, keep_days=90))

    assert said_of(plan, 1) == [
        "Snapshot 1 of 2026-10-30 02:00 UTC is kept: within retention (90 days).",
        "Every snapshot is kept for 90 days: this one until 2027-01-28 02:00 UTC.",
        "If nothing changes, it expires after 2027-01-28 02:00 UTC.",
    ]


def test_head_is_explained_with_what_would_have_to_happen():
    plan = plan_of(make_table({1: 30, 2: 10}), RetentionPolicy(keep_last_n=30, keep_days=90))

    assert said_of(plan, 2) == [
        "Snapshot 2 of 2026-11-19 02:00 UTC is kept: head of main, recent (top 30), within retention (90 days).",
        "It is the head of branch main; heads are always kept.",
        "It is the newest of branch main, whose newest 30 are kept: until at least 30 more commits.",
        "Every snapshot is kept for 90 days: this one until 2027-02-17 02:00 UTC.",
        "As things are, it never expires.",
        "It expires after 2027-02-17 02:00 UTC at the earliest, and only once branch main has 30 more commits.",
    ]


def test_snapshot_that_is_needed_is_explained_with_who_has_to_let_go():
    history = make_table({1: 300, 2: 200, 3: 100}, tag("mine", 1), tag("hold_17", 1))
    holders = Holders(
        pins=(pin("churn", 3, 1),),
        holds=(Hold(hold_id="17", snapshot_id=1, reason="lawsuit", actor="ada"),),
        releases=(Release(name="2026.1", snapshot_id=1),),
    )

    assert said_of(plan_of(history, holders=holders), 1)[-1] == (
        "It expires with the next run at the earliest, and only once tag mine is deleted, version 3 of churn is "
        "archived, release 2026.1 is withdrawn and hold 17 is released."
    )


def test_hold_is_explained_with_what_it_is_for_and_whose_it_is():
    holders = Holders(holds=(Hold(hold_id="17", snapshot_id=1, reason="lawsuit", actor="ada"),))

    assert said_of(plan_of(make_table({1: 300, 2: 1}), holders=holders), 1)[1] == (
        "Hold 17 (lawsuit; by ada) is on it, until the hold is released."
    )


def test_of_several_counts_of_a_branch_the_longest_is_what_has_to_pass():
    history = make_table({1: 300, 2: 200}, branch("main", 2, count=5), branch("dev", 1))

    sentences = said_of(plan_of(history, RetentionPolicy(keep_last_n=3, keep_days=1)), 2)

    assert (
        sentences[-1] == "It expires with the next run at the earliest, and only once branch main has 5 more commits."
    )
    assert said_of(plan_of(history), 1)[-1] == (
        "It expires with the next run at the earliest, and only once branch main has 4 more commits and branch dev "
        "moves on."
    )


def test_snapshot_that_expires_is_explained_with_what_would_keep_it():
    plan = plan_of(make_table({1: 100, 2: 50, 3: 1}), RetentionPolicy(keep_last_n=2, keep_days=90))

    assert said_of(plan, 1) == [
        "Snapshot 1 of 2026-08-21 02:00 UTC expires.",
        (
            "It is the 3rd newest of branch main, whose newest 2 are kept; it is 100 days old, and snapshots are kept "
            "for 90 days; no model version, release or hold needs it, and no tag keeps it."
        ),
        "Nothing has kept it since 2026-11-19 02:00 UTC, as things are.",
        "Any of these would keep it: a tag on it; a hold on it; keep_days of 100 or more; keep_last_n of 3 or more.",
    ]


def test_what_would_keep_a_snapshot_does_keep_it():
    history = make_table({1: 100.5, 2: 50, 3: 1})
    policy = RetentionPolicy(keep_last_n=2, keep_days=90)
    assert "keep_days of 101 or more; keep_last_n of 3 or more" in said_of(plan_of(history, policy), 1)[-1]

    for changed in (replace(policy, keep_days=101), replace(policy, keep_last_n=3)):
        assert plan_of(history, changed).find_verdict(1).is_kept
    for changed in (replace(policy, keep_days=100), replace(policy, keep_last_n=2)):
        assert not plan_of(history, changed).find_verdict(1).is_kept


def test_tags_that_go_with_a_snapshot_are_told():
    plan = plan_of(make_table({1: 100, 2: 1}, tag("a", 1), tag("b", 1)), replace(LEAST, keep_tagged=False))

    assert "With it goes tag a and tag b." in said_of(plan, 1)
    assert not any("a tag on it" in sentence for sentence in said_of(plan, 1))


def test_snapshot_on_no_branch_and_clock_that_ran_back_are_told():
    history = make_table({1: 5, 2: 300, 3: 1}, parents={2: 1, 3: 1}, main=3)

    sentences = said_of(plan_of(history), 2)

    assert any(sentence.startswith("Its timestamp is earlier") for sentence in sentences)
    assert any(sentence.startswith("No branch leads to it; it is 5 days old") for sentence in sentences)


def test_every_kind_of_reason_has_a_sentence():
    tags = (tag("t", 1), tag("hold_17", 1), tag("pre_rollback_20261001T000000000Z_1", 1, 400))
    history = make_table({1: 300, 2: 1}, *tags, branch("b", 1, count=5, days=310))
    holders = Holders(pins=(pin("churn", 3, 1),), releases=(Release(name="r", snapshot_id=1),))
    policy = RetentionPolicy(keep_days=310, production_keep_days=310)
    plan = plan_of(history, policy, holders=holders, is_production=True, properties={"gc.enabled": "false"})
    circle = plan_of(make_table({1: 9, 2: 8}, parents={1: 2}), properties={"gc.enabled": "false"})

    sentences = said_of(plan, 1)

    kinds = {reason.kind for reason in plan.find_verdict(1).reasons}
    assert kinds == set(ReasonKind) - {ReasonKind.CIRCULAR}
    assert len(sentences) == 1 + len(kinds) + 2
    assert any("circle" in sentence for sentence in said_of(circle, 1))
    assert not any("None" in sentence or "{" in sentence for sentence in sentences)


def test_age_without_end_is_no_promise_of_a_date():
    plan = plan_of(make_table({1: 300, 2: 1}, branch("b", 1, days=10**9)))

    assert said_of(plan, 1)[-1] == "As things are, it never expires."
    assert any("keeps it for ever" in sentence for sentence in said_of(plan, 1))


def test_why_nothing_expires_names_the_rules_that_keep_and_which_do_so_alone():
    history = make_table({1: 80, 2: 50, 3: 20}, tag("t", 1))

    sentences = explain_what_stays(plan_of(history, RetentionPolicy(keep_last_n=2, keep_days=90)))

    assert sentences == [
        "Nothing expires: each of 3 snapshots is kept by at least one rule.",
        "within retention (90 days): keeps 3, 0 of them alone.",
        "recent (top 2): keeps 2, 0 of them alone.",
        "head of main: keeps 1, 0 of them alone.",
        "tagged (t): keeps 1, 0 of them alone.",
        "As things are, nothing of what stays ever expires.",
    ]


def test_what_stays_is_told_with_the_next_date():
    sentences = explain_what_stays(plan_of(make_table({1: 95, 2: 80, 3: 20}), RetentionPolicy(keep_last_n=1)))

    assert sentences[0] == "Of 3 snapshots, the plan keeps 2 and expires 1."
    assert "within retention (90 days): keeps 2, 1 of them alone." in sentences
    assert sentences[-1] == "If nothing changes, the next one expires after 2026-12-09 02:00 UTC, and 1 never."


@pytest.mark.parametrize(
    ("case", "ages", "properties", "why"),
    [
        ("gc is disabled", {1: 900, 2: 1}, {"gc.enabled": "false"}, "gc.enabled=false"),
        ("no snapshots", {}, {}, "no snapshots"),
        ("few commits", {1: 900, 2: 800, 3: 700}, {}, "among the newest of a branch"),
    ],
)
def test_why_nothing_expires_at_all(case, ages, properties, why):
    sentences = explain_what_stays(plan_of(make_table(ages), RetentionPolicy(), properties=properties))

    assert why in " ".join(sentences)


def test_growth_is_explained_by_data_history_pace_and_pins():
    ages = {1: 900, 2: 800} | {number: 40 - number for number in range(10, 40)}
    history = make_table(ages, tag("audit_Q4_2025", 1), branch("dev", 20))
    plan = plan_of(history, RetentionPolicy(keep_last_n=5))

    sentences = explain_growth(plan, TableBytes(total=10 * GB, live=4 * GB, freed=0))

    assert sentences == [
        (
            "What expires frees nothing: all of its files are still read by snapshots that stay. A table that is only "
            "appended to frees no data by expiry, whatever the policy."
        ),
        "The current data is 4.0 GB of 10.0 GB; history adds 6.0 GB, which is all that expiry can ever free.",
        (
            "6 snapshots made in the last 7 days: at that pace there are about 77 in the 90 days that each is kept. "
            "Rewritten files stay as long."
        ),
        "Kept only for what names them: 1 snapshot. The oldest, 1 of 2024-06-12 02:00 UTC: tagged (audit_Q4_2025).",
        "There are 2 branches, and of each the head and the newest 5 stay.",
        (
            "Files that no snapshot reaches, as writers that failed leave them, are not freed by expiry but by the "
            "removal of orphans."
        ),
    ]


def test_growth_of_which_nothing_is_known_says_only_what_is_known():
    assert len(explain_growth(plan_of(make_table({1: 900})), TableBytes())) == 1


def test_costs_are_told_most_first_and_never_as_if_they_added_up():
    tags = [tag(f"t{number}", number) for number in range(1, 10)]
    plan = plan_of(make_table({number: 900 - number for number in range(1, 12)}, *tags))
    by_holder = {f"tagged (t{number})": number * GB for number in range(1, 8)} | {"tagged (t8)": 0}

    sentences = explain_costs(plan, TableBytes(by_holder=by_holder))

    assert sentences == [
        "tagged (t7) alone keeps 7.0 GB.",
        "tagged (t6) alone keeps 6.0 GB.",
        "tagged (t5) alone keeps 5.0 GB.",
        "tagged (t4) alone keeps 4.0 GB.",
        "tagged (t3) alone keeps 3.0 GB.",
        "2 more keep 3.0 GB, each its own part.",
        "Kept otherwise too, and so at no cost now: 1 of 9.",
        "Not measured: 1 of 9.",
    ]


def test_costs_where_nothing_is_pinned():
    assert explain_costs(plan_of(make_table({1: 9})), TableBytes()) == [
        "No tag, model, release or hold keeps anything."
    ]


def test_table_is_explained_with_all_answers_and_warnings():
    plan = plan_of(make_table({1: 9, 2: -5}), properties={"retention.keep-last-n": "0"})

    sentences = explain_table(plan, TableBytes())

    assert set(explain_what_stays(plan)) <= set(sentences)
    assert {warning.text for warning in plan.warnings} <= set(sentences)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 bytes"), (1023, "1,023 bytes"), (1024, "1.0 KB"), (1536, "1.5 KB"), (int(142.5 * GB), "142.5 GB")],
)
def test_bytes_are_shown_in_units_of_1024(size, shown):
    assert shown_bytes(size) == shown


@pytest.mark.parametrize("size", [2**60, 2**70])
def test_bytes_beyond_all_units_are_shown_in_the_largest(size):
    assert shown_bytes(size).endswith(" PB")
