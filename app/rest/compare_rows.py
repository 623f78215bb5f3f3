"""`…/compare/datasets/{ns}/{table}/data`: the rows that two versions differ in, at once or as an operation."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.domain.row_diffs import DEFAULT_SAMPLE, MAX_SAMPLE, RowDiffRequest
from app.errors import DiffTooLargeError, InvalidArgumentError
from app.rest.bodies import Body, read_body
from app.rest.compare import VERSIONS, read_comparison, read_versions, resolve_compared, respond_tagged
from app.rest.models import HEADERS
from app.rest.operations import operation_response
from app.rest.parameters import read_columns
from app.rest.problems import problem_of
from app.services.acting import command_of
from app.services.argument_names import arguments_named, snake_case
from app.services.disconnects import while_connected
from app.services.row_diff_entries import row_diff_entry

if TYPE_CHECKING:
    from app.bootstrap import Services

PARAMETERS = (*VERSIONS, "sample_size", "key")
START_BYTES = 4096


class StartBody(Body):
    """Why the rows are compared."""

    reason: str | None = None


async def answer_row_diff(request: Request) -> Response:
    """The rows that two versions differ in; 413 with a link to what starts an operation, where that reads too much."""
    query = read_comparison(request, PARAMETERS, may_be_empty=("key",))
    from_version, to_version = read_versions(query)
    asked = _read_request(query)
    services: Services = request.app.state.services
    compared = await resolve_compared(request, query)
    try:
        with arguments_named(snake_case, {"keys": "key"}):
            answer = await while_connected(request.receive, services.row_diffs.compare(compared, asked))
    except ConnectionAbortedError as error:
        raise ClientDisconnect from error
    except DiffTooLargeError as error:
        return _too_large(request, query, error)
    entry = row_diff_entry(from_version, to_version, answer)
    # Who has the answer of the first time knows that of all others.
    tagged = {name: value for name, value in entry.items() if name != "cached"}
    return respond_tagged(request, orjson.dumps(entry), tagged=orjson.dumps(tagged))


async def answer_row_diff_start(request: Request) -> Response:
    """202 with the operation that compares the rows, whatever it reads; its result is what GET would answer."""
    query = read_comparison(request, PARAMETERS, may_be_empty=("key",))
    from_version, to_version = read_versions(query)
    asked = _read_request(query)
    body = await read_body(request, StartBody, max_bytes=START_BYTES, is_optional=True)
    services: Services = request.app.state.services
    compared = await resolve_compared(request, query)
    with arguments_named(snake_case, {**HEADERS, "keys": "key"}):
        operation = await services.row_diff_operations.start(
            compared,
            asked,
            command_of(request.headers, body.reason),
            from_version=from_version,
            to_version=to_version,
        )
    return operation_response(request, operation, status=HTTPStatus.ACCEPTED)


def _read_request(query: dict[str, str]) -> RowDiffRequest:
    text = query.get("sample_size", str(DEFAULT_SAMPLE))
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > MAX_SAMPLE:
        raise InvalidArgumentError("sample_size", f"{text[:40]!r} is not a whole number from 0 to {MAX_SAMPLE}")
    keys = query.get("key")
    with arguments_named(snake_case, {"keys": "key", "columns": "key"}):
        return RowDiffRequest(keys=None if keys is None else read_columns(keys), sample_size=int(text))


def _too_large(request: Request, query: dict[str, str], error: DiffTooLargeError) -> Response:
    href = f"{request.url.path}?{urlencode(query)}"
    response = problem_of(request, error, {"operation": {"method": "POST", "href": href}})
    response.headers["Link"] = f'<{href}>; rel="start"; title="POST starts it as an operation"'
    return response
