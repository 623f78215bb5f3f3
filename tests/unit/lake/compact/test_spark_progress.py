"""How far Spark is, of what it tells of its stages."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.domain.compaction.planning import plan_compaction
from app.domain.compaction.policy import CompactionPolicy
from app.lake.compact.spark_progress import SparkProgress
from tests.unit.domain.compaction.made_files import files


@dataclass(frozen=True)
class Stage:
    num_tasks: int
    num_completed_tasks: int


@pytest.mark.parametrize(
    ("case", "is_sorted", "stages", "fraction"),
    [
        ("nothing is begun", False, None, 0.0),
        ("one of two partitions", False, [Stage(1, 1)], 0.5),
        ("one of two, and one begun", False, [Stage(1, 1), Stage(1, 0)], 0.5),
        ("both", False, [Stage(1, 1), Stage(1, 1)], 1.0),
        ("more tasks than were expected", False, [Stage(4, 4), Stage(4, 2)], 0.75),
        ("the rows of one are read", True, [Stage(1, 1)], 1 / 6),
        ("and sorted", True, [Stage(1, 1), Stage(1, 1), Stage(1, 1)], 0.5),
    ],
)
def test_the_fraction_is_of_the_tasks_that_are_expected_or_known(
    case: str, is_sorted: bool, stages: list[Stage] | None, fraction: float
) -> None:
    # Given two partitions, each of which becomes one file
    plan = plan_compaction(files(12, 1, partition="a") + files(12, 1, partition="b", first=12), CompactionPolicy())
    told: list[float] = []

    progress = SparkProgress(plan, told.append, is_sorted=is_sorted)
    progress(stages=stages, inflight_tasks=0, operation_id="1", done=False)
    # And it is never less far than it was
    progress(stages=[], inflight_tasks=0, operation_id="2", done=True)

    assert told == [fraction, fraction]
