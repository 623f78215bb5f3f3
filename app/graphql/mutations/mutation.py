"""The root of all mutations."""

from __future__ import annotations

import strawberry

from app.graphql.mutations.archive_model import archive_model_version
from app.graphql.mutations.branches import BranchPayload, DeleteBranchPayload, create_branch, delete_branch
from app.graphql.mutations.compaction import run_compaction
from app.graphql.mutations.holds import HoldPayload, place_hold, release_hold
from app.graphql.mutations.operations import OperationPayload, cancel_operation
from app.graphql.mutations.orphans import remove_orphans
from app.graphql.mutations.promotions import RecordDatasetPromotionPayload, record_dataset_promotion
from app.graphql.mutations.register_model import ModelVersionPayload, register_model_version
from app.graphql.mutations.register_pipeline import PipelineVersionPayload, register_pipeline_version
from app.graphql.mutations.retention import run_retention
from app.graphql.mutations.rollbacks import RollbackDatasetPayload, roll_back, undo_rollback
from app.graphql.mutations.row_diffs import start_row_diff
from app.graphql.mutations.runs import PipelineRunPayload, record_pipeline_run
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
    register_model_version: ModelVersionPayload = strawberry.mutation(
        resolver=register_model_version,
        description="Register the next version of a model, and the model where it is new. The snapshots that it was "
        "trained on are kept by protected tags, which are set before the version is recorded.",
    )
    archive_model_version: ModelVersionPayload = strawberry.mutation(
        resolver=archive_model_version,
        description="Take a version of a model out of use: its record stays, and what it was trained on is no longer "
        "kept for it.",
    )
    register_pipeline_version: PipelineVersionPayload = strawberry.mutation(
        resolver=register_pipeline_version,
        description="Register the next version of a pipeline, and the pipeline where it is new. What is as the latest "
        "version is makes no new one.",
    )
    record_pipeline_run: PipelineRunPayload = strawberry.mutation(
        resolver=record_pipeline_run,
        description="Record a run, its begin, its end or both; what was recorded of it before is merged with it, in "
        "whatever order. The same twice changes nothing.",
    )
    record_dataset_promotion: RecordDatasetPromotionPayload = strawberry.mutation(
        resolver=record_dataset_promotion,
        description="Record that a version of a dataset was made from a version of another one, where no run reports "
        "it. The same twice changes nothing.",
    )
    start_row_diff: OperationPayload = strawberry.mutation(
        resolver=start_row_diff,
        description="Compare the rows of two versions as a long job, however much it reads. Its result has the shape "
        "of `GET /api/v1/compare/datasets/{ns}/{table}/data`.",
    )
    run_retention: OperationPayload = strawberry.mutation(
        resolver=run_retention,
        description="Expire snapshots by the policy as a long job, or with `dryRun`, which is the default, tell what "
        "would expire. What fails at one dataset is told with it, and the others are done all the same. Its result has "
        "the shape of `POST /api/v1/retention/runs`.",
    )
    run_compaction: OperationPayload = strawberry.mutation(
        resolver=run_compaction,
        description="Bring small files together and apply deletes as a long job, or with `dryRun`, which is the "
        "default, tell what would be done. The rows stay the same, and so do all earlier versions. What gains most "
        "comes first; what fails at one dataset is told with it, and the others are done all the same. Cancelled, it "
        "commits the bins that are made, and stops. Its result has the shape of `POST /api/v1/compaction/runs`.",
    )
    remove_orphans: OperationPayload = strawberry.mutation(
        resolver=remove_orphans,
        description="Remove files that lie with a dataset and that it does not reach as a long job, or with `dryRun`, "
        "which is the default, tell which there are. Its result has the shape of "
        "`POST /api/v1/datasets/{ns}/{table}/orphans/removals`.",
    )
    place_hold: HoldPayload = strawberry.mutation(
        resolver=place_hold,
        description="Keep a version of a dataset, in any engine, until the hold is released. It is set as a protected "
        "tag; a tag that is lost is set again before anything expires.",
    )
    release_hold: HoldPayload = strawberry.mutation(
        resolver=release_hold,
        description="Release a hold: its tag is removed, and its version expires once nothing else keeps it. Releasing "
        "twice changes nothing.",
    )
    cancel_operation: OperationPayload = strawberry.mutation(
        resolver=cancel_operation,
        description="Let a long job end undone. What waits is cancelled at once; what runs is stopped by its worker "
        "within a second or so, and is RUNNING until then. Cancelling twice changes nothing.",
    )
