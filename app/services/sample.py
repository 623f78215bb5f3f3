"""The sample lake's pipelines, runs and models: told to the same services that real ones are told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import anyio
import orjson

from app.domain.changes import Actor, Command
from app.domain.models import Metric, NewModelVersion, guess_higher_is_better
from app.domain.names import DatasetName
from app.domain.pipelines import NATIVE_NAMESPACE
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus
from app.domain.uses import VersionUse
from app.domain.versions import VersionSelector
from app.errors import NotFound
from app.lake.sample.lineage import PIPELINES, MadeSnapshot, SampleRun, sample_runs
from app.lake.sample.models import SampleModel, has_scikit_learn, sample_models
from app.lake.store import Lake
from app.lineage.openlineage.names import EVENT_SCHEMA_URL, PIPELINE_FACET, PRODUCER, RECORD_FACET
from app.lineage.openlineage.write import dataset_json, facet_json
from app.services.datasets import Datasets
from app.services.ingesting import Ingesting
from app.services.model_registration import ModelRegistration, TrainingInput
from app.services.models import Models
from app.services.pipelines import NewPipelineVersion, Pipelines
from app.services.runs import RunReport, Runs, UsedVersion

if TYPE_CHECKING:
    from app.lake.sample.lineage import SamplePipeline

ACTOR = Actor(subject="stratigraph demo")
TOOK = timedelta(seconds=2)
LANDING = "s3://landing"
# What run ids are made from, so that telling the sample again is telling the same.
_RUNS = UUID("5a3e1f0c-7c1a-4c55-9d1c-2f6f6b1a9e11")

Made = Mapping[tuple[str, str], MadeSnapshot]
Progress = Callable[[str], None]


class Sample:
    """Tells what made the sample lake. All of it is idempotent: what was told before is unchanged."""

    def __init__(
        self,
        lake: Lake,
        datasets: Datasets,
        pipelines: Pipelines,
        ingesting: Ingesting,
        runs: Runs,
        models: Models,
        registration: ModelRegistration,
        artifacts: Path,
    ) -> None:
        self._lake = lake
        self._datasets = datasets
        self._pipelines = pipelines
        self._ingesting = ingesting
        self._runs = runs
        self._models = models
        self._registration = registration
        self._artifacts = artifacts

    async def tell(self, progress: Progress) -> None:
        """Register its pipelines, report their runs, and train its models where scikit-learn is installed.

        `progress` is told of what takes a while: each training.
        """
        for pipeline in PIPELINES:
            await self._register(pipeline)
        made = await self._lake.find_sample_snapshots()
        names = {dataset for dataset, _ in made}
        uuids = {name: (await self._datasets.load(DatasetName.parse(name))).state.table_uuid for name in sorted(names)}
        events = [event for run in sample_runs() if run.made in made for event in _events(run, made, uuids)]
        if events:
            await self._ingesting.ingest(orjson.dumps(events))
        if not has_scikit_learn():
            return
        for plan in sample_models():
            if (plan.dataset, plan.step) in made and not await self._is_registered(plan):
                progress(f"training {plan.model} v{plan.number}")
                await self._train(plan, made[plan.dataset, plan.step])

    async def _register(self, pipeline: SamplePipeline) -> None:
        for number, (tasks, code) in enumerate(pipeline.versions, 1):
            command = Command(actor=ACTOR, idempotency_key=f"sample: {pipeline.pipeline_id} v{number}")
            new = NewPipelineVersion(
                pipeline_id=pipeline.pipeline_id,
                name=pipeline.name,
                description=pipeline.description,
                dag={
                    "tasks": [{"id": task} for task in tasks],
                    "edges": [[before, after] for before, after in pairwise(tasks)],
                },
                code=code,
            )
            await self._pipelines.register(new, command)

    async def _is_registered(self, plan: SampleModel) -> bool:
        try:
            await self._models.resolve(plan.model, str(plan.number))
        except NotFound:
            return False
        return True

    async def _train(self, plan: SampleModel, on: MadeSnapshot) -> None:
        dataset = DatasetName.parse(plan.dataset)
        run_id = _run_id(plan.model, str(plan.number))
        trained = await self._lake.train_sample_model(plan)
        if trained is None:
            return
        folder = self._artifacts / plan.model
        path = folder / f"v{plan.number}.joblib"
        if not path.exists():
            await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
            await anyio.Path(path).write_bytes(trained.artifact)
        began = _instant(on.timestamp_ms)
        snapshot = VersionSelector(snapshot_id=trained.snapshot_id)
        report = RunReport(
            run_id=run_id,
            pipeline_id="train_models",
            version_number=1,
            status=RunStatus.SUCCESS,
            started_at=began,
            ended_at=began + TOOK,
            inputs=[UsedVersion(dataset=dataset, at=snapshot, role=InputRole.TRAINING)],
        )
        await self._runs.record(report, Command(actor=ACTOR))
        new = NewModelVersion(
            model=plan.model,
            description=plan.description,
            framework=trained.framework,
            artifact_uri=path.as_uri(),
            parameters=plan.parameters,
            metrics=tuple(
                Metric(name=name, value=value, higher_is_better=guess_higher_is_better(name))
                for name, value in trained.metrics.items()
            ),
            run_id=run_id,
        )
        key = f"sample: {plan.model} v{plan.number}"
        command = Command(actor=ACTOR, reason="Part of the sample", idempotency_key=key)
        await self._registration.register(new, [TrainingInput(dataset=dataset, at=snapshot)], command)


def _events(run: SampleRun, made: Made, uuids: Mapping[str, UUID]) -> list[dict[str, Any]]:
    """The events of a run: it read what it read when it began, and wrote when the snapshot was committed."""
    ended = _instant(made[run.made].timestamp_ms)
    began = max([ended - TOOK, *(_instant(made[step].timestamp_ms) for step in run.read if step in made)])
    inputs = [_use(step, made, uuids) for step in run.read if step in made]
    told = [dataset_json(use, is_input=True) for use in inputs]
    told += [{"namespace": LANDING, "name": name} for name in run.files]
    output = dataset_json(_use(run.made, made, uuids), is_input=False)
    if run.columns:
        output["facets"]["columnLineage"] = facet_json(fields=_fields(run, inputs))
    run_json = {
        "runId": str(_run_id(*run.made)),
        "facets": {
            RECORD_FACET: facet_json(actor=ACTOR.subject),
            PIPELINE_FACET: facet_json(versionNumber=run.version),
        },
    }
    shared = {
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA_URL,
        "run": run_json,
        "job": {"namespace": NATIVE_NAMESPACE, "name": run.pipeline_id},
    }
    return [
        {**shared, "eventType": "START", "eventTime": min(began, ended).isoformat(), "inputs": told, "outputs": []},
        {**shared, "eventType": "COMPLETE", "eventTime": ended.isoformat(), "inputs": [], "outputs": [output]},
    ]


def _fields(run: SampleRun, inputs: list[VersionUse]) -> dict[str, Any]:
    entities = {str(use.dataset): use.vertex.entity for use in inputs}
    fields: dict[str, Any] = {}
    for column, dataset, source in run.columns:
        if dataset in entities:
            link = {"namespace": NATIVE_NAMESPACE, "name": entities[dataset], "field": source}
            fields.setdefault(column, {"inputFields": []})["inputFields"].append(link)
    return fields


def _use(step: tuple[str, str], made: Made, uuids: Mapping[str, UUID]) -> VersionUse:
    return VersionUse(
        dataset=DatasetName.parse(step[0]),
        table_uuid=uuids[step[0]],
        snapshot_id=made[step].snapshot_id,
        role=InputRole.INPUT,
    )


def _run_id(*parts: str) -> UUID:
    return uuid5(_RUNS, "/".join(parts))


def _instant(timestamp_ms: int) -> datetime:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
