"""GraphQL over HTTP, after https://graphql.github.io/graphql-over-http/draft/.

Queries by GET or POST, mutations by POST alone. A POST has to have a content type that no HTML form can send, so that a
browser asks first (CORS preflight) and other sites cannot act in a user's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from app.errors import AppError, Category
from app.graphql.context import GraphContext
from app.graphql.errors import BAD_REQUEST, VALIDATION_FAILED, error_of, is_internal
from app.graphql.graphiql_page import graphiql_response, graphiql_routes
from app.graphql.schema import Schema, build_schema
from app.services.acting import actor_of
from app.services.disconnects import while_connected
from app.settings import Settings

GRAPHQL_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"
MAX_BODY_BYTES = 1024 * 1024
# Where the client has hung up, nobody reads the status (nginx logs the same number).
CLIENT_CLOSED_REQUEST = 499


class HttpRefusalError(Exception):
    """A request that is no GraphQL request; answered ahead of anything GraphQL."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a request asks to run."""

    query: str
    variables: dict[str, Any] | None
    name: str | None


class GraphQLEndpoint:
    """The endpoint of one schema. The services are those of the application's state, opened by its lifespan."""

    def __init__(self, schema: Schema, path: str) -> None:
        self._schema = schema
        self._path = path

    async def handle(self, request: Request) -> Response:
        """The answer to one request."""
        if request.method != "POST" and "query" not in request.query_params and _prefers_html(request):
            root = request.scope.get("root_path", "")
            return graphiql_response(root + self._path, assets_prefix=root + "/graphiql")
        media_type = _negotiate(request.headers.get("accept"))
        try:
            operation = await _read_operation(request)
            context = _context(request, operation)
            result = await self._execute(request, operation, context)
        except ConnectionAbortedError:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        except HttpRefusalError as refusal:
            error = GraphQLError(refusal.message, extensions={"code": BAD_REQUEST, "category": Category.INVALID.value})
            return _respond({"errors": [error.formatted]}, media_type, refusal.status, refusal.headers)
        except AppError as app_error:
            payload = {"errors": [error_of(app_error).formatted]}
            return _respond(payload, media_type, app_error.handling.http_status)
        return _respond(_payload(result), media_type, _status(result, media_type))

    async def _execute(self, request: Request, operation: Operation, context: GraphContext) -> ExecutionResult:
        allowed = OperationType.from_http("POST" if request.method == "POST" else "GET")
        try:
            execution = self._schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.name,
                allowed_operation_types=allowed,
            )
            # Comparing rows may take long. What changes something is never ended halfway.
            if "diff" in operation.query and "mutation" not in operation.query:
                return await while_connected(request.receive, execution)
            return await execution
        except InvalidOperationTypeError as error:
            raise HttpRefusalError(405, error.as_http_error_reason(request.method), {"Allow": "POST"}) from error
        except MissingQueryError as error:
            raise HttpRefusalError(400, "The request has no query.") from error
        except CannotGetOperationTypeError:
            reason = "name the operation to run" if operation.name is None else f"no operation {operation.name!r}"
            extensions = {"code": VALIDATION_FAILED, "category": Category.INVALID.value}
            message = f"It is not clear what to run: {reason}."
            return ExecutionResult(data=None, errors=[GraphQLError(message, extensions=extensions)])


def graphql_routes(settings: Settings, path: str = "/graphql") -> list[BaseRoute]:
    """The routes of the GraphQL face: the endpoint, which is GraphiQL in a browser, and GraphiQL's files.

    The application's `state.services` must have the services of `GraphContext` while requests are served.
    """
    endpoint = GraphQLEndpoint(build_schema(settings), path)
    return [Route(path, endpoint.handle, methods=["GET", "POST"], name="graphql"), *graphiql_routes()]


def _context(request: Request, operation: Operation) -> GraphContext:
    services = request.app.state.services
    return GraphContext(
        datasets=services.datasets,
        comparing=services.comparing,
        row_diffs=services.row_diffs,
        row_diff_operations=services.row_diff_operations,
        versioning=services.versioning,
        lineage=services.lineage,
        impacts=services.impacts,
        models=services.models,
        registration=services.registration,
        pipelines=services.pipelines,
        runs=services.runs,
        promoting=services.promoting,
        operations=services.operations,
        version_tags=services.version_tags,
        version_tagging=services.version_tagging,
        retention_planning=services.retention_planning,
        retention_operations=services.retention_operations,
        orphan_operations=services.orphan_operations,
        compaction_planning=services.compaction_planning,
        compaction_operations=services.compaction_operations,
        past_expiries=services.past_expiries,
        holding=services.holding,
        actor=actor_of(request.headers),
        operation_name=operation.name,
    )


async def _read_operation(request: Request) -> Operation:
    if request.method == "POST":
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != PLAIN_JSON:
            raise HttpRefusalError(415, f"Send the request as {PLAIN_JSON}.", {"Accept-Post": PLAIN_JSON})
        parameters: Any = _parse_json(await _read_body(request), "The body")
    else:
        parameters = {**request.query_params}
        for field in ("variables", "extensions"):
            text = parameters.pop(field, "")
            if text:
                parameters[field] = _parse_json(text.encode(), f"The parameter {field}")
    if isinstance(parameters, list):
        raise HttpRefusalError(400, "Send one request at a time: batches are not answered.")
    if not isinstance(parameters, dict):
        raise HttpRefusalError(400, "The body is no object with a query.")
    query = parameters.get("query")
    if not isinstance(query, str) or not query.strip():
        raise HttpRefusalError(400, "The request has no query: a text is needed.")
    for field in ("variables", "extensions"):
        if not isinstance(parameters.get(field), (dict, type(None))):
            raise HttpRefusalError(400, f"The {field} are no object.")
    name = parameters.get("operationName")
    if not isinstance(name, (str, type(None))):
        raise HttpRefusalError(400, "The operationName is no text.")
    return Operation(query=query, variables=parameters.get("variables"), name=name or None)


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HttpRefusalError(413, f"The body has more than {MAX_BODY_BYTES} bytes.")
    return bytes(body)


def _parse_json(text: bytes, what: str) -> Any:
    try:
        # Unlike the standard library's parser it refuses NaN and lone surrogates, which no answer could carry back.
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise HttpRefusalError(400, f"{what} is no JSON: {error}") from error


def _negotiate(accept: str | None) -> str:
    """The media type to answer in: the one the client likes better, plain JSON where it does not say."""
    likes = _likes(accept)
    ours = likes.get(GRAPHQL_JSON, 0.0)
    return GRAPHQL_JSON if ours > 0 and ours >= likes.get(PLAIN_JSON, 0.0) else PLAIN_JSON


def _prefers_html(request: Request) -> bool:
    likes = _likes(request.headers.get("accept"))
    return likes.get("text/html", 0.0) > max(likes.get(GRAPHQL_JSON, 0.0), likes.get(PLAIN_JSON, 0.0))


def _likes(accept: str | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in (accept or "").split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            found[media_type] = float(weight)
        except ValueError:
            found[media_type] = 0.0
    return found


def _is_refused(result: ExecutionResult) -> bool:
    """Whether the request failed ahead of its execution: parsing, validation, variables."""
    return result.data is None and bool(result.errors) and all(error.path is None for error in result.errors or ())


def _status(result: ExecutionResult, media_type: str) -> int:
    if not _is_refused(result):
        return 200
    if any(is_internal(error) for error in result.errors or ()):
        return 500
    # As plain JSON, which an intermediary may have made, a well-formed request is a 200 whatever becomes of it.
    return 400 if media_type == GRAPHQL_JSON else 200


def _payload(result: ExecutionResult) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    if result.errors:
        payload["errors"] = [error.formatted for error in result.errors]
    if not _is_refused(result):
        payload["data"] = result.data
    return payload


def _respond(
    payload: Mapping[str, Any], media_type: str, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        orjson.dumps(payload),
        status_code=status,
        media_type=f"{media_type}; charset=utf-8",
        headers={"Cache-Control": "no-store", "Vary": "Accept", **(headers or {})},
    )
