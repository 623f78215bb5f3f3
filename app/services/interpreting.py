"""What the entries of the log under one key amount to: edges of the lineage graph, and the run as it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from app.domain.events import DatasetEvent, JobEvent, RunEvent
from app.domain.lineage import Projection, Vertex, model_vertex
from app.domain.pipelines import PipelineRun, pipeline_id_of
from app.domain.records import Record, is_record, read_record
from app.domain.run_projection import (
    BoundUse,
    describe_run,
    outputs_to_bind,
    pipeline_version_of,
    project_job,
    project_run,
)
from app.domain.run_state import ResolvableUse, RunState, merge
from app.lineage.openlineage.parse import parse_events
from app.registry.events import StoredEvent
from app.registry.models import ModelStore
from app.registry.pipelines import PipelineStore
from app.services.resolving import Resolving
from app.services.telling import renames_of_datasets, renames_of_run, with_what_is_told


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpretation:
    """What is to be known of one key of the log; `run` where it is a run's."""

    projection: Projection
    run: PipelineRun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunReading:
    state: RunState
    events: Sequence[RunEvent]

    @property
    def parts(self) -> tuple[Sequence[ResolvableUse], Sequence[ResolvableUse]]:
        """Inputs and outputs that are to be bound."""
        return self.state.inputs, outputs_to_bind(self.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class _JobReading:
    last: JobEvent
    events: Sequence[JobEvent]

    @property
    def parts(self) -> tuple[Sequence[ResolvableUse], Sequence[ResolvableUse]]:
        """Inputs and outputs that are to be bound."""
        inputs, outputs = (
            [ResolvableUse(use=use, at=self.last.event_time) for use in uses]
            for uses in (self.last.inputs, self.last.outputs)
        )
        return inputs, outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class _DatasetReading:
    events: Sequence[DatasetEvent]
    parts: tuple[Sequence[ResolvableUse], Sequence[ResolvableUse]] = ((), ())


_Reading = Record | _RunReading | _JobReading | _DatasetReading
_Bound = tuple[list[BoundUse], list[BoundUse]]


class Interpreting:
    """Reads the log by what is known today of tables, pipelines and models."""

    def __init__(self, resolving: Resolving, pipelines: PipelineStore, models: ModelStore) -> None:
        self._resolving = resolving
        self._pipelines = pipelines
        self._models = models

    async def interpret(self, run_key: str, stored: Sequence[StoredEvent]) -> Interpretation:
        """What these entries, all of one key, amount to. Raises as `Resolving.bind`."""
        return (await self.interpret_all({run_key: stored}))[run_key]

    async def interpret_all(self, logged: Mapping[str, Sequence[StoredEvent]]) -> dict[str, Interpretation]:
        """What the entries under each key amount to. Costs as many statements for all as for one.

        Raises: as `Resolving.bind`, for all where it does for one.
        """
        readings = {run_key: _read(run_key, stored) for run_key, stored in logged.items()}
        bound = await self._bind(readings)
        states = [reading.state for reading in readings.values() if isinstance(reading, _RunReading)]
        versions = await self._pipelines.version_keys(sorted({pipeline_id_of(state.job) for state in states}))
        models = await self._models.made_by_runs([state.run_id for state in states])
        found: dict[str, Interpretation] = {}
        for run_key, reading in readings.items():
            if isinstance(reading, _RunReading):
                state = reading.state
                number = pipeline_version_of(state, versions.get(pipeline_id_of(state.job), []))
                made = [model_vertex(name, version) for name, version in models.get(state.run_id, [])]
                found[run_key] = await self._interpret_run(reading, bound[run_key], number, made)
            elif isinstance(reading, _JobReading):
                found[run_key] = await self._interpret_job(run_key, reading, bound[run_key])
            elif isinstance(reading, _DatasetReading):
                found[run_key] = await self._interpret_datasets(run_key, reading)
            else:
                found[run_key] = Interpretation(projection=reading.project())
        return found

    async def _bind(self, readings: Mapping[str, _Reading]) -> dict[str, _Bound]:
        parts = {
            run_key: reading.parts
            for run_key, reading in readings.items()
            if isinstance(reading, _RunReading | _JobReading)
        }
        uses = iter(await self._resolving.bind([use for both in parts.values() for part in both for use in part]))
        return {
            run_key: (list(islice(uses, len(inputs))), list(islice(uses, len(outputs))))
            for run_key, (inputs, outputs) in parts.items()
        }

    async def _interpret_run(
        self, reading: _RunReading, bound: _Bound, number: int | None, models: Sequence[Vertex]
    ) -> Interpretation:
        state, (inputs, outputs) = reading.state, bound
        projection = project_run(state, inputs, outputs, version_number=number, models=models)
        return Interpretation(
            projection=await with_what_is_told(
                projection, reading.events, [*inputs, *outputs], renames_of_run(state), self._resolving
            ),
            run=describe_run(state, inputs, outputs, number),
        )

    async def _interpret_job(self, run_key: str, reading: _JobReading, bound: _Bound) -> Interpretation:
        inputs, outputs = bound
        projection = project_job(run_key, reading.last, inputs, outputs)
        return Interpretation(
            projection=await with_what_is_told(projection, reading.events, [*inputs, *outputs], {}, self._resolving)
        )

    async def _interpret_datasets(self, run_key: str, reading: _DatasetReading) -> Interpretation:
        # Events about datasets alone join nothing but the names of one.
        nothing = Projection(owner=run_key, vertices={}, edges=())
        renames = renames_of_datasets(reading.events)
        return Interpretation(projection=await with_what_is_told(nothing, reading.events, [], renames, self._resolving))


def _read(run_key: str, stored: Sequence[StoredEvent]) -> _Reading:
    if is_record(run_key):
        # The same was recorded twice at once: what was first holds.
        first = min(stored, key=lambda event: (event.event_time, event.body_hash))
        return read_record(run_key, first.body)
    parsed = [parse_events(each.body)[0].event for each in stored]
    runs = [event for event in parsed if isinstance(event, RunEvent)]
    if runs:
        return _RunReading(state=merge(runs), events=runs)
    jobs = [event for event in parsed if isinstance(event, JobEvent)]
    if jobs:
        # A later event says the whole anew; of two at one moment the larger hash does, in whatever order they came.
        return _JobReading(last=max(jobs, key=lambda event: (event.event_time, event.body_hash)), events=jobs)
    return _DatasetReading(events=[event for event in parsed if isinstance(event, DatasetEvent)])
