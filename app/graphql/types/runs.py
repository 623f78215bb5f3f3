"""Runs of pipelines: what was reported of each, merged."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.domain import pipelines
from app.errors import PipelineNotFoundError
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.scalars import BigInt
from app.graphql.types.actor import Actor
from app.graphql.types.enums import RunStatus
from app.graphql.types.interfaces import Node
from app.graphql.types.uses import VersionUse, show_run_use

if TYPE_CHECKING:
    from app.graphql.types.models import ModelVersion
    from app.graphql.types.pipelines import Pipeline, PipelineVersion


@strawberry.type(description="Who answers for a pipeline, as its scheduler says.")
class Owner:
    """Who answers for a pipeline."""

    name: str = strawberry.field(description="Who it is.")
    type: str | None = strawberry.field(description="In which part, such as `MAINTAINER`.")


@strawberry.federation.type(
    keys=["id"],
    description="One run of a pipeline: all that was reported of it, by OpenLineage or `recordPipelineRun`.",
)
class PipelineRun(Node):
    """One run of a pipeline."""

    run: strawberry.Private[pipelines.PipelineRun]

    @field(description="Opaque and stable.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return ids.run_id(self.run.run_id)

    @field(description="The run's UUID, as it was reported.")
    def run_id(self) -> strawberry.ID:
        """The run's UUID."""
        return strawberry.ID(str(self.run.run_id))

    @field(description="The pipeline that ran. A scheduler's job has the id `<namespace>/<name>`.")
    async def pipeline(self, info: Info) -> Annotated[Pipeline, strawberry.lazy("app.graphql.types.pipelines")]:
        """The pipeline that ran."""
        from app.graphql.types.pipelines import find_pipeline

        found = await find_pipeline(info, self.run.pipeline_id)
        if found is None:
            raise PipelineNotFoundError(self.run.pipeline_id)
        return found

    @field(
        description="The version that ran: as reported, else that of its git commit, else the latest one when it "
        "began; null where there was none."
    )
    async def version(
        self, info: Info
    ) -> Annotated[PipelineVersion, strawberry.lazy("app.graphql.types.pipelines")] | None:
        """The version that ran."""
        from app.graphql.types.pipelines import find_pipeline_version

        number = self.run.version_number
        return None if number is None else await find_pipeline_version(info, self.run.pipeline_id, number)

    @field(description="How it stands.")
    def status(self) -> RunStatus:
        """How it stands."""
        return self.run.status

    @field(description="When it began; where that was not reported, the first moment in which it was heard of.")
    def started_at(self) -> datetime | None:
        """When it began."""
        return self.run.started_at

    @field(description="Whether its start was not reported, but taken from the first thing that was heard of it.")
    def is_start_inferred(self) -> bool:
        """Whether its start was not reported."""
        return self.run.is_start_inferred

    @field(description="When it ended; null while it runs.")
    def ended_at(self) -> datetime | None:
        """When it ended."""
        return self.run.ended_at

    @field(description="How long it took; null while it runs, and where its start was not reported.")
    def duration_ms(self) -> BigInt | None:
        """How long it took."""
        return None if self.run.duration_ms is None else BigInt(self.run.duration_ms)

    @field(description="The versions that it read.")
    def inputs(self) -> list[VersionUse]:
        """The versions that it read."""
        return [show_run_use(use) for use in self.run.inputs]

    @field(description="The versions that it wrote.")
    def outputs(self) -> list[VersionUse]:
        """The versions that it wrote."""
        return [show_run_use(use) for use in self.run.outputs]

    @field(description="The model versions that say that it made them, by model and number.")
    async def trained_models(
        self, info: Info
    ) -> list[Annotated[ModelVersion, strawberry.lazy("app.graphql.types.models")]] | None:
        """The model versions that it made."""
        from app.graphql.types.models import ModelVersion

        found = await info.context.loaders.registry.models_of_runs.load(self.run.run_id)
        return [ModelVersion(version=version) for version in found or ()]

    @field(description="What it failed of.")
    def error(self) -> str | None:
        """What it failed of."""
        return self.run.error

    @field(description="UUID of the run that started it, such as that of a DAG of which it is a task.")
    def parent_run_id(self) -> strawberry.ID | None:
        """UUID of the run that started it."""
        return None if self.run.parent_run_id is None else strawberry.ID(str(self.run.parent_run_id))

    @field(description="The SQL that it ran.")
    def sql(self) -> str | None:
        """The SQL that it ran."""
        return self.run.sql

    @field(description="Where its code is.")
    def source_url(self) -> str | None:
        """Where its code is."""
        return self.run.source_url

    @field(description="The git commit of its code.")
    def git_commit(self) -> str | None:
        """The git commit of its code."""
        return self.run.git_commit

    @field(description="Who answers for it.")
    def owners(self) -> list[Owner]:
        """Who answers for it."""
        return [Owner(name=owner.name, type=owner.type) for owner in self.run.owners]

    @field(description="The software that reported it, as a URL.")
    def producer(self) -> str | None:
        """The software that reported it."""
        return self.run.producer

    @field(description="Who recorded it; null where it was reported by OpenLineage alone.")
    def recorded_by(self) -> Actor | None:
        """Who recorded it."""
        return None if self.run.recorded_by is None else Actor(subject=self.run.recorded_by)


def show_run(run: pipelines.PipelineRun | None) -> PipelineRun | None:
    """The run as GraphQL has it."""
    return None if run is None else PipelineRun(run=run)
