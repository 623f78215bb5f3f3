"""Answers in JSON, and pages of lists with the path of the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.domain.pages import Page
from app.rest.caching import REVALIDATE

JSON = "application/json"


def json_response(
    body: Mapping[str, Any],
    *,
    status: int = HTTPStatus.OK,
    location: str | None = None,
    cache_control: str = "no-store",
) -> Response:
    """One JSON object; `location` is where what was made is."""
    headers = {"Cache-Control": cache_control}
    if location is not None:
        headers["Location"] = location
    return Response(orjson.dumps(body), status_code=status, media_type=JSON, headers=headers)


def read_response(body: Mapping[str, Any]) -> Response:
    """What was looked up; a client may keep it, and asks again whether it is still so."""
    return json_response(body, cache_control=REVALIDATE)


def page_response(
    request: Request,
    query: Mapping[str, str],
    page: Page[Any],
    name: str,
    entries: Sequence[Mapping[str, Any]],
    *,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """`{name: […], "total": n, "next": path or null}` after further `members`; the path in a `Link` header too."""
    link = None
    if page.has_next:
        # As the client wrote the path, so that percent-encoded names stay so.
        path = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1").partition("?")[0]
        link = f"{path}?{urlencode({**query, 'after': page.cursors[-1]})}"
    body = {**(members or {}), name: list(entries), "total": page.total, "next": link}
    response = read_response(body)
    if link:
        response.headers["Link"] = f'<{link}>; rel="next"'
    return response


def path_of(request: Request, *parts: str | int) -> str:
    """The path below `/api/v1` of these parts, each percent-encoded."""
    root = request.scope.get("root_path", "")
    return f"{root}/api/v1/" + "/".join(quote(str(part), safe="") for part in parts)
