"""Comparing two versions of a model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from app.domain.history import History
from app.domain.metrics_diff import Thresholds
from app.domain.model_diff import ModelDiff, diff_models, is_training_data_changed
from app.domain.models import ModelVersion
from app.domain.names import DatasetName
from app.domain.numbered import NumberSelector
from app.domain.training_diff import InputDelta, diff_training_data, rows_of_snapshot, tables_to_look_at
from app.errors import AppError
from app.lake.table import LakeTable
from app.services.datasets import Datasets
from app.services.models import Models
from app.telemetry.tracing import span

FindTable = Callable[[UUID, DatasetName], Awaitable[LakeTable | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingComparison:
    """What became of the data that was trained on.

    `unreadable` are the tables whose histories would have to tell, and cannot: their snapshots count as different rows
    wherever their ids differ. The error is None for a table that was dropped.
    """

    deltas: tuple[InputDelta, ...]
    unreadable: dict[DatasetName, AppError | None]

    @property
    def is_changed(self) -> bool:
        """Whether the rows differ, as far as is known."""
        return is_training_data_changed(self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """All that differs between two versions of a model."""

    diff: ModelDiff
    training: TrainingComparison

    @property
    def is_identical(self) -> bool:
        """Whether framework, parameters, metrics and the rows of the training data are the same."""
        return self.diff.is_identical(self.training.deltas)


class ComparingModels:
    """Differences between versions of the registry's models."""

    def __init__(self, models: Models, datasets: Datasets) -> None:
        self._models = models
        self._datasets = datasets

    async def compare(
        self,
        name: str,
        from_version: NumberSelector | str | None,
        to_version: NumberSelector | str | None,
        thresholds: Thresholds | None = None,
    ) -> ModelComparison:
        """What differs between two versions of a model, in whatever order they were made.

        Costs four statements, and loading each table of which the two have different snapshots.

        Raises:
            ModelNotFoundError, VersionNotFoundError, TagNotFoundError, InvalidReferenceError: as `Models.get_version`.
            InvalidArgumentError: a threshold for a metric that neither version has.
            BackendUnavailableError: Postgres is away.
        """
        with span("models.compare", model=name):
            before, after = await self._models.get_versions(name, [from_version, to_version])
            diff = diff_models(before, after, thresholds)
            return ModelComparison(
                diff=diff, training=await compare_training_data(before, after, self._datasets.find_table)
            )


async def compare_training_data(before: ModelVersion, after: ModelVersion, find_table: FindTable) -> TrainingComparison:
    """What became of the training data; `find_table` is asked once for each table that has to be looked at."""
    wanted = tables_to_look_at(before.training_data, after.training_data)
    answers = await asyncio.gather(
        *(find_table(table_uuid, name) for table_uuid, name in wanted.items()), return_exceptions=True
    )
    histories: dict[UUID, History] = {}
    unreadable: dict[DatasetName, AppError | None] = {}
    for (table_uuid, name), answer in zip(wanted.items(), answers, strict=True):
        if isinstance(answer, AppError):
            unreadable[name] = answer
        elif isinstance(answer, BaseException):
            raise answer
        elif answer is None:
            unreadable[name] = None
        else:
            histories[table_uuid] = answer.state.history

    def rows_of(table_uuid: UUID, snapshot_id: int) -> int:
        history = histories.get(table_uuid)
        return snapshot_id if history is None else rows_of_snapshot(history, snapshot_id)

    return TrainingComparison(
        deltas=diff_training_data(before.training_data, after.training_data, rows_of), unreadable=unreadable
    )
