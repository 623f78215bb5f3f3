"""`/api/v1/compare/models/…` and `/compare/pipelines/…`: what differs between two of their versions."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.domain.metrics_diff import BY_METRIC, OVERALL, Thresholds, parse_thresholds
from app.errors import InvalidArgumentError
from app.rest.caching import REVALIDATE, content_tag, is_not_modified
from app.rest.pages import JSON
from app.rest.parameters import read_query
from app.services.argument_names import arguments_named, snake_case
from app.services.comparison_entries import model_comparison_entry, pipeline_comparison_entry

if TYPE_CHECKING:
    from app.bootstrap import Services

VERSIONS = ("from_version", "to_version")
THRESHOLD = "regression_threshold"
# Both kinds of thresholds come in one parameter.
_ARGUMENTS = {OVERALL: THRESHOLD, BY_METRIC: THRESHOLD}


async def answer_model_comparison(request: Request) -> Response:
    """What differs between two versions of a model, or a 304 where the client knows that already."""
    query = read_query(request, (*VERSIONS, THRESHOLD))
    earlier, later = _read_versions(query)
    services: Services = request.app.state.services
    with arguments_named(snake_case, _ARGUMENTS):
        found = await services.comparing_models.compare(
            request.path_params["name"], earlier, later, _read_thresholds(query.get(THRESHOLD))
        )
    return _respond(request, model_comparison_entry(found, earlier, later))


async def answer_pipeline_comparison(request: Request) -> Response:
    """What differs between two versions of a pipeline, or a 304 where the client knows that already."""
    earlier, later = _read_versions(read_query(request, VERSIONS))
    services: Services = request.app.state.services
    found = await services.comparing_pipelines.compare(request.path_params["pipeline_id"], earlier, later)
    return _respond(request, pipeline_comparison_entry(found, earlier, later))


def _read_versions(query: Mapping[str, str]) -> tuple[str, str | None]:
    if "from_version" not in query:
        raise InvalidArgumentError(
            "from_version", "which version is to be compared? to_version is the latest unless given"
        )
    return query["from_version"], query.get("to_version")


def _read_thresholds(text: str | None) -> Thresholds:
    if text is None:
        return Thresholds()
    try:
        (texts,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise InvalidArgumentError(THRESHOLD, "thresholds are separated by commas: 0.05,auc=0.01") from error
    return parse_thresholds(texts or [""])


def _respond(request: Request, body: Mapping[str, Any]) -> Response:
    content = orjson.dumps(body)
    headers = {"Cache-Control": REVALIDATE, "ETag": content_tag(content)}
    if is_not_modified(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(content, media_type=JSON, headers=headers)
