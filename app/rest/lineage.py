"""`POST /api/v1/lineage`: OpenLineage events in; and what was odd about those of a run."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.errors import JsonValue
from app.rest.bodies import JSON, JSON_TYPE, read_bytes
from app.rest.parameters import read_query, read_uuid
from app.rest.problems import ProblemResponse

if TYPE_CHECKING:
    from app.bootstrap import Services

_NO_STORE = {"Cache-Control": "no-store"}


async def answer_lineage(request: Request) -> Response:
    """201 once every event of the body is durable; a problem, and none of them taken, otherwise."""
    read_query(request, ())
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A form of another site can send anything but JSON without asking (CORS), so that the type is insisted on.
    if not JSON_TYPE.fullmatch(media_type):
        return _unsupported(request, f"Events are sent as {JSON}.", {"Accept": JSON})
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        return _unsupported(request, "A body is compressed with gzip or not at all.", {"Accept-Encoding": "gzip"})
    services: Services = request.app.state.services
    body = await read_bytes(request, services.ingesting.max_bytes)
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
    run_id = read_uuid("runId", request.path_params["run_id"])
    services: Services = request.app.state.services
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


def _unsupported(request: Request, detail: str, headers: dict[str, str]) -> ProblemResponse:
    return ProblemResponse(
        request,
        status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        code="UNSUPPORTED_MEDIA_TYPE",
        detail=detail,
        headers={**_NO_STORE, **headers},
    )
