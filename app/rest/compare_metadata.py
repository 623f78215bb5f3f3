"""`…/compare/datasets/{ns}/{table}/commits`, `/files` and `/stats`: what metadata and manifests tell, without data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.domain.file_diffs import DEFAULT_LISTED
from app.domain.history import Snapshot, newest_first
from app.domain.pages import CursorKey, cut_page
from app.domain.version_relation import DiffSide
from app.errors import InvalidArgumentError
from app.rest.compare import VERSIONS, read_comparison, read_versions, resolve_compared, respond_tagged
from app.rest.pages import page_response
from app.rest.parameters import read_columns, read_page
from app.services.argument_names import arguments_named, snake_case
from app.services.commit_entries import commits_entry
from app.services.manifest_diff_entries import file_diff_entry, stats_diff_entry

if TYPE_CHECKING:
    from app.bootstrap import Services


async def answer_commits(request: Request) -> Response:
    """A page of the snapshots between two versions, newest first, each with the run that made it."""
    query = read_comparison(request, (*VERSIONS, "side", "first", "limit", "after"))
    from_version, to_version = read_versions(query)
    side, asked = _read_side(query.get("side")), read_page(query)
    services: Services = request.app.state.services
    compared = await resolve_compared(request, query)
    kinship = services.comparing.relate(compared)
    page = cut_page(kinship.commits(side), asked, kind="rest-commits", key=_key)
    commits = await services.comparing_commits.explain(compared, page.items)
    state = compared.after.table.state
    entry = commits_entry(from_version, to_version, kinship, state, commits, page.total)
    return page_response(request, query, page, "commits", entry["commits"], members=entry)


async def answer_file_diff(request: Request) -> Response:
    """The files that two versions of a table differ in."""
    query = read_comparison(request, (*VERSIONS, "partitions"))
    from_version, to_version = read_versions(query)
    text = query.get("partitions", str(DEFAULT_LISTED))
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidArgumentError("partitions", f"{text[:40]!r} is not a whole number")
    services: Services = request.app.state.services
    diff = await services.row_diffs.files(await resolve_compared(request, query))
    with arguments_named(snake_case, {"first": "partitions"}):
        partitions = diff.first_partitions(int(text))
    return respond_tagged(request, orjson.dumps(file_diff_entry(from_version, to_version, diff, partitions)))


async def answer_stats_diff(request: Request) -> Response:
    """The statistics of columns in two versions."""
    query = read_comparison(request, (*VERSIONS, "columns"))
    from_version, to_version = read_versions(query)
    columns = read_columns(query.get("columns"))
    services: Services = request.app.state.services
    deltas = await services.row_diffs.stats(await resolve_compared(request, query), columns)
    return respond_tagged(request, orjson.dumps(stats_diff_entry(from_version, to_version, deltas)))


def _read_side(text: str | None) -> DiffSide | None:
    if text is None:
        return None
    known = {side.value.lower(): side for side in DiffSide}
    if text not in known:
        raise InvalidArgumentError("side", f"{text[:40]!r} is none of {', '.join(known)}")
    return known[text]


def _key(commit: tuple[DiffSide, Snapshot]) -> CursorKey:
    return newest_first(commit[1])
