"""Expiries in the record of changes: who, when and why, beside the tags and rollbacks of the same table."""

from __future__ import annotations

from uuid import UUID, uuid4

from app.domain.changes import ChangeKind, ChangeState, Command, DatasetSubject
from app.errors import JsonValue
from app.lake.expire.commit import BaseJudgement
from app.lake.table import LakeTable
from app.registry.change_rows import Intent
from app.registry.changes import ChangeLog
from app.registry.retention_runs import RetentionRun
from app.services.executing import worker_name


class RetentionRecords:
    """Writes expiries, and removals of orphans, to the change log."""

    def __init__(self, changes: ChangeLog) -> None:
        self._changes = changes

    async def record(self, run: RetentionRun, base: BaseJudgement) -> None:
        """An expiry that was committed; recorded twice it is recorded once."""
        if await self._changes.find(run.run_id) is not None:
            return
        expired, removed = run.document["expired"], run.document["removed_tags"]
        details: dict[str, JsonValue] = {
            "runId": str(run.run_id),
            "snapshots": len(expired) if isinstance(expired, list) else 0,
            "removedTags": removed,
            "bytes": str(run.bytes_planned),
            "base": base.finding.value,
        }
        await self._write(
            Intent.without_plan(
                run.run_id,
                ChangeKind.SNAPSHOTS_EXPIRED,
                DatasetSubject(dataset=run.dataset, table_uuid=run.table_uuid),
                Command(actor=run.requested_by, reason=run.reason),
                run.base_metadata,
                details,
            )
        )

    async def record_orphans(
        self,
        table: LakeTable,
        command: Command,
        files: int,
        size_bytes: int,
        left: int,
        operation_id: UUID | None = None,
    ) -> None:
        """So many files were removed that the table did not reach, and so many could not be."""
        state = table.state
        details: dict[str, JsonValue] = {"files": files, "bytes": str(size_bytes), "left": left}
        if operation_id is not None:
            details["operationId"] = str(operation_id)
        await self._write(
            Intent.without_plan(
                uuid4(),
                ChangeKind.ORPHANS_REMOVED,
                DatasetSubject(dataset=state.name, table_uuid=state.table_uuid),
                command,
                state.metadata_location,
                details,
            )
        )

    async def _write(self, intent: Intent) -> None:
        await self._changes.record(intent, ChangeState.DONE, by=worker_name())
