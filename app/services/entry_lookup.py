"""Looking up entries of the registry, with all that is shown of each."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.changes import ModelSubject, PipelineSubject, RegistrySubject
from app.domain.models import Model, ModelVersion
from app.domain.numbered import NumberSelector
from app.domain.pages import Page, PageRequest
from app.domain.pipelines import Pipeline, PipelineVersion
from app.registry.version_tags import VersionTag, VersionTags
from app.services.models import Models
from app.services.pipelines import Pipelines
from app.services.registry_entries import (
    ModelEntry,
    ModelVersionEntry,
    PipelineEntry,
    PipelineVersionEntry,
    VersionTagEntry,
    model_entry,
    model_version_entry,
    pipeline_entry,
    pipeline_version_entry,
    version_tag_entry,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryLookup:
    """Entries of models, pipelines and their versions; each method takes a fixed number of statements.

    Every method raises BackendUnavailableError where Postgres is away.
    """

    models: Models
    pipelines: Pipelines
    tags: VersionTags

    async def model(self, name: str) -> ModelEntry:
        """A model. Raises ModelNotFoundError."""
        return model_entry(await self.models.get(name), await self.models.latest_numbers([name]))

    async def list_models(self, prefix: str, request: PageRequest) -> tuple[Page[Model], list[ModelEntry]]:
        """A page of the models whose names begin so, by name. Raises InvalidPageError."""
        page = await self.models.page(request, name_prefix=prefix)
        latest = await self.models.latest_numbers([model.name for model in page.items])
        return page, [model_entry(model, latest) for model in page.items]

    async def model_version(self, name: str, at: NumberSelector | str | None) -> ModelVersionEntry:
        """A version. Raises as `Models.get_version`."""
        return await self.of_model_version(await self.models.get_version(name, at))

    async def of_model_version(self, version: ModelVersion) -> ModelVersionEntry:
        """The entry of a version that is at hand."""
        return model_version_entry(version, await self._tags_of(ModelSubject(name=version.model)))

    async def list_model_versions(
        self, name: str, request: PageRequest
    ) -> tuple[Page[ModelVersion], list[ModelVersionEntry]]:
        """A page of versions, newest first. Raises ModelNotFoundError, InvalidPageError."""
        await self.models.get(name)
        page = await self.models.page_versions(name, request)
        tags = await self._tags_of(ModelSubject(name=name))
        return page, [model_version_entry(version, tags) for version in page.items]

    async def pipeline(self, pipeline_id: str) -> PipelineEntry:
        """A pipeline. Raises PipelineNotFoundError."""
        return pipeline_entry(await self.pipelines.get(pipeline_id), await self.pipelines.latest_numbers([pipeline_id]))

    async def list_pipelines(self, prefix: str, request: PageRequest) -> tuple[Page[Pipeline], list[PipelineEntry]]:
        """A page of the pipelines whose ids begin so, by id. Raises InvalidPageError."""
        page = await self.pipelines.page(request, id_prefix=prefix)
        latest = await self.pipelines.latest_numbers([pipeline.pipeline_id for pipeline in page.items])
        return page, [pipeline_entry(pipeline, latest) for pipeline in page.items]

    async def pipeline_version(self, pipeline_id: str, at: NumberSelector | str | None) -> PipelineVersionEntry:
        """A version. Raises as `Pipelines.get_version`."""
        return await self.of_pipeline_version(await self.pipelines.get_version(pipeline_id, at))

    async def of_pipeline_version(self, version: PipelineVersion) -> PipelineVersionEntry:
        """The entry of a version that is at hand."""
        subject = PipelineSubject(pipeline_id=version.pipeline_id)
        return pipeline_version_entry(version, await self._tags_of(subject))

    async def list_pipeline_versions(
        self, pipeline_id: str, request: PageRequest
    ) -> tuple[Page[PipelineVersion], list[PipelineVersionEntry]]:
        """A page of versions, newest first. Raises PipelineNotFoundError, InvalidPageError."""
        await self.pipelines.get(pipeline_id)
        page = await self.pipelines.page_versions(pipeline_id, request)
        tags = await self._tags_of(PipelineSubject(pipeline_id=pipeline_id))
        return page, [pipeline_version_entry(version, tags) for version in page.items]

    async def list_tags(
        self, subject: RegistrySubject, request: PageRequest
    ) -> tuple[Page[VersionTag], list[VersionTagEntry]]:
        """A page of the tags of a model or pipeline, by name.

        Raises:
            ModelNotFoundError, PipelineNotFoundError, InvalidPageError
        """
        if isinstance(subject, ModelSubject):
            await self.models.get(subject.name)
        else:
            await self.pipelines.get(subject.pipeline_id)
        page = await self.tags.page(subject, request)
        return page, [version_tag_entry(tag) for tag in page.items]

    async def _tags_of(self, subject: RegistrySubject) -> list[VersionTag]:
        return (await self.tags.of_subjects([subject]))[subject]
