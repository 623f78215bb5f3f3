"""Operations, which are long jobs, for synchronous callers."""

from __future__ import annotations

from uuid import UUID

from app.bootstrap import Services
from app.client.opening import Opening
from app.client.registry_arguments import uuid_of
from app.services.operation_entries import OperationEntry, operation_entry


class Operations(Opening):
    """Looking at operations, and cancelling them."""

    def get_operation(self, operation_id: UUID | str) -> OperationEntry:
        """One operation as it is now, with what came of it.

        A dict of `id`, `kind`, `status`, `progress` (0 to 1), `message`, `started_at`, `ended_at`, `result`, `error`
        (`code`, `message`, `fields`), `request`, `requested_at`, `requested_by`, `reason`, `cancel_requested`.

        Raises:
            OperationNotFoundError: there is none.
        """
        which = uuid_of("operation_id", operation_id)

        async def run(services: Services) -> OperationEntry:
            operation = await services.operations.get(which)
            return operation_entry(operation, await services.operations.result_of(operation))

        return self._call(run)

    def cancel_operation(self, operation_id: UUID | str) -> OperationEntry:
        """Let an operation end undone; as it is now. What runs is still RUNNING, and is stopped within a second or so.

        Raises:
            OperationNotFoundError: there is none.
            OperationEndedError: it has succeeded or failed already.
        """
        which = uuid_of("operation_id", operation_id)
        command = self._command(None)

        async def run(services: Services) -> OperationEntry:
            return operation_entry(await services.operations.cancel(which, command), None)

        return self._call(run)
