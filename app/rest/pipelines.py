"""`/api/v1/pipelines`, `/runs` and `/promotions`: pipelines, their versions and runs; registering and recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from app.domain.roles import InputRole
from app.domain.run_state import RunStatus
from app.domain.versions import parse_instant
from app.errors import InvalidArgumentError, InvalidReferenceError
from app.rest.bodies import read_body
from app.rest.models import HEADERS, LIST_PARAMETERS, PAGE_PARAMETERS
from app.rest.pages import json_response, page_response, path_of, read_response
from app.rest.parameters import read_page, read_query, read_uuid
from app.rest.registry_bodies import (
    PIPELINE_BYTES,
    PROMOTION_BYTES,
    RUN_BYTES,
    PipelineVersionBody,
    PromotionBody,
    RunBody,
    UseBody,
)
from app.services.acting import command_of
from app.services.argument_names import arguments_named, snake_case
from app.services.pipelines import NewPipelineVersion
from app.services.registry_entries import run_entry
from app.services.runs import RunReport, UsedVersion

if TYPE_CHECKING:
    from app.bootstrap import Services

RUN_PARAMETERS = ("status", "started_from", "started_to", "first", "limit", "after")
# As large as megabytes each: whoever wants them asks for one version.
_LEFT_OUT_OF_LISTS = ("dag", "code")


async def answer_pipelines(request: Request) -> Response:
    """A page of pipelines by id."""
    query = read_query(request, LIST_PARAMETERS)
    services: Services = request.app.state.services
    page, entries = await services.entries.list_pipelines(query.get("prefix", ""), read_page(query))
    return page_response(request, query, page, "pipelines", entries)


async def answer_pipeline(request: Request) -> Response:
    """One pipeline."""
    read_query(request, ())
    services: Services = request.app.state.services
    return read_response(await services.entries.pipeline(request.path_params["pipeline_id"]))


async def answer_pipeline_versions(request: Request) -> Response:
    """A page of versions, newest first, without DAG and code."""
    query = read_query(request, PAGE_PARAMETERS)
    services: Services = request.app.state.services
    page, entries = await services.entries.list_pipeline_versions(request.path_params["pipeline_id"], read_page(query))
    return page_response(request, query, page, "versions", [_without(entry, _LEFT_OUT_OF_LISTS) for entry in entries])


async def answer_pipeline_version(request: Request) -> Response:
    """One version, with its DAG and code."""
    read_query(request, ())
    services: Services = request.app.state.services
    pipeline_id, ref = request.path_params["pipeline_id"], request.path_params["ref"]
    return read_response(await services.entries.pipeline_version(pipeline_id, ref))


async def answer_pipeline_registration(request: Request) -> Response:
    """201 with the version that was registered; 200 with the latest one, `unchanged`, where it is the same."""
    read_query(request, ())
    services: Services = request.app.state.services
    body = await read_body(request, PipelineVersionBody, max_bytes=PIPELINE_BYTES)
    pipeline_id = request.path_params["pipeline_id"]
    new = NewPipelineVersion(
        pipeline_id=pipeline_id,
        dag=body.dag,
        name=body.name,
        description=body.description,
        code=body.code,
        git_commit=body.git_commit,
    )
    with arguments_named(snake_case, HEADERS):
        done = await services.pipelines.register(new, command_of(request.headers, body.reason))
    return json_response(
        {
            "pipeline_version": await services.entries.of_pipeline_version(done.version),
            "unchanged": done.is_unchanged,
            "change_id": None if done.change_id is None else str(done.change_id),
        },
        status=HTTPStatus.OK if done.is_unchanged else HTTPStatus.CREATED,
        location=path_of(request, "pipelines", pipeline_id, "versions", done.version.number),
    )


async def answer_pipeline_runs(request: Request) -> Response:
    """A page of the runs of a pipeline, latest first."""
    query = read_query(request, RUN_PARAMETERS)
    asked = read_page(query)
    status = _read_status(query.get("status"))
    started_from, started_to = (_read_instant(name, query.get(name)) for name in ("started_from", "started_to"))
    services: Services = request.app.state.services
    pipeline_id = request.path_params["pipeline_id"]
    await services.pipelines.get(pipeline_id)
    page = await services.runs.page_of_pipeline(
        pipeline_id, asked, status=status, started_from=started_from, started_to=started_to
    )
    return page_response(request, query, page, "runs", [run_entry(run) for run in page.items])


async def answer_run(request: Request) -> Response:
    """One run."""
    read_query(request, ())
    services: Services = request.app.state.services
    return read_response(run_entry(await services.runs.get(read_uuid("run_id", request.path_params["run_id"]))))


async def answer_run_recording(request: Request) -> Response:
    """201 with the run, as all that was ever told of it makes it."""
    read_query(request, ())
    services: Services = request.app.state.services
    body = await read_body(request, RunBody, max_bytes=RUN_BYTES)
    report = RunReport(
        run_id=body.run_id,
        pipeline_id=body.pipeline_id,
        version_number=body.version_number,
        status=body.status,
        started_at=body.started_at,
        ended_at=body.ended_at,
        inputs=_used(body.inputs),
        outputs=_used(body.outputs),
        error=body.error,
    )
    with arguments_named(snake_case, HEADERS):
        run = await services.runs.record(report, command_of(request.headers, None))
    return json_response(
        {"run": run_entry(run)}, status=HTTPStatus.CREATED, location=path_of(request, "runs", str(run.run_id))
    )


async def answer_promotion(request: Request) -> Response:
    """201 with the promotion; 200 where it was recorded before."""
    read_query(request, ())
    services: Services = request.app.state.services
    body = await read_body(request, PromotionBody, max_bytes=PROMOTION_BYTES)
    with arguments_named(snake_case, HEADERS):
        done = await services.promoting.record(
            body.source,
            body.source_at.to_selector(),
            body.target,
            body.target_at.to_selector(),
            command_of(request.headers, body.reason),
            pipeline_id=body.pipeline_id,
        )
    return json_response(
        {
            "source": str(body.source),
            "source_snapshot_id": str(done.source_id),
            "target": str(body.target),
            "target_snapshot_id": str(done.target_id),
            "pipeline_id": body.pipeline_id,
            "unchanged": done.is_unchanged,
        },
        status=HTTPStatus.OK if done.is_unchanged else HTTPStatus.CREATED,
    )


def _used(uses: Sequence[UseBody]) -> list[UsedVersion]:
    return [UsedVersion(dataset=use.dataset, at=use.at.to_selector(), role=use.role or InputRole.INPUT) for use in uses]


def _without(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}


def _read_status(text: str | None) -> RunStatus | None:
    if text is None:
        return None
    known = [status.value for status in RunStatus]
    if text not in known:
        raise InvalidArgumentError("status", f"{text[:40]!r} is none of {', '.join(known)}")
    return RunStatus(text)


def _read_instant(argument: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_instant(text)
    except InvalidReferenceError as error:
        raise InvalidArgumentError(argument, f"{text[:60] if text else ''!r}: {error.fields['reason']}") from error
