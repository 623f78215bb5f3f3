"""Runs of pipelines: recorded through this system, or reported by OpenLineage; both are the same log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.domain.changes import Command
from app.domain.events import run_key
from app.domain.lineage import Vertex
from app.domain.models import MAX_TEXT_CHARS, check_text
from app.domain.names import DatasetName
from app.domain.numbered import NumberSelector
from app.domain.pages import Page, PageRequest
from app.domain.pipelines import NewRun, PipelineRun, check_pipeline_id
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus
from app.domain.uses import VersionUse
from app.errors import InvalidArgumentError, LineageRunNotFoundError, placed
from app.lake.table import LakeTable
from app.lineage.openlineage.parse import parse_events
from app.lineage.openlineage.write import run_events
from app.registry.events import EventLog
from app.registry.runs import RunStore
from app.services.datasets import Datasets
from app.services.interpreting import Interpreting
from app.services.lineage import Lineage
from app.services.pipelines import Pipelines
from app.services.versioning import Version
from app.telemetry.tracing import span


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedVersion:
    """A version of a dataset that a run read or wrote, as it is named by whoever records it."""

    dataset: DatasetName
    at: Version
    role: InputRole = InputRole.INPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What is told of a run: its begin, its end, or both."""

    run_id: UUID
    pipeline_id: str
    status: RunStatus
    version_number: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    inputs: Sequence[UsedVersion] = ()
    outputs: Sequence[UsedVersion] = ()
    error: str | None = None


class Runs:
    """The runs that are known."""

    def __init__(
        self,
        store: RunStore,
        log: EventLog,
        interpreting: Interpreting,
        datasets: Datasets,
        pipelines: Pipelines,
        lineage: Lineage,
    ) -> None:
        self._store = store
        self._log = log
        self._interpreting = interpreting
        self._datasets = datasets
        self._pipelines = pipelines
        self._lineage = lineage

    async def get(self, run_id: UUID) -> PipelineRun:
        """A run. Raises LineageRunNotFoundError."""
        found = (await self._store.find([run_id])).get(run_id)
        if found is None:
            raise LineageRunNotFoundError(str(run_id))
        return found

    async def find(self, run_ids: Sequence[UUID]) -> dict[UUID, PipelineRun]:
        """Those of these runs that are known; one statement."""
        return await self._store.find(run_ids)

    async def page_of_pipeline(
        self,
        pipeline_id: str,
        request: PageRequest,
        *,
        status: RunStatus | None = None,
        started_from: datetime | None = None,
        started_to: datetime | None = None,
    ) -> Page[PipelineRun]:
        """Runs of a pipeline, latest first. Raises InvalidPageError."""
        pages = await self.pages_of_pipelines(
            [pipeline_id], request, status=status, started_from=started_from, started_to=started_to
        )
        return pages[pipeline_id]

    async def pages_of_pipelines(
        self,
        pipeline_ids: Sequence[str],
        request: PageRequest,
        *,
        status: RunStatus | None = None,
        started_from: datetime | None = None,
        started_to: datetime | None = None,
    ) -> dict[str, Page[PipelineRun]]:
        """The same page of the runs of each of these pipelines; two statements. Raises InvalidPageError."""
        return await self._store.pages_of_pipelines(
            pipeline_ids, request, status=status, started_from=started_from, started_to=started_to
        )

    async def page_of_consumers(self, table: LakeTable, snapshot_id: int, request: PageRequest) -> Page[PipelineRun]:
        """Runs that read a snapshot, latest first; of a `replace` snapshot, those that read its rows."""
        vertex = self._lineage.snapshot_root(table, snapshot_id)
        return (await self.pages_of_consumers([vertex], request))[vertex.vertex_id]

    async def pages_of_consumers(
        self, vertices: Sequence[Vertex], request: PageRequest
    ) -> dict[str, Page[PipelineRun]]:
        """The same page of the runs that read each of these versions, by vertex id; two statements.

        Raises:
            InvalidPageError: a cursor of another list.
        """
        return await self._store.pages_of_consumers(vertices, request)

    async def producers(self, vertices: Sequence[Vertex]) -> dict[str, PipelineRun]:
        """The run that made each of these versions, by vertex id; one statement."""
        return await self._store.producers(vertices)

    async def record(self, report: RunReport, command: Command) -> PipelineRun:
        """Record a run, or more about one; what was recorded before is merged with it, whatever the order.

        The same report twice changes nothing. It is in the log, durable, and shown at once; the lineage graph follows.

        Raises:
            InvalidNameError, InvalidArgumentError: what is wrong with it, such as an end before the start.
            PipelineNotFoundError, VersionNotFoundError: a version of the pipeline is told that is not there.
            DatasetNotFoundError, VersionNotFoundError, SnapshotExpiredError: there is no such version of a dataset.
            BackendUnavailableError: Postgres or the catalog is away.
        """
        check_pipeline_id(report.pipeline_id)
        check_text("error", report.error, MAX_TEXT_CHARS)
        run = NewRun(
            run_id=report.run_id,
            pipeline_id=report.pipeline_id,
            version_number=report.version_number,
            status=report.status,
            started_at=_utc("startedAt", report.started_at),
            ended_at=_utc("endedAt", report.ended_at),
            inputs=(),
            outputs=(),
            error=report.error,
            recorded_by=command.actor.subject,
        )
        with span("run.record", pipeline=report.pipeline_id):
            if (known := (await self._store.find([report.run_id])).get(report.run_id)) is not None:
                _check_fits(run, known)
            if report.version_number is not None:
                await self._pipelines.resolve(report.pipeline_id, NumberSelector(number=report.version_number))
            run = run.with_data(
                inputs=await self._resolve("inputs", report.inputs),
                outputs=await self._resolve("outputs", report.outputs),
            )
            await self._log.append(parse_events(run_events(run), now=datetime.now(UTC)))
            key = run_key(report.run_id)
            found = (await self._interpreting.interpret(key, await self._log.read(key))).run
            if found is None:
                raise LineageRunNotFoundError(str(report.run_id))
            await self._store.keep([found])
        return await self.get(report.run_id)

    async def _resolve(self, argument: str, uses: Sequence[UsedVersion]) -> list[VersionUse]:
        resolved = []
        for place, use in enumerate(uses):
            with placed(argument, place):
                table = await self._datasets.load(use.dataset)
                found = await self._datasets.resolve_with_record(table, use.at)
            resolved.append(
                VersionUse(
                    dataset=use.dataset, table_uuid=table.state.table_uuid, snapshot_id=found.snapshot_id, role=use.role
                )
            )
        return resolved


def _check_fits(run: NewRun, known: PipelineRun) -> None:
    """That a report does not contradict what is known of its run. Raises InvalidArgumentError."""
    if run.pipeline_id != known.pipeline_id:
        raise InvalidArgumentError("pipelineId", f"the run is one of {known.pipeline_id!r}")
    begun = None if known.is_start_inferred else known.started_at
    if run.started_at is None and run.ended_at is not None and begun is not None and run.ended_at < begun:
        raise InvalidArgumentError(
            "endedAt", f"it ends at {run.ended_at.isoformat()}, and began at {begun.isoformat()}"
        )
    if run.ended_at is None and run.started_at is not None and known.ended_at and run.started_at > known.ended_at:
        raise InvalidArgumentError(
            "startedAt", f"it starts at {run.started_at.isoformat()}, and ended at {known.ended_at.isoformat()}"
        )


def _utc(argument: str, instant: datetime | None) -> datetime | None:
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise InvalidArgumentError(argument, "a time needs a zone, such as Z or +02:00")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise InvalidArgumentError(argument, f"{instant.isoformat()} is no time in UTC") from error
