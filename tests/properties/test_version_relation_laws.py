"""Laws of how two snapshots of any history are related."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.domain.version_relation import VersionRelation, relate
from tests.strategies import histories

MIRRORED = {
    VersionRelation.ANCESTOR: VersionRelation.DESCENDANT,
    VersionRelation.DESCENDANT: VersionRelation.ANCESTOR,
}


@given(st.data())
def test_swapped_snapshots_give_the_mirror(data):
    history = data.draw(histories())
    a, b = (data.draw(st.sampled_from(sorted(history.snapshots))) for _ in range(2))

    there, back = relate(history, a, b), relate(history, b, a)

    assert back.relation is MIRRORED.get(there.relation, there.relation)
    assert (back.merge_base_id, back.is_cut) == (there.merge_base_id, there.is_cut)
    assert (back.from_side, back.to_side) == (there.to_side, there.from_side)


@given(st.data())
def test_the_sides_are_what_each_has_and_the_other_has_not(data):
    history = data.draw(histories())
    a, b = (data.draw(st.sampled_from(sorted(history.snapshots))) for _ in range(2))
    of_a, of_b = ({s.snapshot_id for s in history.ancestors(each)} for each in (a, b))

    found = relate(history, a, b)

    assert {s.snapshot_id for s in found.from_side} == of_a - of_b
    assert {s.snapshot_id for s in found.to_side} == of_b - of_a
    assert (found.merge_base_id is None) is not bool(of_a & of_b)
    if found.merge_base_id is not None:
        shared = {s.snapshot_id for s in history.ancestors(found.merge_base_id)}
        assert shared == of_a & of_b
        assert not found.is_cut
    assert (found.relation is VersionRelation.SAME) is (a == b)
    assert (found.relation in (VersionRelation.UNRELATED, VersionRelation.UNKNOWN)) is not bool(of_a & of_b)
    assert found.is_cut is (found.relation is VersionRelation.UNKNOWN)
