"""cancelOperation."""

from __future__ import annotations

import strawberry

from app.graphql.context import Info
from app.graphql.ids import decode_operation_id
from app.graphql.mutations.attempts import InputFields, attempt, command_of
from app.graphql.queries.operations import Id
from app.graphql.types.operation import Operation
from app.graphql.types.user_errors import UserError


@strawberry.type(description="A long job as it is now, or why nothing was done.")
class OperationPayload:
    """A long job as it is now."""

    operation: Operation | None = strawberry.field(default=None, description="The job; null where nothing was done.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")


async def cancel_operation(info: Info, node_id: Id) -> OperationPayload:
    """Let a long job end undone."""

    async def act() -> OperationPayload:
        operation = await info.context.operations.cancel(decode_operation_id(node_id), command_of(info, None, None))
        return OperationPayload(operation=Operation(operation=operation))

    return await attempt(info, act, InputFields(root=()), lambda errors: OperationPayload(user_errors=errors))
