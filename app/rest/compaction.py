"""`…/compaction`: what it would do to a dataset; starting a run of one, many or all."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.domain.compaction.policy import CompactionPolicy, parse_megabytes
from app.domain.names import DatasetName
from app.rest.bodies import read_body
from app.rest.compaction_bodies import CompactionPolicyBody, CompactionSweepBody, RunCompactionBody
from app.rest.models import HEADERS
from app.rest.operations import operation_response
from app.rest.pages import json_response
from app.rest.parameters import dataset_name, read_flag, read_query, read_whole
from app.rest.retention_bodies import RUN_BYTES
from app.services.acting import command_of
from app.services.argument_names import arguments_named, snake_case
from app.services.compaction.entries import explained_entry
from app.services.compaction.operations import CompactionOverrides
from app.services.compaction.sweeps import Limits
from app.services.disconnects import while_connected
from app.services.retention_sweeps import Chosen

if TYPE_CHECKING:
    from app.bootstrap import Services

PARAMETERS = ("target_file_size_mb", "min_file_size_mb", "max_concurrent_files", "rewrite_all")


async def answer_compaction(request: Request) -> Response:
    """What compaction would do to a dataset, and the same in sentences; nothing is changed."""
    policy = _read_policy(request, read_query(request, PARAMETERS))
    services: Services = request.app.state.services
    name = dataset_name(request)
    try:
        found = await while_connected(request.receive, services.compaction_planning.explained(name, policy))
    except ConnectionAbortedError as error:
        raise ClientDisconnect from error
    return json_response(explained_entry(name, found.plan, found.explanation))


async def answer_compaction_start(request: Request) -> Response:
    """202 with the operation that plans or carries out compaction of one dataset."""
    read_query(request, ())
    name = dataset_name(request)
    body = await read_body(request, RunCompactionBody, max_bytes=RUN_BYTES, is_optional=True)
    return await _start(request, body, dataset=name)


async def answer_compaction_sweep(request: Request) -> Response:
    """202 with the operation that does so of the datasets of a namespace, of all, or of one."""
    read_query(request, ())
    body = await read_body(request, CompactionSweepBody, max_bytes=RUN_BYTES)
    return await _start(request, body, dataset=body.dataset, namespace=body.namespace, is_all=bool(body.all))


async def _start(
    request: Request,
    body: RunCompactionBody,
    *,
    dataset: DatasetName | None,
    namespace: str | None = None,
    is_all: bool = False,
) -> Response:
    services: Services = request.app.state.services
    with arguments_named(snake_case, HEADERS):
        operation = await services.compaction_operations.start(
            Chosen(dataset=dataset, namespace=namespace, is_all=is_all),
            (body.policy or CompactionPolicyBody()).overrides(),
            command_of(request.headers, body.reason),
            Limits.parse(budget=body.budget, is_due_only=bool(body.due_only), skip_active=body.skip_active),
            is_dry_run=body.dry_run is not False,
        )
    return operation_response(request, operation, status=HTTPStatus.ACCEPTED)


def _read_policy(request: Request, query: dict[str, str]) -> CompactionPolicy:
    services: Services = request.app.state.services
    rewrite_all = query.get("rewrite_all")
    overrides = CompactionOverrides(
        target_file_size_mb=_read_megabytes(query, "target_file_size_mb"),
        min_file_size_mb=_read_megabytes(query, "min_file_size_mb"),
        max_concurrent_files=read_whole(query, "max_concurrent_files"),
        rewrite_all=None if rewrite_all is None else read_flag("rewrite_all", rewrite_all),
    )
    with arguments_named(snake_case):
        return overrides.applied_to(services.compaction_planning.default_policy())


def _read_megabytes(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    return None if text is None else parse_megabytes(name, text)
