"""`/healthz` and `/readyz`: whether the process lives, and whether its backends answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.errors import JsonValue
from app.rest.problems import RETRY_AFTER_S, ProblemResponse

if TYPE_CHECKING:
    from app.bootstrap import Services

_NO_STORE = {"Cache-Control": "no-store"}


async def answer_alive(request: Request) -> Response:
    """200 as long as the event loop turns; no backend is asked, so that an outage does not restart the server."""
    del request
    return Response(orjson.dumps({"status": "alive"}), media_type="application/json", headers=_NO_STORE)


async def answer_ready(request: Request) -> Response:
    """200 once every backend answers, else a 503 problem; both list the checks."""
    services: Services = request.app.state.services
    report = await services.health.check()
    checks: list[JsonValue] = [
        {"name": check.name, "ok": check.ok, "detail": check.detail, "hint": check.hint} for check in report.checks
    ]
    if report.is_ready:
        body = orjson.dumps({"status": "ready", "checks": checks})
        return Response(body, media_type="application/json", headers=_NO_STORE)
    failed = ", ".join(check.name for check in report.checks if not check.ok)
    return ProblemResponse(
        request,
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        code="NOT_READY",
        detail=f"Not available: {failed}.",
        fields={"checks": checks},
        headers={**_NO_STORE, "Retry-After": str(RETRY_AFTER_S)},
    )
