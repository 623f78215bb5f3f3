"""rollbackDataset, undoRollback."""

from __future__ import annotations

import strawberry

from app.domain.history import MAIN
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.mutations.attempts import InputFields, attempt, command_of, domain_selector
from app.graphql.mutations.tags import KEY_DESCRIPTION, REASON_DESCRIPTION
from app.graphql.scalars import SnapshotId
from app.graphql.types.dataset import Dataset, dataset_of
from app.graphql.types.impact import Impact
from app.graphql.types.inputs import DatasetRef, VersionSelector
from app.graphql.types.snapshot import Snapshot, find_snapshot
from app.graphql.types.tag import Tag, tag_of
from app.graphql.types.user_errors import UserError
from app.services.outcomes import RollbackOutcome

HEAD_DESCRIPTION = "Snapshot at which the branch must be; else nothing is changed."


@strawberry.input(description="A version to go back to.")
class RollbackDatasetInput:
    """A version to go back to."""

    dataset: DatasetRef = strawberry.field(description="The dataset.")
    to: VersionSelector = strawberry.field(description="The version; any of the table's, an ancestor or not.")
    branch: str = strawberry.field(default=MAIN, description="The branch to roll back.")
    expected_head: SnapshotId | None = strawberry.field(default=None, description=HEAD_DESCRIPTION)
    reason: str = strawberry.field(description=REASON_DESCRIPTION)
    dry_run: bool = strawberry.field(default=False, description="Whether to say only what would be done.")
    restore_schema: bool = strawberry.field(
        default=False, description="Whether the table gets the version's schema back; else it keeps its current one."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A rollback to take back.")
class UndoRollbackInput:
    """A rollback to take back."""

    dataset: DatasetRef = strawberry.field(description="The dataset.")
    undo_tag: str = strawberry.field(description="Name of the tag that the rollback left: `pre_rollback_…`.")
    expected_head: SnapshotId | None = strawberry.field(default=None, description=HEAD_DESCRIPTION)
    reason: str = strawberry.field(description=REASON_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.type(description="What a rollback did, or would do; or why it did nothing.")
class RollbackDatasetPayload:
    """What a rollback did, or would do."""

    dataset: Dataset | None = strawberry.field(default=None, description="The dataset as it is now.")
    previous: Snapshot | None = strawberry.field(default=None, description="Where the branch was.")
    current: Snapshot | None = strawberry.field(
        default=None, description="Where the branch is; in a dry run, would be."
    )
    undo_tag: Tag | None = strawberry.field(
        default=None,
        description="The tag that keeps what the branch left; null where other refs do. In a dry run, one like it.",
    )
    schema_warning: str | None = strawberry.field(
        default=None, description="How the schema that the table keeps differs from the version's own."
    )
    restored_schema: bool = strawberry.field(
        default=False, description="Whether the table's schema changed along; in a dry run, would change."
    )
    dry_run: bool = strawberry.field(description="Whether nothing was to be changed.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")
    outcome: strawberry.Private[RollbackOutcome | None] = None

    @field(
        description="What depends on the snapshots that the branch leaves behind: who read them, what was made from "
        "that, which models were trained on them. Null, and an error, while the store of the graph is away."
    )
    async def impact(self, info: Info) -> Impact | None:
        """What depends on the snapshots that the branch leaves behind.

        Only where it is asked for, because it costs more than the rollback; it says the same before and after it.
        """
        if self.outcome is None:
            return None
        done = self.outcome
        found = await info.context.impacts.of_rollback(done.table, done.previous_id, done.current_id)
        return Impact(found=found)


async def roll_back(info: Info, input: RollbackDatasetInput) -> RollbackDatasetPayload:  # noqa: A002
    """Point a branch to another version, and keep what it leaves under a tag."""

    async def act() -> RollbackDatasetPayload:
        name = input.dataset.to_name()
        to = await domain_selector(info, name, input.to)
        outcome = await info.context.versioning.roll_back(
            name,
            to,
            command_of(info, input.reason, input.idempotency_key),
            branch=input.branch,
            expected_head=input.expected_head,
            restore_schema=input.restore_schema,
            dry_run=input.dry_run,
        )
        return _payload(info, outcome)

    fields = InputFields(dataset=input.dataset, refs=(("branch", input.branch),), version="to", selector=input.to)
    return await attempt(
        info, act, fields, lambda errors: RollbackDatasetPayload(dry_run=input.dry_run, user_errors=errors)
    )


async def undo_rollback(info: Info, input: UndoRollbackInput) -> RollbackDatasetPayload:  # noqa: A002
    """Point a branch back to where it was ahead of a rollback."""

    async def act() -> RollbackDatasetPayload:
        name = input.dataset.to_name()
        command = command_of(info, input.reason, input.idempotency_key)
        outcome = await info.context.versioning.undo_rollback(
            name, input.undo_tag, command, expected_head=input.expected_head
        )
        return _payload(info, outcome)

    fields = InputFields(dataset=input.dataset, refs=(("undoTag", input.undo_tag),), version="undoTag")
    return await attempt(info, act, fields, lambda errors: RollbackDatasetPayload(dry_run=False, user_errors=errors))


def _payload(info: Info, outcome: RollbackOutcome) -> RollbackDatasetPayload:
    table = outcome.table
    info.context.loaders.renew(table)
    return RollbackDatasetPayload(
        dataset=dataset_of(table),
        previous=find_snapshot(table, outcome.previous_id),
        current=find_snapshot(table, outcome.current_id),
        undo_tag=tag_of(table, outcome.undo_tag) if outcome.undo_tag else None,
        schema_warning=outcome.schema_warning,
        restored_schema=outcome.restored_schema,
        dry_run=outcome.dry_run,
        outcome=outcome,
    )
