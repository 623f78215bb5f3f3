"""Snapshots and tags as plain entries: the one shape in which REST, the Python API and the CLI list them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from app.domain.datasets import TableState
from app.domain.history import Snapshot
from app.domain.tags import find_convention, find_protection

if TYPE_CHECKING:
    from app.domain.changes import TagRecord


class SnapshotEntry(TypedDict):
    """One snapshot; ids are integers here, and a face that writes JSON makes strings of them."""

    snapshot_id: int
    parent_snapshot_id: int | None
    timestamp_ms: int
    operation: str
    summary: dict[str, str]
    tags: list[str]
    is_current: bool


class TagEntry(TypedDict):
    """One tag with what is recorded about it; `created_…` and `reason` are None for a tag that someone else set.

    `endless` tells that `max_ref_age_ms` is so large that no engine ends the tag by its age.
    """

    name: str
    snapshot_id: int
    convention: str | None
    protected: bool
    created_at: str | None
    created_by: str | None
    reason: str | None
    max_ref_age_ms: int | None
    endless: bool


def snapshot_entries(state: TableState, snapshots: Iterable[Snapshot]) -> list[SnapshotEntry]:
    """The entries of some snapshots of a table, in the order given.

    `summary` is the snapshot's own, and has `tag`, the first tag by name, only where the snapshot is tagged.
    """
    return [_snapshot_entry(state, snapshot) for snapshot in snapshots]


def oldest_first(state: TableState, *, branch_head_id: int | None = None) -> list[Snapshot]:
    """All snapshots of a table, or those that lead to the head of a branch; oldest first."""
    if branch_head_id is None:
        return list(reversed(state.history.newest_first))
    return sorted(state.history.ancestors(branch_head_id), key=lambda snapshot: snapshot.order)


def tag_entries(state: TableState, records: Mapping[tuple[UUID, str], TagRecord]) -> list[TagEntry]:
    """The entries of all tags of a table, by name.

    A record counts only while it is about the snapshot that the tag points to: another engine may have moved the tag
    since.
    """
    entries: list[TagEntry] = []
    for tag in state.history.tags:
        record = records.get((state.table_uuid, tag.name))
        if record is not None and record.snapshot_id != tag.snapshot_id:
            record = None
        is_requested = record is not None and record.is_protection_requested
        convention = find_convention(tag.name)
        entries.append(
            TagEntry(
                name=tag.name,
                snapshot_id=tag.snapshot_id,
                convention=convention.value if convention else None,
                protected=find_protection(tag.name, is_requested=is_requested) is not None,
                created_at=to_utc_text(record.set_at) if record and record.set_at else None,
                created_by=record.set_by.subject if record and record.set_by else None,
                reason=record.reason if record else None,
                max_ref_age_ms=tag.max_ref_age_ms,
                endless=tag.is_endless,
            )
        )
    return entries


def to_utc_text(instant: datetime) -> str:
    """RFC 3339 in UTC, ending in `Z`; microseconds are kept where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _snapshot_entry(state: TableState, snapshot: Snapshot) -> SnapshotEntry:
    tags = [tag.name for tag in state.history.tags_by_snapshot.get(snapshot.snapshot_id, ())]
    summary = {key: str(value) for key, value in snapshot.summary.items()}
    # What a writer calls `tag` in a summary is no ref; only a real one may show under that name.
    summary.pop("tag", None)
    if tags:
        summary["tag"] = tags[0]
    return SnapshotEntry(
        snapshot_id=snapshot.snapshot_id,
        parent_snapshot_id=snapshot.parent_id,
        timestamp_ms=snapshot.timestamp_ms,
        operation=snapshot.operation.value,
        summary=summary,
        tags=tags,
        is_current=snapshot.snapshot_id == state.history.head_id,
    )
