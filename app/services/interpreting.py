"""What the entries of the log under one key amount to: edges of the lineage graph, and the run as it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.events import DatasetEvent, JobEvent, RunEvent
from app.domain.lineage import Projection, model_vertex
from app.domain.pipelines import PipelineRun, pipeline_id_of
from app.domain.records import is_record, read_record
from app.domain.run_projection import (
    describe_run,
    outputs_to_bind,
    pipeline_version_of,
    project_job,
    project_run,
)
from app.domain.run_state import ResolvableUse, merge
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


class Interpreting:
    """Reads the log by what is known today of tables, pipelines and models."""

    def __init__(self, resolving: Resolving, pipelines: PipelineStore, models: ModelStore) -> None:
        self._resolving = resolving
        self._pipelines = pipelines
        self._models = models

    async def interpret(self, run_key: str, stored: Sequence[StoredEvent]) -> Interpretation:
        """What these entries, all of one key, amount to. Raises as `Resolving.bind`."""
        if is_record(run_key):
            # The same was recorded twice at once: what was first holds.
            first = min(stored, key=lambda event: (event.event_time, event.body_hash))
            return Interpretation(projection=read_record(run_key, first.body).project())
        parsed = [parse_events(each.body)[0].event for each in stored]
        runs = [event for event in parsed if isinstance(event, RunEvent)]
        if runs:
            return await self._interpret_run(runs)
        jobs = [event for event in parsed if isinstance(event, JobEvent)]
        if jobs:
            return await self._interpret_job(run_key, jobs)
        # Events about datasets alone join nothing but the names of one.
        datasets = [event for event in parsed if isinstance(event, DatasetEvent)]
        nothing = Projection(owner=run_key, vertices={}, edges=())
        renames = renames_of_datasets(datasets)
        return Interpretation(projection=await with_what_is_told(nothing, datasets, [], renames, self._resolving))

    async def _interpret_run(self, events: Sequence[RunEvent]) -> Interpretation:
        state = merge(events)
        inputs = await self._resolving.bind(state.inputs)
        outputs = await self._resolving.bind(outputs_to_bind(state))
        versions = await self._pipelines.version_keys(pipeline_id_of(state.job))
        number = pipeline_version_of(state, versions)
        models = (await self._models.made_by_runs([state.run_id])).get(state.run_id, [])
        projection = project_run(
            state,
            inputs,
            outputs,
            version_number=number,
            models=[model_vertex(name, version) for name, version in models],
        )
        return Interpretation(
            projection=await with_what_is_told(
                projection, events, [*inputs, *outputs], renames_of_run(state), self._resolving
            ),
            run=describe_run(state, inputs, outputs, number),
        )

    async def _interpret_job(self, run_key: str, events: Sequence[JobEvent]) -> Interpretation:
        # A later event says the whole anew; of two at one moment the larger hash does, in whatever order they came.
        last = max(events, key=lambda event: (event.event_time, event.body_hash))
        inputs, outputs = [
            await self._resolving.bind([ResolvableUse(use=use, at=last.event_time) for use in uses])
            for uses in (last.inputs, last.outputs)
        ]
        projection = project_job(run_key, last, inputs, outputs)
        return Interpretation(
            projection=await with_what_is_told(projection, events, [*inputs, *outputs], {}, self._resolving)
        )
