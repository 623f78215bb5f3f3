"""`GET …/impact`: what a change of a dataset would affect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.domain.impact import ImpactKind
from app.errors import InvalidArgumentError
from app.rest.parameters import dataset_name, read_columns, read_query
from app.services.impact_entries import impact_entry

if TYPE_CHECKING:
    from app.bootstrap import Services

IMPACT_PARAMETERS = ("kind", "columns", "rollback_to", "depth")


async def answer_impact(request: Request) -> Response:
    """The impact as JSON; of what was reported so far, so that it is never to be cached."""
    query = read_query(request, IMPACT_PARAMETERS)
    kind, depth = ImpactKind.parse(query.get("kind", ImpactKind.ANY)), _read_depth(query.get("depth"))
    columns = read_columns(query.get("columns"))
    services: Services = request.app.state.services
    name = dataset_name(request)
    table = await services.datasets.load(name)
    impact = await services.impacts.of_dataset(table, kind, columns, query.get("rollback_to"), depth=depth)
    body = orjson.dumps(impact_entry(str(name), impact))
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _read_depth(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidArgumentError("depth", f"{text[:40]!r} is not a whole number")
    return int(text)
