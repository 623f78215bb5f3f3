"""Comparing versions of models and pipelines, for asynchronous callers; the answers have the shapes of the REST API.

>>> from app.client import compare_model_performance
>>> diff = await compare_model_performance("churn", 1, "latest")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from app.bootstrap import Services
from app.client.arguments import text, whole_number
from app.client.catalog import IcebergCatalog
from app.client.helpers import ask
from app.domain.metrics_diff import BY_METRIC, OVERALL, Thresholds, check_threshold
from app.errors import InvalidArgumentError
from app.services.argument_names import arguments_named, snake_case
from app.services.comparison_entries import (
    ModelComparisonEntry,
    PipelineComparisonEntry,
    model_comparison_entry,
    pipeline_comparison_entry,
)


async def compare_model_performance(
    name: str,
    from_version: str | int,
    to_version: str | int | None = None,
    *,
    regression_threshold: float = 0.05,
    metric_thresholds: Mapping[str, float] | None = None,
    catalog: IcebergCatalog | None = None,
) -> ModelComparisonEntry:
    """What differs between two versions of a model: metrics and which of them regressed, parameters, training data.

    A version is a number or a reference; `to_version` is the latest unless given. A metric has regressed when it got
    worse by more than `regression_threshold` of its earlier value, a fraction from 0 to 1; `metric_thresholds` are
    those of single metrics. Dicts as `GET /api/v1/compare/models/{name}/performance` answers them. `catalog` is one
    that is open already; without it the environment decides.

    Raises:
        ModelNotFoundError, VersionNotFoundError, TagNotFoundError, InvalidReferenceError
        InvalidArgumentError: an argument of the wrong type, or a threshold that is none.
        BackendUnavailableError: Postgres is away.
    """
    model = text("name", name)
    before, after = _reference("from_version", from_version), _optional_reference("to_version", to_version)
    with arguments_named(snake_case):
        thresholds = _thresholds(regression_threshold, metric_thresholds)

    async def run(services: Services) -> ModelComparisonEntry:
        found = await services.comparing_models.compare(model, before, after, thresholds)
        return model_comparison_entry(found, before, after)

    return await ask(run, catalog)


async def compare_pipeline_versions(
    pipeline_id: str,
    from_version: str | int,
    to_version: str | int | None = None,
    *,
    catalog: IcebergCatalog | None = None,
) -> PipelineComparisonEntry:
    """What differs between two versions of a pipeline: tasks and edges of the DAG, commits, code as a unified diff.

    A version is a number or a reference; `to_version` is the latest unless given. Dicts as
    `GET /api/v1/compare/pipelines/{id}/versions` answers them. `catalog` is one that is open already; without it the
    environment decides.

    Raises:
        PipelineNotFoundError, VersionNotFoundError, TagNotFoundError, InvalidReferenceError
        InvalidArgumentError: an argument of the wrong type.
        BackendUnavailableError: Postgres is away.
    """
    pipeline = text("pipeline_id", pipeline_id)
    before, after = _reference("from_version", from_version), _optional_reference("to_version", to_version)

    async def run(services: Services) -> PipelineComparisonEntry:
        found = await services.comparing_pipelines.compare(pipeline, before, after)
        return pipeline_comparison_entry(found, before, after)

    return await ask(run, catalog)


def _thresholds(overall: object, by_metric: object) -> Thresholds:
    if by_metric is not None and not isinstance(by_metric, Mapping):
        raise InvalidArgumentError(BY_METRIC, 'a dict is needed, such as {"auc": 0.01}')
    return Thresholds(
        overall=_threshold(OVERALL, overall),
        by_metric={text(BY_METRIC, name): _threshold(BY_METRIC, value) for name, value in (by_metric or {}).items()},
    )


def _threshold(argument: str, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise InvalidArgumentError(argument, f"a number is needed, not {type(value).__name__}")
    return check_threshold(value, argument)


def _optional_reference(argument: str, value: object) -> str | None:
    return None if value is None else _reference(argument, value)


def _reference(argument: str, value: object) -> str:
    return value if isinstance(value, str) else str(whole_number(argument, value))
