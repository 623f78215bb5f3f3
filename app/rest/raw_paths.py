"""Paths whose parts may hold slashes: they are cut where the client wrote a slash, and only then decoded.

`/pipelines/spark%3A%2F%2Fx%2Fdaily%2Fversions` is the pipeline `spark://x/daily/versions`, and
`/pipelines/spark://x/daily/versions` are the versions of the pipeline `spark://x/daily`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import InvalidArgumentError
from app.rest.problems import Endpoint, Handler, answer_unknown_path

_ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")


class Resource:
    """An ASGI app around the handlers of one path, by method; a GET answers a HEAD too."""

    def __init__(self, **handlers: Handler) -> None:
        """`get=…`, `post=…`, `put=…`, `delete=…`."""
        named = {method.upper(): handler for method, handler in handlers.items()}
        methods = tuple(method for name in named for method in ((name, "HEAD") if name == "GET" else (name,)))
        self._endpoints = {name: Endpoint(handler, methods=methods) for name, handler in named.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whichever endpoint says that a method is not allowed."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        endpoint = self._endpoints.get(method) or next(iter(self._endpoints.values()))
        await endpoint(scope, receive, send)


class RawPaths:
    """An ASGI app that finds the resource of a path below a prefix.

    A pattern is of parts between slashes: `{name}` is any one of them, and `{name*}`, only at the front, one or more.
    The first pattern that fits decides; what no pattern fits is an unknown path.
    """

    def __init__(self, prefix: str, patterns: Mapping[str, Resource]) -> None:
        """`prefix` ends with a slash."""
        self._prefix = prefix.encode()
        self._patterns = [(pattern.split("/"), resource) for pattern, resource in patterns.items()]
        self._unknown = Endpoint(answer_unknown_path, methods=_ANY_METHOD)
        self._not_utf8 = Endpoint(_answer_not_utf8, methods=_ANY_METHOD)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        parts = raw.partition(b"?")[0].partition(self._prefix)[2].split(b"/")
        try:
            decoded = [unquote_to_bytes(part).decode() for part in parts]
        except UnicodeDecodeError:
            await self._not_utf8(scope, receive, send)
            return
        for pattern, resource in self._patterns:
            if (found := _match(pattern, decoded)) is not None:
                await resource({**scope, "path_params": found}, receive, send)
                return
        await self._unknown(scope, receive, send)


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    if pattern[0].endswith("*}"):
        tail = len(pattern) - 1
        if len(parts) <= tail:
            return None
        front = parts[: len(parts) - tail]
        found[pattern[0][1:-2]] = "/".join(front)
        pattern, parts = pattern[1:], parts[len(front) :]
    if len(pattern) != len(parts):
        return None
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            found[wanted[1:-1]] = part
        elif wanted != part:
            return None
    return found if all(found.values()) else None


async def _answer_not_utf8(_request: Request) -> Response:
    raise InvalidArgumentError("path", "it is not UTF-8 once it is decoded")
