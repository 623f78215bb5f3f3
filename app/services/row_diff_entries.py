"""A row diff as plain data: the shape that REST, the command line and Python answer with."""

from __future__ import annotations

from typing import TypedDict

from app.domain.row_diffs import Row, RowChange
from app.domain.versions import LATEST
from app.errors import JsonValue
from app.services.row_diffs import RowDiffAnswer


class RowChangeEntry(TypedDict):
    """A row that is in both versions, with the names of the columns that changed."""

    key: dict[str, JsonValue]
    before: dict[str, JsonValue]
    after: dict[str, JsonValue]
    columns: list[str]


class SampleEntry(TypedDict):
    """The first of the rows that differ."""

    added: list[dict[str, JsonValue]]
    removed: list[dict[str, JsonValue]]
    changed: list[RowChangeEntry]
    truncated: bool


class KeyProblemEntry(TypedDict):
    """Why the keys identify no rows, with an example."""

    fault: str
    version: str
    example: dict[str, JsonValue]
    message: str


class RowDiffEntry(TypedDict):
    """How the rows of two versions differ; the versions are as they were asked for.

    Where it is `cached`, nothing was read now: `bytes_read` and `files_read` are of when it was found.
    """

    from_version: str
    to_version: str
    rows_from: int
    rows_to: int
    rows_added: int
    rows_removed: int
    rows_changed: int | None
    sample_diff: SampleEntry
    keys: list[str]
    keys_checked: int
    key_problem: KeyProblemEntry | None
    columns_not_compared: list[str]
    method: str
    engine: str | None
    bytes_read: int
    files_read: int
    cached: bool


def row_diff_entry(from_version: str | None, to_version: str | None, answer: RowDiffAnswer) -> RowDiffEntry:
    """A row diff as plain data; a version that was not named is `latest`."""
    diff = answer.diff
    problem = diff.key_problem
    return RowDiffEntry(
        from_version=from_version or LATEST,
        to_version=to_version or LATEST,
        rows_from=diff.rows_from,
        rows_to=diff.rows_to,
        rows_added=diff.rows_added,
        rows_removed=diff.rows_removed,
        rows_changed=diff.rows_changed,
        sample_diff=SampleEntry(
            added=_rows(diff.sample.added),
            removed=_rows(diff.sample.removed),
            changed=[_change(change) for change in diff.sample.changed],
            truncated=diff.sample.is_truncated,
        ),
        keys=list(diff.keys),
        keys_checked=diff.keys_checked,
        key_problem=None
        if problem is None
        else KeyProblemEntry(
            fault=problem.fault.value,
            version=problem.side.value.lower(),
            example=dict(problem.example),
            message=problem.message,
        ),
        columns_not_compared=list(diff.not_compared),
        method=diff.method.value,
        engine=None if diff.engine is None else diff.engine.value,
        bytes_read=diff.bytes_read,
        files_read=diff.files_read,
        cached=answer.is_cached,
    )


def _rows(rows: tuple[Row, ...]) -> list[dict[str, JsonValue]]:
    return [dict(row) for row in rows]


def _change(change: RowChange) -> RowChangeEntry:
    return RowChangeEntry(
        key=dict(change.key), before=dict(change.before), after=dict(change.after), columns=list(change.columns)
    )
