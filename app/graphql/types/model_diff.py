"""What differs between two versions of a model."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.domain import metrics_diff, model_diff, training_diff
from app.domain.json_diff import DeltaKind
from app.domain.metrics_diff import (
    BY_METRIC,
    DEFAULT_THRESHOLD,
    OVERALL,
    Thresholds,
    check_threshold,
    to_float,
)
from app.domain.version_relation import VersionRelation
from app.errors import AppError, InvalidArgumentError
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.types.enums import InputRole
from app.graphql.types.interfaces import Diff
from app.graphql.types.key_delta import KeyDelta, show_key_delta
from app.services.comparing_models import TrainingComparison, compare_training_data

if TYPE_CHECKING:
    from app.graphql.types.dataset import Dataset
    from app.graphql.types.dataset_diff import DatasetDiff
    from app.graphql.types.models import ModelVersion
    from app.graphql.types.snapshot import Snapshot

LazyVersion = Annotated["ModelVersion", strawberry.lazy("app.graphql.types.models")]
LazyDatasetDiff = Annotated["DatasetDiff", strawberry.lazy("app.graphql.types.dataset_diff")]
LazySnapshot = Annotated["Snapshot", strawberry.lazy("app.graphql.types.snapshot")]


@strawberry.input(description="How much one metric may lose before it has regressed.")
class MetricThreshold:
    """How much one metric may lose."""

    name: str = strawberry.field(description="The metric; one of the two versions has it.")
    threshold: float = strawberry.field(description="A fraction of its earlier value, 0 to 1; 0.05 is 5 %.")


@strawberry.type(description="What became of a metric. Numbers are compared as decimals: 0.85 to 0.92 is 0.07.")
class MetricDelta:
    """What became of a metric."""

    name: str = strawberry.field(description="Its name.")
    kind: DeltaKind = strawberry.field(description="What became of it.")
    from_: float | None = strawberry.field(
        name="from", description="Its earlier value; null where there is none, or it was not a number."
    )
    to: float | None = strawberry.field(description="Its later value, likewise.")
    delta: float | None = strawberry.field(
        description="The later value less the earlier one; null unless both are numbers."
    )
    percent_change: float | None = strawberry.field(
        description="`delta` in per cent of the amount of the earlier value, with the sign of `delta`; null of zero."
    )
    higher_is_better: bool = strawberry.field(description="Which way it improves.")
    is_direction_declared: bool = strawberry.field(
        description="Whether that was declared; else it was guessed from its name."
    )
    threshold: float = strawberry.field(description="How much of its earlier value it may lose, as a fraction.")
    regressed: bool = strawberry.field(
        description="Whether it got worse by more than that. False where one of the values is missing."
    )


@strawberry.type(
    description="A snapshot of a dataset that the one version was trained on, set against one of the other version in "
    "the same role. Several snapshots of a dataset are set against each other first where they are the same, then "
    "where they have the same rows, then in the order in which they were told."
)
class InputDelta:
    """A snapshot of a dataset on each side."""

    delta: strawberry.Private[training_diff.InputDelta]

    @field(
        description="The dataset, under the name that it has now; its `availability` is EXPIRED once the table was "
        "dropped."
    )
    async def dataset(self, info: Info) -> Annotated[Dataset, strawberry.lazy("app.graphql.types.dataset")]:
        """The dataset."""
        from app.graphql.types.dataset import Dataset, dataset_of

        try:
            table = await info.context.loaders.find_table(self.delta.table_uuid, self.delta.dataset)
        except AppError:
            # It is there and cannot be read: its fields say so, each time the table is needed.
            return Dataset(dataset_name=self.delta.dataset, known_uuid=self.delta.table_uuid)
        return (
            dataset_of(table) if table else Dataset(dataset_name=self.delta.dataset, known_uuid=self.delta.table_uuid)
        )

    @field(description="What both were used for.")
    def role(self) -> InputRole:
        """What both were used for."""
        return self.delta.role

    @field(description="The snapshot of `from`; null where there is none to set against the other, or it has expired.")
    async def before(self, info: Info) -> LazySnapshot | None:
        """The snapshot of the earlier version."""
        return await self._snapshot(info, self.delta.before)

    @field(description="The snapshot of `to`; null where there is none to set against the other, or it has expired.")
    async def after(self, info: Info) -> LazySnapshot | None:
        """The snapshot of the later version."""
        return await self._snapshot(info, self.delta.after)

    @field(description="Snapshot id of `from`; null where there is none to set against the other.")
    def before_label(self) -> str | None:
        """Snapshot id of the earlier version."""
        return None if self.delta.before is None else str(self.delta.before)

    @field(description="Snapshot id of `to`; null where there is none to set against the other.")
    def after_label(self) -> str | None:
        """Snapshot id of the later version."""
        return None if self.delta.after is None else str(self.delta.after)

    @field(
        description="Whether the rows differ: not where compactions alone lie between the two. True, and an error, "
        "where the table cannot be read, so that nobody can tell."
    )
    def changed(self) -> bool:
        """Whether the rows differ."""
        return self.delta.is_changed

    @field(
        description="How the data differs: its rows, files and schema. Null where there is no snapshot on one side, or "
        "it is gone."
    )
    async def diff(self, info: Info) -> LazyDatasetDiff | None:
        """How the data of the two snapshots differs."""
        from app.graphql.types.dataset_diff import diff_snapshots

        if self.delta.before is None or self.delta.after is None:
            return None
        table = await info.context.loaders.find_table(self.delta.table_uuid, self.delta.dataset)
        return None if table is None else await diff_snapshots(info, table, self.delta.before, self.delta.after)

    async def _snapshot(self, info: Info, number: int | None) -> Snapshot | None:
        from app.graphql.types.snapshot import find_snapshot

        if number is None:
            return None
        table = await info.context.loaders.find_table(self.delta.table_uuid, self.delta.dataset)
        return find_snapshot(table, number) if table else None


@strawberry.type(description="What differs between two versions of a model; `from` may be the later one.")
class ModelDiff(Diff):
    """What differs between two versions of a model."""

    diff: strawberry.Private[model_diff.ModelDiff]

    @field(name="from", description="The version that the other is compared with.")
    def from_(self) -> LazyVersion:
        """The version that the other is compared with."""
        from app.graphql.types.models import ModelVersion

        return ModelVersion(version=self.diff.before)

    @field(description="The version that is compared with it.")
    def to(self) -> LazyVersion:
        """The version that is compared with it."""
        from app.graphql.types.models import ModelVersion

        return ModelVersion(version=self.diff.after)

    @field(
        description="Whether framework, parameters and metrics are the same, and the rows of the training data. The "
        "artifacts are not looked at."
    )
    async def identical(self, info: Info) -> bool:
        """Whether nothing differs of what is compared."""
        return self.diff.is_identical((await self._training(info)).deltas)

    @field(description="What `from` is to `to`: ANCESTOR is the one with the lower number.")
    def relation(self) -> VersionRelation:
        """What the one is to the other."""
        return self.diff.relation

    @field(description="What became of each metric that either has, by name.")
    def metrics(self) -> list[MetricDelta]:
        """What became of each metric."""
        return [_show_metric(delta) for delta in self.diff.metrics]

    @field(description="The metrics that got worse by more than their thresholds, by name.")
    def regressions(self) -> list[MetricDelta]:
        """The metrics that got worse."""
        return [_show_metric(delta) for delta in self.diff.regressions]

    @field(description="The parameters that differ, by key.")
    def parameters(self) -> list[KeyDelta]:
        """The parameters that differ."""
        return [show_key_delta(delta) for delta in self.diff.parameters]

    @field(
        description="Whether the two were trained, validated or tested on different rows. Reads the histories of "
        "tables where their snapshots differ."
    )
    async def training_data_changed(self, info: Info) -> bool:
        """Whether the rows differ."""
        return (await self._training(info)).is_changed

    @field(description="What both were trained on, by dataset and role; what is the same on both sides too.")
    async def training_data(self, info: Info) -> list[InputDelta]:
        """What both were trained on."""
        return [InputDelta(delta=delta) for delta in (await self._training(info)).deltas]

    async def _training(self, info: Info) -> TrainingComparison:
        found = await compare_training_data(self.diff.before, self.diff.after, info.context.loaders.find_table)
        for error in found.unreadable.values():
            if error is not None:
                info.context.report(error, info.path)
        return found


def read_thresholds(overall: float | None, by_metric: list[MetricThreshold] | None) -> Thresholds:
    """The thresholds of the arguments. Raises InvalidArgumentError."""
    found: dict[str, Decimal] = {}
    for each in by_metric or ():
        if each.name in found:
            raise InvalidArgumentError(BY_METRIC, f"{each.name[:60]!r} is given twice")
        found[each.name] = check_threshold(each.threshold, BY_METRIC)
    whole = DEFAULT_THRESHOLD if overall is None else check_threshold(overall, OVERALL)
    return Thresholds(overall=whole, by_metric=found)


def _show_metric(delta: metrics_diff.MetricDelta) -> MetricDelta:
    return MetricDelta(
        name=delta.name,
        kind=delta.kind,
        from_=to_float(delta.before),
        to=to_float(delta.after),
        delta=to_float(delta.delta),
        percent_change=to_float(delta.percent_change),
        higher_is_better=delta.higher_is_better,
        is_direction_declared=delta.is_direction_declared,
        threshold=float(delta.threshold),
        regressed=delta.regressed,
    )
