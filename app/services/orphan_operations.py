"""Removing orphans as an operation: asked for now, done by whatever worker is free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from app.domain.changes import Actor, Command
from app.domain.names import DatasetName
from app.domain.operations import Operation, OperationKind
from app.errors import JsonValue
from app.services.operation_handlers import Progress
from app.services.operations import Operations
from app.services.orphan_entries import orphans_entry
from app.services.orphans import OrphanAge, Orphans
from app.services.retention_entries import MAX_LISTED


class OrphanOperations:
    """Starts removals of orphans as operations, and does them in the worker."""

    def __init__(self, operations: Operations, orphans: Orphans) -> None:
        self._operations = operations
        self._orphans = orphans

    async def start(self, name: DatasetName, age: OrphanAge, command: Command, *, is_dry_run: bool) -> Operation:
        """Let a worker find or remove the orphans of a table; answers at once.

        Raises:
            As `Orphans.check`, and as `Operations.start`.
        """
        await self._orphans.check(name, is_dry_run=is_dry_run)
        request: dict[str, JsonValue] = {
            "dataset": str(name),
            "older_than_days": age.days,
            "force": age.is_forced,
            "dry_run": is_dry_run,
            "requested_by": command.actor.subject,
            "reason": command.reason,
        }
        return await self._operations.start(OperationKind.ORPHANS, request, command)

    async def run(self, request: Mapping[str, JsonValue], progress: Progress) -> JsonValue:
        """Do it; a stage of `OperationHandler`. The result has the shape of `OrphansEntry`, its list cut.

        Begun again after its worker died, it removes what is left, and the result tells that alone.

        Raises:
            As `Orphans.find` and `Orphans.remove`.
        """
        name = DatasetName.parse(str(request["dataset"]))
        age = OrphanAge(days=cast("float", request["older_than_days"]), is_forced=bool(request["force"]))
        is_dry_run = bool(request["dry_run"])
        if is_dry_run:
            found = await self._orphans.find(name, age, progress.report)
        else:
            command = Command(
                actor=Actor(subject=str(request["requested_by"])), reason=cast("str | None", request["reason"])
            )
            found = await self._orphans.remove(name, command, age, progress.report, operation_id=progress.operation_id)
        return cast("JsonValue", orphans_entry(found, dry_run=is_dry_run, limit=MAX_LISTED))
