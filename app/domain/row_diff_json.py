"""A row diff as JSON, for keeping; read back it is equal to what was written."""

from __future__ import annotations

from typing import Any

from app.domain.row_diffs import Engine, KeyFault, KeyProblem, Method, RowChange, RowDiff, RowSample
from app.domain.version_relation import DiffSide
from app.errors.base import JsonValue


def row_diff_to_json(diff: RowDiff) -> dict[str, JsonValue]:
    """All of a row diff."""
    problem = diff.key_problem
    return {
        "rows_from": diff.rows_from,
        "rows_to": diff.rows_to,
        "rows_added": diff.rows_added,
        "rows_removed": diff.rows_removed,
        "rows_changed": diff.rows_changed,
        "keys": list(diff.keys),
        "sample": {
            "added": [dict(row) for row in diff.sample.added],
            "removed": [dict(row) for row in diff.sample.removed],
            "changed": [
                {
                    "key": dict(change.key),
                    "before": dict(change.before),
                    "after": dict(change.after),
                    "columns": list(change.columns),
                }
                for change in diff.sample.changed
            ],
            "is_truncated": diff.sample.is_truncated,
        },
        "method": diff.method.value,
        "engine": None if diff.engine is None else diff.engine.value,
        "bytes_read": diff.bytes_read,
        "files_read": diff.files_read,
        "keys_checked": diff.keys_checked,
        "key_problem": None
        if problem is None
        else {"fault": problem.fault.value, "side": problem.side.value, "example": dict(problem.example)},
        "not_compared": list(diff.not_compared),
    }


def row_diff_from_json(document: dict[str, Any]) -> RowDiff:
    """The row diff that `row_diff_to_json` wrote."""
    sample, problem = document["sample"], document["key_problem"]
    return RowDiff(
        **{
            name: document[name]
            for name in ("rows_from", "rows_to", "rows_added", "rows_removed", "rows_changed", "bytes_read")
        },
        files_read=document["files_read"],
        keys_checked=document["keys_checked"],
        keys=tuple(document["keys"]),
        not_compared=tuple(document["not_compared"]),
        method=Method(document["method"]),
        engine=None if document["engine"] is None else Engine(document["engine"]),
        sample=RowSample(
            added=tuple(sample["added"]),
            removed=tuple(sample["removed"]),
            changed=tuple(
                RowChange(
                    key=change["key"],
                    before=change["before"],
                    after=change["after"],
                    columns=tuple(change["columns"]),
                )
                for change in sample["changed"]
            ),
            is_truncated=sample["is_truncated"],
        ),
        key_problem=None
        if problem is None
        else KeyProblem(fault=KeyFault(problem["fault"]), side=DiffSide(problem["side"]), example=problem["example"]),
    )
