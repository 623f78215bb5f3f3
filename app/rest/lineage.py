"""`POST /api/v1/lineage`: OpenLineage events in; and what was odd about those of a run."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.errors import BodyTooLargeError, InvalidArgumentError, JsonValue
from app.rest.parameters import read_query
from app.rest.problems import ProblemResponse

if TYPE_CHECKING:
    from app.bootstrap import Services

JSON = "application/json"
_JSON_TYPE = re.compile(r"application/([\w.-]+\+)?json")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NO_STORE = {"Cache-Control": "no-store"}
# Where the client has hung up, nobody reads the status (nginx logs the same number).
_CLIENT_CLOSED_REQUEST = 499


async def answer_lineage(request: Request) -> Response:
    """201 once every event of the body is durable; a problem, and none of them taken, otherwise."""
    read_query(request, ())
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A form of another site can send anything but JSON without asking (CORS), so that the type is insisted on.
    if not _JSON_TYPE.fullmatch(media_type):
        return _unsupported(request, f"Events are sent as {JSON}.", {"Accept": JSON})
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        return _unsupported(request, "A body is compressed with gzip or not at all.", {"Accept-Encoding": "gzip"})
    services: Services = request.app.state.services
    try:
        body = await _read_body(request, services.ingesting.max_bytes)
    except ClientDisconnect:
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
    ingested = await services.ingesting.ingest(body, is_gzipped=encoding in ("gzip", "x-gzip"))
    warnings: list[JsonValue] = [
        {"index": each.index, "pointer": each.warning.pointer, "message": each.warning.message}
        for each in ingested.warnings
    ]
    answer = {"accepted": ingested.accepted, "unchanged": ingested.unchanged, "warnings": warnings}
    return Response(orjson.dumps(answer), status_code=HTTPStatus.CREATED, media_type=JSON, headers=_NO_STORE)


async def answer_run_warnings(request: Request) -> Response:
    """The warnings of all events of a run, by the times of the events."""
    read_query(request, ())
    text = request.path_params["run_id"]
    if not _UUID.fullmatch(text):
        raise InvalidArgumentError("runId", f"{text[:80]!r} is not a UUID")
    services: Services = request.app.state.services
    run_id = UUID(text)
    warnings: list[JsonValue] = [
        {
            "event_time": event.event_time.isoformat(),
            "received_at": event.received_at.isoformat(),
            "pointer": warning.pointer,
            "message": warning.message,
        }
        for event in await services.ingesting.list_warnings(run_id)
        for warning in event.warnings
    ]
    answer = {"run_id": str(run_id), "warnings": warnings}
    return Response(orjson.dumps(answer), media_type=JSON, headers=_NO_STORE)


async def _read_body(request: Request, max_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise BodyTooLargeError(max_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLargeError(max_bytes)
    return bytes(body)


def _unsupported(request: Request, detail: str, headers: dict[str, str]) -> ProblemResponse:
    return ProblemResponse(
        request,
        status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        code="UNSUPPORTED_MEDIA_TYPE",
        detail=detail,
        headers={**_NO_STORE, **headers},
    )
