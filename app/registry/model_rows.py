"""Models and their versions as rows of Postgres."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from app.domain.changes import Actor
from app.domain.models import Metric, Model, ModelVersion
from app.domain.names import DatasetName
from app.domain.roles import InputRole
from app.domain.uses import VersionUse
from app.errors import JsonValue

MODEL_COLUMNS = "name, description, created_at"
VERSION_COLUMNS = """
    v.model, v.number, v.created_at, v.created_by, v.reason, v.framework, v.artifact_uri, v.parameters, v.metrics,
    v.run_id, v.archived_at,
    coalesce((SELECT jsonb_agg(jsonb_build_array(t.table_uuid, t.namespace, t.table_name, t.snapshot_id::text, t.role,
                                                 t.is_inferred)
                               ORDER BY t.place)
              FROM model_training_data t WHERE t.model = v.model AND t.number = v.number), '[]') AS training_data
"""


def to_model(row: asyncpg.Record) -> Model:
    """The model in a row of `MODEL_COLUMNS`."""
    return Model(name=row["name"], description=row["description"], created_at=row["created_at"])


def to_version(row: asyncpg.Record) -> ModelVersion:
    """The version in a row of `VERSION_COLUMNS`."""
    return ModelVersion(
        model=row["model"],
        number=row["number"],
        created_at=row["created_at"],
        created_by=Actor(subject=row["created_by"]),
        reason=row["reason"],
        framework=row["framework"],
        artifact_uri=row["artifact_uri"],
        parameters=row["parameters"],
        metrics=tuple(Metric(name=name, value=value, higher_is_better=high) for name, value, high in row["metrics"]),
        training_data=tuple(
            VersionUse(
                dataset=DatasetName(namespace=namespace, name=name),
                table_uuid=UUID(table_uuid),
                snapshot_id=int(snapshot_id),
                role=InputRole(role),
                is_inferred=is_inferred,
            )
            for table_uuid, namespace, name, snapshot_id, role, is_inferred in row["training_data"]
        ),
        run_id=row["run_id"],
        archived_at=row["archived_at"],
    )


def metrics_to_json(metrics: tuple[Metric, ...]) -> list[JsonValue]:
    """Metrics as they are stored."""
    return [[metric.name, metric.value, metric.higher_is_better] for metric in metrics]
