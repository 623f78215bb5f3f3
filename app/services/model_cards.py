"""The card of a model version: what it is, how good, and the very data it was trained on."""

from __future__ import annotations

from typing import TypedDict

from app.domain.changes import ModelSubject
from app.domain.numbered import NumberSelector
from app.domain.roles import InputRole
from app.errors import JsonValue
from app.registry.version_tags import VersionTags
from app.services.listings import to_utc_text
from app.services.models import Models
from app.services.registry_entries import tags_on


class TrainingDataset(TypedDict):
    """A version of a dataset that a model was trained, validated or tested on."""

    dataset: str
    version: str
    role: str


class ModelCard(TypedDict):
    """What a model version says of itself.

    `training_dataset` (`namespace.table`) is the first one in the role TRAINING, and `training_dataset_version` its
    snapshot id as a text, which `time_travel` takes; both are None where it does not say. `training_datasets` are all
    of them, in whatever role, as they were given. Datasets have the names that they had then.
    """

    model_name: str
    version: int
    framework: str | None
    metrics: dict[str, float | None]
    parameters: dict[str, JsonValue]
    training_dataset: str | None
    training_dataset_version: str | None
    training_datasets: list[TrainingDataset]
    created_at: str
    tags: list[str]


class ModelCards:
    """The cards of the registry's models."""

    def __init__(self, models: Models, tags: VersionTags) -> None:
        self._models = models
        self._tags = tags

    async def get(self, name: str, at: NumberSelector | str | None) -> ModelCard:
        """The card of a version.

        Raises:
            ModelNotFoundError, VersionNotFoundError, TagNotFoundError, InvalidReferenceError: as `Models.get_version`.
            BackendUnavailableError: Postgres is away.
        """
        version = await self._models.get_version(name, at)
        subject = ModelSubject(name=version.model)
        tags = (await self._tags.of_subjects([subject]))[subject]
        first = next((use for use in version.training_data if use.role is InputRole.TRAINING), None)
        return ModelCard(
            model_name=version.model,
            version=version.number,
            framework=version.framework,
            metrics={metric.name: metric.value for metric in version.metrics},
            parameters=dict(version.parameters),
            training_dataset=None if first is None else str(first.dataset),
            training_dataset_version=None if first is None else str(first.snapshot_id),
            training_datasets=[
                TrainingDataset(dataset=str(use.dataset), version=str(use.snapshot_id), role=use.role.value)
                for use in version.training_data
            ],
            created_at=to_utc_text(version.created_at),
            tags=tags_on(version.number, tags),
        )
