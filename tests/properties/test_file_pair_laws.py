"""Laws of pairing files: each is in one pair at most, and copies find what they were made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.domain.file_pairs import pair_alike

MARKS = st.sets(st.integers(0, 12), max_size=6)
SIDE = st.lists(MARKS, max_size=8)


@given(SIDE, SIDE)
def test_each_file_is_in_one_pair_at_most_and_those_have_something_in_common(
    ours: list[set[int]], theirs: list[set[int]]
) -> None:
    pairs = pair_alike(ours, theirs)
    assert pairs == sorted(pairs)
    for places in zip(*pairs, strict=True):
        assert len(set(places)) == len(places)
    assert all(ours[one] & theirs[other] for one, other in pairs)
    # And none is left that would go with another one that is left.
    left = [(a, b) for a in range(len(ours)) for b in range(len(theirs)) if a not in dict(pairs)]
    taken = {other for _, other in pairs}
    assert not [(a, b) for a, b in left if b not in taken and ours[a] & theirs[b]]


@given(st.integers(1, 30), st.randoms(use_true_random=False), st.data())
def test_files_are_paired_with_their_copies(files: int, random: object, data: st.DataObject) -> None:
    # Each has marks of its own, of which its copy has most, and one that all have
    marks = [{(place, column) for column in range(5)} | {"all"} for place in range(files)]
    order = data.draw(st.permutations(range(files)))
    copies = [set(marks[place]) - {(place, data.draw(st.integers(0, 4)))} for place in order]
    assert pair_alike(marks, copies) == sorted((place, number) for number, place in enumerate(order))


def test_what_many_files_have_tells_none_from_the_others() -> None:
    assert pair_alike([{"all"}] * 9, [{"all"}] * 9) == []
    assert pair_alike([{"all"}] * 8, [{"all"}]) == [(0, 0)]
    assert pair_alike([], [{1}]) == pair_alike([{1}], []) == []
