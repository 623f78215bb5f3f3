"""Expiries, in Postgres: planned before they are committed, with every file that is to be deleted, and explained after.

A run goes PLANNED, COMMITTED, DONE; one whose commit did not take place is ABANDONED. The files of a run are written
with its plan, and each is crossed off once it is gone: whatever dies in between, the next one to look finds what is
left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from app.domain.changes import Actor
from app.domain.expiry import FileKind, TableFile
from app.domain.names import DatasetName
from app.errors import JsonValue
from app.postgres.pool import translated
from app.telemetry.tracing import span

_COLUMNS = (
    "run_id, operation_id, table_uuid, namespace, table_name, requested_by, reason, state, document, base_metadata, "
    "planned_at, committed_at, ended_at, bytes_total, bytes_planned, files_planned, bytes_freed, files_deleted, failure"
)
MAX_FAILURE_CHARS = 1000


class RunState(StrEnum):
    """How far a run is."""

    PLANNED = "PLANNED"
    COMMITTED = "COMMITTED"
    DONE = "DONE"
    ABANDONED = "ABANDONED"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run that is about to be committed; `document` is what it was decided on and what it decided."""

    run_id: UUID
    operation_id: UUID | None
    table_uuid: UUID
    dataset: DatasetName
    requested_by: Actor
    reason: str | None
    document: Mapping[str, JsonValue]
    base_metadata: str
    bytes_total: int
    bytes_planned: int
    files_planned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRun:
    """A run as it stands. `files_deleted` and `bytes_freed` are of what is gone so far."""

    run_id: UUID
    operation_id: UUID | None
    table_uuid: UUID
    dataset: DatasetName
    requested_by: Actor
    reason: str | None
    state: RunState
    document: Mapping[str, JsonValue]
    base_metadata: str
    planned_at: datetime
    committed_at: datetime | None
    ended_at: datetime | None
    bytes_total: int
    bytes_planned: int
    files_planned: int
    bytes_freed: int
    files_deleted: int
    failure: str | None


class RetentionRunStore:
    """Runs of all tables."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def plan(self, run: NewRun, batches: Iterable[Sequence[TableFile]]) -> None:
        """Write down a run and all files that it will delete, in one transaction; durable when this returns."""
        with span("postgres.plan_retention", files=run.files_planned):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    """
                    INSERT INTO retention_runs (
                        run_id, operation_id, table_uuid, namespace, table_name, requested_by, reason, document,
                        base_metadata, bytes_total, bytes_planned, files_planned
                    ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                    """,
                    run.run_id,
                    run.operation_id,
                    run.table_uuid,
                    run.dataset.namespace,
                    run.dataset.name,
                    run.requested_by.subject,
                    run.reason,
                    dict(run.document),
                    run.base_metadata,
                    run.bytes_total,
                    run.bytes_planned,
                    run.files_planned,
                )
                for batch in batches:
                    await connection.copy_records_to_table(
                        "retention_files",
                        records=[(run.run_id, file.path, file.kind.value, file.size_bytes) for file in batch],
                        columns=("run_id", "path", "kind", "size_bytes"),
                    )

    async def committed(self, run_id: UUID) -> RetentionRun:
        """The table has the snapshots no more; the run as it is then."""
        with span("postgres.commit_retention"):
            async with translated():
                await self._pool.execute(
                    "UPDATE retention_runs SET state = 'COMMITTED', committed_at = clock_timestamp() "
                    "WHERE run_id = $1 AND state = 'PLANNED'",
                    run_id,
                )
                return _to_run(await _only(self._pool, run_id))

    async def abandon(self, run_id: UUID, reason: str) -> None:
        """Nothing was committed; its files are all needed."""
        with span("postgres.abandon_retention"):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                await connection.execute("DELETE FROM retention_files WHERE run_id = $1", run_id)
                await connection.execute(
                    "UPDATE retention_runs SET state = 'ABANDONED', ended_at = clock_timestamp(), failure = $2 "
                    "WHERE run_id = $1 AND state = 'PLANNED'",
                    run_id,
                    reason[:MAX_FAILURE_CHARS],
                )

    async def end(self, run_id: UUID, failure: str | None = None) -> None:
        """All is done that can be; `failure` says what had to be left, and files that are kept for it are forgotten."""
        with span("postgres.end_retention"):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                await connection.execute("DELETE FROM retention_files WHERE run_id = $1", run_id)
                await connection.execute(
                    "UPDATE retention_runs SET state = 'DONE', ended_at = clock_timestamp(), failure = $2 "
                    "WHERE run_id = $1 AND state = 'COMMITTED'",
                    run_id,
                    None if failure is None else failure[:MAX_FAILURE_CHARS],
                )

    async def next_files(self, run_id: UUID, after: str | None, *, limit: int) -> list[TableFile]:
        """Files that are still to be deleted, by path, from the one after `after` on."""
        async with translated():
            rows = await self._pool.fetch(
                """
                SELECT path, kind, size_bytes FROM retention_files
                WHERE run_id = $1 AND ($2::text IS NULL OR path > $2) ORDER BY path LIMIT $3
                """,
                run_id,
                after,
                limit,
            )
        return [TableFile(path=row["path"], kind=FileKind(row["kind"]), size_bytes=row["size_bytes"]) for row in rows]

    async def cross_off(self, run_id: UUID, gone: Sequence[str], left: Mapping[str, str]) -> None:
        """These files are gone, and count as freed once; of those left there is the reason."""
        with span("postgres.cross_off_files", count=len(gone)):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    """
                    WITH gone AS (
                        DELETE FROM retention_files WHERE run_id = $1 AND path = ANY($2) RETURNING size_bytes
                    )
                    UPDATE retention_runs
                    SET files_deleted = files_deleted + (SELECT count(*) FROM gone),
                        bytes_freed = bytes_freed + (SELECT coalesce(sum(size_bytes), 0)::bigint FROM gone)
                    WHERE run_id = $1
                    """,
                    run_id,
                    list(gone),
                )
                await connection.executemany(
                    "UPDATE retention_files SET failure = $3 WHERE run_id = $1 AND path = $2",
                    [(run_id, path, reason[:MAX_FAILURE_CHARS]) for path, reason in left.items()],
                )

    async def keep_files(self, run_id: UUID, paths: Sequence[str]) -> None:
        """These files are needed after all: they are not to be deleted, and count as nothing."""
        async with translated():
            await self._pool.execute(
                "DELETE FROM retention_files WHERE run_id = $1 AND path = ANY($2)", run_id, list(paths)
            )

    async def list_open(self, table_uuid: UUID) -> list[RetentionRun]:
        """The runs of a table that have not ended, oldest first."""
        async with translated():
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM retention_runs WHERE table_uuid = $1 AND state IN ('PLANNED', 'COMMITTED') "
                "ORDER BY planned_at, run_id",
                table_uuid,
            )
        return [_to_run(row) for row in rows]

    async def list_of_table(self, table_uuid: UUID, *, limit: int) -> list[RetentionRun]:
        """The runs of a table that were committed, the newest first."""
        async with translated():
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM retention_runs WHERE table_uuid = $1 AND state IN ('COMMITTED', 'DONE') "
                "ORDER BY planned_at DESC, run_id LIMIT $2",
                table_uuid,
                limit,
            )
        return [_to_run(row) for row in rows]

    async def find_expiry_of(self, table_uuid: UUID, snapshot_id: int) -> RetentionRun | None:
        """The run that expired a snapshot; None where it was none of ours."""
        async with translated():
            row = await self._pool.fetchrow(
                f"""
                SELECT {_COLUMNS} FROM retention_runs
                WHERE table_uuid = $1 AND state IN ('COMMITTED', 'DONE')
                  AND EXISTS (
                      SELECT FROM json_array_elements(document -> 'expired') AS expired
                      WHERE expired ->> 'snapshot_id' = $2
                  )
                ORDER BY planned_at DESC LIMIT 1
                """,
                table_uuid,
                str(snapshot_id),
            )
        return None if row is None else _to_run(row)


async def _only(pool: asyncpg.Pool, run_id: UUID) -> asyncpg.Record:
    row = await pool.fetchrow(f"SELECT {_COLUMNS} FROM retention_runs WHERE run_id = $1", run_id)
    if row is None:
        raise LookupError(f"there is no retention run {run_id}")
    return row


def _to_run(row: asyncpg.Record) -> RetentionRun:
    return RetentionRun(
        run_id=row["run_id"],
        operation_id=row["operation_id"],
        table_uuid=row["table_uuid"],
        dataset=DatasetName(namespace=row["namespace"], name=row["table_name"]),
        requested_by=Actor(subject=row["requested_by"]),
        reason=row["reason"],
        state=RunState(row["state"]),
        document=row["document"],
        base_metadata=row["base_metadata"],
        planned_at=row["planned_at"],
        committed_at=row["committed_at"],
        ended_at=row["ended_at"],
        bytes_total=row["bytes_total"],
        bytes_planned=row["bytes_planned"],
        files_planned=row["files_planned"],
        bytes_freed=row["bytes_freed"],
        files_deleted=row["files_deleted"],
        failure=row["failure"],
    )
