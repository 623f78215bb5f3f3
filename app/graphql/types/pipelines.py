"""Pipelines and their versions."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import strawberry

from app.domain import pipelines
from app.domain.changes import PipelineSubject
from app.domain.lineage import Direction
from app.domain.numbered import NumberedHistory, resolve_number
from app.domain.pipeline_diff import PipelineDiff as VersionsDiff
from app.errors import AppError, Invalid, PipelineNotFoundError, VersionNotFoundError
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.pages import (
    FORWARD_PAGE,
    PAGE,
    After,
    Before,
    Connection,
    First,
    Last,
    connect,
    connect_nothing,
    page_request,
)
from app.graphql.registry_loaders import RunsRequest
from app.graphql.scalars import JSON, to_json
from app.graphql.types.actor import Actor, show_actor
from app.graphql.types.enums import Availability, RunStatus
from app.graphql.types.inputs import TimeRange, VersionSelector
from app.graphql.types.interfaces import Entity, Version
from app.graphql.types.lineage import DirectionArgument, LineageGraph, OptionsArgument, show_lineage
from app.graphql.types.numbered import tags_of_subject, tags_of_version
from app.graphql.types.pipeline_diff import PipelineDiff
from app.graphql.types.runs import PipelineRun
from app.graphql.types.tag import Tag


@strawberry.federation.type(
    keys=["id", "pipelineId"], description="A pipeline: registered, or known because a run of it was reported."
)
class Pipeline(Entity):
    """A pipeline."""

    pipeline: strawberry.Private[pipelines.Pipeline]

    @field(description="Opaque and stable.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return ids.entity_id(self._subject)

    @field(description="The id that it was registered under; that of a scheduler's job is `<namespace>/<name>`.")
    def pipeline_id(self) -> str:
        """The id that it was registered under."""
        return self.pipeline.pipeline_id

    @field(description="Its name, for people: its id where none was given.")
    def name(self) -> str:
        """Its name."""
        return self.pipeline.name

    @field(description="What it is for.")
    def description(self) -> str | None:
        """What it is for."""
        return self.pipeline.description

    @field(description="When it was first registered, or heard of.")
    def created_at(self) -> datetime:
        """When it was first heard of."""
        return self.pipeline.created_at

    @field(description="One version, by `id`, `number`, `tag`, `asOf` or `ref`.")
    async def version(self, info: Info, at: VersionSelector) -> PipelineVersion | None:
        """One version."""
        return await find_pipeline_version(info, self.pipeline.pipeline_id, await self._number(info, at))

    @field(description="The version with the highest number; null where none was registered.")
    async def latest(self, info: Info) -> PipelineVersion | None:
        """The version with the highest number."""
        found = await info.context.loaders.registry.latest_pipelines.load(self.pipeline.pipeline_id)
        return None if found is None else PipelineVersion(version=found)

    @field(description="Its versions, newest first.", directives=[PAGE])
    async def versions(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[PipelineVersion]:
        """Its versions, newest first."""
        request = page_request(first, after, last, before)
        try:
            page = await info.context.loaders.registry.pages_of_pipelines.load((self.pipeline.pipeline_id, request))
        except Invalid:
            raise
        except AppError as error:  # the registry is away: that costs this field alone
            info.context.report(error, info.path)
            return connect_nothing()
        return connect(page, lambda version: PipelineVersion(version=version))

    @field(description="Its runs, latest first.", directives=[FORWARD_PAGE])
    async def runs(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        status: Annotated[RunStatus | None, strawberry.argument(description="Only runs that stand so.")] = None,
        started: Annotated[TimeRange | None, strawberry.argument(description="Only runs that began then.")] = None,
    ) -> Connection[PipelineRun]:
        """Its runs, latest first."""
        asked = RunsRequest(
            page=page_request(first, after),
            status=status,
            started_from=started.from_ if started else None,
            started_to=started.to if started else None,
        )
        try:
            page = await info.context.loaders.registry.pages_of_runs.load((self.pipeline.pipeline_id, asked))
        except Invalid:
            raise
        except AppError as error:
            info.context.report(error, info.path)
            return connect_nothing()
        return connect(page, lambda run: PipelineRun(run=run))

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
    ) -> PipelineDiff | None:
        """What differs between two versions."""
        before, after = await asyncio.gather(self._get_version(info, from_), self._get_version(info, to))
        return PipelineDiff(diff=VersionsDiff(before=before.version, after=after.version))

    @field(
        description="What its runs wrote, or with UPSTREAM, what they read. Null, and an error, while the store of the "
        "graph is away."
    )
    async def lineage(
        self, info: Info, direction: DirectionArgument = Direction.DOWNSTREAM, options: OptionsArgument = None
    ) -> LineageGraph | None:
        """The lineage graph around all its versions."""
        root = info.context.lineage.pipeline_root(self.pipeline.pipeline_id)
        return await show_lineage(info, root, direction, options)

    async def _number(self, info: Info, at: VersionSelector) -> int:
        selector = at.to_number(self._subject)
        history = await info.context.loaders.registry.pipeline_histories.load(self.pipeline.pipeline_id)
        empty = NumberedHistory(owner=self.pipeline.pipeline_id, owner_field=self._subject.owner_field, created_at={})
        return resolve_number(selector, history or empty)

    async def _get_version(self, info: Info, at: VersionSelector) -> PipelineVersion:
        number = await self._number(info, at)
        found = await find_pipeline_version(info, self.pipeline.pipeline_id, number)
        if found is None:
            owner_field = self._subject.owner_field
            raise VersionNotFoundError(self.pipeline.pipeline_id, str(number), "it is gone", owner_field=owner_field)
        return found

    @property
    def _subject(self) -> PipelineSubject:
        return PipelineSubject(pipeline_id=self.pipeline.pipeline_id)


@strawberry.federation.type(keys=["id"], description="One immutable version of a pipeline: its DAG, and its code.")
class PipelineVersion(Version):
    """One immutable version of a pipeline."""

    version: strawberry.Private[pipelines.PipelineVersion]

    @field(description="Opaque and stable.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return ids.version_id(self._subject, self.version.number)

    @field(description="The pipeline that this is a version of.")
    async def pipeline(self, info: Info) -> Pipeline:
        """The pipeline that this is a version of."""
        found = await find_pipeline(info, self.version.pipeline_id)
        if found is None:
            raise PipelineNotFoundError(self.version.pipeline_id)
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

    @field(description="The git commit of its code.")
    def git_commit(self) -> str | None:
        """The git commit of its code."""
        return self.version.git_commit

    @field(description="SHA-256 of its code in UTF-8, in hexadecimal, as `sha256sum` counts it.")
    def code_hash(self) -> str | None:
        """Hash of its code."""
        return self.version.code_hash

    @field(description="Its code, where it was given.")
    def code(self) -> str | None:
        """Its code."""
        return self.version.code

    @field(description="Its DAG as it was given: `{tasks: [{id, …}], edges: [[from, to]]}`.")
    def dag(self) -> JSON:
        """Its DAG."""
        return to_json(self.version.dag)

    @field(description="The tags that name it, by name.")
    async def tags(self, info: Info) -> list[Tag]:
        """The tags that name it."""
        return await tags_of_version(info, self._subject, self.version.number)

    @field(description="What is registered stays available.")
    def availability(self) -> Availability:
        """What is registered stays available."""
        return Availability.AVAILABLE

    @field(
        description="What its runs wrote, or with UPSTREAM, what they read. Null, and an error, while the store of the "
        "graph is away."
    )
    async def lineage(
        self, info: Info, direction: DirectionArgument = Direction.DOWNSTREAM, options: OptionsArgument = None
    ) -> LineageGraph | None:
        """The lineage graph around it."""
        root = info.context.lineage.pipeline_root(self.version.pipeline_id, self.version.number)
        return await show_lineage(info, root, direction, options)

    @property
    def _subject(self) -> PipelineSubject:
        return PipelineSubject(pipeline_id=self.version.pipeline_id)


async def find_pipeline(info: Info, pipeline_id: str) -> Pipeline | None:
    """The pipeline of that id."""
    found = await info.context.loaders.registry.pipelines.load(pipeline_id)
    return None if found is None else Pipeline(pipeline=found)


async def find_pipeline_version(info: Info, pipeline_id: str, number: int) -> PipelineVersion | None:
    """The version of that number."""
    found = await info.context.loaders.registry.pipeline_versions.load((pipeline_id, number))
    return None if found is None else PipelineVersion(version=found)
