"""runRetention."""

from __future__ import annotations

import strawberry

from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of
from app.graphql.mutations.operations import OperationPayload
from app.graphql.mutations.tags import KEY_DESCRIPTION, REASON_DESCRIPTION
from app.graphql.types.inputs import DatasetRef
from app.graphql.types.operation import Operation
from app.graphql.types.retention import RetentionPolicyInput
from app.services.retention_sweeps import Chosen


@strawberry.input(description="Of which datasets what is to expire: give `dataset`, `namespace` or `all`.")
class RunRetentionInput:
    """Of which datasets what is to expire."""

    dataset: DatasetRef | None = strawberry.field(default=None, description="This dataset alone.")
    namespace: str | None = strawberry.field(default=None, description="All datasets of this very namespace.")
    all: bool = strawberry.field(default=False, description="All datasets.")
    policy: RetentionPolicyInput | None = strawberry.field(
        default=None, description="What to ask of the policy; else as the server has it."
    )
    dry_run: bool = strawberry.field(
        default=True, description="Whether to tell what would be done, with the bytes, and change nothing."
    )
    allow_zero_days: bool = strawberry.field(
        default=False,
        description="Has to be given, beside `dryRun: false`, for a policy of 0 days: it expires all that nothing else "
        "keeps.",
    )
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


async def run_retention(info: Info, input: RunRetentionInput) -> OperationPayload:  # noqa: A002
    """Let a worker expire snapshots, or tell which it would expire."""

    async def act() -> OperationPayload:
        chosen = Chosen(
            dataset=None if input.dataset is None else input.dataset.to_name(),
            namespace=input.namespace,
            is_all=input.all,
        )
        operation = await info.context.retention_operations.start(
            chosen,
            (input.policy or RetentionPolicyInput()).overrides(allow_zero_days=input.allow_zero_days),
            command_of(info, input.reason, input.idempotency_key),
            is_dry_run=input.dry_run,
        )
        return OperationPayload(operation=Operation(operation=operation))

    parts: dict[tuple[str, ...], InputFields] = {("policy",): InputFields(prefix=("policy",), root=())}
    fields = InputFields(dataset=input.dataset, parts=parts)
    return await attempt(info, act, fields, lambda errors: OperationPayload(user_errors=errors))
