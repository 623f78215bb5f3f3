"""Each reason to keep a snapshot: its words, until when it holds, and what it goes by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from app.domain.history import MAIN, History, to_instant
from app.domain.pins import PinState
from app.domain.retention.holders import Hold, Holders, Release
from app.domain.retention.instants import DAY_MS
from app.domain.retention.plans import history_after
from app.domain.retention.policy import RetentionPolicy
from app.domain.retention.reasons import ReasonKind
from app.domain.versions import INT64_MAX
from tests.unit.domain.retention.tables import LEAST, NOW_MS, branch, make_table, pin, plan_of, reasons_of, tag

HOLD = Hold(hold_id="17", snapshot_id=1, reason="lawsuit", actor="ada")
UNDO = "pre_rollback_20261001T000000000Z_1"
# A line of three, of which only the head is kept if nothing else is said.
LINE = {1: 300, 2: 200, 3: 100}


@dataclass(frozen=True, kw_only=True)
class Case:
    """`reasons` are those of snapshot 1; `days` after now it expires, None for never."""

    reasons: tuple[str, ...]
    days: float | None
    history: History = field(default_factory=lambda: make_table(LINE))
    asked: dict[str, Any] = field(default_factory=dict)


def policy(**fields: Any) -> dict[str, Any]:
    return {"policy": RetentionPolicy(**{"keep_last_n": 0, "keep_days": 1, "production_keep_days": 2} | fields)}


CASES = {
    "head of main": Case(history=make_table(LINE, branch("dev", 3), main=1), reasons=("head of main",), days=None),
    "heads of several branches, main first": Case(
        history=make_table(LINE, branch("a", 1), branch("z", 1), main=1),
        reasons=("head of main", "head of a", "head of z"),
        days=None,
    ),
    "among the newest of its branch": Case(asked=policy(keep_last_n=3), reasons=("recent (top 3)",), days=None),
    "among the newest of another branch": Case(
        history=make_table(LINE, branch("dev", 2)), asked=policy(keep_last_n=2), reasons=("recent (top 2)",), days=None
    ),
    "within retention, and when that ends": Case(
        asked=policy(keep_days=310), reasons=("within retention (310 days)",), days=10
    ),
    "within retention on the last millisecond of it": Case(
        asked=policy(keep_days=300), reasons=("within retention (300 days)",), days=0
    ),
    "one day": Case(history=make_table({1: 0.5, 2: 0}), reasons=("within retention (1 day)",), days=0.5),
    "production": Case(
        asked=policy(production_keep_days=730) | {"is_production": True}, reasons=("production (730 days)",), days=430
    ),
    "production by the table's property": Case(
        asked=policy(production_keep_days=730) | {"properties": {"retention.production": "true"}},
        reasons=("production (730 days)",),
        days=430,
    ),
    "production and within retention, which ends later": Case(
        asked=policy(keep_days=400, production_keep_days=350) | {"is_production": True},
        reasons=("within retention (400 days)", "production (350 days)"),
        days=100,
    ),
    "more days by the table's property": Case(
        asked={"properties": {"retention.keep-days": "301"}}, reasons=("within retention (301 days)",), days=1
    ),
    "tagged": Case(history=make_table(LINE, tag("before", 1)), reasons=("tagged (before)",), days=None),
    "tags by name": Case(
        history=make_table(LINE, tag("b", 1), tag("a", 1)), reasons=("tagged (a)", "tagged (b)"), days=None
    ),
    "a tag that ends by itself": Case(
        history=make_table(LINE, tag("until", 1, 303)), reasons=("tagged (until)",), days=3
    ),
    "a protected tag does not end": Case(
        history=make_table(LINE, tag("production_2026_02_15", 1, 1)),
        asked=policy(keep_tagged=False),
        reasons=("tagged (production_2026_02_15)",),
        days=None,
    ),
    "nor one for which protection was asked": Case(
        history=make_table(LINE, tag("mine", 1, 1)),
        asked=policy(keep_tagged=False) | {"holders": Holders(protected_tags=frozenset({"mine"}))},
        reasons=("tagged (mine)",),
        days=None,
    ),
    "without keep_tagged the age that is set on a tag counts": Case(
        history=make_table(LINE, tag("until", 1, 303)),
        asked=policy(keep_tagged=False),
        reasons=("tagged (until)",),
        days=3,
    ),
    "without keep_tagged the table's age of refs counts": Case(
        history=make_table(LINE, tag("t", 1)),
        asked=policy(keep_tagged=False) | {"properties": {"history.expire.max-ref-age-ms": str(305 * DAY_MS)}},
        reasons=("tagged (t)",),
        days=5,
    ),
    "with keep_tagged the table's age of refs ends no tag": Case(
        history=make_table(LINE, tag("t", 1)),
        asked={"properties": {"history.expire.max-ref-age-ms": "1"}},
        reasons=("tagged (t)",),
        days=None,
    ),
    "training data, told once with its tag": Case(
        history=make_table(LINE, tag("model_training_churn_v3", 1)),
        asked={"holders": Holders(pins=(pin("churn", 3, 1),))},
        reasons=("training data of churn v3",),
        days=None,
    ),
    "training data whose tag is lost": Case(
        asked={"holders": Holders(pins=(pin("churn", 3, 1),))}, reasons=("training data of churn v3",), days=None
    ),
    "training data under somebody else's tag": Case(
        history=make_table(LINE, tag("mine", 1)),
        asked={"holders": Holders(pins=(pin("churn", 3, 1, tag="mine", is_adopted=True),))},
        reasons=("tagged (mine)", "training data of churn v3"),
        days=None,
    ),
    "training data whose tag was moved elsewhere": Case(
        history=make_table(LINE, tag("model_training_churn_v3", 2)),
        asked={"holders": Holders(pins=(pin("churn", 3, 1),))},
        reasons=("training data of churn v3",),
        days=None,
    ),
    "training data of a version that is being registered": Case(
        asked={"holders": Holders(pins=(pin("churn", 3, 1, state=PinState.WANTED),))},
        reasons=("training data of churn v3",),
        days=None,
    ),
    "the pin of an archived version is a tag until it is gone": Case(
        history=make_table(LINE, tag("model_training_churn_v3", 1)),
        asked={"holders": Holders(pins=(pin("churn", 3, 1, state=PinState.RELEASING),))},
        reasons=("tagged (model_training_churn_v3)",),
        days=None,
    ),
    "a live pin keeps a tag that has an age": Case(
        history=make_table(LINE, tag("model_training_churn_v3", 1, 1)),
        asked=policy(keep_tagged=False) | {"holders": Holders(pins=(pin("churn", 3, 1),))},
        reasons=("training data of churn v3",),
        days=None,
    ),
    "two models": Case(
        asked={"holders": Holders(pins=(pin("b", 1, 1), pin("a", 2, 1)))},
        reasons=("training data of b v1", "training data of a v2"),
        days=None,
    ),
    "release": Case(
        asked={"holders": Holders(releases=(Release(name="2026.1", snapshot_id=1),))},
        reasons=("release 2026.1",),
        days=None,
    ),
    "release with a tag of its own": Case(
        history=make_table(LINE, tag("r1", 1)),
        asked=policy(keep_tagged=False)
        | {"holders": Holders(releases=(Release(name="2026.1", snapshot_id=1, tag="r1"),))},
        reasons=("release 2026.1",),
        days=None,
    ),
    "hold": Case(
        history=make_table(LINE, tag("hold_17", 1)),
        asked=policy(keep_tagged=False) | {"holders": Holders(holds=(HOLD,))},
        reasons=("hold 17",),
        days=None,
    ),
    "hold whose tag is lost": Case(asked={"holders": Holders(holds=(HOLD,))}, reasons=("hold 17",), days=None),
    "tag of a hold that nobody recorded": Case(
        history=make_table(LINE, tag("hold_17", 1, 1)),
        asked=policy(keep_tagged=False),
        reasons=("hold 17",),
        days=None,
    ),
    "a tag that only begins like a hold": Case(
        history=make_table(LINE, tag("hold_", 1)), reasons=("tagged (hold_)",), days=None
    ),
    "undo pin": Case(history=make_table(LINE, tag(UNDO, 1, 390)), reasons=(f"undo pin ({UNDO})",), days=90),
    "Iceberg's count of the table": Case(
        asked={"properties": {"history.expire.min-snapshots-to-keep": "3"}},
        reasons=("min-snapshots-to-keep of main (3)",),
        days=None,
    ),
    "Iceberg's count of the branch": Case(
        history=make_table(LINE, branch(MAIN, 3, count=4)),
        asked={"properties": {"history.expire.min-snapshots-to-keep": "1"}},
        reasons=("min-snapshots-to-keep of main (4)",),
        days=None,
    ),
    "Iceberg's age of the table": Case(
        asked={"properties": {"history.expire.max-snapshot-age-ms": str(301 * DAY_MS)}},
        reasons=("max-snapshot-age-ms of main (301 days)",),
        days=1,
    ),
    "Iceberg's age of the branch": Case(
        history=make_table(LINE, branch(MAIN, 3, days=302)),
        asked={"properties": {"history.expire.max-snapshot-age-ms": "1"}},
        reasons=("max-snapshot-age-ms of main (302 days)",),
        days=2,
    ),
    "Iceberg's age, the longest of the branches": Case(
        history=make_table(LINE, branch(MAIN, 3, days=302), branch("dev", 2, days=303.5)),
        reasons=("max-snapshot-age-ms of dev (7284 hours)",),
        days=3.5,
    ),
    "Iceberg's age of the table where no branch leads": Case(
        history=make_table(LINE, parents={2: None}),
        asked={"properties": {"history.expire.max-snapshot-age-ms": str(301 * DAY_MS)}},
        reasons=("history.expire.max-snapshot-age-ms (301 days)",),
        days=1,
    ),
    "Iceberg's age without end": Case(
        history=make_table(LINE, branch(MAIN, 3, days=INT64_MAX // DAY_MS)),
        reasons=("max-snapshot-age-ms of main (no end)",),
        days=None,
    ),
    "gc.enabled=false": Case(asked={"properties": {"gc.enabled": "false"}}, reasons=("gc.enabled=false",), days=None),
    "parents in a circle": Case(
        history=make_table(LINE, parents={1: 2, 2: 1, 3: None}), reasons=("parents in a circle",), days=None
    ),
    "all at once, in the order of the contract": Case(
        history=make_table(LINE, tag("t", 1), tag("hold_17", 1), tag(UNDO, 1, 400), branch("b", 1, count=5, days=310)),
        asked=policy(keep_last_n=5, keep_days=320, production_keep_days=330)
        | {
            "is_production": True,
            "holders": Holders(pins=(pin("churn", 3, 1),), holds=(HOLD,), releases=(Release(name="r", snapshot_id=1),)),
        },
        reasons=(
            "head of b",
            "recent (top 5)",
            "within retention (320 days)",
            "production (330 days)",
            "tagged (t)",
            "training data of churn v3",
            "release r",
            "hold 17",
            f"undo pin ({UNDO})",
            "min-snapshots-to-keep of b (5)",
            "max-snapshot-age-ms of b (310 days)",
        ),
        days=None,
    ),
    "nothing": Case(reasons=(), days=-299),
    "no reason of a tag without keep_tagged": Case(
        history=make_table(LINE, tag("t", 1)), asked=policy(keep_tagged=False), reasons=(), days=-299
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_snapshot_is_kept_for_all_its_reasons_until_the_last_one_ends(case):
    plan = plan_of(case.history, **case.asked)

    assert reasons_of(plan)[1] == case.reasons
    verdict = plan.find_verdict(1)
    assert verdict.is_kept is bool(case.reasons)
    expires_at_ms = None if case.days is None else NOW_MS + round(case.days * DAY_MS) + 1
    assert verdict.expires_at_ms == expires_at_ms
    assert verdict.expires_at == (None if expires_at_ms is None else to_instant(expires_at_ms))


def test_reasons_are_told_to_programs_too():
    history = make_table(LINE, tag("hold_17", 1), tag("until", 1, 303), branch("dev", 2))
    holders = Holders(pins=(pin("churn", 3, 1),), holds=(HOLD,))

    verdict = plan_of(history, RetentionPolicy(keep_last_n=2, keep_days=301), holders=holders).find_verdict(1)

    by_kind = {reason.kind: reason for reason in verdict.reasons}
    recent = by_kind[ReasonKind.RECENT]
    assert (recent.ref, recent.limit, recent.commits) == ("dev", 2, 1)
    within = by_kind[ReasonKind.WITHIN_RETENTION]
    assert (within.limit, within.until_ms) == (301 * DAY_MS, NOW_MS + DAY_MS)
    tagged = by_kind[ReasonKind.TAGGED]
    assert (tagged.ref, tagged.until_ms) == ("until", NOW_MS + 3 * DAY_MS)
    training = by_kind[ReasonKind.TRAINING_DATA]
    assert (training.holder, training.number, training.ref) == ("churn", 3, "model_training_churn_v3")
    hold = by_kind[ReasonKind.HOLD]
    assert (hold.holder, hold.ref) == ("17", "hold_17")


def test_newest_are_counted_along_each_branch_and_not_by_the_clock():
    # Given main 1-2-3 and dev 1-2-4-5, of which dev is younger
    history = make_table({1: 50, 2: 40, 3: 30, 4: 20, 5: 10}, branch("dev", 5), parents={4: 2}, main=3)

    # When two of each branch are kept
    plan = plan_of(history, RetentionPolicy(keep_last_n=2, keep_days=1))

    # Then 2 is kept for main, though it is the third of dev and the fourth youngest
    assert reasons_of(plan) == {
        5: ("head of dev", "recent (top 2)"),
        4: ("recent (top 2)",),
        3: ("head of main", "recent (top 2)"),
        2: ("recent (top 2)",),
        1: (),
    }
    assert plan.find_verdict(2).branch == MAIN
    assert plan.find_verdict(1).place == 2


def test_counts_go_on_behind_snapshots_that_are_told_by_other_rules():
    history = make_table({1: 5, 2: 4, 3: 3, 4: 2}, tag("t", 3))

    assert reasons_of(plan_of(history, RetentionPolicy(keep_last_n=3, keep_days=1)))[2] == ("recent (top 3)",)


def test_snapshot_that_is_on_no_branch_is_kept_by_its_age():
    plan = plan_of(make_table({1: 9, 2: 0.5, 3: 2}, parents={2: 1, 3: 1}, main=3), LEAST)

    verdict = plan.find_verdict(2)
    assert verdict.texts == ("within retention (1 day)",)
    assert (verdict.branch, verdict.place) == (None, None)


def test_newest_is_not_the_oldest_because_its_clock_ran_backwards():
    # Given a snapshot that claims to be from long before what it was made from
    history = make_table({1: 3, 2: 2, 3: 400, 4: 1})

    plan = plan_of(history, RetentionPolicy(keep_last_n=0, keep_days=3))

    # Then it counts as of the time of its parent
    verdict = plan.find_verdict(3)
    assert verdict.texts == ("within retention (3 days)",)
    assert verdict.made_ms == NOW_MS - 2 * DAY_MS
    assert verdict.expires_at_ms == NOW_MS + DAY_MS + 1


def test_age_of_a_branch_counts_from_when_a_snapshot_was_made_at_the_earliest():
    history = make_table({1: 3, 2: 2, 3: 400, 4: 1}, branch(MAIN, 4, days=2))

    verdict = plan_of(history, LEAST).find_verdict(3)

    assert verdict.texts == ("max-snapshot-age-ms of main (2 days)",)
    assert verdict.expires_at_ms == NOW_MS + 1


def test_age_of_the_table_counts_from_the_timestamp_where_no_branch_leads():
    # Given a staged snapshot 2 that claims to be older than 1, which it was made from and a branch ends sooner
    history = make_table({1: 3, 2: 20, 4: 2, 3: 0}, branch("dev", 4, days=1), parents={4: 1, 3: None}, main=3)
    properties = {"history.expire.max-snapshot-age-ms": str(5 * DAY_MS)}

    plan = plan_of(history, LEAST, properties=properties)

    # Then it goes with 1, and does not wait for the next plan, for which 1 is gone
    assert reasons_of(plan)[1] == reasons_of(plan)[2] == ()
    assert plan_of(history_after(history, plan), LEAST, properties=properties).is_empty
