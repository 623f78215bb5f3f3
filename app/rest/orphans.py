"""`…/orphans`: starting the removal of files that a dataset does not reach."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from app.rest.bodies import Body, read_body
from app.rest.models import HEADERS
from app.rest.operations import operation_response
from app.rest.parameters import dataset_name, read_query
from app.rest.retention_bodies import RUN_BYTES
from app.services.acting import command_of
from app.services.argument_names import arguments_named, snake_case
from app.services.orphans import DEFAULT_DAYS, OrphanAge

if TYPE_CHECKING:
    from app.bootstrap import Services


class RemoveOrphansBody(Body):
    """How old orphans have to be; a dry run unless `dry_run` is false."""

    older_than_days: float | None = None
    force: bool | None = None
    dry_run: bool | None = None
    reason: str | None = None


async def answer_orphan_removal(request: Request) -> Response:
    """202 with the operation that finds or removes the orphans of a dataset."""
    read_query(request, ())
    name = dataset_name(request)
    body = await read_body(request, RemoveOrphansBody, max_bytes=RUN_BYTES, is_optional=True)
    services: Services = request.app.state.services
    days = DEFAULT_DAYS if body.older_than_days is None else body.older_than_days
    with arguments_named(snake_case, HEADERS):
        operation = await services.orphan_operations.start(
            name,
            OrphanAge(days=days, is_forced=bool(body.force)),
            command_of(request.headers, body.reason),
            is_dry_run=body.dry_run is not False,
        )
    return operation_response(request, operation, status=HTTPStatus.ACCEPTED)
