"""`…/retention`: what would expire of a dataset, single snapshots, past runs; starting a run of one, many or all."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.domain.names import DatasetName
from app.domain.retention.explaining_tables import explain_table
from app.domain.retention.policy import RetentionPolicy
from app.domain.versions import parse_snapshot_id
from app.errors import InvalidArgumentError, SnapshotExpiredError
from app.rest.bodies import read_body
from app.rest.models import HEADERS, PAGE_PARAMETERS
from app.rest.operations import operation_response
from app.rest.pages import json_response, page_response
from app.rest.parameters import dataset_name, read_flag, read_page, read_query, read_whole
from app.rest.retention_bodies import RUN_BYTES, PolicyBody, RunRetentionBody, SweepBody
from app.services.acting import command_of
from app.services.argument_names import arguments_named, snake_case
from app.services.disconnects import while_connected
from app.services.retention_entries import cut_entry, policy_document
from app.services.retention_operations import PolicyOverrides
from app.services.retention_run_entries import past_entry, run_entry, verdict_entry
from app.services.retention_sweeps import Chosen, planned_entry

if TYPE_CHECKING:
    from app.bootstrap import Services

POLICY_PARAMETERS = ("keep_last", "keep_days", "keep_tagged", "production_keep_days")
PARAMETERS = (*POLICY_PARAMETERS, "limit")
DEFAULT_LISTED = 1_000
MAX_LISTED = 10_000


async def answer_retention(request: Request) -> Response:
    """What would expire now and what that frees, and the same in sentences; nothing is changed."""
    query = read_query(request, PARAMETERS)
    policy, limit = _read_policy(request, query), _read_limit(query)
    services: Services = request.app.state.services
    name = dataset_name(request)
    planning = services.retention_planning

    async def measure() -> dict[str, object]:
        await services.datasets.load(name)  # ahead of looking at all others
        planned = await planning.measure(name, policy, await planning.neighbours())
        return {
            **cut_entry(planned_entry(name, planned), limit),
            "policy": policy_document(planned.plan),
            "explanation": explain_table(planned.plan, planned.table_bytes),
        }

    try:
        return json_response(await while_connected(request.receive, measure()))
    except ConnectionAbortedError as error:
        raise ClientDisconnect from error


async def answer_retained_snapshot(request: Request) -> Response:
    """What becomes of a snapshot and why; of one that a run of ours expired, who did it, when and why.

    410 for one that something else expired, 404 for one that the dataset never had as far as is known.
    """
    query = read_query(request, POLICY_PARAMETERS)
    policy = _read_policy(request, query)
    services: Services = request.app.state.services
    snapshot_id = parse_snapshot_id(request.path_params["snapshot_id"])
    table, plan = await services.retention_planning.plan(dataset_name(request), policy)
    try:
        version = await services.datasets.resolve_with_record(table, f"snapshot:{snapshot_id}")
    except SnapshotExpiredError:
        expiry = await services.past_expiries.find(table.state.table_uuid, snapshot_id)
        if expiry is None:
            raise
        return json_response(past_entry(expiry))
    verdict = next(each for each in plan.verdicts if each.snapshot.snapshot_id == version.snapshot_id)
    return json_response(verdict_entry(plan, verdict))


async def answer_retention_runs(request: Request) -> Response:
    """A page of the runs that took snapshots out of a dataset, the newest first."""
    query = read_query(request, PAGE_PARAMETERS)
    asked = read_page(query)
    services: Services = request.app.state.services
    table_uuid = await services.datasets.get_uuid(dataset_name(request))
    page = await services.past_expiries.page(table_uuid, asked)
    return page_response(request, query, page, "runs", [run_entry(run) for run in page.items])


async def answer_retention_start(request: Request) -> Response:
    """202 with the operation that plans or expires snapshots of one dataset."""
    read_query(request, ())
    name = dataset_name(request)
    body = await read_body(request, RunRetentionBody, max_bytes=RUN_BYTES, is_optional=True)
    return await _start(request, body, dataset=name)


async def answer_retention_sweep(request: Request) -> Response:
    """202 with the operation that does so of the datasets of a namespace, of all, or of one."""
    read_query(request, ())
    body = await read_body(request, SweepBody, max_bytes=RUN_BYTES)
    return await _start(request, body, dataset=body.dataset, namespace=body.namespace, is_all=bool(body.all))


async def _start(
    request: Request,
    body: RunRetentionBody,
    *,
    dataset: DatasetName | None,
    namespace: str | None = None,
    is_all: bool = False,
) -> Response:
    services: Services = request.app.state.services
    overrides = (body.policy or PolicyBody()).overrides(allow_zero_days=bool(body.allow_zero_days))
    with arguments_named(snake_case, HEADERS):
        operation = await services.retention_operations.start(
            Chosen(dataset=dataset, namespace=namespace, is_all=is_all),
            overrides,
            command_of(request.headers, body.reason),
            is_dry_run=body.dry_run is not False,
        )
    return operation_response(request, operation, status=HTTPStatus.ACCEPTED)


def _read_policy(request: Request, query: dict[str, str]) -> RetentionPolicy:
    services: Services = request.app.state.services
    tagged = query.get("keep_tagged")
    overrides = PolicyOverrides(
        keep_last_n=read_whole(query, "keep_last"),
        keep_days=read_whole(query, "keep_days"),
        keep_tagged=None if tagged is None else read_flag("keep_tagged", tagged),
        production_keep_days=read_whole(query, "production_keep_days"),
    )
    with arguments_named(snake_case, {"keepLastN": "keep_last"}):
        return overrides.applied_to(services.retention_planning.default_policy(), is_dry_run=True)


def _read_limit(query: dict[str, str]) -> int:
    limit = read_whole(query, "limit")
    if limit is None:
        return DEFAULT_LISTED
    if not 1 <= limit <= MAX_LISTED:
        raise InvalidArgumentError("limit", f"{limit} is not from 1 to {MAX_LISTED}")
    return limit
