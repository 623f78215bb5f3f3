"""Comparing two versions of a pipeline."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from app.domain.code_diff import CodeDiff
from app.domain.dag_diff import DagDiff
from app.domain.numbered import NumberSelector
from app.domain.pipeline_diff import PipelineDiff
from app.services.pipelines import Pipelines
from app.telemetry.tracing import span


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineComparison:
    """All that differs between two versions of a pipeline; `code` is None where one of them has none stored."""

    diff: PipelineDiff
    dag: DagDiff
    code: CodeDiff | None


class ComparingPipelines:
    """Differences between versions of the registry's pipelines."""

    def __init__(self, pipelines: Pipelines) -> None:
        self._pipelines = pipelines

    async def compare(
        self,
        pipeline_id: str,
        from_version: NumberSelector | str | None,
        to_version: NumberSelector | str | None,
    ) -> PipelineComparison:
        """What differs between two versions of a pipeline, in whatever order they were made; four statements.

        Raises:
            PipelineNotFoundError, VersionNotFoundError, TagNotFoundError, InvalidReferenceError: as
                `Pipelines.get_version`.
            BackendUnavailableError: Postgres is away.
        """
        with span("pipelines.compare", pipeline=pipeline_id):
            before, after = await self._pipelines.get_versions(pipeline_id, [from_version, to_version])
            diff = PipelineDiff(before=before, after=after)
            return PipelineComparison(diff=diff, dag=await dag_difference(diff), code=await code_difference(diff))


async def dag_difference(diff: PipelineDiff) -> DagDiff:
    """What differs between the DAGs, worked out beside the event loop."""
    return await asyncio.to_thread(diff.dag) if diff.is_dag_changed else DagDiff()


async def code_difference(diff: PipelineDiff) -> CodeDiff | None:
    """What differs between the code, worked out beside the event loop."""
    return await asyncio.to_thread(diff.code)
