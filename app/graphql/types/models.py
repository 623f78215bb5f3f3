"""Models and their versions."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import strawberry

from app.domain import models
from app.domain.changes import ModelSubject
from app.domain.lineage import Direction
from app.domain.model_diff import diff_models
from app.domain.numbered import NumberedHistory, resolve_number
from app.errors import AppError, Invalid, ModelNotFoundError, VersionNotFoundError
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.pages import PAGE, After, Before, Connection, First, Last, connect, connect_nothing, page_request
from app.graphql.scalars import JSON, to_json
from app.graphql.types.actor import Actor, show_actor
from app.graphql.types.enums import Availability
from app.graphql.types.inputs import VersionSelector
from app.graphql.types.interfaces import Entity, Version
from app.graphql.types.lineage import DirectionArgument, LineageGraph, OptionsArgument, show_lineage
from app.graphql.types.model_diff import MetricThreshold, ModelDiff, read_thresholds
from app.graphql.types.numbered import tags_of_subject, tags_of_version
from app.graphql.types.runs import PipelineRun, show_run
from app.graphql.types.tag import Tag
from app.graphql.types.uses import VersionUse, show_training_use


@strawberry.type(description="One measure of a model version.")
class Metric:
    """One measure of a model version."""

    name: str = strawberry.field(description="Its name.")
    value: float | None = strawberry.field(description="Its value; null where it was not a number.")
    higher_is_better: bool | None = strawberry.field(
        description="Which way it improves, as it was declared; null where it was not."
    )


@strawberry.federation.type(
    keys=["id", "name"], description="A model: the name that its versions have in common, which never changes."
)
class Model(Entity):
    """A model."""

    model: strawberry.Private[models.Model]

    @field(description="Opaque and stable.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return ids.entity_id(self._subject)

    @field(description="Its name.")
    def name(self) -> str:
        """Its name."""
        return self.model.name

    @field(description="What it is for.")
    def description(self) -> str | None:
        """What it is for."""
        return self.model.description

    @field(description="When its first version was registered.")
    def created_at(self) -> datetime:
        """When its first version was registered."""
        return self.model.created_at

    @field(description="One version, by `id`, `number`, `tag`, `asOf` or `ref`.")
    async def version(self, info: Info, at: VersionSelector) -> ModelVersion | None:
        """One version."""
        return await find_model_version(info, self.model.name, await self._number(info, at))

    @field(description="The version with the highest number; null where there is none yet.")
    async def latest(self, info: Info) -> ModelVersion | None:
        """The version with the highest number."""
        found = await info.context.loaders.registry.latest_models.load(self.model.name)
        return None if found is None else ModelVersion(version=found)

    @field(description="Its versions, newest first.", directives=[PAGE])
    async def versions(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[ModelVersion]:
        """Its versions, newest first."""
        request = page_request(first, after, last, before)
        try:
            page = await info.context.loaders.registry.pages_of_models.load((self.model.name, request))
        except Invalid:
            raise
        except AppError as error:  # the registry is away: that costs this field alone
            info.context.report(error, info.path)
            return connect_nothing()
        return connect(page, lambda version: ModelVersion(version=version))

    @field(description="The tags of its versions, by name.", directives=[PAGE])
    async def tags(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Tag]:
        """The tags of its versions, by name."""
        return await tags_of_subject(info, self._subject, page_request(first, after, last, before))

    @field(description="What differs between two of its versions, in whatever order they were registered.")
    async def diff(
        self,
        info: Info,
        from_: Annotated[VersionSelector, strawberry.argument(name="from", description="The version to compare with.")],
        to: Annotated[VersionSelector, strawberry.argument(description="The version to compare.")],
        regression_threshold: Annotated[
            float | None,
            strawberry.argument(
                description="How much of its earlier value a metric may lose before it has regressed, as a fraction "
                "from 0 to 1."
            ),
        ] = 0.05,
        metric_thresholds: Annotated[
            list[MetricThreshold] | None, strawberry.argument(description="The same for single metrics.")
        ] = None,
    ) -> ModelDiff | None:
        """What differs between two versions."""
        thresholds = read_thresholds(regression_threshold, metric_thresholds)
        before, after = await asyncio.gather(self._get_version(info, from_), self._get_version(info, to))
        return ModelDiff(diff=diff_models(before.version, after.version, thresholds))

    @field(
        description="What its versions were made from, or what was made from them. Null, and an error, while the store "
        "of the graph is away."
    )
    async def lineage(
        self, info: Info, direction: DirectionArgument = Direction.UPSTREAM, options: OptionsArgument = None
    ) -> LineageGraph | None:
        """The lineage graph around all its versions."""
        return await show_lineage(info, info.context.lineage.model_root(self.model.name), direction, options)

    async def _number(self, info: Info, at: VersionSelector) -> int:
        selector = at.to_number(self._subject)
        history = await info.context.loaders.registry.model_histories.load(self.model.name)
        empty = NumberedHistory(owner=self.model.name, owner_field=self._subject.owner_field, created_at={})
        return resolve_number(selector, history or empty)

    async def _get_version(self, info: Info, at: VersionSelector) -> ModelVersion:
        number = await self._number(info, at)
        found = await find_model_version(info, self.model.name, number)
        if found is None:
            owner_field = self._subject.owner_field
            raise VersionNotFoundError(self.model.name, str(number), "it is gone", owner_field=owner_field)
        return found

    @property
    def _subject(self) -> ModelSubject:
        return ModelSubject(name=self.model.name)


@strawberry.federation.type(
    keys=["id"], description="One immutable version of a model; archiving alone is added to it."
)
class ModelVersion(Version):
    """One immutable version of a model."""

    version: strawberry.Private[models.ModelVersion]

    @field(description="Opaque and stable.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return ids.version_id(self._subject, self.version.number)

    @field(description="The model that this is a version of.")
    async def model(self, info: Info) -> Model:
        """The model that this is a version of."""
        found = await find_model(info, self.version.model)
        if found is None:
            raise ModelNotFoundError(self.version.model)
        return found

    @field(description="Its number: 1, 2, 3 …")
    def number(self) -> int:
        """Its number."""
        return self.version.number

    @field(description="The number as people write it: `v3`.")
    def label(self) -> str:
        """The number as people write it."""
        return self.version.label

    @field(description="When it was registered.")
    def created_at(self) -> datetime:
        """When it was registered."""
        return self.version.created_at

    @field(description="Who registered it.")
    def created_by(self) -> Actor | None:
        """Who registered it."""
        return show_actor(self.version.created_by)

    @field(description="Why it was registered, in the words of who did it.")
    def reason(self) -> str | None:
        """Why it was registered."""
        return self.version.reason

    @field(description="What it was trained with, such as `scikit-learn`.")
    def framework(self) -> str | None:
        """What it was trained with."""
        return self.version.framework

    @field(description="Where the artifact is.")
    def artifact_uri(self) -> str | None:
        """Where the artifact is."""
        return self.version.artifact_uri

    @field(description="When it was archived; null while it is in use.")
    def archived_at(self) -> datetime | None:
        """When it was archived."""
        return self.version.archived_at

    @field(description="Its parameters, an object.")
    def parameters(self) -> JSON:
        """Its parameters."""
        return to_json(self.version.parameters)

    @field(description="How good it is, in the order in which that was told.")
    def metrics(self) -> list[Metric]:
        """How good it is."""
        return [
            Metric(name=metric.name, value=metric.value, higher_is_better=metric.higher_is_better)
            for metric in self.version.metrics
        ]

    @field(
        description="The very snapshots that it was trained on. Each is kept by a protected tag until the version is "
        "archived."
    )
    def training_data(self) -> list[VersionUse]:
        """The snapshots that it was trained on."""
        return [show_training_use(use) for use in self.version.training_data]

    @field(
        description="Whether every snapshot that it was trained on exists and can be read; null where it does not say "
        "on what, and, with an error, while that cannot be told. Reads manifests, no data files."
    )
    async def is_reproducible(self, info: Info) -> bool | None:
        """Whether what it was trained on can be read."""
        uses = self.version.training_data
        if not uses:
            return None
        readable = info.context.loaders.readable
        found = await asyncio.gather(*(readable.load((use.table_uuid, use.dataset, use.snapshot_id)) for use in uses))
        return all(found)

    @field(description="UUID of the run that made it, as it was told; the run itself may be reported later.")
    def run_id(self) -> strawberry.ID | None:
        """UUID of the run that made it."""
        return None if self.version.run_id is None else strawberry.ID(str(self.version.run_id))

    @field(description="The run that made it; null where none was told, or none of that UUID was reported.")
    async def produced_by(self, info: Info) -> PipelineRun | None:
        """The run that made it."""
        run_id = self.version.run_id
        return None if run_id is None else show_run(await info.context.loaders.registry.runs.load(run_id))

    @field(description="The tags that name it, by name.")
    async def tags(self, info: Info) -> list[Tag]:
        """The tags that name it."""
        return await tags_of_version(info, self._subject, self.version.number)

    @field(description="EXPIRED once it was archived: what it was trained on is no longer kept for it.")
    def availability(self) -> Availability:
        """Whether it is in use."""
        return Availability.EXPIRED if self.version.is_archived else Availability.AVAILABLE

    @field(
        description="What it was made from, or what was made from it. Null, and an error, while the store of the graph "
        "is away."
    )
    async def lineage(
        self, info: Info, direction: DirectionArgument = Direction.UPSTREAM, options: OptionsArgument = None
    ) -> LineageGraph | None:
        """The lineage graph around it."""
        root = info.context.lineage.model_root(self.version.model, self.version.number)
        return await show_lineage(info, root, direction, options)

    @property
    def _subject(self) -> ModelSubject:
        return ModelSubject(name=self.version.model)


async def find_model(info: Info, name: str) -> Model | None:
    """The model of that name."""
    found = await info.context.loaders.registry.models.load(name)
    return None if found is None else Model(model=found)


async def find_model_version(info: Info, name: str, number: int) -> ModelVersion | None:
    """The version of that number."""
    found = await info.context.loaders.registry.model_versions.load((name, number))
    return None if found is None else ModelVersion(version=found)
