"""What nodes, entities and versions have in common."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.graphql.fields import field
from app.graphql.types.enums import Availability, Direction, VersionRelation

if TYPE_CHECKING:
    from app.graphql.types.lineage import LineageGraph, LineageOptions
    from app.graphql.types.tag import Tag

LazyGraph = Annotated["LineageGraph", strawberry.lazy("app.graphql.types.lineage")]
LazyOptions = Annotated["LineageOptions", strawberry.lazy("app.graphql.types.lineage")]


@strawberry.interface(description="Anything that has an id of its own.")
class Node:
    """Anything that has an id of its own."""

    @field(description="Opaque, and stable as long as the thing exists.")
    def id(self) -> strawberry.ID:
        """Node id; each type has its own."""
        raise NotImplementedError


@strawberry.interface(description="A thing that has versions.")
class Entity(Node):
    """A thing that has versions."""

    @field(description="Its name.")
    def name(self) -> str:
        """Its name; each type has its own."""
        raise NotImplementedError

    @field(description="The lineage graph around all its versions.")
    def lineage(
        self, direction: Direction = Direction.UPSTREAM, options: LazyOptions | None = None
    ) -> LazyGraph | None:
        """The graph; each type has its own."""
        raise NotImplementedError


@strawberry.interface(description="How two versions of an entity differ.")
class Diff:
    """How two versions of an entity differ."""

    @field(description="Whether they are known to be the same.")
    def identical(self) -> bool:
        """Whether nothing differs; each type has its own."""
        raise NotImplementedError

    @field(description="What the version compared from is to the one compared to.")
    def relation(self) -> VersionRelation:
        """The relation; each type has its own."""
        raise NotImplementedError


@strawberry.interface(description="An immutable state of an entity.")
class Version(Node):
    """An immutable state of an entity."""

    @field(description="A short text that names the version within its entity.")
    def label(self) -> str:
        """Label; each type has its own."""
        raise NotImplementedError

    @field(description="When it came to be.")
    def created_at(self) -> datetime:
        """Instant; each type has its own."""
        raise NotImplementedError

    @field(description="Its tags, by name.")
    def tags(self) -> list[Annotated[Tag, strawberry.lazy("app.graphql.types.tag")]]:
        """Tags; each type has its own."""
        raise NotImplementedError

    @field(description="Whether it can be reached.")
    def availability(self) -> Availability:
        """Availability; each type has its own."""
        raise NotImplementedError

    @field(description="The lineage graph around it.")
    def lineage(
        self, direction: Direction = Direction.UPSTREAM, options: LazyOptions | None = None
    ) -> LazyGraph | None:
        """The graph; each type has its own."""
        raise NotImplementedError
