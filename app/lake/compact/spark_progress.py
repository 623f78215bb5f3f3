"""How far Spark is with a compaction, by what its server tells of its tasks while a statement runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from app.domain.compaction.planning import CompactionPlan

if TYPE_CHECKING:
    from app.lake.compact.running import OnProgress

# Where rows are sorted all are read to find where files begin, read again to be given to them, and written.
_SORTING_STAGES = 3


class Stage(Protocol):
    """What Spark Connect tells of a stage that has begun."""

    num_tasks: int
    num_completed_tasks: int


class SparkProgress:
    """Tells how far a statement is; a progress handler of Spark Connect, which is called in the statement's thread.

    Servers tell of stages as they begin, every two seconds by default, and of nothing before Spark 4: the fraction then
    stays where it is. It is of as many tasks as the plan lets expect, or as there are where those are more: Spark makes
    groups of its own, a few at a time, and each is a task for each file that it becomes, or three where it is sorted.
    """

    def __init__(self, plan: CompactionPlan, on_progress: OnProgress, *, is_sorted: bool) -> None:
        self._expected = sum(some.outputs for some in plan.bins) * (_SORTING_STAGES if is_sorted else 1)
        self._on_progress = on_progress
        self._fraction = 0.0

    def __call__(
        self, stages: Iterable[Stage] | None, inflight_tasks: int, operation_id: str | None, done: bool
    ) -> None:
        """As `pyspark.sql.connect.shell.progress.ProgressHandler`."""
        known = list(stages or ())
        tasks = max(self._expected, sum(stage.num_tasks for stage in known))
        if tasks:
            # What fetches the answer at the end is a statement of its own, without stages.
            self._fraction = max(self._fraction, sum(stage.num_completed_tasks for stage in known) / tasks)
            self._on_progress(self._fraction)
