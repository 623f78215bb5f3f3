"""`/api/v1/compare/models/…` and `/compare/pipelines/…`: what differs between two of their versions."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.domain.metrics_diff import BY_METRIC, OVERALL, Thresholds, parse_thresholds
from app.errors import InvalidArgumentError
from app.rest.compare import read_comparison, read_versions, respond_tagged
from app.services.argument_names import arguments_named, snake_case
from app.services.comparison_entries import model_comparison_entry, pipeline_comparison_entry

if TYPE_CHECKING:
    from app.bootstrap import Services

VERSIONS = ("from_version", "to_version")
THRESHOLD = "regression_threshold"
_EXAMPLE = "latest~1"
# Both kinds of thresholds come in one parameter.
_ARGUMENTS = {OVERALL: THRESHOLD, BY_METRIC: THRESHOLD}


async def answer_model_comparison(request: Request) -> Response:
    """What differs between two versions of a model, or a 304 where the client knows that already."""
    query = read_comparison(request, (*VERSIONS, THRESHOLD))
    earlier, later = read_versions(query, example=_EXAMPLE)
    services: Services = request.app.state.services
    with arguments_named(snake_case, _ARGUMENTS):
        found = await services.comparing_models.compare(
            request.path_params["name"], earlier, later, _read_thresholds(query.get(THRESHOLD))
        )
    return respond_tagged(request, orjson.dumps(model_comparison_entry(found, earlier, later)))


async def answer_pipeline_comparison(request: Request) -> Response:
    """What differs between two versions of a pipeline, or a 304 where the client knows that already."""
    earlier, later = read_versions(read_comparison(request, VERSIONS), example=_EXAMPLE)
    services: Services = request.app.state.services
    found = await services.comparing_pipelines.compare(request.path_params["pipeline_id"], earlier, later)
    return respond_tagged(request, orjson.dumps(pipeline_comparison_entry(found, earlier, later)))


def _read_thresholds(text: str | None) -> Thresholds:
    if text is None:
        return Thresholds()
    try:
        (texts,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise InvalidArgumentError(THRESHOLD, "thresholds are separated by commas: 0.05,auc=0.01") from error
    return parse_thresholds(texts or [""])
