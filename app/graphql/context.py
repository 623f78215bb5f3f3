"""What every resolver of one operation shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from graphql import GraphQLError
from graphql.pyutils import Path
from strawberry.types import Info as StrawberryInfo

from app.domain.changes import Actor
from app.errors import AppError
from app.graphql.errors import error_of
from app.graphql.loaders import Loaders
from app.services.datasets import Datasets
from app.services.impacts import Impacts
from app.services.lineage import Lineage
from app.services.versioning import Versioning

ANONYMOUS = Actor(subject="anonymous")


@dataclass(slots=True, kw_only=True)
class GraphContext:
    """The services, who asks for which operation, and what went wrong where an answer could still be given."""

    datasets: Datasets
    versioning: Versioning
    lineage: Lineage
    impacts: Impacts
    actor: Actor = ANONYMOUS
    operation_name: str | None = None
    loaders: Loaders = field(init=False)
    problems: list[GraphQLError] = field(default_factory=list)
    _reported: set[tuple[str | int, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.loaders = Loaders(self.datasets, self.lineage)

    def report(self, error: AppError, path: Path | None) -> None:
        """Add an error to the answer that goes with a value at this path: once a path, whoever reports it."""
        place = tuple(path.as_list()) if path else ()
        if place not in self._reported:
            self._reported.add(place)
            self.problems.append(error_of(error, place))


Info: TypeAlias = StrawberryInfo[GraphContext, None]
