"""Runs as rows of Postgres."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from app.domain.events import Owner
from app.domain.lineage import EntityKind, Vertex
from app.domain.pipelines import PipelineRun, RunDataset
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus

_USES = """
    coalesce((SELECT jsonb_agg(jsonb_build_array(u.entity, u.version, u.name, u.role, u.is_inferred) ORDER BY u.place)
              FROM run_datasets u WHERE u.run_id = r.run_id AND u.direction = '{direction}'), '[]')
"""
COLUMNS = f"""
    r.run_id, r.pipeline_id, r.version_number, r.status, r.start_time, r.is_start_inferred, r.end_time, r.error,
    r.producer, r.recorded_by, r.parent_run_id, r.sql, r.source_url, r.git_commit, r.owners, r.event_count,
    {_USES.format(direction="INPUT")} AS inputs, {_USES.format(direction="OUTPUT")} AS outputs
"""

EXECUTION_ROWS = """
    INSERT INTO pipeline_executions AS known
        (run_id, pipeline_id, version_number, status, start_time, is_start_inferred, end_time, duration_ms, error,
         producer, recorded_by, parent_run_id, sql, source_url, git_commit, owners, event_count)
    SELECT run_id, pipeline_id, version_number, status, start_time, is_start_inferred, end_time, duration_ms, error,
           producer, recorded_by, parent_run_id, sql, source_url, git_commit, owners::jsonb, event_count
    FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::timestamptz[], $6::boolean[],
                $7::timestamptz[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::uuid[], $13::text[],
                $14::text[], $15::text[], $16::text[], $17::integer[])
        AS given (run_id, pipeline_id, version_number, status, start_time, is_start_inferred, end_time, duration_ms,
                  error, producer, recorded_by, parent_run_id, sql, source_url, git_commit, owners, event_count)
    ON CONFLICT (run_id) DO UPDATE
    SET pipeline_id = excluded.pipeline_id, version_number = excluded.version_number, status = excluded.status,
        start_time = excluded.start_time, is_start_inferred = excluded.is_start_inferred,
        end_time = excluded.end_time, duration_ms = excluded.duration_ms, error = excluded.error,
        producer = excluded.producer, recorded_by = excluded.recorded_by, parent_run_id = excluded.parent_run_id,
        sql = excluded.sql, source_url = excluded.source_url, git_commit = excluded.git_commit,
        owners = excluded.owners, event_count = excluded.event_count
    WHERE known.event_count <= excluded.event_count
    RETURNING run_id
"""

DATASET_ROWS = """
    INSERT INTO run_datasets (run_id, direction, place, vertex_key, entity, version, name, role, is_inferred)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


def execution_rows(runs: Sequence[PipelineRun]) -> tuple[list[Any], ...]:
    """The arguments of `EXECUTION_ROWS`."""
    return (
        [run.run_id for run in runs],
        [run.pipeline_id for run in runs],
        [run.version_number for run in runs],
        [run.status.value for run in runs],
        [run.started_at for run in runs],
        [run.is_start_inferred for run in runs],
        [run.ended_at for run in runs],
        [run.duration_ms for run in runs],
        [run.error for run in runs],
        [run.producer for run in runs],
        [run.recorded_by for run in runs],
        [run.parent_run_id for run in runs],
        [run.sql for run in runs],
        [run.source_url for run in runs],
        [run.git_commit for run in runs],
        # As text: lists of lists would be taken for an array of two dimensions.
        [orjson.dumps([[owner.name, owner.type] for owner in run.owners]).decode() for run in runs],
        [run.event_count for run in runs],
    )


def to_run(row: asyncpg.Record) -> PipelineRun:
    """The run in a row of `COLUMNS`."""
    return PipelineRun(
        run_id=row["run_id"],
        pipeline_id=row["pipeline_id"],
        version_number=row["version_number"],
        status=RunStatus(row["status"]),
        started_at=row["start_time"],
        is_start_inferred=row["is_start_inferred"],
        ended_at=row["end_time"],
        error=row["error"],
        producer=row["producer"],
        recorded_by=row["recorded_by"],
        parent_run_id=row["parent_run_id"],
        sql=row["sql"],
        source_url=row["source_url"],
        git_commit=row["git_commit"],
        owners=tuple(Owner(name=name, type=kind) for name, kind in row["owners"]),
        inputs=_to_uses(row["inputs"]),
        outputs=_to_uses(row["outputs"]),
        event_count=row["event_count"],
    )


def vertex_key(vertex: Vertex) -> bytes:
    """What a version is found by: a digest, because names may have any length."""
    return hashlib.blake2b(vertex.vertex_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _to_uses(stored: list[Any]) -> tuple[RunDataset, ...]:
    return tuple(
        RunDataset(
            vertex=Vertex(entity=entity, version=version, kind=EntityKind.DATASET, name=name),
            role=InputRole(role),
            is_inferred=is_inferred,
        )
        for entity, version, name, role, is_inferred in stored
    )
