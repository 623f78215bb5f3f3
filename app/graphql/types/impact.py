"""What a change affects."""

from __future__ import annotations

import strawberry

from app.domain import impact
from app.domain.impact import DEFAULT_IMPACT_DEPTH, ImpactKind, Severity
from app.domain.lineage import Vertex
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.types.inputs import VersionSelector
from app.graphql.types.lineage import Completeness, LineageNode, show_completeness
from app.lake.table import LakeTable

strawberry.enum(
    ImpactKind,
    description="What the change is: of the schema, of rows, a rollback, the removal of the dataset; ANY where that is "
    "not known yet.",
)
strawberry.enum(Severity, description="How much it matters, in rising order.")


@strawberry.input(description="A change that may be made.")
class ImpactInput:
    """A change that may be made."""

    kind: ImpactKind = strawberry.field(default=ImpactKind.ANY, description="What the change is.")
    rollback_to: VersionSelector | None = strawberry.field(
        default=None, description="With ROLLBACK: the version that `main` would go to."
    )
    columns: list[str] | None = strawberry.field(
        default=None,
        description="Only what may depend on one of these columns. What column lineage tells to depend on others is "
        "left out; where none is told, a thing may be affected.",
    )
    depth: int | None = strawberry.field(default=DEFAULT_IMPACT_DEPTH, description="Hops, 1 to 50.")

    async def ask(self, info: Info, table: LakeTable) -> impact.Impact:
        """The impact on what depends on a table. Raises as `Impacts.of_dataset`."""
        rollback_to = None if self.rollback_to is None else self.rollback_to.to_domain(table.state)
        return await info.context.impacts.of_dataset(table, self.kind, self.columns, rollback_to, depth=self.depth)


@strawberry.type(description="Something that a change affects.")
class Impacted:
    """Something that a change affects."""

    found: strawberry.Private[impact.Impacted]

    @field(description="What is affected: a version where the change is a rollback, else the entity.")
    def node(self) -> LineageNode:
        """What is affected."""
        return LineageNode.of(self.found.vertex, self.found.depth)

    @field(description="How much that matters.")
    def severity(self) -> Severity:
        """How much that matters."""
        return self.found.severity

    @field(description="Why, in a sentence.")
    def reason(self) -> str:
        """Why, in a sentence."""
        return self.found.reason

    @field(description="The shortest way from what is changed to it.")
    def path(self) -> list[LineageNode]:
        """The shortest way from what is changed to it."""
        steps: tuple[Vertex, ...] = self.found.path
        return [LineageNode.of(vertex, hops) for hops, vertex in enumerate(steps)]


@strawberry.type(description="What a change affects; in each list the worst first, then the nearest.")
class Impact:
    """What a change affects."""

    found: strawberry.Private[impact.Impact]

    @field(description="How many datasets, models and pipelines are affected.")
    def total_affected(self) -> int:
        """How many things are affected."""
        return self.found.total_affected

    @field(description="The worst of all.")
    def severity(self) -> Severity:
        """The worst of all."""
        return self.found.severity

    @field(description="The datasets, those of other systems and features among them.")
    def datasets(self) -> list[Impacted]:
        """The datasets."""
        return [Impacted(found=one) for one in self.found.datasets]

    @field(description="The models that were trained on what is affected.")
    def models(self) -> list[Impacted]:
        """The models."""
        return [Impacted(found=one) for one in self.found.models]

    @field(description="The pipelines that read what is affected.")
    def pipelines(self) -> list[Impacted]:
        """The pipelines."""
        return [Impacted(found=one) for one in self.found.pipelines]

    @field(description="Whether this is all.")
    def completeness(self) -> Completeness:
        """Whether this is all."""
        return show_completeness(self.found.truncated)
