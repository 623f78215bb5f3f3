"""Expiries that have taken place, to be listed: without the documents of what each decided, which may be large."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from app.domain.changes import Actor
from app.domain.names import DatasetName
from app.domain.pages import Page, PageRequest, decode_instant_cursor, encode_cursor
from app.errors import InvalidPageError
from app.postgres.pool import translated
from app.registry.retention_runs import RunState
from app.telemetry.tracing import span

CURSOR_KIND = "retention-runs"
_MICROSECONDS = "(extract(epoch FROM planned_at) * 1000000)::bigint"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run that was committed. `files_deleted` and `bytes_freed` are of what is gone so far."""

    run_id: UUID
    operation_id: UUID | None
    dataset: DatasetName
    requested_by: Actor
    reason: str | None
    state: RunState
    planned_at: datetime
    committed_at: datetime | None
    ended_at: datetime | None
    kept: int
    expired: int
    removed_tags: int
    bytes_total: int
    bytes_planned: int
    bytes_freed: int
    files_planned: int
    files_deleted: int
    failure: str | None


class RetentionHistory:
    """Runs that were committed, of all tables."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(self, table_uuid: UUID, request: PageRequest) -> Page[RunSummary]:
        """The runs of a table, the newest first. Only forward: `first` and `after`.

        Raises:
            InvalidPageError: `last` or `before`, or a cursor of another list.
        """
        if request.last is not None or request.before is not None:
            raise InvalidPageError("last and before", "runs are paged forward only, with first and after")
        after = None if request.after is None else decode_instant_cursor(CURSOR_KIND, request.after)
        where = "table_uuid = $1 AND state IN ('COMMITTED', 'DONE')"
        with span("postgres.list_retention_runs"):
            async with translated(), self._pool.acquire() as connection:
                rows = await connection.fetch(
                    f"""
                    SELECT run_id, operation_id, namespace, table_name, requested_by, reason, state, planned_at,
                        committed_at, ended_at, bytes_total, bytes_planned, files_planned, bytes_freed, files_deleted,
                        failure, json_array_length(document -> 'kept') AS kept,
                        json_array_length(document -> 'expired') AS expired,
                        json_array_length(document -> 'removed_tags') AS removed_tags, {_MICROSECONDS} AS planned_us
                    FROM retention_runs
                    WHERE {where} AND ($2::bigint IS NULL OR ({_MICROSECONDS}, run_id) < ($2, $3))
                    ORDER BY planned_at DESC, run_id DESC LIMIT $4
                    """,
                    table_uuid,
                    after[0] if after else None,
                    after[1] if after else None,
                    request.size + 1,
                )
                total = await connection.fetchval(f"SELECT count(*) FROM retention_runs WHERE {where}", table_uuid)
        shown = rows[: request.size]
        return Page(
            items=[_to_summary(row) for row in shown],
            cursors=[encode_cursor(CURSOR_KIND, (row["planned_us"], str(row["run_id"]))) for row in shown],
            has_next=len(rows) > request.size,
            has_previous=after is not None,
            total=total,
        )


def _to_summary(row: asyncpg.Record) -> RunSummary:
    return RunSummary(
        run_id=row["run_id"],
        operation_id=row["operation_id"],
        dataset=DatasetName(namespace=row["namespace"], name=row["table_name"]),
        requested_by=Actor(subject=row["requested_by"]),
        reason=row["reason"],
        state=RunState(row["state"]),
        planned_at=row["planned_at"],
        committed_at=row["committed_at"],
        ended_at=row["ended_at"],
        kept=row["kept"],
        expired=row["expired"],
        removed_tags=row["removed_tags"],
        bytes_total=row["bytes_total"],
        bytes_planned=row["bytes_planned"],
        bytes_freed=row["bytes_freed"],
        files_planned=row["files_planned"],
        files_deleted=row["files_deleted"],
        failure=row["failure"],
    )
