"""Compaction as JSON, where there is more than is listed."""

from __future__ import annotations

import pytest

from app.domain.compaction.planning import plan_compaction
from app.domain.compaction.policy import CompactionPolicy
from app.domain.names import DatasetName
from app.services.compaction.entries import MAX_LISTED, explained_entry
from tests.unit.domain.compaction.made_files import files


@pytest.mark.parametrize(("more", "is_truncated"), [(0, False), (1, True)])
def test_of_the_bins_of_a_plan_the_best_are_listed(more: int, *, is_truncated: bool) -> None:
    # Given as many partitions as are listed or more, of which one gains more than the others
    count = MAX_LISTED + more
    table = [file for part in range(count) for file in files(2, 1, partition=f"p={part:03d}", first=10 * part)]
    table += files(3, 1, partition=f"p={count - 1:03d}", first=10 * count)

    found = explained_entry(DatasetName(namespace="a", name="b"), plan_compaction(table, CompactionPolicy()), [])

    assert (found["bins"], found["planned_bins_truncated"]) == (count, is_truncated)
    # Then that one comes first, and the others in the order of the plan
    best, *others = found["planned_bins"]
    assert best == {"partition": f"p={count - 1:03d}", "files": 5, "files_after": 1, "bytes": 5 * 2**20}
    assert [each["partition"] for each in others] == [f"p={part:03d}" for part in range(MAX_LISTED - 1)]
