"""How two snapshots of one table are related."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.history import History, Snapshot, SnapshotOperation
from app.domain.version_relation import DiffSide, Kinship, VersionRelation, relate
from tests.strategies import make_snapshot


def history(**parents: int | None) -> History:
    """`s3=1`: snapshot 3 was made from snapshot 1."""
    snapshots = {int(name[1:]): make_snapshot(int(name[1:]), parent) for name, parent in parents.items()}
    return History(snapshots=snapshots, refs={})


def numbered(
    snapshot_id: int, parent_id: int | None, sequence_number: int | None, summary: dict[str, str] | None = None
) -> Snapshot:
    return replace(make_snapshot(snapshot_id, parent_id, sequence_number=sequence_number), summary=summary or {})


#       3 - 4
#      /
# 1 - 2 - 5 - 6
FORKED = history(s1=None, s2=1, s3=2, s4=3, s5=2, s6=5)


def lines(found: Kinship) -> tuple[list[int], list[int]]:
    return [s.snapshot_id for s in found.from_side], [s.snapshot_id for s in found.to_side]


@pytest.mark.parametrize(
    ("case", "from_id", "to_id", "relation", "base", "sides"),
    [
        ("same", 4, 4, VersionRelation.SAME, 4, ([], [])),
        ("parent", 1, 2, VersionRelation.ANCESTOR, 1, ([], [2])),
        ("far ancestor", 1, 6, VersionRelation.ANCESTOR, 1, ([], [6, 5, 2])),
        ("descendant", 6, 2, VersionRelation.DESCENDANT, 2, ([6, 5], [])),
        ("diverged", 4, 6, VersionRelation.DIVERGED, 2, ([4, 3], [6, 5])),
        ("diverged, the other way round", 6, 4, VersionRelation.DIVERGED, 2, ([6, 5], [4, 3])),
    ],
)
def test_relation_merge_base_and_what_lies_between(case, from_id, to_id, relation, base, sides):
    found = relate(FORKED, from_id, to_id)

    assert (found.relation, found.merge_base_id, lines(found)) == (relation, base, sides)
    assert found.is_cut is False


def test_two_first_snapshots_are_unrelated():
    found = relate(history(s1=None, s2=1, s3=None), 2, 3)

    assert (found.relation, found.merge_base_id, lines(found)) == (VersionRelation.UNRELATED, None, ([2, 1], [3]))
    assert found.is_cut is False


@pytest.mark.parametrize(("from_id", "to_id"), [(12, 14), (14, 12)])
def test_where_parents_have_expired_it_is_not_known_whether_they_are_related(from_id, to_id):
    # Snapshots 10, 11 and 13 have expired: 12 may have been made from 10 and 14 from 12, or neither.
    found = relate(history(s12=11, s14=13), from_id, to_id)

    assert (found.relation, found.merge_base_id, lines(found)) == (VersionRelation.UNKNOWN, None, ([from_id], [to_id]))
    assert found.is_cut is True


@pytest.mark.parametrize(
    ("case", "snapshots", "relation"),
    [
        ("all there", (numbered(1, None, 1), numbered(2, None, 2), numbered(3, 2, 3)), VersionRelation.UNRELATED),
        ("one is missing", (numbered(1, None, 1), numbered(3, None, 3)), VersionRelation.UNKNOWN),
        ("one is missing after both", (numbered(1, None, 1), numbered(3, None, 2)), VersionRelation.UNRELATED),
        (
            "it holds more than it added",
            (numbered(1, None, 1), numbered(3, None, 2, {"total-data-files": "2", "added-data-files": "1"})),
            VersionRelation.UNKNOWN,
        ),
        (
            "it holds what it added",
            (numbered(1, None, 1), numbered(3, None, 2, {"total-data-files": "2", "added-data-files": "2"})),
            VersionRelation.UNRELATED,
        ),
        (
            "nonsense in its summary",
            (numbered(1, None, 1), numbered(3, None, 2, {"total-data-files": "9" * 5000, "added-data-files": "²"})),
            VersionRelation.UNRELATED,
        ),
        (
            "format version 1, and it holds more than it added",
            (numbered(1, None, None), numbered(3, None, None, {"total-data-files": "2"})),
            VersionRelation.UNKNOWN,
        ),
    ],
)
def test_a_snapshot_whose_parent_was_taken_out_with_it_is_no_first_one(case, snapshots, relation):
    found = relate(History(snapshots={each.snapshot_id: each for each in snapshots}, refs={}), 1, 3)

    assert (found.relation, found.is_cut) == (relation, relation is VersionRelation.UNKNOWN)


def test_what_expired_before_the_merge_base_takes_nothing_away():
    found = relate(history(s2=1, s3=2, s4=2), 3, 4)

    assert (found.relation, found.merge_base_id, found.is_cut) == (VersionRelation.DIVERGED, 2, False)


def test_parents_that_go_round_in_circles_end():
    found = relate(history(s1=2, s2=1, s3=None), 1, 3)

    assert (found.relation, lines(found)) == (VersionRelation.UNKNOWN, ([1, 2], [3]))


def test_each_snapshot_between_is_told_with_its_side():
    between = list(relate(FORKED, 4, 6).between)

    assert [(side, snapshot.snapshot_id) for side, snapshot in between] == [
        (DiffSide.FROM, 4),
        (DiffSide.FROM, 3),
        (DiffSide.TO, 6),
        (DiffSide.TO, 5),
    ]


@pytest.mark.parametrize(
    ("case", "replaced", "is_rewrite"), [("all", {2, 3}, True), ("one of two", {3}, False), ("none", set(), False)]
)
def test_a_rewrite_is_nothing_but_replace_snapshots(case, replaced, is_rewrite):
    straight = history(s1=None, s2=1, s3=2)
    snapshots = {
        key: replace(each, operation=SnapshotOperation.REPLACE) if key in replaced else each
        for key, each in straight.snapshots.items()
    }

    assert relate(History(snapshots=snapshots, refs={}), 1, 3).is_rewrite is is_rewrite


def test_a_version_is_a_rewrite_of_itself_and_unrelated_ones_are_none():
    assert relate(FORKED, 4, 4).is_rewrite is True
    assert relate(history(s1=None, s2=None), 1, 2).is_rewrite is False


@pytest.mark.parametrize(
    ("side", "commits"),
    [
        (None, [(DiffSide.TO, 6), (DiffSide.TO, 5), (DiffSide.FROM, 4), (DiffSide.FROM, 3)]),
        (DiffSide.FROM, [(DiffSide.FROM, 4), (DiffSide.FROM, 3)]),
        (DiffSide.TO, [(DiffSide.TO, 6), (DiffSide.TO, 5)]),
    ],
)
def test_commits_are_what_lies_between_newest_first(side, commits):
    found = relate(FORKED, 4, 6).commits(side)

    assert [(each, snapshot.snapshot_id) for each, snapshot in found] == commits
