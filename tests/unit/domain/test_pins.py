"""Which tag keeps what a model was trained on, and when a tag keeps it at all."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.history import END_OF_TIME_MS, ENDLESS_AGE_MS, Ref, RefKind
from app.domain.names import DatasetName
from app.domain.pins import choose_other_pin_name, choose_pin_name, is_pinned, pin_names
from app.domain.roles import InputRole
from app.domain.uses import VersionUse
from tests.strategies import DATASET, TABLE_UUID, make_history, make_ref
from tests.unit.domain.retention.tables import pin

DAY_MS = 24 * 60 * 60 * 1000
USE = VersionUse(dataset=DatasetName.parse(DATASET), table_uuid=TABLE_UUID, snapshot_id=2, role=InputRole.VALIDATION)
FIRST, SECOND, THIRD = islice(pin_names("churn", 1, InputRole.VALIDATION), 3)


def history_with(*refs: Ref):
    history = make_history(1, 2, 3)
    return replace(history, refs=history.refs | {ref.name: ref for ref in refs})


@pytest.mark.parametrize(
    ("case", "refs", "taken", "chosen"),
    [
        ("nothing is there", (), (), FIRST),
        ("a tag on the snapshot", (make_ref(FIRST, 2),), (), FIRST),
        ("an endless tag on the snapshot", (make_ref(FIRST, 2, max_ref_age_ms=ENDLESS_AGE_MS),), (), FIRST),
        ("a tag on the snapshot that ends", (make_ref(FIRST, 2, max_ref_age_ms=DAY_MS),), (), SECOND),
        ("a tag on the snapshot that ends late", (make_ref(FIRST, 2, max_ref_age_ms=END_OF_TIME_MS - 1),), (), SECOND),
        ("a tag on another snapshot", (make_ref(FIRST, 1),), (), SECOND),
        ("an endless tag on another snapshot", (make_ref(FIRST, 1, max_ref_age_ms=ENDLESS_AGE_MS),), (), SECOND),
        ("a branch at the snapshot", (make_ref(FIRST, 2, RefKind.BRANCH),), (), SECOND),
        ("another pin has the name", (), (FIRST,), SECOND),
        ("another pin has the tag on the snapshot", (make_ref(FIRST, 2),), (FIRST,), SECOND),
        ("the first two are another's", (make_ref(FIRST, 1),), (SECOND,), THIRD),
        ("the second is a tag on the snapshot", (make_ref(FIRST, 1), make_ref(SECOND, 2)), (), SECOND),
    ],
)
def test_the_first_name_that_can_be_had_is_chosen(case: str, refs, taken, chosen: str) -> None:
    assert choose_pin_name(USE, "churn", 1, history_with(*refs), taken) == chosen


@pytest.mark.parametrize(
    ("case", "refs", "taken", "chosen"),
    [
        ("nothing is there", (), (), "t_2"),
        ("a tag on the snapshot", (make_ref("t_2", 2),), (), "t_2"),
        ("a tag on another snapshot", (make_ref("t_2", 1),), (), "t_3"),
        ("a tag on the snapshot that ends", (make_ref("t_2", 2, max_ref_age_ms=DAY_MS),), (), "t_3"),
        ("a branch, and another pin", (make_ref("t_2", 2, RefKind.BRANCH),), ("t_3",), "t_4"),
    ],
)
def test_another_name_is_counted_up_from_the_pins_own(case: str, refs, taken, chosen: str) -> None:
    history = history_with(make_ref("t", 1), *refs)

    assert choose_other_pin_name(pin("churn", 1, 2, tag="t"), history, taken) == chosen


names = st.sampled_from([FIRST, SECOND, THIRD])
ages_ms = st.sampled_from([None, 1, DAY_MS, END_OF_TIME_MS - 1, END_OF_TIME_MS, ENDLESS_AGE_MS])


@given(
    refs=st.lists(
        st.builds(
            lambda name, kind, at, age_ms: make_ref(name, at, kind, max_ref_age_ms=age_ms),
            names,
            st.sampled_from(RefKind),
            st.sampled_from([1, 2, 3]),
            ages_ms,
        ),
        unique_by=lambda ref: ref.name,
    ),
    taken=st.frozensets(names),
)
def test_no_pin_takes_what_is_anothers(refs: list[Ref], taken: frozenset[str]) -> None:
    history = history_with(*refs)

    chosen = choose_pin_name(USE, "churn", 1, history, taken)

    # It is nobody's, or a tag of this snapshot whose owner did not say when it ends
    ref = history.refs.get(chosen)
    assert chosen not in taken
    assert ref is None or is_pinned(replace(ref, max_ref_age_ms=ENDLESS_AGE_MS), USE.snapshot_id)
    assert ref is None or ref.max_ref_age_ms is None or ref.is_endless
    # And whoever has it chooses no other, as long as nothing changes
    assert choose_pin_name(USE, "churn", 1, history, taken) == chosen
    assert choose_pin_name(USE, "churn", 1, history, taken | {chosen}) != chosen


@pytest.mark.parametrize(
    ("case", "ref", "expected"),
    [
        ("endless tag", make_ref("t", 2, max_ref_age_ms=ENDLESS_AGE_MS), True),
        ("tag beyond all dates", make_ref("t", 2, max_ref_age_ms=END_OF_TIME_MS), True),
        ("tag without an age", make_ref("t", 2), False),
        ("tag that ends", make_ref("t", 2, max_ref_age_ms=END_OF_TIME_MS - 1), False),
        ("tag elsewhere", make_ref("t", 1, max_ref_age_ms=ENDLESS_AGE_MS), False),
        ("branch", make_ref("t", 2, RefKind.BRANCH, max_ref_age_ms=ENDLESS_AGE_MS), False),
        ("nothing", None, False),
    ],
)
def test_what_keeps_a_snapshot_in_every_engine(case: str, ref: Ref | None, expected: bool) -> None:
    assert is_pinned(ref, 2) is expected
