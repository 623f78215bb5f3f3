"""createBranch, deleteBranch."""

from __future__ import annotations

import strawberry

from app.graphql import ids
from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of, domain_selector
from app.graphql.mutations.tags import KEY_DESCRIPTION
from app.graphql.scalars import SnapshotId
from app.graphql.types.branch import Branch
from app.graphql.types.dataset import Dataset, dataset_of
from app.graphql.types.inputs import DatasetRef, VersionSelector
from app.graphql.types.snapshot import Snapshot, find_snapshot
from app.graphql.types.user_errors import UserError


@strawberry.input(description="A branch to set.")
class CreateBranchInput:
    """A branch to set."""

    dataset: DatasetRef = strawberry.field(description="The dataset.")
    name: str = strawberry.field(description="The branch's name.")
    at: VersionSelector | None = strawberry.field(default=None, description="Its head; the latest if left out.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A branch to delete. Versions that no other ref reaches may expire.")
class DeleteBranchInput:
    """A branch to delete."""

    dataset: DatasetRef = strawberry.field(description="The dataset.")
    name: str = strawberry.field(description="The branch's name.")
    expected_head: SnapshotId | None = strawberry.field(
        default=None, description="Snapshot at which the branch must be; else nothing is changed."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.type(description="A branch as it was left, or why it was not.")
class BranchPayload:
    """A branch as it was left."""

    branch: Branch | None = strawberry.field(default=None, description="The branch; null where nothing was done.")
    warnings: list[str] = strawberry.field(default_factory=list, description="What is doubtful about its name.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")


@strawberry.type(description="Where a deleted branch was, or why it was not deleted.")
class DeleteBranchPayload:
    """Where a deleted branch was."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="Node id that the branch had.")
    dataset: Dataset | None = strawberry.field(default=None, description="The dataset without the branch.")
    head: Snapshot | None = strawberry.field(default=None, description="The version at which the branch was.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")


async def create_branch(info: Info, input: CreateBranchInput) -> BranchPayload:  # noqa: A002  (the schema's name)
    """Set a new branch."""

    async def act() -> BranchPayload:
        name = input.dataset.to_name()
        at = await domain_selector(info, name, input.at)
        command = command_of(info, None, input.idempotency_key)
        outcome = await info.context.versioning.create_branch(name, input.name, at, command)
        info.context.loaders.renew(outcome.table)
        return BranchPayload(branch=Branch(table=outcome.table, ref=outcome.branch), warnings=list(outcome.warnings))

    fields = InputFields(dataset=input.dataset, refs=(("name", input.name),), version="at", selector=input.at)
    return await attempt(info, act, fields, lambda errors: BranchPayload(user_errors=errors))


async def delete_branch(info: Info, input: DeleteBranchInput) -> DeleteBranchPayload:  # noqa: A002
    """Take a branch away."""

    async def act() -> DeleteBranchPayload:
        name = input.dataset.to_name()
        command = command_of(info, None, input.idempotency_key)
        removal = await info.context.versioning.delete_branch(
            name, input.name, command, expected_head=input.expected_head
        )
        info.context.loaders.renew(removal.table)
        return DeleteBranchPayload(
            deleted_id=ids.branch_id(removal.table.state.table_uuid, removal.name),
            dataset=dataset_of(removal.table),
            head=find_snapshot(removal.table, removal.snapshot_id),
        )

    fields = InputFields(dataset=input.dataset, refs=(("name", input.name),))
    return await attempt(info, act, fields, lambda errors: DeleteBranchPayload(user_errors=errors))
