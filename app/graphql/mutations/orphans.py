"""removeOrphans."""

from __future__ import annotations

import strawberry

from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of
from app.graphql.mutations.operations import OperationPayload
from app.graphql.mutations.tags import KEY_DESCRIPTION, REASON_DESCRIPTION
from app.graphql.types.inputs import DatasetRef
from app.graphql.types.operation import Operation
from app.services.orphans import DEFAULT_DAYS, OrphanAge


@strawberry.input(description="A dataset, and how old its orphans have to be.")
class RemoveOrphansInput:
    """A dataset, and how old its orphans have to be."""

    dataset: DatasetRef = strawberry.field(description="The dataset.")
    older_than_days: float = strawberry.field(
        default=DEFAULT_DAYS,
        description="Only what was last modified so many days ago: younger files may be about to be committed.",
    )
    force: bool = strawberry.field(
        default=False, description="Has to be given for less than a day, in which a writer may be about to commit."
    )
    dry_run: bool = strawberry.field(default=True, description="Whether to tell what there is, and change nothing.")
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


async def remove_orphans(info: Info, input: RemoveOrphansInput) -> OperationPayload:  # noqa: A002
    """Let a worker remove files that a dataset does not reach, or tell which it would remove."""

    async def act() -> OperationPayload:
        operation = await info.context.orphan_operations.start(
            input.dataset.to_name(),
            OrphanAge(days=input.older_than_days, is_forced=input.force),
            command_of(info, input.reason, input.idempotency_key),
            is_dry_run=input.dry_run,
        )
        return OperationPayload(operation=Operation(operation=operation))

    fields = InputFields(dataset=input.dataset)
    return await attempt(info, act, fields, lambda errors: OperationPayload(user_errors=errors))
