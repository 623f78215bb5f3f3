"""What all events of a run amount to, in whatever order and however often they came.

`merge` is a function of the *set* of events: they are put in one total order first, so that a shuffle or a repetition
cannot change the outcome, and a late event changes it as if it had been in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from app.domain.events import (
    DatasetId,
    DatasetUse,
    EventType,
    JobFacts,
    JobId,
    ParentRun,
    RunEvent,
    RunFailure,
    at_version,
    by_dataset,
    unite,
)


class RunStatus(StrEnum):
    """How a run stands."""

    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvableUse:
    """A dataset as a run used it. Where no event told the version (`use.version` is None), it is that of `at`."""

    use: DatasetUse
    at: datetime

    @property
    def is_inferred(self) -> bool:
        """Whether the version has to be found out from the time."""
        return self.use.version is None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run, as all its events tell it.

    `started_at` is the time of the earliest event, and `is_start_inferred`, until a START comes. `ended_at` is None
    while no event ended the run. Inputs and outputs are ordered by dataset and version.
    """

    run_id: UUID
    job: JobId
    status: RunStatus
    started_at: datetime
    is_start_inferred: bool
    ended_at: datetime | None
    producer: str | None
    facts: JobFacts
    parent: ParentRun | None
    failure: RunFailure | None
    recorded_by: str | None
    pipeline_version: int | None
    event_count: int
    inputs: tuple[ResolvableUse, ...]
    outputs: tuple[ResolvableUse, ...]


_STATUS = {
    EventType.COMPLETE: RunStatus.SUCCESS,
    EventType.FAIL: RunStatus.FAILED,
    EventType.ABORT: RunStatus.ABORTED,
}
# Of two events of one moment the one that comes later in every run counts as later.
_STAGE = {EventType.START: 0, EventType.RUNNING: 1, EventType.OTHER: 1}
_ENDED_STAGE = 2
# What was there when the run began is what it read; what is there when it is over is what it wrote.
_INPUT_RANK = {EventType.START: 0, EventType.RUNNING: 1}
_OUTPUT_RANK = {EventType.START: 3, EventType.RUNNING: 2, EventType.OTHER: 2, EventType.COMPLETE: 0}
_OTHER_INPUT_RANK, _OTHER_OUTPUT_RANK = 2, 1

_Order = tuple[datetime, int, bytes]
_T = TypeVar("_T")


def merge(events: Iterable[RunEvent]) -> RunState:
    """The state of a run.

    Raises:
        ValueError: no event at all, or events of several runs.
    """
    ordered = sorted({event.body_hash: event for event in events}.values(), key=_order)
    if len({event.run_id for event in ordered}) != 1:
        raise ValueError("merging takes the events of exactly one run")
    starts = [event for event in ordered if event.type is EventType.START]
    ends = [event for event in ordered if event.type.is_terminal]
    begin = (starts or ordered)[0].event_time
    return RunState(
        run_id=ordered[0].run_id,
        job=ordered[-1].job,
        status=_STATUS[ends[-1].type] if ends else RunStatus.RUNNING,
        started_at=begin,
        is_start_inferred=not starts,
        ended_at=ends[-1].event_time if ends else None,
        producer=_last(event.producer for event in ordered),
        facts=_facts(ordered),
        parent=_last(event.parent for event in ordered),
        failure=_last(event.failure for event in ordered),
        recorded_by=_last(event.recorded_by for event in ordered),
        pipeline_version=_last(event.pipeline_version for event in ordered),
        event_count=len(ordered),
        inputs=_uses(ordered, lambda event: event.inputs, _input_claim, at=begin),
        # A run that goes on has written what is there now; its next event will look again.
        outputs=_uses(ordered, lambda event: event.outputs, _output_claim, at=(ends or ordered)[-1].event_time),
    )


def _order(event: RunEvent) -> _Order:
    return (event.event_time, _STAGE.get(event.type, _ENDED_STAGE), event.body_hash)


def _input_claim(event: RunEvent, place: int) -> tuple[int, int]:
    return (_INPUT_RANK.get(event.type, _OTHER_INPUT_RANK), place)


def _output_claim(event: RunEvent, place: int) -> tuple[int, int]:
    return (_OUTPUT_RANK.get(event.type, _OTHER_OUTPUT_RANK), -place)


def _uses(
    ordered: Sequence[RunEvent],
    of: Callable[[RunEvent], tuple[DatasetUse, ...]],
    claim: Callable[[RunEvent, int], tuple[int, int]],
    *,
    at: datetime,
) -> tuple[ResolvableUse, ...]:
    told: dict[DatasetId, list[DatasetUse]] = {}
    # By dataset, the versions of the event with the best claim to know: a join of two versions has two.
    versions: dict[DatasetId, tuple[tuple[int, int], list[str]]] = {}
    for place, event in enumerate(ordered):
        for dataset, uses in by_dataset(of(event)).items():
            told.setdefault(dataset, []).extend(uses)
            known = sorted({use.version for use in uses if use.version is not None})
            rank = claim(event, place)
            if known and (dataset not in versions or rank < versions[dataset][0]):
                versions[dataset] = (rank, known)
    found = []
    for dataset in sorted(told):
        whole = replace(unite(told[dataset]), version=None)
        if dataset in versions:
            found += [
                ResolvableUse(use=at_version(whole, told[dataset], known), at=at) for known in versions[dataset][1]
            ]
        else:
            found.append(ResolvableUse(use=whole, at=at))
    return tuple(found)


def _facts(ordered: Sequence[RunEvent]) -> JobFacts:
    facts = [event.facts for event in ordered]
    return JobFacts(
        sql=_last(each.sql for each in facts),
        location=_last(each.location for each in facts),
        code=_last(each.code for each in facts),
        owners=_last(each.owners or None for each in facts) or (),
    )


def _last(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in reversed(list(values)) if value is not None), None)
