"""Comparing versions of models and pipelines, for asynchronous callers; the answers have the shapes of the REST API.

>>> from app.client import compare_model_performance
>>> diff = await compare_model_performance("churn", 1, "latest")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping

from app.bootstrap import Services
from app.client.arguments import text
from app.client.catalog import IcebergCatalog
from app.client.helpers import ask
from app.client.registry_arguments import number_reference, optional_number_reference, thresholds_of
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
    before, after = number_reference("from_version", from_version), optional_number_reference("to_version", to_version)
    with arguments_named(snake_case):
        thresholds = thresholds_of(regression_threshold, metric_thresholds)

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
    before, after = number_reference("from_version", from_version), optional_number_reference("to_version", to_version)

    async def run(services: Services) -> PipelineComparisonEntry:
        found = await services.comparing_pipelines.compare(pipeline, before, after)
        return pipeline_comparison_entry(found, before, after)

    return await ask(run, catalog)
