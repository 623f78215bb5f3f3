"""`/api/v1/operations`: long jobs, how far they are and what came of them."""

from __future__ import annotations

import difflib
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from app.domain.operations import Operation, OperationKind, OperationStatus
from app.errors import InvalidArgumentError, JsonValue
from app.rest.bodies import Body, read_body
from app.rest.models import HEADERS
from app.rest.pages import json_response, page_response, path_of
from app.rest.parameters import read_page, read_query, read_uuid
from app.services.acting import command_of
from app.services.argument_names import arguments_named, snake_case
from app.services.operation_entries import operation_entry, operation_list_entry

if TYPE_CHECKING:
    from app.bootstrap import Services

PARAMETERS = ("kind", "status", "first", "limit", "after")
# When a client had better look again.
LOOK_AGAIN_S = 2
CANCEL_BYTES = 1024

Choice = TypeVar("Choice", bound=StrEnum)


class CancelBody(Body):
    """Nothing is told with a cancellation."""


async def answer_operations(request: Request) -> Response:
    """A page of operations, those asked for last first, without their results."""
    query = read_query(request, PARAMETERS)
    asked = read_page(query)
    kind = _read_choice("kind", query.get("kind"), OperationKind)
    status = _read_choice("status", query.get("status"), OperationStatus)
    services: Services = request.app.state.services
    page = await services.operations.page(asked, kind=kind, status=status)
    return page_response(request, query, page, "operations", [operation_list_entry(each) for each in page.items])


async def answer_operation(request: Request) -> Response:
    """One operation with its result; while it has not ended, with the seconds after which to look again."""
    read_query(request, ())
    services: Services = request.app.state.services
    operation = await services.operations.get(_operation_id(request))
    return operation_response(request, operation, await services.operations.result_of(operation))


async def answer_operation_cancelling(request: Request) -> Response:
    """200 for one that is cancelled, now or before; 202 for one that its worker has yet to stop."""
    read_query(request, ())
    services: Services = request.app.state.services
    await read_body(request, CancelBody, max_bytes=CANCEL_BYTES, is_optional=True)
    with arguments_named(snake_case, HEADERS):
        command = command_of(request.headers, None)
        operation = await services.operations.cancel(_operation_id(request), command)
    return operation_response(
        request, operation, status=HTTPStatus.OK if operation.status.is_ended else HTTPStatus.ACCEPTED
    )


def operation_response(
    request: Request, operation: Operation, result: JsonValue = None, *, status: int = HTTPStatus.OK
) -> Response:
    """An operation; with a status of 202 also where it is to be looked at."""
    location = operation_path(request, operation) if status == HTTPStatus.ACCEPTED else None
    response = json_response(operation_entry(operation, result), status=status, location=location)
    if not operation.status.is_ended:
        response.headers["Retry-After"] = str(LOOK_AGAIN_S)
    return response


def operation_path(request: Request, operation: Operation) -> str:
    """Where an operation is."""
    return path_of(request, "operations", str(operation.operation_id))


def _operation_id(request: Request) -> UUID:
    return read_uuid("operation_id", request.path_params["operation_id"])


def _read_choice(argument: str, text: str | None, kind: type[Choice]) -> Choice | None:
    if text is None:
        return None
    known = [choice.value for choice in kind]
    if text not in known:
        close = difflib.get_close_matches(text[:40].upper(), known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InvalidArgumentError(argument, f"{text[:40]!r} is none of {', '.join(known)}{hint}")
    return kind(text)
