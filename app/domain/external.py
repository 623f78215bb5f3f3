"""What is known of datasets that are in no catalog of ours, by what events tell of them.

A fact is a register: the latest event that tells it has the last word, and of two of one moment the one with the larger
hash. What is known is therefore a function of the *set* of events, whatever their order and repetition, and whichever
runs they belong to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.events import (
    DatasetEvent,
    DatasetId,
    DatasetUse,
    EventField,
    EventType,
    JobEvent,
    LifecycleChange,
    LineageEvent,
    Owner,
    RunEvent,
)


class Aspect(StrEnum):
    """What a fact is about; the names are written to the database."""

    SEEN = "seen"
    FIELDS = "fields"
    OWNERS = "owners"
    COUNTS = "counts"
    STATE = "state"


class ExternalState(StrEnum):
    """What became of a dataset as a whole."""

    EXISTS = "EXISTS"
    DROPPED = "DROPPED"
    RENAMED = "RENAMED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much was written to it, by the last event that told."""

    row_count: int | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """What became of it; `renamed_to` where it has another name now."""

    state: ExternalState
    renamed_to: DatasetId | None = None


FactValue = None | tuple[EventField, ...] | tuple[Owner, ...] | Counts | StateChange


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalFact:
    """One thing that one event tells of one dataset; `told_by` is the hash of the event's body."""

    dataset: DatasetId
    aspect: Aspect
    told_at: datetime
    told_by: bytes
    value: FactValue

    @property
    def stamp(self) -> tuple[datetime, bytes]:
        """The larger one has the last word."""
        return (self.told_at, self.told_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalDataset:
    """A dataset in no catalog of ours, as far as events told. What none told is None or empty.

    `dropped_at` and `renamed_to` are of what happened to it last; one that was made again has neither.
    """

    dataset: DatasetId
    fields: tuple[EventField, ...] = ()
    owners: tuple[Owner, ...] = ()
    row_count: int | None = None
    size_bytes: int | None = None
    dropped_at: datetime | None = None
    renamed_to: DatasetId | None = None
    last_seen_at: datetime | None = None


def facts_of(events: Iterable[LineageEvent]) -> list[ExternalFact]:
    """All that events tell of the datasets in them, ours among them: the last word on each aspect."""
    return latest(fact for event in events for fact in _facts_in(event))


def latest(facts: Iterable[ExternalFact]) -> list[ExternalFact]:
    """Of the facts about one aspect of one dataset the last word, in the order of datasets and aspects."""
    found: dict[tuple[DatasetId, Aspect], ExternalFact] = {}
    for fact in facts:
        key = (fact.dataset, fact.aspect)
        # Of two within one event the later one, which is the same in whatever order the events come.
        if key not in found or fact.stamp >= found[key].stamp:
            found[key] = fact
    return [found[key] for key in sorted(found)]


def assemble(dataset: DatasetId, facts: Iterable[ExternalFact]) -> ExternalDataset:
    """A dataset by what is known of it."""
    known = {fact.aspect: fact for fact in latest(fact for fact in facts if fact.dataset == dataset)}
    seen, state = known.get(Aspect.SEEN), known.get(Aspect.STATE)
    counts = known[Aspect.COUNTS].value if Aspect.COUNTS in known else None
    change = state.value if state is not None and isinstance(state.value, StateChange) else None
    is_dropped = change is not None and change.state is ExternalState.DROPPED
    return ExternalDataset(
        dataset=dataset,
        fields=tuple(each for each in _many(known, Aspect.FIELDS) if isinstance(each, EventField)),
        owners=tuple(each for each in _many(known, Aspect.OWNERS) if isinstance(each, Owner)),
        row_count=counts.row_count if isinstance(counts, Counts) else None,
        size_bytes=counts.size_bytes if isinstance(counts, Counts) else None,
        dropped_at=state.told_at if state is not None and is_dropped else None,
        renamed_to=change.renamed_to if change is not None else None,
        last_seen_at=seen.told_at if seen is not None else None,
    )


def renames_in(uses: Iterable[DatasetUse]) -> set[tuple[DatasetId, DatasetId]]:
    """Pairs of a dataset's name and the one it had before."""
    found: set[tuple[DatasetId, DatasetId]] = set()
    for use in uses:
        change = use.lifecycle
        if change is not None and change.change is LifecycleChange.RENAME and change.previous is not None:
            found.add((use.dataset, change.previous))
    return {(new, old) for new, old in found if new != old}


def uses_in(event: LineageEvent) -> tuple[DatasetUse, ...]:
    """The datasets of an event, as it uses them."""
    match event:
        case DatasetEvent():
            return (event.dataset,)
        case RunEvent() | JobEvent():
            return event.inputs + event.outputs


def _facts_in(event: LineageEvent) -> Iterator[ExternalFact]:
    for use in uses_in(event):
        values: list[tuple[Aspect, FactValue]] = [(Aspect.SEEN, None)]
        if use.fields:
            values.append((Aspect.FIELDS, use.fields))
        if use.owners:
            values.append((Aspect.OWNERS, use.owners))
        if use.row_count is not None or use.size_bytes is not None:
            values.append((Aspect.COUNTS, Counts(row_count=use.row_count, size_bytes=use.size_bytes)))
        state = _state_after(use)
        if state is not None and _is_done(event):
            values.append((Aspect.STATE, StateChange(state=state)))
        for aspect, value in values:
            yield _fact(event, use.dataset, aspect, value)
    for new, old in sorted(renames_in(uses_in(event))) if _is_done(event) else ():
        yield _fact(event, old, Aspect.STATE, StateChange(state=ExternalState.RENAMED, renamed_to=new))


def _is_done(event: LineageEvent) -> bool:
    """Whether what it says about a dataset as a whole has happened: a run says so from its START on, and may fail."""
    return not isinstance(event, RunEvent) or event.type is EventType.COMPLETE


def _fact(event: LineageEvent, dataset: DatasetId, aspect: Aspect, value: FactValue) -> ExternalFact:
    return ExternalFact(dataset=dataset, aspect=aspect, told_at=event.event_time, told_by=event.body_hash, value=value)


def _state_after(use: DatasetUse) -> ExternalState | None:
    match use.lifecycle.change if use.lifecycle is not None else None:
        case LifecycleChange.DROP:
            return ExternalState.DROPPED
        case LifecycleChange.CREATE | LifecycleChange.OVERWRITE | LifecycleChange.RENAME:
            return ExternalState.EXISTS
        case _:
            return None


def _many(known: Mapping[Aspect, ExternalFact], aspect: Aspect) -> tuple[EventField, ...] | tuple[Owner, ...]:
    value = known[aspect].value if aspect in known else ()
    return value if isinstance(value, tuple) else ()
