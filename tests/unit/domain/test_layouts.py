"""Partition specs and sort orders of versions, and how they differ."""

import pytest

from app.domain.layouts import (
    Layouts,
    PartitionField,
    PartitionSpec,
    SortField,
    SortOrder,
    compare_orders,
    compare_partitions,
)
from app.domain.versions import ResolvedVersion
from tests.strategies import make_history, make_state

NAMES = {1: "id", 2: "at", 3: "address.zip"}
BY_DAY = PartitionSpec(spec_id=1, fields=(PartitionField(source_id=2, name="at_day", transform="day"),))
BY_ZIP = PartitionSpec(spec_id=2, fields=(PartitionField(source_id=3, name="address.zip", transform="identity"),))
NO_SPEC = PartitionSpec(spec_id=0)
BY_ID = SortOrder(
    order_id=1, fields=(SortField(source_id=1, transform="identity", direction="asc", null_order="nulls-first"),)
)
UNSORTED = SortOrder(order_id=0)
HEAD_BY_BRANCH = ResolvedVersion(snapshot_id=2, uses_current_schema=True)
HEAD_BY_ID = ResolvedVersion(snapshot_id=2, uses_current_schema=False)


@pytest.mark.parametrize(
    ("case", "before", "after", "shown", "changed"),
    [
        ("none", NO_SPEC, NO_SPEC, ((), ()), False),
        ("split now", NO_SPEC, BY_DAY, ((), ("day(at) as at_day",)), True),
        ("identity is not written", BY_DAY, BY_ZIP, (("day(at) as at_day",), ("address.zip",)), True),
        ("not known", None, BY_DAY, (None, ("day(at) as at_day",)), None),
        (
            "another number of the same",
            BY_DAY,
            PartitionSpec(spec_id=7, fields=BY_DAY.fields),
            (("day(at) as at_day",), ("day(at) as at_day",)),
            False,
        ),
    ],
)
def test_partition_specs_are_compared(case, before, after, shown, changed):
    found = compare_partitions(before, after, (NAMES, NAMES))

    assert (found.before, found.after) == shown
    assert found.is_changed is changed


def test_a_source_is_known_by_its_id_within_one_table_and_by_its_name_in_two():
    renamed = {**NAMES, 2: "moment"}

    assert compare_partitions(BY_DAY, BY_DAY, (NAMES, renamed)).is_changed is False
    assert compare_partitions(BY_DAY, BY_DAY, (NAMES, renamed), by_id=False).is_changed is True


def test_a_source_that_was_dropped_is_told():
    assert compare_partitions(BY_DAY, BY_DAY, ({}, NAMES)).before == ("day((dropped column)) as at_day",)


def test_sort_orders_are_compared():
    found = compare_orders(UNSORTED, BY_ID, (NAMES, NAMES))

    assert (found.before, found.after, found.is_changed) == ((), ("id asc nulls-first",), True)


def test_branches_have_the_layout_of_now_and_snapshots_that_of_a_table_that_has_no_other():
    history = make_history(1, 2)
    one = make_state(history, layouts=Layouts(specs=(BY_DAY,), default_spec_id=1, orders=(UNSORTED,)))
    evolved = make_state(
        history,
        layouts=Layouts(specs=(NO_SPEC, BY_DAY), default_spec_id=1, orders=(UNSORTED, BY_ID), default_order_id=1),
    )

    assert one.layout_of(HEAD_BY_ID) == one.layout_of(HEAD_BY_BRANCH)
    assert one.layout_of(HEAD_BY_ID).partition == BY_DAY
    assert (evolved.layout_of(HEAD_BY_BRANCH).partition, evolved.layout_of(HEAD_BY_BRANCH).sort) == (BY_DAY, BY_ID)
    assert (evolved.layout_of(HEAD_BY_ID).partition, evolved.layout_of(HEAD_BY_ID).sort) == (None, None)
