"""What became of training data: snapshots set against each other, and compactions that change nothing."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from app.domain.history import History, SnapshotOperation
from app.domain.names import DatasetName
from app.domain.roles import InputRole
from app.domain.training_diff import diff_training_data, rows_of_snapshot, tables_to_look_at
from app.domain.uses import VersionUse
from tests.strategies import make_snapshot

SALES, CUSTOMERS = UUID(int=1), UUID(int=2)
NAMES = {SALES: DatasetName.parse("silver.sales"), CUSTOMERS: DatasetName.parse("gold.customers")}
TRAINING, TEST = InputRole.TRAINING, InputRole.TEST


def use(snapshot_id: int, table: UUID = SALES, role: InputRole = TRAINING) -> VersionUse:
    return VersionUse(dataset=NAMES[table], table_uuid=table, snapshot_id=snapshot_id, role=role)


def pairs(before: list[VersionUse], after: list[VersionUse], rows: dict[int, int] | None = None) -> list[tuple]:
    """`rows`: which snapshot's rows another one has."""
    deltas = diff_training_data(before, after, lambda _, snapshot_id: (rows or {}).get(snapshot_id, snapshot_id))
    return [(delta.before, delta.after, delta.is_changed) for delta in deltas]


@pytest.mark.parametrize(
    ("case", "before", "after", "expected"),
    [
        ("nothing", [], [], []),
        ("same", [1], [1], [(1, 1, False)]),
        ("another", [1], [2], [(1, 2, True)]),
        ("come", [], [2], [(None, 2, True)]),
        ("gone", [1], [], [(1, None, True)]),
        ("compacted", [1], [10], [(1, 10, False)]),
        ("one of several", [1, 2], [2, 3], [(1, 3, True), (2, 2, False)]),
        ("several, in the order in which they were told", [5, 4], [7, 6], [(4, 6, True), (5, 7, True)]),
        ("compacted among others", [2, 1], [10, 3], [(1, 10, False), (2, 3, True)]),
        ("the same before the compacted", [1], [10, 1], [(None, 10, True), (1, 1, False)]),
        ("fewer", [1, 2, 3], [4], [(1, 4, True), (2, None, True), (3, None, True)]),
    ],
)
def test_snapshots_are_set_against_each_other(case: str, before: list[int], after: list[int], expected: list):
    assert pairs([use(each) for each in before], [use(each) for each in after], rows={10: 1}) == expected, case


def test_datasets_and_roles_are_kept_apart():
    deltas = diff_training_data(
        [use(1), use(7, CUSTOMERS)], [use(1, role=TEST), use(8, CUSTOMERS)], lambda _, snapshot_id: snapshot_id
    )

    assert [(str(delta.dataset), delta.role, delta.before, delta.after) for delta in deltas] == [
        ("gold.customers", TRAINING, 7, 8),
        ("silver.sales", TEST, None, 1),
        ("silver.sales", TRAINING, 1, None),
    ]


def test_a_renamed_table_is_the_same_one_under_its_later_name():
    renamed = replace(use(1), dataset=DatasetName.parse("silver.orders"))

    (delta,) = diff_training_data([use(1)], [renamed], lambda _, snapshot_id: snapshot_id)

    assert (str(delta.dataset), delta.is_changed) == ("silver.orders", False)


def test_rows_are_only_asked_for_where_they_matter():
    asked: list[int] = []

    def rows_of(_: UUID, snapshot_id: int) -> int:
        asked.append(snapshot_id)
        return snapshot_id

    diff_training_data([use(1), use(3)], [use(1)], rows_of)

    assert asked == []


@pytest.mark.parametrize(
    ("case", "before", "after", "tables"),
    [
        ("same", [use(1)], [use(1)], set()),
        ("another", [use(1)], [use(2)], {SALES}),
        ("on one side", [use(1), use(7, CUSTOMERS)], [use(2)], {SALES}),
        ("in another role", [use(1)], [use(1, role=TEST)], set()),
        ("more of it", [use(1)], [use(1), use(2)], set()),
    ],
)
def test_only_tables_that_decide_are_looked_at(case: str, before: list, after: list, tables: set[UUID]):
    assert tables_to_look_at(before, after).keys() == tables, case


def replaced(snapshot_id: int, parent_id: int | None):
    return replace(make_snapshot(snapshot_id, parent_id), operation=SnapshotOperation.REPLACE)


def test_a_compaction_has_the_rows_of_what_it_compacted():
    made = [make_snapshot(1), replaced(2, 1), replaced(3, 2), make_snapshot(4, 3), replaced(5, 4)]
    history = History(snapshots={each.snapshot_id: each for each in made}, refs={})

    assert [rows_of_snapshot(history, number) for number in (1, 2, 3, 4, 5)] == [1, 1, 1, 4, 4]
    assert rows_of_snapshot(history, 99) == 99


def test_what_was_compacted_is_known_after_it_has_expired():
    history = History(snapshots={2: replaced(2, 1), 7: replaced(7, None)}, refs={})

    assert rows_of_snapshot(history, 2) == rows_of_snapshot(history, 1) == 1
    assert rows_of_snapshot(history, 7) == 7
