"""recordPipelineRun."""

from __future__ import annotations

from datetime import datetime

import strawberry

from app.errors import placed
from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of, domain_selector, use_fields
from app.graphql.scalars import parse_uuid
from app.graphql.types.enums import RunStatus
from app.graphql.types.inputs import VersionUseInput
from app.graphql.types.runs import PipelineRun
from app.graphql.types.user_errors import UserError
from app.services.runs import RunReport, UsedVersion


@strawberry.input(
    description="What is told of a run: its begin (RUNNING, with `startedAt`), its end (any other status, with "
    "`endedAt`), or both at once."
)
class RecordPipelineRunInput:
    """What is told of a run."""

    run_id: strawberry.ID = strawberry.field(description="The run's UUID.")
    pipeline_id: str = strawberry.field(description="The pipeline that runs; it is made where it is new.")
    version_number: int | None = strawberry.field(
        default=None, description="The version that runs; the latest one when it began if left out."
    )
    status: RunStatus = strawberry.field(description="How it stands.")
    started_at: datetime | None = strawberry.field(default=None, description="When it began.")
    ended_at: datetime | None = strawberry.field(default=None, description="When it ended.")
    inputs: list[VersionUseInput] | None = strawberry.field(default=None, description="The versions that it read.")
    outputs: list[VersionUseInput] | None = strawberry.field(default=None, description="The versions that it wrote.")
    error: str | None = strawberry.field(default=None, description="What it failed of.")


@strawberry.type(description="A run as it is known now, or why nothing was recorded.")
class PipelineRunPayload:
    """A run as it is known now."""

    run: PipelineRun | None = strawberry.field(default=None, description="The run.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was recorded.")


async def record_pipeline_run(
    info: Info,
    input: RecordPipelineRunInput,  # noqa: A002  (the schema's name)
) -> PipelineRunPayload:
    """Record a run, or more about one."""
    inputs, outputs = input.inputs or [], input.outputs or []

    async def act() -> PipelineRunPayload:
        report = RunReport(
            run_id=parse_uuid(input.run_id, "runId"),
            pipeline_id=input.pipeline_id,
            status=input.status,
            version_number=input.version_number,
            started_at=input.started_at,
            ended_at=input.ended_at,
            inputs=[await _used_version(info, "inputs", place, use) for place, use in enumerate(inputs)],
            outputs=[await _used_version(info, "outputs", place, use) for place, use in enumerate(outputs)],
            error=input.error,
        )
        run = await info.context.runs.record(report, command_of(info, None, None))
        info.context.loaders.registry.clear()
        return PipelineRunPayload(run=PipelineRun(run=run))

    fields = InputFields(
        subject_path=("pipelineId",),
        version="versionNumber",
        parts={**use_fields("inputs", inputs), **use_fields("outputs", outputs)},
    )
    return await attempt(info, act, fields, lambda errors: PipelineRunPayload(user_errors=errors))


async def _used_version(info: Info, argument: str, place: int, use: VersionUseInput) -> UsedVersion:
    with placed(argument, place):
        name = use.dataset.to_name()
        return UsedVersion(dataset=name, at=await domain_selector(info, name, use.at), role=use.role)
