"""Whose snapshots and files are, and what one change takes out."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain.expiry import GOING, SHARED, assign_owners, join_owners

OWNERS = st.sampled_from([GOING, SHARED, 1, 2, 3])


@given(OWNERS, OWNERS, OWNERS)
def test_joining_does_not_depend_on_the_order(one: int, two: int, three: int):
    assert join_owners(one, two) == join_owners(two, one)
    assert join_owners(join_owners(one, two), three) == join_owners(one, join_owners(two, three))
    assert join_owners(one, one) == one
    assert join_owners(one, GOING) == one
    assert join_owners(one, SHARED) == SHARED


def test_owners_of_snapshots():
    # Given seven snapshots: one goes, one nobody names, and two holders that have one in common
    owned = assign_owners(range(1, 8), going=[1, 99], holders={"tag": [3, 4, 4], "model": [4, 5, 1], "none": []})

    # Then only what one of them has alone is its own
    names = {name: number for number, name in owned.names.items()}
    assert owned.owners == {
        1: GOING,
        2: SHARED,
        3: names["tag"],
        4: SHARED,
        5: names["model"],
        6: SHARED,
        7: SHARED,
    }
