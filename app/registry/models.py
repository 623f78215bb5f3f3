"""Models and their versions, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from app.domain.artifacts import CopyProof
from app.domain.models import Model, ModelVersion, NewModelVersion
from app.domain.names import is_storable
from app.domain.pages import Page, PageRequest
from app.domain.uses import VersionUse
from app.postgres.pool import translated
from app.registry.facts import Transaction
from app.registry.model_rows import MODEL_COLUMNS, VERSION_COLUMNS, metrics_to_json, to_model, to_version
from app.registry.paging import Listing, find_page, find_pages, storable_prefix
from app.telemetry.tracing import span

_MODELS = Listing(cursor_kind="models", columns=MODEL_COLUMNS, table="models", key="name", to_item=to_model)
_VERSIONS = Listing(
    cursor_kind="model-versions",
    columns=VERSION_COLUMNS,
    table="model_versions v",
    owner=("v.model",),
    key="number",
    is_descending=True,
    to_item=to_version,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftArtifact:
    """An artifact that was copied to cold storage, and is still where it was too."""

    model: str
    number: int
    proof: CopyProof


class ModelStore:
    """Models by name, their versions by number. What is written on a transaction counts once that has ended."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def find_models(self, names: Sequence[str]) -> dict[str, Model]:
        """Those that exist, in one statement."""
        names = [name for name in names if is_storable(name)]
        with span("postgres.find_models", count=len(names)):
            async with translated():
                rows = await self._pool.fetch(f"SELECT {MODEL_COLUMNS} FROM models WHERE name = ANY($1)", names)
        return {row["name"]: to_model(row) for row in rows}

    async def names_like(self, prefix: str = "", *, limit: int = 10_000) -> list[str]:
        """Names of models, for telling the closest to one that is not there."""
        async with translated():
            rows = await self._pool.fetch(
                "SELECT name FROM models WHERE starts_with(name, $1) ORDER BY name LIMIT $2", prefix, limit
            )
        return [row["name"] for row in rows]

    async def page_models(self, request: PageRequest, *, name_prefix: str = "") -> Page[Model]:
        """Models by name. Raises InvalidPageError."""
        with span("postgres.list_models"):
            return await find_page(
                self._pool, _MODELS, request, where="starts_with(name, $1)", arguments=[storable_prefix(name_prefix)]
            )

    async def find_versions(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], ModelVersion]:
        """Those that exist, in one statement."""
        keys = [key for key in keys if is_storable(key[0])]
        with span("postgres.find_model_versions", count=len(keys)):
            async with translated():
                rows = await self._pool.fetch(
                    f"""
                    SELECT {VERSION_COLUMNS} FROM unnest($1::text[], $2::integer[]) AS wanted (model, number)
                    JOIN model_versions v USING (model, number)
                    """,
                    [key[0] for key in keys],
                    [key[1] for key in keys],
                )
        return {(row["model"], row["number"]): to_version(row) for row in rows}

    async def latest_numbers(self, names: Sequence[str]) -> dict[str, int]:
        """The highest number of each model that has a version, in one statement."""
        async with translated():
            rows = await self._pool.fetch(
                "SELECT model, max(number) AS number FROM model_versions WHERE model = ANY($1) GROUP BY model",
                [name for name in names if is_storable(name)],
            )
        return {row["model"]: row["number"] for row in rows}

    async def pages_of_versions(self, models: Sequence[str], request: PageRequest) -> dict[str, Page[ModelVersion]]:
        """Versions of each of these models, newest first; two statements for all. Raises InvalidPageError."""
        with span("postgres.list_model_versions", count=len(models)):
            pages = await find_pages(self._pool, _VERSIONS, [(model,) for model in models], request)
        return {model: page for (model,), page in pages.items()}

    async def histories(self, models: Sequence[str]) -> dict[str, dict[int, datetime]]:
        """When each version of each of these was made, in one statement."""
        with span("postgres.model_histories", count=len(models)):
            async with translated():
                rows = await self._pool.fetch(
                    "SELECT model, number, created_at FROM model_versions WHERE model = ANY($1)",
                    [model for model in models if is_storable(model)],
                )
        found: dict[str, dict[int, datetime]] = {model: {} for model in models}
        for row in rows:
            found[row["model"]][row["number"]] = row["created_at"]
        return found

    async def trained_on(self, snapshots: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], list[tuple[str, int]]]:
        """The model versions that each snapshot was used for, in whatever role; in one statement."""
        with span("postgres.find_trained_models", count=len(snapshots)):
            async with translated():
                rows = await self._pool.fetch(
                    """
                    SELECT DISTINCT t.table_uuid, t.snapshot_id, t.model, t.number
                    FROM unnest($1::uuid[], $2::bigint[]) AS wanted (table_uuid, snapshot_id)
                    JOIN model_training_data t USING (table_uuid, snapshot_id)
                    ORDER BY t.model, t.number
                    """,
                    [table_uuid for table_uuid, _ in snapshots],
                    [snapshot_id for _, snapshot_id in snapshots],
                )
        found: dict[tuple[UUID, int], list[tuple[str, int]]] = {key: [] for key in snapshots}
        for row in rows:
            found[row["table_uuid"], row["snapshot_id"]].append((row["model"], row["number"]))
        return found

    async def made_by_runs(self, run_ids: Sequence[UUID]) -> dict[UUID, list[tuple[str, int]]]:
        """The model versions that say that these runs made them, in one statement."""
        if not run_ids:
            return {}
        with span("postgres.find_models_of_runs", count=len(run_ids)):
            async with translated():
                rows = await self._pool.fetch(
                    "SELECT run_id, model, number FROM model_versions WHERE run_id = ANY($1) ORDER BY model, number",
                    list(run_ids),
                )
        found: dict[UUID, list[tuple[str, int]]] = {}
        for row in rows:
            found.setdefault(row["run_id"], []).append((row["model"], row["number"]))
        return found

    async def live_artifacts(self) -> list[tuple[str, int, str]]:
        """Model, number and artifact of every version that is in use; for seeing who else needs what is to be moved."""
        async with translated():
            rows = await self._pool.fetch(
                """
                SELECT model, number, artifact_uri FROM model_versions
                WHERE archived_at IS NULL AND artifact_uri IS NOT NULL ORDER BY model, number
                """
            )
        return [(row["model"], row["number"], row["artifact_uri"]) for row in rows]

    async def left_artifacts(self, *, limit: int = 100) -> list[LeftArtifact]:
        """Artifacts that are in cold storage, and have yet to be removed from where they were."""
        async with translated():
            rows = await self._pool.fetch(
                """
                SELECT model, number, artifact_proof FROM model_versions
                WHERE artifact_proof IS NOT NULL AND artifact_failure IS NULL ORDER BY model, number LIMIT $1
                """,
                limit,
            )
        return [
            LeftArtifact(model=row["model"], number=row["number"], proof=CopyProof.from_json(row["artifact_proof"]))
            for row in rows
        ]

    async def artifact_is_removed(self, left: LeftArtifact, *, failure: str | None = None) -> None:
        """It is no longer where it was; or, with a `failure`, it will stay there, and why."""
        async with translated():
            await self._pool.execute(
                """
                UPDATE model_versions
                SET artifact_proof = CASE WHEN $3::text IS NULL THEN NULL ELSE artifact_proof END, artifact_failure = $3
                WHERE model = $1 AND number = $2
                """,
                left.model,
                left.number,
                failure,
            )

    async def next_number(self, model: str) -> int:
        """The number that the next version gets; only whoever holds the model's lock may rely on it."""
        async with translated():
            found = await self._pool.fetchval("SELECT max(number) FROM model_versions WHERE model = $1", model)
        return (found or 0) + 1


async def insert_version(
    connection: Transaction,
    change_id: UUID,
    number: int,
    new: NewModelVersion,
    training: Sequence[VersionUse],
    *,
    by: str,
    reason: str | None,
) -> datetime:
    """Write a version, and its model where that is new; answers when it was made."""
    await connection.execute(
        """
        INSERT INTO models (name, description) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET description = coalesce(excluded.description, models.description)
        """,
        new.model,
        new.description,
    )
    created_at: datetime = await connection.fetchval(
        """
        INSERT INTO model_versions (model, number, change_id, created_by, reason, framework, artifact_uri, parameters,
                                    metrics, run_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING created_at
        """,
        new.model,
        number,
        change_id,
        by,
        reason,
        new.framework,
        new.artifact_uri,
        dict(new.parameters),
        metrics_to_json(new.metrics),
        new.run_id,
    )
    await connection.executemany(
        """
        INSERT INTO model_training_data (model, number, place, table_uuid, namespace, table_name, snapshot_id, role,
                                         is_inferred)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        [
            (
                new.model,
                number,
                place,
                use.table_uuid,
                use.dataset.namespace,
                use.dataset.name,
                use.snapshot_id,
                use.role.value,
                use.is_inferred,
            )
            for place, use in enumerate(training)
        ],
    )
    return created_at


async def archive_version(connection: Transaction, model: str, number: int, *, moved: CopyProof | None) -> bool:
    """Mark a version as archived; whether it was not before. An artifact that was `moved` is at its copy from then."""
    done = await connection.execute(
        """
        UPDATE model_versions
        SET archived_at = now(), artifact_proof = $3, artifact_uri = coalesce($4, artifact_uri)
        WHERE model = $1 AND number = $2 AND archived_at IS NULL
        """,
        model,
        number,
        moved.to_json() if moved else None,
        moved.copy_uri if moved else None,
    )
    return bool(done == "UPDATE 1")
