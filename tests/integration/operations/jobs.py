"""What the tests ask of operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from app.domain.changes import Actor, Command
from app.domain.operations import Operation, OperationKind, OperationStatus, Standing
from app.registry.operation_leases import ClaimedOperation, OperationLeases
from app.services.operations import Operations

KIND = OperationKind.ROW_DIFF
KINDS = [KIND]
HALF = Standing(progress=0.5, message="half")
READING = Standing(progress=0.25, message="reading")
SOON_S = 30.0


def by(actor: str = "ada", *, key: str | None = None, reason: str | None = None) -> Command:
    """Somebody's command."""
    return Command(actor=Actor(subject=actor), reason=reason, idempotency_key=key)


async def start(operations: Operations, **request: Any) -> Operation:
    """An operation that waits."""
    return await operations.start(KIND, request, by())


async def claim(leases: OperationLeases, *, lease_s: float = 60, max_attempts: int = 3) -> ClaimedOperation:
    """The operation that waits longest, claimed."""
    claimed = await leases.claim(KINDS, lease_s=lease_s, worker="test", max_attempts=max_attempts)
    assert claimed is not None
    return claimed


async def eventually(
    operations: Operations, operation_id: UUID, is_so: Callable[[Operation], bool], *, timeout_s: float = SOON_S
) -> Operation:
    """The operation as soon as it is so."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = await operations.get(operation_id)
            if is_so(found):
                return found
            await asyncio.sleep(0.02)


async def ended(operations: Operations, operation_id: UUID, *, timeout_s: float = SOON_S) -> Operation:
    """The operation once it has ended."""
    return await eventually(operations, operation_id, lambda found: found.status.is_ended, timeout_s=timeout_s)


def is_running(operation: Operation) -> bool:
    return operation.status is OperationStatus.RUNNING
