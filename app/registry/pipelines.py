"""Pipelines and their versions, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from app.domain.changes import Actor
from app.domain.names import is_storable
from app.domain.pages import Page, PageRequest
from app.domain.pipelines import Pipeline, PipelineVersion
from app.errors import JsonValue
from app.postgres.pool import translated
from app.registry.facts import Transaction
from app.registry.paging import Listing, find_page, find_pages, storable_prefix
from app.telemetry.tracing import span

_PIPELINE = "pipeline_id, name, description, created_at"
_VERSION = "pipeline_id, number, created_at, created_by, reason, dag, dag_digest, code, code_hash, git_commit"


VersionKey = tuple[int, datetime, str | None]


class PipelineStore:
    """Pipelines by id, their versions by number."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def find_pipelines(self, pipeline_ids: Sequence[str]) -> dict[str, Pipeline]:
        """Those that exist, in one statement."""
        known = [pipeline_id for pipeline_id in pipeline_ids if is_storable(pipeline_id)]
        with span("postgres.find_pipelines", count=len(known)):
            async with translated():
                rows = await self._pool.fetch(f"SELECT {_PIPELINE} FROM pipelines WHERE pipeline_id = ANY($1)", known)
        return {row["pipeline_id"]: _to_pipeline(row) for row in rows}

    async def ids_like(self, prefix: str = "", *, limit: int = 10_000) -> list[str]:
        """Ids of pipelines, for telling the closest to one that is not there."""
        async with translated():
            rows = await self._pool.fetch(
                "SELECT pipeline_id FROM pipelines WHERE starts_with(pipeline_id, $1) ORDER BY pipeline_id LIMIT $2",
                prefix,
                limit,
            )
        return [row["pipeline_id"] for row in rows]

    async def page_pipelines(self, request: PageRequest, *, id_prefix: str = "") -> Page[Pipeline]:
        """Pipelines by id. Raises InvalidPageError."""
        with span("postgres.list_pipelines"):
            return await find_page(
                self._pool,
                _PIPELINES,
                request,
                where="starts_with(pipeline_id, $1)",
                arguments=[storable_prefix(id_prefix)],
            )

    async def find_versions(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], PipelineVersion]:
        """Those that exist, in one statement."""
        known = [key for key in keys if is_storable(key[0])]
        with span("postgres.find_pipeline_versions", count=len(known)):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT {_VERSION} FROM unnest($1::text[], $2::integer[]) AS wanted (pipeline_id, number)
                    JOIN pipeline_versions USING (pipeline_id, number)
                    """,
                    [key[0] for key in known],
                    [key[1] for key in known],
                )
        return {(row["pipeline_id"], row["number"]): _to_version(row) for row in rows}

    async def latest_numbers(self, pipeline_ids: Sequence[str]) -> dict[str, int]:
        """The highest number of each pipeline that has a version, in one statement."""
        async with translated():
            rows = await self._pool.fetch(
                """
                SELECT pipeline_id, max(number) AS number FROM pipeline_versions
                WHERE pipeline_id = ANY($1) GROUP BY pipeline_id
                """,
                [pipeline_id for pipeline_id in pipeline_ids if is_storable(pipeline_id)],
            )
        return {row["pipeline_id"]: row["number"] for row in rows}

    async def pages_of_versions(
        self, pipeline_ids: Sequence[str], request: PageRequest
    ) -> dict[str, Page[PipelineVersion]]:
        """Versions of each of these pipelines, newest first; two statements for all. Raises InvalidPageError."""
        with span("postgres.list_pipeline_versions", count=len(pipeline_ids)):
            pages = await find_pages(self._pool, _VERSIONS, [(each,) for each in pipeline_ids], request)
        return {pipeline_id: page for (pipeline_id,), page in pages.items()}

    async def histories(self, pipeline_ids: Sequence[str]) -> dict[str, dict[int, datetime]]:
        """When each version of each of these was made, in one statement."""
        keys = await self.version_keys(pipeline_ids)
        return {
            pipeline_id: {number: at for number, at, _ in keys.get(pipeline_id, [])} for pipeline_id in pipeline_ids
        }

    async def version_keys(self, pipeline_ids: Sequence[str]) -> dict[str, list[VersionKey]]:
        """Number, time and git commit of each version of those that have any, oldest first; one statement."""
        if not pipeline_ids:
            return {}
        with span("postgres.pipeline_histories", count=len(pipeline_ids)):
            async with translated():
                rows = await self._pool.fetch(
                    """
                    SELECT pipeline_id, number, created_at, git_commit FROM pipeline_versions
                    WHERE pipeline_id = ANY($1) ORDER BY pipeline_id, number
                    """,
                    [pipeline_id for pipeline_id in pipeline_ids if is_storable(pipeline_id)],
                )
        found: dict[str, list[VersionKey]] = {}
        for row in rows:
            found.setdefault(row["pipeline_id"], []).append((row["number"], row["created_at"], row["git_commit"]))
        return found


async def remember_pipeline(connection: Transaction, pipeline_id: str) -> None:
    """Make a pipeline that is known by its name alone; one that is there stays as it is."""
    await connection.execute(
        "INSERT INTO pipelines (pipeline_id, name) VALUES ($1, $1) ON CONFLICT (pipeline_id) DO NOTHING", pipeline_id
    )


async def lock_pipeline(connection: Transaction, pipeline_id: str) -> PipelineVersion | None:
    """Make a pipeline, keep others out of it until the transaction ends; answers its latest version.

    Its name is its id at first.
    """
    await remember_pipeline(connection, pipeline_id)
    await connection.execute("SELECT FROM pipelines WHERE pipeline_id = $1 FOR UPDATE", pipeline_id)
    row = await connection.fetchrow(
        f"SELECT {_VERSION} FROM pipeline_versions WHERE pipeline_id = $1 ORDER BY number DESC LIMIT 1", pipeline_id
    )
    return _to_version(row) if row else None


async def rename_pipeline(connection: Transaction, pipeline_id: str, name: str | None, description: str | None) -> bool:
    """Give a pipeline whose row is locked another name or description, as far as they are given; whether it had not."""
    done = await connection.execute(
        """
        UPDATE pipelines SET name = coalesce($2, name), description = coalesce($3, description)
        WHERE pipeline_id = $1
          AND (name, description) IS DISTINCT FROM (coalesce($2, name), coalesce($3, description))
        """,
        pipeline_id,
        name,
        description,
    )
    return bool(done == "UPDATE 1")


async def insert_version(
    connection: Transaction,
    change_id: UUID,
    *,
    pipeline_id: str,
    number: int,
    by: str,
    reason: str | None,
    dag: JsonValue,
    dag_digest: str,
    code: str | None,
    code_hash: str | None,
    git_commit: str | None,
) -> PipelineVersion:
    """Write a version of a pipeline whose row is locked."""
    row = await connection.fetchrow(
        f"""
        INSERT INTO pipeline_versions (pipeline_id, number, change_id, created_by, reason, dag, dag_digest, code,
                                       code_hash, git_commit)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING {_VERSION}
        """,
        pipeline_id,
        number,
        change_id,
        by,
        reason,
        dag,
        dag_digest,
        code,
        code_hash,
        git_commit,
    )
    return _to_version(row)


def _to_pipeline(row: asyncpg.Record) -> Pipeline:
    return Pipeline(
        pipeline_id=row["pipeline_id"],
        name=row["name"],
        description=row["description"],
        created_at=row["created_at"],
    )


def _to_version(row: asyncpg.Record) -> PipelineVersion:
    return PipelineVersion(
        pipeline_id=row["pipeline_id"],
        number=row["number"],
        created_at=row["created_at"],
        created_by=Actor(subject=row["created_by"]),
        reason=row["reason"],
        dag=row["dag"],
        dag_digest=row["dag_digest"],
        code=row["code"],
        code_hash=row["code_hash"],
        git_commit=row["git_commit"],
    )


_PIPELINES = Listing(
    cursor_kind="pipelines", columns=_PIPELINE, table="pipelines", key="pipeline_id", to_item=_to_pipeline
)
_VERSIONS = Listing(
    cursor_kind="pipeline-versions",
    columns=_VERSION,
    table="pipeline_versions",
    owner=("pipeline_id",),
    key="number",
    is_descending=True,
    to_item=_to_version,
)
