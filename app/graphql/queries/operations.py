"""operation and operations."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.ids import decode_operation_id
from app.graphql.pages import After, Connection, First, connect, page_request
from app.graphql.types.enums import OperationKind, OperationStatus
from app.graphql.types.operation import Operation

Id = Annotated[strawberry.ID, strawberry.argument(name="id", description="The operation's `id`.")]


async def find_operation(info: Info, node_id: Id) -> Operation | None:
    """The operation of this id; null, and an error, where there is none."""
    return Operation(operation=await info.context.operations.get(decode_operation_id(node_id)))


async def list_operations(
    info: Info,
    first: First = None,
    after: After = None,
    kind: Annotated[OperationKind | None, strawberry.argument(description="Only those of this kind.")] = None,
    status: Annotated[OperationStatus | None, strawberry.argument(description="Only those that stand so.")] = None,
) -> Connection[Operation]:
    """All operations, those asked for last first."""
    page = await info.context.operations.page(page_request(first, after), kind=kind, status=status)
    return connect(page, lambda operation: Operation(operation=operation))
