"""The root of all mutations."""

from __future__ import annotations

import strawberry

from app.graphql.mutations.branches import BranchPayload, DeleteBranchPayload, create_branch, delete_branch
from app.graphql.mutations.rollbacks import RollbackDatasetPayload, roll_back, undo_rollback
from app.graphql.mutations.tags import DeleteTagPayload, TagPayload, create_tag, delete_tag, move_tag


@strawberry.type(
    description="Every mutation is recorded with who asked for it and why. Refusals are in `userErrors`; then nothing "
    "was changed."
)
class Mutation:
    """The root of all mutations."""

    create_tag: TagPayload = strawberry.mutation(
        resolver=create_tag, description="Set a new tag. One that names the version already is left as it is."
    )
    move_tag: TagPayload = strawberry.mutation(resolver=move_tag, description="Point a tag to another version.")
    delete_tag: DeleteTagPayload = strawberry.mutation(
        resolver=delete_tag, description="Take a tag away; the version that it named stays."
    )
    create_branch: BranchPayload = strawberry.mutation(resolver=create_branch, description="Set a new branch.")
    delete_branch: DeleteBranchPayload = strawberry.mutation(
        resolver=delete_branch, description="Take a branch away; `main` stays."
    )
    rollback_dataset: RollbackDatasetPayload = strawberry.mutation(
        resolver=roll_back,
        description="Point a branch to another version of the dataset. What it leaves is kept under a tag, in the same "
        "commit, so that the rollback can be undone.",
    )
    undo_rollback: RollbackDatasetPayload = strawberry.mutation(
        resolver=undo_rollback, description="Point a branch back to where it was ahead of a rollback."
    )
