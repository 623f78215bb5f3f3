"""`/api/v1/models`: models, their versions and cards; registering and archiving versions."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from app.domain.models import NewModelVersion
from app.domain.numbered import MAX_NUMBER
from app.domain.roles import InputRole
from app.errors import InvalidArgumentError
from app.rest.bodies import read_body
from app.rest.pages import json_response, page_response, path_of, read_response
from app.rest.parameters import read_page, read_query
from app.rest.registry_bodies import ARCHIVE_BYTES, MODEL_BYTES, ArchiveBody, ModelVersionBody
from app.services.acting import command_of
from app.services.argument_names import arguments_named, snake_case
from app.services.model_registration import TrainingInput

if TYPE_CHECKING:
    from app.bootstrap import Services

LIST_PARAMETERS = ("prefix", "first", "limit", "after")
PAGE_PARAMETERS = ("first", "limit", "after")
# What the services call an argument that comes in a header or from the path.
HEADERS = {"actor": "X-Actor", "idempotencyKey": "Idempotency-Key"}


async def answer_models(request: Request) -> Response:
    """A page of models by name."""
    query = read_query(request, LIST_PARAMETERS)
    services: Services = request.app.state.services
    page, entries = await services.entries.list_models(query.get("prefix", ""), read_page(query))
    return page_response(request, query, page, "models", entries)


async def answer_model(request: Request) -> Response:
    """One model."""
    read_query(request, ())
    services: Services = request.app.state.services
    return read_response(await services.entries.model(request.path_params["name"]))


async def answer_model_versions(request: Request) -> Response:
    """A page of versions, newest first."""
    query = read_query(request, PAGE_PARAMETERS)
    services: Services = request.app.state.services
    page, entries = await services.entries.list_model_versions(request.path_params["name"], read_page(query))
    return page_response(request, query, page, "versions", entries)


async def answer_model_version(request: Request) -> Response:
    """One version."""
    read_query(request, ())
    services: Services = request.app.state.services
    name, ref = request.path_params["name"], request.path_params["ref"]
    return read_response(await services.entries.model_version(name, ref))


async def answer_model_card(request: Request) -> Response:
    """The card of a version."""
    read_query(request, ())
    services: Services = request.app.state.services
    return read_response(await services.model_cards.get(request.path_params["name"], request.path_params["ref"]))


async def answer_model_registration(request: Request) -> Response:
    """201 with the version that was registered, its number given by us."""
    read_query(request, ())
    services: Services = request.app.state.services
    body = await read_body(request, ModelVersionBody, max_bytes=MODEL_BYTES)
    name = request.path_params["name"]
    new = NewModelVersion(
        model=name,
        description=body.description,
        framework=body.framework,
        artifact_uri=body.artifact_uri,
        parameters=body.parameters,
        metrics=tuple(metric.to_metric() for metric in body.metrics),
        run_id=body.run_id,
    )
    training = [
        TrainingInput(dataset=use.dataset, at=use.at.to_selector(), role=use.role or InputRole.TRAINING)
        for use in body.training_data
    ]
    with arguments_named(snake_case, HEADERS):
        done = await services.registration.register(new, training, command_of(request.headers, body.reason))
    return json_response(
        {
            "model_version": await services.entries.of_model_version(done.version),
            "warnings": list(done.warnings),
            "change_id": None if done.change_id is None else str(done.change_id),
        },
        status=HTTPStatus.CREATED,
        location=path_of(request, "models", name, "versions", done.version.number),
    )


async def answer_model_archiving(request: Request) -> Response:
    """The version, archived; `unchanged` where it was so before."""
    read_query(request, ())
    services: Services = request.app.state.services
    body = await read_body(request, ArchiveBody, max_bytes=ARCHIVE_BYTES)
    number = _read_number(request.path_params["number"])
    with arguments_named(snake_case, HEADERS):
        done = await services.registration.archive(
            request.path_params["name"],
            number,
            command_of(request.headers, body.reason),
            cold_storage_uri=body.cold_storage_uri,
        )
    return json_response(
        {
            "model_version": await services.entries.of_model_version(done.version),
            "unchanged": done.is_unchanged,
            "change_id": None if done.change_id is None else str(done.change_id),
        }
    )


def _read_number(text: str) -> int:
    # Not by reference: what `latest` is may change between the look and the archiving.
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_NUMBER)) else 0
    if not 1 <= number <= MAX_NUMBER:
        raise InvalidArgumentError("number", f"{text[:40]!r} is not the number of a version")
    return number
