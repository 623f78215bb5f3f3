"""Samples of rows that differ: a smaller one is cut out of a larger one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.row_diffs import KEPT_SAMPLES, MAX_SAMPLE, RowDiffRequest, RowSample


def sample(added: int, removed: int, size: int) -> RowSample:
    """The first rows of so many."""
    rows = tuple({"id": number} for number in range(size))
    return RowSample(added=rows[:added], removed=rows[:removed], is_truncated=added > size or removed > size)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40), st.integers(0, 40))
def test_a_sample_that_is_cut_is_the_one_that_would_have_been_made(
    added: int, removed: int, size: int, smaller: int
) -> None:
    smaller = min(smaller, size)

    assert sample(added, removed, size).cut(smaller) == sample(added, removed, smaller)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60))
def test_a_sample_of_all_rows_is_that_of_any_larger_size(added: int, removed: int, size: int) -> None:
    assert sample(added, removed, 30).cut(30 + size) == sample(added, removed, 30 + size)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [(0, (0, 10, 100, 1000)), (1, (10, 100, 1000)), (10, (10, 100, 1000)), (11, (100, 1000)), (1000, (1000,))],
)
def test_what_is_looked_for_is_the_next_size_that_is_kept(asked: int, kept: tuple[int, ...]) -> None:
    assert RowDiffRequest(sample_size=asked).kept_sizes == kept
    assert KEPT_SAMPLES[-1] == MAX_SAMPLE
