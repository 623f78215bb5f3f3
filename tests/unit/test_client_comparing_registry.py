"""Models and pipelines compared by the asynchronous helpers of the Python API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from app.client import IcebergCatalog, compare_model_performance, compare_pipeline_versions
from app.errors import (
    AppError,
    InvalidArgumentError,
    InvalidReferenceError,
    ModelNotFoundError,
    PipelineNotFoundError,
    TagNotFoundError,
    VersionNotFoundError,
)
from tests.lake_fixtures import module_lake
from tests.lake_tables import ORDERS, SmallLake

__all__ = ["module_lake"]


@pytest.fixture(scope="module")
def catalog(module_lake: SmallLake) -> Iterator[IcebergCatalog]:
    """Two versions of a model and of a pipeline, which every test leaves as they are."""
    with IcebergCatalog(settings=module_lake.settings) as opened:
        for at, metrics in (("main~1", {"auc": 0.85, "rmse": 1.2}), ("latest", {"auc": 0.92, "rmse": 1.5})):
            opened.register_model_version("compared", metrics=metrics, training_data=[f"{ORDERS}@{at}"])
        for task in ("load", "fetch"):
            dag = {"tasks": [{"id": task}, {"id": "clean"}], "edges": [[task, "clean"]]}
            opened.register_pipeline_version("nightly/compared", dag, code=f"{task}()\n")
        yield opened


def test_a_model_is_compared_as_over_rest(catalog: IcebergCatalog, module_lake: SmallLake) -> None:
    found = asyncio.run(compare_model_performance("compared", 1, "latest", catalog=catalog))

    assert (found["from_version"], found["to_version"], found["to_number"]) == ("1", "latest", 2)
    assert found["metrics_diff"]["auc"]["delta"] == 0.07
    assert (found["regressions"], found["training_data_changed"]) == (["rmse"], True)
    (use,) = found["training_data"]
    assert (use["from"], use["to"]) == (str(module_lake.orders.second), str(module_lake.orders.third))


def test_a_pipeline_is_compared_as_over_rest(catalog: IcebergCatalog) -> None:
    found = asyncio.run(compare_pipeline_versions("nightly/compared", "v1", catalog=catalog))

    assert (found["dag_changed"], found["code_changed"], found["relation"]) == (True, True, "ANCESTOR")
    assert found["dag_diff"]["tasks_renamed"] == [{"from": "load", "to": "fetch"}]


@pytest.mark.parametrize(
    ("thresholds", "regressions"),
    [
        ({"regression_threshold": 0.25}, []),
        ({"regression_threshold": Decimal("0.2")}, ["rmse"]),
        ({"regression_threshold": 1, "metric_thresholds": {"rmse": 0}}, ["rmse"]),
    ],
)
def test_thresholds(catalog: IcebergCatalog, thresholds: dict[str, Any], regressions: list[str]) -> None:
    found = asyncio.run(compare_model_performance("compared", 1, 2, catalog=catalog, **thresholds))

    assert found["regressions"] == regressions


@pytest.mark.parametrize(
    ("arguments", "options", "argument"),
    [
        ((None, 1), {}, "name"),
        (("compared", None), {}, "from_version"),
        (("compared", True), {}, "from_version"),
        (("compared", 1, 1.5), {}, "to_version"),
        (("compared", 1), {"regression_threshold": "0.1"}, "regression_threshold"),
        (("compared", 1), {"regression_threshold": float("nan")}, "regression_threshold"),
        (("compared", 1), {"regression_threshold": -1}, "regression_threshold"),
        (("compared", 1), {"metric_thresholds": [0.1]}, "metric_thresholds"),
        (("compared", 1), {"metric_thresholds": {1: 0.1}}, "metric_thresholds"),
        (("compared", 1), {"metric_thresholds": {"nope": 0.1}}, "metric_thresholds"),
        (("compared", 1), {"catalog": "gold"}, "catalog"),
    ],
)
def test_arguments_of_the_wrong_kind_are_told_by_their_names(
    catalog: IcebergCatalog, arguments: tuple[Any, ...], options: dict[str, Any], argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        asyncio.run(compare_model_performance(*arguments, **{"catalog": catalog} | options))

    assert caught.value.fields["argument"] == argument


@pytest.mark.parametrize(
    ("model", "version", "error"),
    [
        ("nope", 1, ModelNotFoundError),
        ("compared", 3, VersionNotFoundError),
        ("compared", 0, InvalidReferenceError),
        ("compared", -1, InvalidReferenceError),
        ("compared", 2**70, InvalidReferenceError),
        ("compared", "tag:x", TagNotFoundError),
    ],
)
def test_what_is_not_there(catalog: IcebergCatalog, model: str, version: int | str, error: type[AppError]) -> None:
    with pytest.raises(error):
        asyncio.run(compare_model_performance(model, 1, version, catalog=catalog))
    with pytest.raises(PipelineNotFoundError):
        asyncio.run(compare_pipeline_versions("nope", 1, catalog=catalog))
