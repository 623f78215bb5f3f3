"""Runs of pipelines, in Postgres: what was reported of each, merged. The table is `pipeline_executions`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from app.domain.lineage import Vertex
from app.domain.names import is_storable
from app.domain.pages import Page, PageRequest, decode_instant_cursor, encode_cursor
from app.domain.pipelines import PipelineRun
from app.domain.run_state import RunStatus
from app.errors import InvalidPageError
from app.postgres.pool import translated
from app.registry.run_rows import COLUMNS, DATASET_ROWS, EXECUTION_ROWS, execution_rows, to_run, vertex_key
from app.telemetry.tracing import span

CURSOR_KIND = "runs"

_INPUT, _OUTPUT = "INPUT", "OUTPUT"


class RunStore:
    """Runs by their ids."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keep(self, runs: Sequence[PipelineRun]) -> None:
        """Write what runs amount to now, and their pipelines where those are new; three statements for all.

        A state that fewer reports make than the one that is there changes nothing: it is older.
        """
        if not runs:
            return
        # Sorted, so that two writers of the same runs wait for each other and never in a circle.
        newest = {run.run_id: run for run in sorted(runs, key=lambda run: (run.run_id, run.event_count))}
        ordered = list(newest.values())
        pipeline_ids = sorted({run.pipeline_id for run in ordered})
        with span("postgres.keep_runs", count=len(ordered)):
            async with translated(), self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    """
                    INSERT INTO pipelines (pipeline_id, name) SELECT id, id FROM unnest($1::text[]) AS given (id)
                    ON CONFLICT (pipeline_id) DO NOTHING
                    """,
                    pipeline_ids,
                )
                written = await connection.fetch(EXECUTION_ROWS, *execution_rows(ordered))
                fresh = [row["run_id"] for row in written]
                await connection.execute("DELETE FROM run_datasets WHERE run_id = ANY($1)", fresh)
                await connection.executemany(
                    DATASET_ROWS,
                    [
                        (
                            run_id,
                            direction,
                            place,
                            vertex_key(use.vertex),
                            use.vertex.entity,
                            use.vertex.version or "",
                            use.vertex.name,
                            use.role.value,
                            use.is_inferred,
                        )
                        for run_id in fresh
                        for direction, uses in ((_INPUT, newest[run_id].inputs), (_OUTPUT, newest[run_id].outputs))
                        for place, use in enumerate(uses)
                    ],
                )

    async def find(self, run_ids: Sequence[UUID]) -> dict[UUID, PipelineRun]:
        """Those that are known, in one statement."""
        with span("postgres.find_runs", count=len(run_ids)):
            async with translated():
                rows = await self._pool.fetch(
                    f"SELECT {COLUMNS} FROM pipeline_executions r WHERE r.run_id = ANY($1)", list(run_ids)
                )
        return {row["run_id"]: to_run(row) for row in rows}

    async def producers(self, vertices: Sequence[Vertex]) -> dict[str, PipelineRun]:
        """The run that made each of these versions, by vertex id; the latest where several say so. One statement."""
        by_key = {vertex_key(vertex): vertex.vertex_id for vertex in vertices}
        with span("postgres.find_producers", count=len(by_key)):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT DISTINCT ON (d.vertex_key) d.vertex_key, {COLUMNS}
                    FROM run_datasets d JOIN pipeline_executions r USING (run_id)
                    WHERE d.vertex_key = ANY($1::bytea[]) AND d.direction = 'OUTPUT'
                    ORDER BY d.vertex_key, d.is_inferred, r.start_time DESC, r.run_id
                    """,
                    list(by_key),
                )
        return {by_key[row["vertex_key"]]: to_run(row) for row in rows}

    async def pages_of_pipelines(
        self,
        pipeline_ids: Sequence[str],
        request: PageRequest,
        *,
        status: RunStatus | None = None,
        started_from: datetime | None = None,
        started_to: datetime | None = None,
    ) -> dict[str, Page[PipelineRun]]:
        """Runs of each of these pipelines, latest first; `started_to` is the first instant that is too late.

        Two statements for all of them.

        Raises:
            InvalidPageError: `last` or `before`, or a cursor of another list.
        """
        where = """
            r.pipeline_id = wanted.owner AND ($2::text IS NULL OR r.status = $2)
            AND ($3::timestamptz IS NULL OR r.start_time >= $3) AND ($4::timestamptz IS NULL OR r.start_time < $4)
        """
        arguments = [
            [pipeline_id if is_storable(pipeline_id) else "" for pipeline_id in pipeline_ids],
            status and status.value,
            started_from,
            started_to,
        ]
        pages = await self._pages("text", "pipeline_executions r", where, arguments, request)
        return dict(zip(pipeline_ids, pages, strict=True))

    async def pages_of_consumers(
        self, vertices: Sequence[Vertex], request: PageRequest
    ) -> dict[str, Page[PipelineRun]]:
        """Runs that read each of these versions, by vertex id; in the order and at the cost of `pages_of_pipelines`."""
        table = "run_datasets d JOIN pipeline_executions r USING (run_id)"
        where = "d.vertex_key = wanted.owner AND d.direction = 'INPUT'"
        pages = await self._pages("bytea", table, where, [[vertex_key(vertex) for vertex in vertices]], request)
        return {vertex.vertex_id: page for vertex, page in zip(vertices, pages, strict=True)}

    async def _pages(
        self, owner_type: str, table: str, where: str, arguments: Sequence[Any], request: PageRequest
    ) -> list[Page[PipelineRun]]:
        """A page for each owner in the first argument."""
        if request.last is not None or request.before is not None:
            raise InvalidPageError("last and before", "runs are paged forward only, with first and after")
        after = None if request.after is None else decode_instant_cursor(CURSOR_KIND, request.after)
        place = len(arguments)
        wanted = f"unnest($1::{owner_type}[]) WITH ORDINALITY AS wanted (owner, place)"
        microseconds = "(extract(epoch FROM r.start_time) * 1000000)::bigint"
        with span("postgres.list_runs", count=len(arguments[0])):
            async with translated(), self._pool.acquire() as connection:
                rows = await connection.fetch(
                    f"""
                    SELECT wanted.place AS owner_place, found.* FROM {wanted}
                    CROSS JOIN LATERAL (
                        SELECT DISTINCT ON (r.start_time, r.run_id) {COLUMNS}, {microseconds} AS start_us
                        FROM {table}
                        WHERE {where} AND (${place + 1}::bigint IS NULL
                            OR ({microseconds}, r.run_id) < (${place + 1}, ${place + 2}::uuid))
                        ORDER BY r.start_time DESC, r.run_id DESC LIMIT ${place + 3}
                    ) found
                    ORDER BY wanted.place, found.start_time DESC, found.run_id DESC
                    """,
                    *arguments,
                    after[0] if after else None,
                    after[1] if after else None,
                    request.size + 1,
                )
                totals = await connection.fetch(
                    f"""
                    SELECT wanted.place, (SELECT count(DISTINCT r.run_id) FROM {table} WHERE {where}) AS total
                    FROM {wanted} ORDER BY wanted.place
                    """,
                    *arguments,
                )
        by_place: dict[int, list[asyncpg.Record]] = {}
        for row in rows:
            by_place.setdefault(row["owner_place"], []).append(row)
        return [_to_page(by_place.get(row["place"], []), row["total"], request) for row in totals]


def _to_page(rows: Sequence[asyncpg.Record], total: int, request: PageRequest) -> Page[PipelineRun]:
    shown = rows[: request.size]
    return Page(
        items=[to_run(row) for row in shown],
        cursors=[encode_cursor(CURSOR_KIND, (row["start_us"], str(row["run_id"]))) for row in shown],
        has_next=len(rows) > request.size,
        has_previous=request.after is not None,
        total=total,
    )
