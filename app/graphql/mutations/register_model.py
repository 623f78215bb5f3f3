"""registerModelVersion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import strawberry

from app.domain.models import Metric, NewModelVersion
from app.errors import JsonValue, placed
from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of, domain_selector, use_fields
from app.graphql.mutations.tags import KEY_DESCRIPTION, REASON_DESCRIPTION
from app.graphql.scalars import JSON, parse_uuid
from app.graphql.types.inputs import VersionUseInput
from app.graphql.types.models import ModelVersion
from app.graphql.types.user_errors import UserError
from app.services.model_registration import ModelOutcome, TrainingInput

TRAINING = "trainingData"


@strawberry.input(description="One measure of a model version.")
class MetricInput:
    """One measure of a model version."""

    name: str = strawberry.field(description="Its name.")
    value: float = strawberry.field(description="Its value.")
    higher_is_better: bool | None = strawberry.field(
        default=None, description="Which way it improves; guessed from its name where left out (`rmse`: the lower)."
    )


@strawberry.input(description="A version of a model. The server gives it its number: 1, 2, 3 …")
class RegisterModelVersionInput:
    """A version of a model."""

    model: str = strawberry.field(description="The model's name.")
    description: str | None = strawberry.field(default=None, description="What the model is for; else it stays.")
    framework: str | None = strawberry.field(default=None, description="What it was trained with.")
    artifact_uri: str | None = strawberry.field(default=None, description="Where the artifact is.")
    parameters: JSON | None = strawberry.field(
        default=None, description="Its parameters, an object of at most 1,000,000 bytes; integers have 64 bits."
    )
    metrics: list[MetricInput] = strawberry.field(description="How good it is; each name once.")
    training_data: list[VersionUseInput] = strawberry.field(
        description="The versions that it was trained on. Each is kept until the version is archived."
    )
    run_id: strawberry.ID | None = strawberry.field(default=None, description="UUID of the run that made it.")
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.type(description="A model version as it is now, or why nothing was done.")
class ModelVersionPayload:
    """A model version as it is now."""

    model_version: ModelVersion | None = strawberry.field(default=None, description="The version.")
    unchanged: bool = strawberry.field(default=False, description="Whether it was so before.")
    warnings: list[str] = strawberry.field(default_factory=list, description="What is doubtful about it.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")


async def register_model_version(
    info: Info,
    input: RegisterModelVersionInput,  # noqa: A002  (the schema's name)
) -> ModelVersionPayload:
    """Register the next version of a model."""

    async def act() -> ModelVersionPayload:
        command = command_of(info, input.reason, input.idempotency_key)
        new = NewModelVersion(
            model=input.model,
            description=input.description,
            framework=input.framework,
            artifact_uri=input.artifact_uri,
            # What it really is, is checked where the rules are.
            parameters=cast("Mapping[str, JsonValue]", {} if input.parameters is None else input.parameters),
            metrics=tuple(
                Metric(name=metric.name, value=metric.value, higher_is_better=metric.higher_is_better)
                for metric in input.metrics
            ),
            run_id=None if input.run_id is None else parse_uuid(input.run_id, "runId"),
        )
        training = [await _training_input(info, place, use) for place, use in enumerate(input.training_data)]
        return payload(info, await info.context.registration.register(new, training, command))

    fields = InputFields(subject_path=("model",), parts=use_fields(TRAINING, input.training_data))
    return await attempt(info, act, fields, lambda errors: ModelVersionPayload(user_errors=errors))


def payload(info: Info, outcome: ModelOutcome) -> ModelVersionPayload:
    """The payload of what became of a model version; later fields see the pins that it set or released."""
    info.context.loaders.registry.clear()
    for use in outcome.version.training_data:
        info.context.loaders.forget(use.dataset)
    return ModelVersionPayload(
        model_version=ModelVersion(version=outcome.version),
        unchanged=outcome.is_unchanged,
        warnings=list(outcome.warnings),
    )


async def _training_input(info: Info, place: int, use: VersionUseInput) -> TrainingInput:
    with placed(TRAINING, place):
        name = use.dataset.to_name()
        return TrainingInput(dataset=name, at=await domain_selector(info, name, use.at), role=use.role)
