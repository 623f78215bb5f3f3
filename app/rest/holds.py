"""`…/holds`: versions of datasets that are kept until further notice."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from app.rest.bodies import read_body
from app.rest.models import HEADERS, PAGE_PARAMETERS
from app.rest.pages import json_response, page_response, path_of
from app.rest.parameters import dataset_name, read_flag, read_page, read_query
from app.rest.retention_bodies import HOLD_BYTES, PlaceHoldBody, ReleaseHoldBody
from app.services.acting import command_of
from app.services.argument_names import arguments_named, snake_case
from app.services.hold_entries import hold_entry

if TYPE_CHECKING:
    from app.bootstrap import Services

PARAMETERS = ("keeping", *PAGE_PARAMETERS)


async def answer_holds_of_dataset(request: Request) -> Response:
    """A page of the holds on a dataset, those placed last first."""
    services: Services = request.app.state.services
    return await _page(request, await services.datasets.get_uuid(dataset_name(request)))


async def answer_holds(request: Request) -> Response:
    """A page of the holds on all datasets."""
    return await _page(request, None)


async def answer_hold(request: Request) -> Response:
    """One hold."""
    read_query(request, ())
    services: Services = request.app.state.services
    return json_response(hold_entry(await services.holding.get(request.path_params["hold_id"])))


async def answer_hold_placing(request: Request) -> Response:
    """201 with the hold on a version, the latest unless another one is asked for."""
    read_query(request, ())
    name = dataset_name(request)
    body = await read_body(request, PlaceHoldBody, max_bytes=HOLD_BYTES)
    services: Services = request.app.state.services
    with arguments_named(snake_case, HEADERS):
        hold = await services.holding.place(name, body.version, command_of(request.headers, body.reason))
    return json_response(hold_entry(hold), status=HTTPStatus.CREATED, location=path_of(request, "holds", hold.hold_id))


async def answer_hold_release(request: Request) -> Response:
    """The hold, released now or before."""
    read_query(request, ())
    body = await read_body(request, ReleaseHoldBody, max_bytes=HOLD_BYTES)
    services: Services = request.app.state.services
    with arguments_named(snake_case, HEADERS):
        command = command_of(request.headers, body.reason)
        hold = await services.holding.release(request.path_params["hold_id"], command)
    return json_response(hold_entry(hold))


async def _page(request: Request, table_uuid: UUID | None) -> Response:
    query = read_query(request, PARAMETERS)
    keeping = read_flag("keeping", query.get("keeping", "false"))
    services: Services = request.app.state.services
    page = await services.holding.page(read_page(query), table_uuid=table_uuid, keeping_only=keeping)
    return page_response(request, query, page, "holds", [hold_entry(hold) for hold in page.items])
