"""`GET /api/v1/compare/…`: how two versions differ."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.domain.names import DatasetName
from app.errors import InvalidArgumentError
from app.rest.caching import REVALIDATE, is_not_modified
from app.rest.parameters import dataset_name, read_query
from app.services.schema_diff_entries import schema_diff_entry

if TYPE_CHECKING:
    from app.bootstrap import Services

SCHEMA_PARAMETERS = ("from_version", "to_version", "to_dataset")


async def answer_schema_diff(request: Request) -> Response:
    """How the schemas of two versions of a dataset differ, or those of two datasets."""
    query = read_query(request, SCHEMA_PARAMETERS)
    from_version, to_version = read_versions(query)
    name = dataset_name(request)
    to_dataset = DatasetName.parse(query["to_dataset"]) if "to_dataset" in query else None
    services: Services = request.app.state.services
    compared = await services.comparing.versions(name, from_version, to_version, to_dataset=to_dataset)
    entry = schema_diff_entry(from_version, to_version, services.comparing.schema(compared))
    return respond_tagged(request, orjson.dumps(entry))


def read_versions(query: dict[str, str]) -> tuple[str, str | None]:
    """`from_version`, and `to_version`, which is the latest where it is left out.

    Raises:
        InvalidArgumentError: there is no `from_version`.
    """
    if "from_version" not in query:
        raise InvalidArgumentError("from_version", "it is needed; it is a version reference, such as main~1")
    return query["from_version"], query.get("to_version")


def respond_tagged(request: Request, body: bytes) -> Response:
    """A JSON answer with a strong entity tag of its very bytes, or a 304 where the client has them already.

    It is always to be asked for again: even of two snapshots the answer may change, as a table that is given a second
    partition spec no longer tells which one a snapshot had.
    """
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": REVALIDATE}
    if is_not_modified(request.headers.get("if-none-match"), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
