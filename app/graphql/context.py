"""What every resolver of one operation shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from graphql import GraphQLError
from graphql.pyutils import Path
from strawberry.types import Info as StrawberryInfo

from app.domain.changes import Actor
from app.errors import AppError, TooManyRowDiffsError
from app.graphql.compaction_loaders import CompactionLoaders
from app.graphql.errors import error_of
from app.graphql.loaders import Loaders
from app.graphql.registry_loaders import RegistryLoaders
from app.graphql.retention_loaders import RetentionLoaders
from app.registry.version_tags import VersionTags
from app.services.acting import ANONYMOUS
from app.services.compaction.operations import CompactionOperations
from app.services.compaction.planning import CompactionPlanning
from app.services.comparing import Comparing
from app.services.datasets import Datasets
from app.services.holding import Holding
from app.services.impacts import Impacts
from app.services.lineage import Lineage
from app.services.model_registration import ModelRegistration
from app.services.models import Models
from app.services.operations import Operations
from app.services.orphan_operations import OrphanOperations
from app.services.past_expiries import PastExpiries
from app.services.pipelines import Pipelines
from app.services.promoting import Promoting
from app.services.retention_operations import RetentionOperations
from app.services.retention_planning import RetentionPlanning
from app.services.row_diff_operations import RowDiffOperations
from app.services.row_diffs import RowDiffs
from app.services.runs import Runs
from app.services.version_tagging import VersionTagging
from app.services.versioning import Versioning

# Each may read up to the budget; a list of datasets would multiply it.
MAX_ROW_DIFFS = 20


@dataclass(slots=True, kw_only=True)
class GraphContext:
    """The services, who asks for which operation, and what went wrong where an answer could still be given."""

    datasets: Datasets
    comparing: Comparing
    row_diffs: RowDiffs
    row_diff_operations: RowDiffOperations
    versioning: Versioning
    lineage: Lineage
    impacts: Impacts
    models: Models
    registration: ModelRegistration
    pipelines: Pipelines
    runs: Runs
    promoting: Promoting
    operations: Operations
    version_tags: VersionTags
    version_tagging: VersionTagging
    retention_planning: RetentionPlanning
    retention_operations: RetentionOperations
    orphan_operations: OrphanOperations
    compaction_planning: CompactionPlanning
    compaction_operations: CompactionOperations
    past_expiries: PastExpiries
    holding: Holding
    actor: Actor = ANONYMOUS
    operation_name: str | None = None
    loaders: Loaders = field(init=False)
    problems: list[GraphQLError] = field(default_factory=list)
    _row_diff_count: int = 0
    _reported: set[tuple[str | int, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        registry = RegistryLoaders(self.models, self.pipelines, self.runs, self.version_tags)
        retention = RetentionLoaders(self.retention_planning)
        compaction = CompactionLoaders(self.compaction_planning)
        self.loaders = Loaders(
            self.datasets, self.lineage, self.models, self.operations, registry, retention, compaction
        )

    def count_row_diff(self) -> None:
        """Count one more `rows` field of a difference. Raises TooManyRowDiffsError where it is one too many."""
        self._row_diff_count += 1
        if self._row_diff_count > MAX_ROW_DIFFS:
            raise TooManyRowDiffsError(MAX_ROW_DIFFS)

    def report(self, error: AppError, path: Path | None) -> None:
        """Add an error to the answer that goes with a value at this path: once a path, whoever reports it."""
        place = tuple(path.as_list()) if path else ()
        if place not in self._reported:
            self._reported.add(place)
            self.problems.append(error_of(error, place))


Info: TypeAlias = StrawberryInfo[GraphContext, None]
