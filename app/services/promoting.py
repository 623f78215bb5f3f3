"""Promotions: that a version of a dataset was made from a version of another, where no run reported it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from app.domain.changes import ChangeKind, Command, DatasetSubject
from app.domain.lineage import Vertex
from app.domain.names import DatasetName
from app.domain.pipelines import check_pipeline_id
from app.domain.records import PromotionRecord
from app.errors import InvalidArgumentError, JsonValue, placed
from app.lake.table import LakeTable
from app.registry.events import LogRecord, append_records, has_events
from app.registry.facts import DatasetFact, Facts, hold_key, insert_dataset_fact
from app.registry.pipelines import remember_pipeline
from app.services.datasets import Datasets
from app.services.executing import worker_name
from app.services.lineage import Lineage
from app.services.versioning import Version
from app.telemetry.tracing import span


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A version of one dataset that was made from a version of another."""

    source: LakeTable
    source_id: int
    target: LakeTable
    target_id: int
    is_unchanged: bool


class Promoting:
    """Records promotions."""

    def __init__(self, facts: Facts, datasets: Datasets, lineage: Lineage) -> None:
        self._facts = facts
        self._datasets = datasets
        self._lineage = lineage

    async def record(
        self,
        source: DatasetName,
        source_at: Version,
        target: DatasetName,
        target_at: Version,
        command: Command,
        *,
        pipeline_id: str | None = None,
    ) -> Promotion:
        """Record a promotion. The same one twice, by whomever, changes nothing.

        Raises:
            InvalidArgumentError: a dataset's version cannot be made from itself.
            DatasetNotFoundError, VersionNotFoundError, SnapshotExpiredError: there is no such version.
            BackendUnavailableError: Postgres or the catalog is away.
        """
        if pipeline_id is not None:
            check_pipeline_id(pipeline_id)
        with placed("source"):
            from_table, from_id, from_vertex = await self._find(source, source_at)
        with placed("target"):
            to_table, to_id, to_vertex = await self._find(target, target_at)
        if from_vertex.vertex_id == to_vertex.vertex_id:
            raise InvalidArgumentError("targetAt", "it is the very version that it would be made from")
        record = PromotionRecord(source=from_vertex, target=to_vertex, pipeline_id=pipeline_id, at=datetime.now(UTC))
        details: dict[str, JsonValue] = {
            "source": str(source),
            "sourceSnapshotId": str(from_id),
            "targetSnapshotId": str(to_id),
            "pipelineId": pipeline_id,
        }
        with span("promotion.record", target=str(target)):
            async with self._facts.transaction() as connection:
                # By one at a time, so that the same promotion told twice at once is one.
                await hold_key(connection, record.run_key)
                if await has_events(connection, record.run_key):
                    return Promotion(
                        source=from_table, source_id=from_id, target=to_table, target_id=to_id, is_unchanged=True
                    )
                body = record.to_body()
                entry = LogRecord(
                    run_key=record.run_key, event_time=record.at, body_hash=sha256(body).digest(), body=body
                )
                fact = DatasetFact(
                    kind=ChangeKind.DATASET_PROMOTED,
                    subject=DatasetSubject(dataset=target, table_uuid=to_table.state.table_uuid),
                    command=command,
                    base_metadata=to_table.state.metadata_location,
                    details=details,
                )
                await insert_dataset_fact(connection, fact, by=worker_name())
                if pipeline_id is not None:
                    await remember_pipeline(connection, pipeline_id)
                await append_records(connection, [entry])
        return Promotion(source=from_table, source_id=from_id, target=to_table, target_id=to_id, is_unchanged=False)

    async def _find(self, name: DatasetName, at: Version) -> tuple[LakeTable, int, Vertex]:
        table = await self._datasets.load(name)
        found = await self._datasets.resolve_with_record(table, at)
        return table, found.snapshot_id, self._lineage.snapshot_root(table, found.snapshot_id)
