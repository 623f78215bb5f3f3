"""runCompaction."""

from __future__ import annotations

import strawberry

from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of
from app.graphql.mutations.operations import OperationPayload
from app.graphql.mutations.tags import KEY_DESCRIPTION, REASON_DESCRIPTION
from app.graphql.types.compaction import CompactionPolicyInput
from app.graphql.types.inputs import DatasetRef
from app.graphql.types.operation import Operation
from app.services.compaction.sweeps import Limits
from app.services.retention_sweeps import Chosen


@strawberry.input(description="Of which datasets files are brought together: give `dataset`, `namespace` or `all`.")
class RunCompactionInput:
    """Of which datasets files are brought together."""

    dataset: DatasetRef | None = strawberry.field(default=None, description="This dataset alone.")
    namespace: str | None = strawberry.field(default=None, description="All datasets of this very namespace.")
    all: bool = strawberry.field(default=False, description="All datasets.")
    policy: CompactionPolicyInput | None = strawberry.field(
        default=None, description="What to ask of the policy; else as the server has it."
    )
    dry_run: bool = strawberry.field(
        default=True, description="Whether to tell what would be done, and change nothing."
    )
    budget: str | None = strawberry.field(
        default=None,
        description="How much may be done: an amount of data to be rewritten (`10GB`), or a time (`30m`), with looking "
        "at the datasets, after which none but the best is begun. It goes to what gains most for the bytes that it "
        "takes.",
    )
    due_only: bool = strawberry.field(
        default=False,
        description="Whether to leave out datasets whose turn has not come by their schedule: gold every four weeks, "
        "silver every two, all others every week, but platinum never, or as the property "
        "`stratigraph.compaction.schedule` of a table says.",
    )
    skip_active: str | None = strawberry.field(
        default=None,
        description="Leave out datasets that were written to so lately: `15m`. With `dueOnly` it is that unless given.",
    )
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


async def run_compaction(info: Info, input: RunCompactionInput) -> OperationPayload:  # noqa: A002
    """Let a worker bring small files together, or tell which it would."""

    async def act() -> OperationPayload:
        chosen = Chosen(
            dataset=None if input.dataset is None else input.dataset.to_name(),
            namespace=input.namespace,
            is_all=input.all,
        )
        operation = await info.context.compaction_operations.start(
            chosen,
            (input.policy or CompactionPolicyInput()).overrides(),
            command_of(info, input.reason, input.idempotency_key),
            Limits.parse(budget=input.budget, is_due_only=input.due_only, skip_active=input.skip_active),
            is_dry_run=input.dry_run,
        )
        return OperationPayload(operation=Operation(operation=operation))

    parts: dict[tuple[str, ...], InputFields] = {("policy",): InputFields(prefix=("policy",), root=())}
    fields = InputFields(dataset=input.dataset, parts=parts)
    return await attempt(info, act, fields, lambda errors: OperationPayload(user_errors=errors))
