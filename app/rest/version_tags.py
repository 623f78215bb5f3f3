"""`…/tags` of models and pipelines: names for their versions."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from app.domain.changes import ModelSubject, PipelineSubject, RegistrySubject
from app.rest.bodies import read_body
from app.rest.models import HEADERS, PAGE_PARAMETERS
from app.rest.pages import json_response, page_response
from app.rest.parameters import read_page, read_query
from app.rest.registry_bodies import TAG_BYTES, TagBody, UntagBody
from app.services.acting import command_of
from app.services.argument_names import arguments_named, snake_case
from app.services.registry_entries import version_tag_entry

if TYPE_CHECKING:
    from app.bootstrap import Services


async def answer_version_tags(request: Request) -> Response:
    """A page of the tags of a model or pipeline, by name."""
    query = read_query(request, PAGE_PARAMETERS)
    services: Services = request.app.state.services
    page, entries = await services.entries.list_tags(_subject(request), read_page(query))
    return page_response(request, query, page, "tags", entries)


async def answer_version_tag_setting(request: Request) -> Response:
    """201 for a tag that was set, 200 for one that was moved, or was as asked already."""
    read_query(request, ())
    services: Services = request.app.state.services
    body = await read_body(request, TagBody, max_bytes=TAG_BYTES, is_optional=True)
    # A tag is never moved silently: who moves it says where it is, or that this does not matter.
    move = body.expected is not None or body.force
    with arguments_named(snake_case, HEADERS):
        done = await services.tagging.put(
            _subject(request),
            request.path_params["tag"],
            body.version,
            command_of(request.headers, body.reason),
            move=move,
            expected=body.expected,
            force=body.force,
            protected=body.protected,
        )
    return json_response(
        {
            "tag": version_tag_entry(done.tag),
            "unchanged": done.is_unchanged,
            "warnings": list(done.warnings),
            "change_id": None if done.change_id is None else str(done.change_id),
        },
        status=HTTPStatus.OK if move or done.is_unchanged else HTTPStatus.CREATED,
    )


async def answer_version_tag_removal(request: Request) -> Response:
    """What the tag was on."""
    read_query(request, ())
    services: Services = request.app.state.services
    body = await read_body(request, UntagBody, max_bytes=TAG_BYTES, is_optional=True)
    with arguments_named(snake_case, HEADERS):
        done = await services.tagging.remove(
            _subject(request),
            request.path_params["tag"],
            command_of(request.headers, body.reason),
            expected=body.expected,
            force=body.force,
        )
    return json_response(
        {
            "name": done.name,
            "number": done.number,
            "change_id": None if done.change_id is None else str(done.change_id),
        }
    )


def _subject(request: Request) -> RegistrySubject:
    parts = request.path_params
    if "name" in parts:
        return ModelSubject(name=parts["name"])
    return PipelineSubject(pipeline_id=parts["pipeline_id"])
