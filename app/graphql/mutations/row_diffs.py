"""startRowDiff."""

from __future__ import annotations

import strawberry

from app.domain.row_diffs import RowDiffRequest
from app.errors import placed
from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of
from app.graphql.mutations.operations import OperationPayload
from app.graphql.mutations.tags import KEY_DESCRIPTION, REASON_DESCRIPTION
from app.graphql.types.inputs import DatasetRef, VersionSelector
from app.graphql.types.operation import Operation


@strawberry.input(description="Two versions whose rows are to be compared.")
class StartRowDiffInput:
    """Two versions whose rows are to be compared."""

    dataset: DatasetRef = strawberry.field(description="The dataset.")
    from_: VersionSelector = strawberry.field(name="from", description="The version compared from.")
    to: VersionSelector | None = strawberry.field(
        default=None, description="The version compared to; the latest unless given."
    )
    to_dataset: DatasetRef | None = strawberry.field(
        default=None, description="The dataset that `to` is a version of, where it is another one."
    )
    keys: list[str] | None = strawberry.field(
        default=None, description="Columns that identify rows; the table's identifier fields unless given."
    )
    sample_size: int = strawberry.field(default=100, description="How many rows of each kind to show, 0 to 1,000.")
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


async def start_row_diff(info: Info, input: StartRowDiffInput) -> OperationPayload:  # noqa: A002
    """Let a worker compare the rows of two versions, however much it reads."""

    async def act() -> OperationPayload:
        asked = RowDiffRequest(keys=None if input.keys is None else tuple(input.keys), sample_size=input.sample_size)
        context = info.context
        table = await context.datasets.load(input.dataset.to_name())
        with placed("toDataset"):
            other = table if input.to_dataset is None else await context.datasets.load(input.to_dataset.to_name())
        with placed("from"):
            from_version = input.from_.to_domain(table.state)
        with placed("to"):
            to_version = None if input.to is None else input.to.to_domain(other.state)
        compared = await context.comparing.resolve(table, from_version, other, to_version)
        operation = await context.row_diff_operations.start(
            compared,
            asked,
            command_of(info, input.reason, input.idempotency_key),
            from_version=str(compared.before.snapshot_id),
            to_version=str(compared.after.snapshot_id),
        )
        return OperationPayload(operation=Operation(operation=operation))

    parts: dict[tuple[str, ...], InputFields] = {
        ("from",): InputFields(version="from", selector=input.from_, root=()),
        ("to",): InputFields(version="to", selector=input.to, root=()),
        ("toDataset",): InputFields(dataset=input.to_dataset, dataset_path=("toDataset",), root=()),
    }
    fields = InputFields(dataset=input.dataset, parts=parts)
    return await attempt(info, act, fields, lambda errors: OperationPayload(user_errors=errors))
