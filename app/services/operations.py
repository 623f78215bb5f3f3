"""Long jobs, for those who ask for them: begun now, done by whatever worker is free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from app.domain.changes import Command
from app.domain.json_values import find_fault
from app.domain.operations import Operation, OperationKind, OperationStatus
from app.domain.pages import Page, PageRequest
from app.errors import (
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    JsonValue,
    OperationEndedError,
    OperationNotFoundError,
)
from app.registry.operations import NewOperation, OperationStore
from app.registry.workers import Workers


class Operations:
    """The operations that were asked for.

    Every method raises BackendUnavailableError where Postgres is away.
    """

    def __init__(self, store: OperationStore, workers: Workers) -> None:
        self._store = store
        self._workers = workers

    async def start(self, kind: OperationKind, request: Mapping[str, JsonValue], command: Command) -> Operation:
        """Let a worker do what is asked for; answers at once, with the operation that waits.

        `request` is what the handler of this kind is given; that it can be done is for the caller to check. The same
        key with the same request answers the operation that it has begun, as that is now, unless that has failed or
        was cancelled.

        Raises:
            InvalidArgumentError: something of the request cannot be kept.
            IdempotencyKeyReusedError: the key came with another request.
        """
        if (fault := find_fault(dict(request))) is not None:
            pointer, reason = fault
            raise InvalidArgumentError(pointer.split("/")[1] if pointer else "request", reason)
        new = NewOperation(
            kind=kind, request=request, request_hash=_fingerprint(kind, request, command), command=command
        )
        done = await self._store.enqueue(new)
        if done.request_hash != new.request_hash:
            raise IdempotencyKeyReusedError(command.idempotency_key or "")
        return done.operation

    async def get(self, operation_id: UUID) -> Operation:
        """An operation as it is now. Raises OperationNotFoundError."""
        found = await self._store.find(operation_id)
        if found is None:
            raise OperationNotFoundError(str(operation_id))
        return found

    async def result_of(self, operation: Operation) -> JsonValue:
        """What came of an operation; None where it had not succeeded when it was looked at."""
        if operation.status is not OperationStatus.SUCCEEDED:
            return None
        return (await self._store.find_results([operation.operation_id])).get(operation.operation_id)

    async def find_results(self, operation_ids: Sequence[UUID]) -> dict[UUID, JsonValue]:
        """What came of those of them that have succeeded; one statement."""
        return await self._store.find_results(operation_ids)

    async def page(
        self, request: PageRequest, *, kind: OperationKind | None = None, status: OperationStatus | None = None
    ) -> Page[Operation]:
        """Operations, those asked for last first. Raises InvalidPageError."""
        return await self._store.page(request, kind=kind, status=status)

    async def cancel(self, operation_id: UUID, command: Command) -> Operation:
        """Let an operation end undone; as it is now. One that was cancelled before is left as it is.

        What waits is CANCELLED at once. What runs is still RUNNING, and its worker stops it within a second or so; one
        that is done by then has succeeded all the same.

        Raises:
            OperationNotFoundError: there is none.
            OperationEndedError: it has succeeded or failed already.
        """
        found = await self._store.request_cancel(operation_id, command.actor)
        if found is None:
            raise OperationNotFoundError(str(operation_id))
        if found.status.is_ended and found.status is not OperationStatus.CANCELLED:
            raise OperationEndedError(str(operation_id), found.status.value)
        return found

    async def is_attended(self) -> bool:
        """Whether any worker was seen lately; without one, operations wait."""
        return (await self._workers.status()).working > 0


def _fingerprint(kind: OperationKind, request: Mapping[str, JsonValue], command: Command) -> bytes:
    text = json.dumps([kind, dict(request), command.reason], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
