"""Pipelines, their versions and runs, and promotions, for synchronous callers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from app.bootstrap import Services
from app.client.arguments import text, whole_number
from app.client.registry_arguments import (
    Use,
    choice_of,
    dataset_at_of,
    instant_of,
    optional_number,
    optional_text,
    uses_of,
    uuid_of,
    version_of,
)
from app.client.version_tags import VersionTagResult, VersionTags
from app.domain.changes import PipelineSubject
from app.domain.pages import Page, PageRequest
from app.domain.pipelines import PipelineRun
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus
from app.errors import InvalidArgumentError
from app.services.pipelines import NewPipelineVersion
from app.services.registry_entries import PipelineEntry, PipelineVersionEntry, RunEntry, run_entry
from app.services.runs import RunReport, UsedVersion
from app.services.whole_lists import all_entries


class PipelineVersionResult(PipelineVersionEntry):
    """A version that was registered; `unchanged` where it was the latest already."""

    unchanged: bool


class PromotionResult(TypedDict):
    """The two versions of a promotion; `unchanged` where it was recorded before."""

    source: str
    source_snapshot_id: str
    target: str
    target_snapshot_id: str
    unchanged: bool


class Pipelines(VersionTags):
    """Pipelines by id. A version is a number, a tag, `latest`, `latest~1` or a date; the latest unless given.

    Every method raises InvalidArgumentError for an argument of the wrong type, by its name, and
    BackendUnavailableError.
    """

    def list_pipelines(self, prefix: str = "") -> list[PipelineEntry]:
        """All pipelines whose ids begin so, by id."""
        id_prefix = text("prefix", prefix)

        return self._call(
            lambda services: all_entries(lambda request: services.entries.list_pipelines(id_prefix, request))
        )

    def list_pipeline_versions(self, pipeline_id: str) -> list[PipelineVersionEntry]:
        """All versions of a pipeline, newest first, with DAG and code. Raises PipelineNotFoundError."""
        which = text("pipeline_id", pipeline_id)

        return self._call(
            lambda services: all_entries(lambda request: services.entries.list_pipeline_versions(which, request))
        )

    def get_pipeline_version(self, pipeline_id: str, version: int | str | None = None) -> PipelineVersionEntry:
        """One version of a pipeline.

        Raises:
            PipelineNotFoundError, VersionNotFoundError, TagNotFoundError, InvalidReferenceError
        """
        which, at = text("pipeline_id", pipeline_id), version_of(version)
        return self._call(lambda services: services.entries.pipeline_version(which, at))

    def register_pipeline_version(
        self,
        pipeline_id: str,
        dag: dict[str, Any],
        *,
        code: str | None = None,
        git_commit: str | None = None,
        name: str | None = None,
        description: str | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> PipelineVersionResult:
        """Register the next version of a pipeline; what is as the latest is, is unchanged and no new version.

        `dag` is `{"tasks": [{"id": …}], "edges": [[from, to]]}`, compared as a graph.

        Raises:
            InvalidDagError: with the place of what is wrong with it, and the cycle where there is one.
            InvalidNameError, IdempotencyKeyReusedError
        """
        new = NewPipelineVersion(
            pipeline_id=text("pipeline_id", pipeline_id),
            dag=dag,
            name=optional_text("name", name),
            description=optional_text("description", description),
            code=optional_text("code", code),
            git_commit=optional_text("git_commit", git_commit),
        )
        command = self._command(reason, idempotency_key)

        async def run(services: Services) -> PipelineVersionResult:
            done = await services.pipelines.register(new, command)
            entry = await services.entries.of_pipeline_version(done.version)
            return PipelineVersionResult(**entry, unchanged=done.is_unchanged)

        return self._call(run)

    def list_pipeline_runs(self, pipeline_id: str, *, status: str | None = None, limit: int = 100) -> list[RunEntry]:
        """The latest runs of a pipeline, at most `limit` of them. Raises PipelineNotFoundError."""
        which = text("pipeline_id", pipeline_id)
        wanted = None if status is None else choice_of("status", status, RunStatus)
        if (most := whole_number("limit", limit)) < 1:
            raise InvalidArgumentError("limit", f"{most} is not a whole number from 1 on")

        async def run(services: Services) -> list[RunEntry]:
            async def fetch(request: PageRequest) -> tuple[Page[PipelineRun], list[RunEntry]]:
                page = await services.runs.page_of_pipeline(which, request, status=wanted)
                return page, [run_entry(each) for each in page.items]

            await services.pipelines.get(which)
            return await all_entries(fetch, limit=most)

        return self._call(run)

    def get_run(self, run_id: UUID | str) -> RunEntry:
        """One run, as all that was reported of it makes it. Raises LineageRunNotFoundError."""
        which = uuid_of("run_id", run_id)

        async def run(services: Services) -> RunEntry:
            return run_entry(await services.runs.get(which))

        return self._call(run)

    def record_pipeline_run(
        self,
        run_id: UUID | str,
        pipeline_id: str,
        status: str,
        *,
        version_number: int | None = None,
        started_at: datetime | str | None = None,
        ended_at: datetime | str | None = None,
        inputs: Sequence[str | Use] = (),
        outputs: Sequence[str | Use] = (),
        error: str | None = None,
    ) -> RunEntry:
        """Record a run, or more about one: what is told of a run is merged, and the same twice changes nothing.

        `status` is RUNNING, SUCCESS, FAILED or ABORTED. Times have a zone. `inputs` and `outputs` are texts such as
        `silver.sales@main~1`, or dicts of `dataset`, `at` and `role` (INPUT unless given).

        Raises:
            InvalidNameError, InvalidArgumentError: what is wrong with it, such as an end before the start.
            PipelineNotFoundError, DatasetNotFoundError, VersionNotFoundError, SnapshotExpiredError
        """
        report = RunReport(
            run_id=uuid_of("run_id", run_id),
            pipeline_id=text("pipeline_id", pipeline_id),
            status=choice_of("status", status, RunStatus),
            version_number=optional_number("version_number", version_number),
            started_at=instant_of("started_at", started_at),
            ended_at=instant_of("ended_at", ended_at),
            inputs=_used("inputs", inputs),
            outputs=_used("outputs", outputs),
            error=optional_text("error", error),
        )

        async def run(services: Services) -> RunEntry:
            return run_entry(await services.runs.record(report, self._command(None)))

        return self._call(run)

    def record_promotion(
        self, source: str | Use, target: str | Use, *, pipeline_id: str | None = None, reason: str | None = None
    ) -> PromotionResult:
        """Record that a version of one dataset was made from a version of another, where no run says so.

        Both are texts such as `silver.sales@main~1`, or dicts of `dataset` and `at`.

        Raises:
            DatasetNotFoundError, VersionNotFoundError, SnapshotExpiredError, InvalidNameError
        """
        source_name, source_at = dataset_at_of("source", source)
        target_name, target_at = dataset_at_of("target", target)
        pipeline, command = optional_text("pipeline_id", pipeline_id), self._command(reason)

        async def run(services: Services) -> PromotionResult:
            done = await services.promoting.record(
                source_name, source_at, target_name, target_at, command, pipeline_id=pipeline
            )
            return PromotionResult(
                source=str(source_name),
                source_snapshot_id=str(done.source_id),
                target=str(target_name),
                target_snapshot_id=str(done.target_id),
                unchanged=done.is_unchanged,
            )

        return self._call(run)

    def tag_pipeline_version(
        self,
        pipeline_id: str,
        tag: str,
        version: int | str | None = None,
        *,
        move: bool = False,
        expected: int | None = None,
        force: bool = False,
        protected: bool = False,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> VersionTagResult:
        """Set a new tag on a version; with `move`, point one that exists to it. Raises as `tag_model_version`."""
        return self._put_version_tag(
            PipelineSubject(pipeline_id=text("pipeline_id", pipeline_id)),
            tag,
            version,
            move=move,
            expected=expected,
            force=force,
            protected=protected,
            reason=reason,
            idempotency_key=idempotency_key,
        )

    def untag_pipeline_version(
        self,
        pipeline_id: str,
        tag: str,
        *,
        expected: int | None = None,
        force: bool = False,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Remove a tag; answers the number of the version it was on. Raises as `untag_model_version`."""
        subject = PipelineSubject(pipeline_id=text("pipeline_id", pipeline_id))
        return self._remove_version_tag(
            subject, tag, expected=expected, force=force, reason=reason, idempotency_key=idempotency_key
        )


def _used(argument: str, value: object) -> list[UsedVersion]:
    return [
        UsedVersion(dataset=dataset, at=at, role=role)
        for dataset, at, role in uses_of(argument, value, InputRole.INPUT)
    ]
