"""registerPipelineVersion."""

from __future__ import annotations

from typing import cast

import strawberry

from app.errors import JsonValue
from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of
from app.graphql.mutations.tags import KEY_DESCRIPTION, REASON_DESCRIPTION
from app.graphql.scalars import JSON
from app.graphql.types.pipelines import PipelineVersion
from app.graphql.types.user_errors import UserError
from app.services.pipelines import NewPipelineVersion


@strawberry.input(description="A version of a pipeline. The server gives it its number: 1, 2, 3 …")
class RegisterPipelineVersionInput:
    """A version of a pipeline."""

    pipeline_id: str = strawberry.field(description="The pipeline's id; a scheduler's job is `<namespace>/<name>`.")
    name: str | None = strawberry.field(
        default=None, description="The pipeline's name; else it stays, at first its id."
    )
    description: str | None = strawberry.field(default=None, description="What the pipeline is for; else it stays.")
    dag: JSON = strawberry.field(
        description="`{tasks: [{id, …}], edges: [[from, to]]}`. What is wrong with it is told with a JSON pointer, in "
        "the error's `details`."
    )
    code: str | None = strawberry.field(default=None, description="Its code.")
    git_commit: str | None = strawberry.field(
        default=None, description="The git commit of its code; runs of that commit belong to this version."
    )
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.type(description="A pipeline version as it is now, or why nothing was done.")
class PipelineVersionPayload:
    """A pipeline version as it is now."""

    pipeline_version: PipelineVersion | None = strawberry.field(default=None, description="The version.")
    unchanged: bool = strawberry.field(
        default=False, description="Whether it was the latest one before: the same DAG, code and commit."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")


async def register_pipeline_version(
    info: Info,
    input: RegisterPipelineVersionInput,  # noqa: A002  (the schema's name)
) -> PipelineVersionPayload:
    """Register the next version of a pipeline."""

    async def act() -> PipelineVersionPayload:
        new = NewPipelineVersion(
            pipeline_id=input.pipeline_id,
            name=input.name,
            description=input.description,
            dag=cast("JsonValue", input.dag),
            code=input.code,
            git_commit=input.git_commit,
        )
        command = command_of(info, input.reason, input.idempotency_key)
        outcome = await info.context.pipelines.register(new, command)
        info.context.loaders.registry.clear()
        return PipelineVersionPayload(
            pipeline_version=PipelineVersion(version=outcome.version), unchanged=outcome.is_unchanged
        )

    fields = InputFields(subject_path=("pipelineId",))
    return await attempt(info, act, fields, lambda errors: PipelineVersionPayload(user_errors=errors))
