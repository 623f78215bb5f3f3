"""`GET /api/v1/compare/…`: how two versions differ."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.domain.names import DatasetName
from app.errors import InvalidArgumentError
from app.rest.caching import REVALIDATE, is_not_modified
from app.rest.pages import JSON
from app.rest.parameters import accepts, dataset_name, read_query
from app.rest.problems import HttpProblemError
from app.services.comparing import ComparedVersions
from app.services.schema_diff_entries import schema_diff_entry

if TYPE_CHECKING:
    from app.bootstrap import Services

VERSIONS = ("from_version", "to_version", "to_dataset")


def read_comparison(request: Request, allowed: Sequence[str], *, may_be_empty: Sequence[str] = ()) -> dict[str, str]:
    """The query parameters of a comparison, as `read_query` has them.

    Raises:
        HttpProblemError: the client takes no JSON, and there is nothing else.
        InvalidArgumentError: as `read_query`.
    """
    if not accepts(request.headers.get("accept"), JSON):
        raise HttpProblemError(
            HTTPStatus.NOT_ACCEPTABLE, "NOT_ACCEPTABLE", f"A comparison can be had as {JSON}.", {"Vary": "Accept"}
        )
    return read_query(request, allowed, may_be_empty=may_be_empty)


async def answer_schema_diff(request: Request) -> Response:
    """How the schemas of two versions of a dataset differ, or those of two datasets."""
    query = read_comparison(request, VERSIONS)
    from_version, to_version = read_versions(query)
    services: Services = request.app.state.services
    compared = await resolve_compared(request, query)
    entry = schema_diff_entry(from_version, to_version, services.comparing.schema(compared))
    return respond_tagged(request, orjson.dumps(entry))


def read_versions(query: dict[str, str], *, example: str = "main~1") -> tuple[str, str | None]:
    """`from_version`, and `to_version`, which is the latest where it is left out.

    Raises:
        InvalidArgumentError: there is no `from_version`.
    """
    if "from_version" not in query:
        raise InvalidArgumentError("from_version", f"it is needed; it is a version reference, such as {example}")
    return query["from_version"], query.get("to_version")


async def resolve_compared(request: Request, query: dict[str, str]) -> ComparedVersions:
    """The two versions of the path's dataset that are asked for. Raises as `Comparing.versions`."""
    services: Services = request.app.state.services
    from_version, to_version = read_versions(query)
    to_dataset = DatasetName.parse(query["to_dataset"]) if "to_dataset" in query else None
    return await services.comparing.versions(dataset_name(request), from_version, to_version, to_dataset=to_dataset)


def respond_tagged(request: Request, body: bytes, *, tagged: bytes | None = None) -> Response:
    """A JSON answer with a strong entity tag of its very bytes, or a 304 where the client has them already.

    With `tagged` the tag is a weak one, of these bytes: of the part of the answer that says what differs. It is always
    to be asked for again: even of two snapshots the answer may change, as a table that is given a second partition spec
    no longer tells which one a snapshot had.
    """
    opaque = f'"{hashlib.blake2b(body if tagged is None else tagged, digest_size=16).hexdigest()}"'
    headers = {"ETag": opaque if tagged is None else f"W/{opaque}", "Cache-Control": REVALIDATE}
    if is_not_modified(request.headers.get("if-none-match"), opaque):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, media_type=JSON, headers=headers)
