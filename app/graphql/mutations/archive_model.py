"""archiveModelVersion."""

from __future__ import annotations

import strawberry

from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of
from app.graphql.mutations.register_model import ModelVersionPayload, payload
from app.graphql.mutations.tags import REASON_DESCRIPTION
from app.graphql.types.user_errors import UserError


@strawberry.input(description="A version of a model to take out of use.")
class ArchiveModelVersionInput:
    """A version of a model to take out of use."""

    model: str = strawberry.field(description="The model's name.")
    number: int = strawberry.field(description="The version's number.")
    cold_storage_uri: str | None = strawberry.field(
        default=None,
        description="A folder below which its artifact shall be moved, to `<model>/v<number>/`; it stays where it "
        "is if left out. Both places have to be below one of STRATIGRAPH_ARTIFACT_ROOTS.",
    )
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)


async def archive_model_version(
    info: Info,
    input: ArchiveModelVersionInput,  # noqa: A002  (the schema's name)
) -> ModelVersionPayload:
    """Take a version of a model out of use."""

    async def act() -> ModelVersionPayload:
        outcome = await info.context.registration.archive(
            input.model,
            input.number,
            command_of(info, input.reason, None),
            cold_storage_uri=input.cold_storage_uri,
        )
        return payload(info, outcome)

    def refused(errors: list[UserError]) -> ModelVersionPayload:
        return ModelVersionPayload(user_errors=errors)

    fields = InputFields(subject_path=("model",), version="number", artifact_path=("coldStorageUri",))
    return await attempt(info, act, fields, refused)
