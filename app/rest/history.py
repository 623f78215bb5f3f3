"""`GET …/snapshots` and `GET …/tags`: pages of a dataset's versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from app.domain.history import Snapshot
from app.domain.pages import CursorKey, Page, PageRequest, cut_page
from app.domain.versions import get_branch
from app.errors import JsonValue
from app.rest.pages import page_response
from app.rest.parameters import dataset_name, read_page, read_query
from app.rest.registry_bodies import MAX_SAFE_INTEGER
from app.services.listings import SnapshotEntry, TagEntry, oldest_first, snapshot_entries, tag_entries

if TYPE_CHECKING:
    from app.bootstrap import Services

SNAPSHOT_PARAMETERS = ("branch", "first", "limit", "after")
TAG_PARAMETERS = ("first", "limit", "after")

Item = TypeVar("Item")


async def answer_snapshots(request: Request) -> Response:
    """A page of snapshots, oldest first; with `branch`, those that lead to its head."""
    query = read_query(request, SNAPSHOT_PARAMETERS)
    asked = read_page(query)
    services: Services = request.app.state.services
    table = await services.datasets.load(dataset_name(request))
    state, branch = table.state, query.get("branch")
    head_id = None if branch is None else get_branch(branch, state.history, str(state.name)).snapshot_id
    page = _cut(oldest_first(state, branch_head_id=head_id), asked, "rest-snapshots", _snapshot_key)
    entries = [_snapshot_json(entry) for entry in snapshot_entries(state, page.items)]
    return page_response(request, query, page, "snapshots", entries)


async def answer_tags(request: Request) -> Response:
    """A page of tags by name, with what is recorded about each."""
    query = read_query(request, TAG_PARAMETERS)
    asked = read_page(query)
    services: Services = request.app.state.services
    state = (await services.datasets.load(dataset_name(request))).state
    records = await services.datasets.tag_records([(state.table_uuid, tag.name) for tag in state.history.tags])
    page = _cut(tag_entries(state, records), asked, "rest-tags", _tag_key)
    return page_response(request, query, page, "tags", [_tag_json(entry) for entry in page.items])


def _cut(items: Sequence[Item], asked: PageRequest, kind: str, key: Callable[[Item], CursorKey]) -> Page[Item]:
    return cut_page(items, asked, kind=kind, key=key)


def _snapshot_key(snapshot: Snapshot) -> CursorKey:
    return snapshot.order


def _tag_key(entry: TagEntry) -> CursorKey:
    return (entry["name"],)


def _snapshot_json(entry: SnapshotEntry) -> dict[str, JsonValue]:
    parent = entry["parent_snapshot_id"]
    return {
        "snapshot_id": str(entry["snapshot_id"]),
        "parent_snapshot_id": None if parent is None else str(parent),
        "timestamp_ms": entry["timestamp_ms"],
        "operation": entry["operation"],
        "summary": dict(entry["summary"]),
        "tags": list(entry["tags"]),
        "is_current": entry["is_current"],
    }


def _tag_json(entry: TagEntry) -> dict[str, JsonValue]:
    age_ms = entry["max_ref_age_ms"]
    return {
        "name": entry["name"],
        "snapshot_id": str(entry["snapshot_id"]),
        "convention": entry["convention"],
        "protected": entry["protected"],
        "created_at": entry["created_at"],
        "created_by": entry["created_by"],
        "reason": entry["reason"],
        "max_ref_age_ms": str(age_ms) if age_ms is not None and age_ms > MAX_SAFE_INTEGER else age_ms,
        "endless": entry["endless"],
    }
