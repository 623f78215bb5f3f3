"""Errors as RFC 9457 problem documents, for expected and unexpected errors alike."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import AppError, JsonValue
from app.telemetry.tracing import current_trace_id, span

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
# A path can be as long as the server lets it; the client knows its own anyway.
MAX_PATH_CHARS = 500
# Where the client has hung up, nobody reads the status (nginx logs the same number).
CLIENT_CLOSED_REQUEST = 499

Handler = Callable[[Request], Awaitable[Response]]

logger = logging.getLogger(__name__)


class HttpProblemError(Exception):
    """The protocol itself was used in a way that cannot be answered; becomes a problem document."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = {"Cache-Control": "no-store", **(headers or {})}


class ProblemResponse(Response):
    """A problem document (RFC 9457) with `code`, `trace_id` and the error's own fields beside the standard members."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        request: Request,
        *,
        status: int,
        code: str,
        detail: str,
        title: str | None = None,
        docs: str = "about:blank",
        fields: Mapping[str, JsonValue] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        trace_id = current_trace_id()
        body: dict[str, JsonValue] = {
            **(fields or {}),
            "type": docs,
            "title": title or HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "instance": request.url.path[:MAX_PATH_CHARS],
            "code": code,
            "trace_id": trace_id,
        }
        self.trace_id = trace_id
        super().__init__(orjson.dumps(body), status_code=status, headers={**(headers or {}), "X-Trace-Id": trace_id})


def problem_of(request: Request, error: AppError, members: Mapping[str, JsonValue] | None = None) -> ProblemResponse:
    """The problem document of an expected error, with further members."""
    handling = error.handling
    headers = {"Cache-Control": "no-store"}
    if handling.http_status == HTTPStatus.SERVICE_UNAVAILABLE and handling.is_retryable:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return ProblemResponse(
        request,
        status=handling.http_status,
        code=error.code,
        title=error.code.replace("_", " ").capitalize(),
        detail=error.message,
        docs=error.docs,
        fields={**error.fields, **(members or {}), "category": error.category.value},
        headers=headers,
    )


class Endpoint:
    """An ASGI app around one handler: other methods get a 405, errors become problems, unknown ones are masked.

    Starlette's own routing answers 404 and 405 in plain text, and a route that lets other methods pass would leave
    them to the catch-all behind it.
    """

    def __init__(self, handler: Handler, *, methods: Sequence[str] = ("GET", "HEAD")) -> None:
        self._handler = handler
        self._name = getattr(handler, "__name__", "request").removeprefix("answer_")
        self._methods = tuple(methods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the span lasts until the last byte."""
        request = Request(scope, receive)
        with span(f"rest.{self._name}", method=request.method):
            response = await self._respond(request)
            await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method not in self._methods:
            allowed = ", ".join(self._methods)
            return ProblemResponse(
                request,
                status=HTTPStatus.METHOD_NOT_ALLOWED,
                code="METHOD_NOT_ALLOWED",
                detail=f"{request.method} is not allowed here; use {allowed}.",
                headers={"Allow": allowed},
            )
        try:
            return await self._handler(request)
        except AppError as error:
            return problem_of(request, error)
        except HttpProblemError as error:
            return ProblemResponse(
                request, status=error.status, code=error.code, detail=error.detail, headers=error.headers
            )
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        except Exception:
            # The last resort of a path: masked to the client, whole in the log, and the same number in both.
            masked = ProblemResponse(
                request,
                status=HTTPStatus.INTERNAL_SERVER_ERROR,
                code="INTERNAL_ERROR",
                detail="Something went wrong on our side. The trace id finds it in the server's log.",
            )
            logger.exception("%s %s failed, trace id %s", request.method, request.url.path, masked.trace_id)
            return masked


async def answer_unknown_path(request: Request) -> Response:
    """A 404 problem for whatever no route of the API is for."""
    return ProblemResponse(
        request,
        status=HTTPStatus.NOT_FOUND,
        code="UNKNOWN_PATH",
        detail=f"There is nothing at {request.url.path[:200]}.",
        headers={"Cache-Control": "no-store"},
    )
