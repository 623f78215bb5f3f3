"""The graph of snapshots."""

from __future__ import annotations

import pytest

from app.domain.history import END_OF_TIME_MS, ENDLESS_AGE_MS, MAIN, History, LogEntry, RefKind
from tests.strategies import START_MS, make_history, make_ref, make_snapshot


def forked() -> History:
    #  1 ← 2 ← 3 (main)
    #       ↖ 4 ← 5 (dev), 6 on no ref
    parents = {1: None, 2: 1, 3: 2, 4: 2, 5: 4, 6: 5}
    return History(
        snapshots={child: make_snapshot(child, parent) for child, parent in parents.items()},
        refs={
            "zoo": make_ref("zoo", 1, RefKind.BRANCH),
            MAIN: make_ref(MAIN, 3, RefKind.BRANCH),
            "dev": make_ref("dev", 5, RefKind.BRANCH),
            "b": make_ref("b", 1),
            "a": make_ref("a", 1),
        },
    )


def test_ancestors_begin_with_the_snapshot_itself():
    assert [s.snapshot_id for s in forked().ancestors(5)] == [5, 4, 2, 1]


def test_ancestors_of_nothing_and_of_the_unknown_are_none():
    assert list(forked().ancestors(None)) == []
    assert list(forked().ancestors(99)) == []


def test_ancestors_of_a_cycle_end():
    history = History(snapshots={1: make_snapshot(1, 2), 2: make_snapshot(2, 1), 3: make_snapshot(3, 3)}, refs={})

    assert [s.snapshot_id for s in history.ancestors(1)] == [1, 2]
    assert [s.snapshot_id for s in history.ancestors(3)] == [3]


def test_current_lineage_is_main_and_what_it_was_made_from():
    assert forked().current_lineage == {1, 2, 3}


def test_ahead_and_behind_count_both_ways():
    assert forked().ahead_behind(5) == (2, 1)
    assert forked().ahead_behind(3) == (0, 0)


def test_branches_begin_with_main_and_tags_are_by_name():
    history = forked()

    assert [ref.name for ref in history.branches] == [MAIN, "dev", "zoo"]
    assert [ref.name for ref in history.tags] == ["a", "b"]
    assert [ref.name for ref in history.tags_by_snapshot[1]] == ["a", "b"]
    assert set(history.tags_by_snapshot) == {1}


def test_newest_first_breaks_ties_by_sequence_number_then_id():
    tied = [
        make_snapshot(1, timestamp_ms=START_MS, sequence_number=2),
        make_snapshot(2, timestamp_ms=START_MS, sequence_number=1),
        make_snapshot(3, timestamp_ms=START_MS, sequence_number=1),
        make_snapshot(4, timestamp_ms=START_MS - 1, sequence_number=9),
    ]

    history = History(snapshots={s.snapshot_id: s for s in tied}, refs={})

    assert [s.snapshot_id for s in history.newest_first] == [1, 3, 2, 4]


def test_expired_ids_are_parents_and_log_entries_that_are_gone():
    history = History(
        snapshots={3: make_snapshot(3, 2)},
        refs={},
        log=(LogEntry(timestamp_ms=START_MS, snapshot_id=1), LogEntry(timestamp_ms=START_MS, snapshot_id=3)),
    )

    assert history.expired_ids == {1, 2}


def test_empty_table_has_no_head():
    empty = History(snapshots={}, refs={})

    assert (empty.head_id, empty.head, empty.current_lineage) == (None, None, frozenset())


def test_head_is_where_main_is():
    head = make_history(1, 2).head

    assert head is not None
    assert head.snapshot_id == 2


@pytest.mark.parametrize(
    ("age_ms", "is_endless"),
    [(None, False), (1, False), (END_OF_TIME_MS - 1, False), (END_OF_TIME_MS, True), (ENDLESS_AGE_MS, True)],
)
def test_ref_is_endless_by_an_age_beyond_all_dates(age_ms, is_endless):
    assert make_ref("a", 1, max_ref_age_ms=age_ms).is_endless is is_endless
