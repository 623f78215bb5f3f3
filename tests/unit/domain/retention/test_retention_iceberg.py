"""Iceberg's own retention, with the answers of its specification ("Snapshot Retention Policy").

The cases are those of the section's rules and of what the reference implementation does beyond them: each says what it
retains, and nothing of our own rules is in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.domain.history import MAIN, History
from app.domain.retention.iceberg import IcebergSettings, expire_as_iceberg
from app.domain.retention.instants import DAY_MS
from app.domain.versions import INT64_MAX
from tests.unit.domain.retention.tables import NOW_MS, branch, make_table, tag

MS = 1 / DAY_MS


@dataclass(frozen=True, kw_only=True)
class Case:
    history: History
    retained: set[int]
    removed_refs: set[str] = field(default_factory=set)
    asked: dict[str, Any] = field(default_factory=dict)


def settings(**days: float) -> dict[str, Any]:
    """The table's properties: `count`, and `age` and `ref_age` in days."""
    return {
        "settings": IcebergSettings(
            min_snapshots_to_keep=int(days["count"]) if "count" in days else None,
            max_snapshot_age_ms=round(days["age"] * DAY_MS) if "age" in days else None,
            max_ref_age_ms=round(days["ref_age"] * DAY_MS) if "ref_age" in days else None,
        )
    }


OLD_LINE = {1: 40, 2: 30, 3: 20, 4: 10}
# 1 ─ 2 ─ 3 (main), and 2 ─ 4 ─ 5 (dev)
FORK = {1: 40, 2: 30, 3: 20, 4: 15, 5: 10}
FORKED = {4: 2}

CASES = {
    "nothing is set: the head, and what is younger than 5 days": Case(
        history=make_table({1: 9, 2: 6, 3: 4, 4: 1}), retained={3, 4}
    ),
    "nothing is set, and all is old: the head alone": Case(history=make_table(OLD_LINE), retained={4}),
    "as old as the limit, to the millisecond": Case(history=make_table({1: 5, 2: 1}), retained={1, 2}),
    "a millisecond older than the limit": Case(history=make_table({1: 5 + MS, 2: 1}), retained={2}),
    # min-snapshots-to-keep
    "the table's count, the head included": Case(
        history=make_table(OLD_LINE), asked=settings(count=3), retained={2, 3, 4}
    ),
    "a count beyond the first snapshot": Case(
        history=make_table(OLD_LINE), asked=settings(count=99), retained={1, 2, 3, 4}
    ),
    "a count of 0 leaves the head": Case(history=make_table(OLD_LINE), asked=settings(count=0), retained={4}),
    "the branch's count instead of the table's": Case(
        history=make_table(OLD_LINE, branch(MAIN, 4, count=2)), asked=settings(count=4), retained={3, 4}
    ),
    "count or age, whichever holds": Case(
        history=make_table({1: 9, 2: 4, 3: 3, 4: 1}), asked=settings(count=2, age=3), retained={3, 4}
    ),
    "an age that reaches further than the count": Case(
        history=make_table({1: 9, 2: 4, 3: 3, 4: 1}), asked=settings(count=2, age=4), retained={2, 3, 4}
    ),
    # max-snapshot-age-ms
    "the table's age": Case(history=make_table(OLD_LINE), asked=settings(age=25), retained={3, 4}),
    "the branch's age instead of the table's": Case(
        history=make_table(OLD_LINE, branch(MAIN, 4, days=15)), asked=settings(age=99), retained={4}
    ),
    "an age without end": Case(
        history=make_table(OLD_LINE),
        asked={"settings": IcebergSettings(max_snapshot_age_ms=INT64_MAX)},
        retained={1, 2, 3, 4},
    ),
    "the head is kept beyond its own age": Case(
        history=make_table(OLD_LINE, branch(MAIN, 4, days=1, count=1)), retained={4}
    ),
    "the first that neither keeps ends the walk, whatever lies behind": Case(
        history=make_table({1: 2, 2: 8, 3: 1}), retained={3}
    ),
    "a count bridges what is too old for the age": Case(
        history=make_table({1: 2, 2: 8, 3: 1}), asked=settings(count=2), retained={1, 2, 3}
    ),
    "a snapshot of the future": Case(history=make_table({1: 9, 2: -3}), retained={2}),
    "the walk ends where the parent is gone": Case(
        history=make_table({2: 30, 3: 20}, parents={2: 1}), asked=settings(count=9), retained={2, 3}
    ),
    # branches that diverge
    "each branch keeps its own head": Case(
        history=make_table(FORK, branch("dev", 5), parents=FORKED, main=3), retained={3, 5}
    ),
    "each branch counts along its own line": Case(
        history=make_table(FORK, branch("dev", 5, count=2), parents=FORKED, main=3),
        asked=settings(count=1),
        retained={3, 4, 5},
    ),
    "what two branches share is kept if one of them keeps it": Case(
        history=make_table(FORK, branch(MAIN, 3, count=1), branch("dev", 5, count=4), parents=FORKED),
        retained={1, 2, 3, 4, 5},
    ),
    "a longer age on one branch alone": Case(
        history=make_table(FORK, branch(MAIN, 3, days=5), branch("dev", 5, days=16), parents=FORKED),
        retained={3, 4, 5},
    ),
    "a branch behind another one": Case(history=make_table(OLD_LINE, branch("behind", 2, count=2)), retained={1, 2, 4}),
    # tags
    "a tag keeps its snapshot, and not what that was made from": Case(
        history=make_table(OLD_LINE, tag("keep", 2)), retained={2, 4}
    ),
    "two tags on one snapshot": Case(
        history=make_table(OLD_LINE, tag("a", 2, 1), tag("b", 2)), retained={2, 4}, removed_refs={"a"}
    ),
    # max-ref-age-ms
    "a tag past its age goes with its snapshot": Case(
        history=make_table(OLD_LINE, tag("old", 2, 29)), retained={4}, removed_refs={"old"}
    ),
    "a tag as old as its age, to the millisecond": Case(history=make_table(OLD_LINE, tag("t", 2, 30)), retained={2, 4}),
    "a tag past its age, on a snapshot that the branch keeps": Case(
        history=make_table(OLD_LINE, tag("old", 4, 1)), retained={4}, removed_refs={"old"}
    ),
    "a branch past its age goes with what only it kept": Case(
        history=make_table(FORK, branch("dev", 5, count=9, ref_days=9), parents=FORKED, main=3),
        retained={3},
        removed_refs={"dev"},
    ),
    "a branch is as old as its head": Case(
        history=make_table(FORK, branch("dev", 5, ref_days=10), parents=FORKED, main=3), retained={3, 5}
    ),
    "an age without end, whatever the table's": Case(
        history=make_table(OLD_LINE, replace(tag("pin", 2), max_ref_age_ms=INT64_MAX), tag("old", 1)),
        asked=settings(ref_age=1),
        retained={2, 4},
        removed_refs={"old"},
    ),
    "an age without end, of a snapshot from before all dates": Case(
        history=make_table({1: 10**11, 2: 0}, replace(tag("pin", 1), max_ref_age_ms=INT64_MAX), main=2),
        asked=settings(ref_age=1),
        retained={1, 2},
    ),
    "the table's age for refs that set none": Case(
        history=make_table(OLD_LINE, tag("old", 2), tag("own", 1, 99)),
        asked=settings(ref_age=25),
        retained={1, 4},
        removed_refs={"old"},
    ),
    "main never goes": Case(
        history=make_table(OLD_LINE, branch(MAIN, 4, ref_days=1)), asked=settings(ref_age=1), retained={4}
    ),
    # what is on no ref
    "a staged snapshot while it is younger than the table's age": Case(
        history=make_table({1: 9, 2: 4, 3: 1}, parents={2: 1, 3: 1}, main=3), retained={2, 3}
    ),
    "a staged snapshot that is older": Case(
        history=make_table({1: 9, 2: 6, 3: 1}, parents={2: 1, 3: 1}, main=3), retained={3}
    ),
    "a staged snapshot as old as the limit, to the millisecond": Case(
        history=make_table({1: 9, 2: 5, 3: 1}, parents={2: 1, 3: 1}, main=3), retained={2, 3}
    ),
    "what a tag was made from is on no ref: it stays while it is young": Case(
        history=make_table({1: 9, 2: 4, 3: 3}, tag("t", 3), main=1), retained={1, 2, 3}
    ),
    "and goes when it is old": Case(history=make_table({1: 9, 2: 6, 3: 3}, tag("t", 3), main=1), retained={1, 3}),
    "what a branch was made from is not: its own age counts": Case(
        history=make_table({1: 9, 2: 3, 3: 1}, branch(MAIN, 3, days=2)), retained={3}
    ),
    "what is young on a branch that goes is on no ref any more": Case(
        history=make_table({1: 9, 2: 8, 3: 4, 4: 1}, branch("dev", 3, ref_days=1), parents={3: 1, 4: 2}),
        retained={3, 4},
        removed_refs={"dev"},
    ),
    # what a call asks for
    "older_than instead of the table's age": Case(
        history=make_table(OLD_LINE), asked=settings(age=1) | {"older_than_ms": NOW_MS - 20 * DAY_MS}, retained={3, 4}
    ),
    "older_than of now: all but the head": Case(
        history=make_table({1: 2, 2: 1, 3: 0}), asked={"older_than_ms": NOW_MS}, retained={3}
    ),
    "older_than does not touch the age of a branch": Case(
        history=make_table(OLD_LINE, branch(MAIN, 4, days=25)), asked={"older_than_ms": NOW_MS}, retained={3, 4}
    ),
    "older_than holds for what is on no ref": Case(
        history=make_table({1: 9, 2: 4, 3: 1}, parents={2: 1, 3: 1}, main=3),
        asked={"older_than_ms": NOW_MS - 3 * DAY_MS},
        retained={3},
    ),
    "retain_last instead of the table's count": Case(
        history=make_table(OLD_LINE), asked=settings(count=4) | {"retain_last": 2}, retained={3, 4}
    ),
    "retain_last does not touch the count of a branch": Case(
        history=make_table(OLD_LINE, branch(MAIN, 4, count=3)), asked={"retain_last": 1}, retained={2, 3, 4}
    ),
    # what is broken
    "a ref without its snapshot goes": Case(
        history=make_table(OLD_LINE, tag("gone", 99)), retained={4}, removed_refs={"gone"}
    ),
    "main without its snapshot stays": Case(history=make_table(OLD_LINE, branch(MAIN, 99)), retained=set()),
    "parents in a circle end": Case(
        history=make_table({1: 9, 2: 8, 3: 7}, parents={1: 3}), asked=settings(count=2), retained={2, 3}
    ),
    "a table without snapshots": Case(history=make_table({}), retained=set()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_iceberg_retains_what_its_specification_says(case):
    found = expire_as_iceberg(case.history, now_ms=NOW_MS, **case.asked)

    assert set(found.retained) == case.retained
    assert set(found.expired) == case.history.snapshots.keys() - case.retained
    assert set(found.removed_refs) == case.removed_refs


def test_example_of_two_branches_whose_counts_are_lowered_one_after_the_other():
    # Given main, which keeps 1, and a branch that keeps all 3 of its line, both with an age that nothing is within
    ages, parents = {1: 3, 2: 2, 3: 1}, {3: 2}
    main = branch(MAIN, 2, count=1, days=0)

    # When the branch keeps 3, and then 1
    before = expire_as_iceberg(make_table(ages, main, branch("b", 3, count=3, days=0), parents=parents), now_ms=NOW_MS)
    after = expire_as_iceberg(make_table(ages, main, branch("b", 3, count=1, days=0), parents=parents), now_ms=NOW_MS)

    # Then first nothing expires, and then what both were made from
    assert set(before.expired) == set()
    assert set(after.expired) == {1}
