"""recordDatasetPromotion."""

from __future__ import annotations

import strawberry

from app.errors import placed
from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of, domain_selector
from app.graphql.mutations.tags import REASON_DESCRIPTION
from app.graphql.types.dataset import Dataset, dataset_of
from app.graphql.types.inputs import DatasetRef, VersionSelector
from app.graphql.types.snapshot import Snapshot, find_snapshot
from app.graphql.types.user_errors import UserError

SOURCE, TARGET = ("source",), ("target",)


@strawberry.input(description="A version of a dataset that was made from a version of another one.")
class RecordDatasetPromotionInput:
    """A version of a dataset that was made from a version of another one."""

    source: DatasetRef = strawberry.field(description="The dataset that it was made from.")
    source_at: VersionSelector = strawberry.field(description="The version that it was made from.")
    target: DatasetRef = strawberry.field(description="The dataset that was made.")
    target_at: VersionSelector = strawberry.field(description="The version that was made.")
    pipeline_id: str | None = strawberry.field(
        default=None, description="The pipeline that made it; it is made known where it is new."
    )
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)


@strawberry.type(description="What was recorded, or why nothing was.")
class RecordDatasetPromotionPayload:
    """What was recorded."""

    dataset: Dataset | None = strawberry.field(default=None, description="The dataset that was made.")
    source: Snapshot | None = strawberry.field(default=None, description="The version that it was made from.")
    target: Snapshot | None = strawberry.field(default=None, description="The version that was made.")
    unchanged: bool = strawberry.field(default=False, description="Whether it was recorded before.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was recorded.")


async def record_dataset_promotion(
    info: Info,
    input: RecordDatasetPromotionInput,  # noqa: A002  (the schema's name)
) -> RecordDatasetPromotionPayload:
    """Record a promotion."""

    async def act() -> RecordDatasetPromotionPayload:
        with placed(*SOURCE):
            source = input.source.to_name()
            source_at = await domain_selector(info, source, input.source_at)
        with placed(*TARGET):
            target = input.target.to_name()
            target_at = await domain_selector(info, target, input.target_at)
        command = command_of(info, input.reason, None)
        done = await info.context.promoting.record(
            source, source_at, target, target_at, command, pipeline_id=input.pipeline_id
        )
        info.context.loaders.registry.clear()
        for table in (done.source, done.target):
            info.context.loaders.renew(table)
        return RecordDatasetPromotionPayload(
            dataset=dataset_of(done.target),
            source=find_snapshot(done.source, done.source_id),
            target=find_snapshot(done.target, done.target_id),
            unchanged=done.is_unchanged,
        )

    fields = InputFields(
        subject_path=("pipelineId",),
        parts={
            SOURCE: InputFields(
                dataset=input.source, dataset_path=SOURCE, version="sourceAt", selector=input.source_at
            ),
            TARGET: InputFields(
                dataset=input.target, dataset_path=TARGET, version="targetAt", selector=input.target_at
            ),
        },
    )
    return await attempt(info, act, fields, lambda errors: RecordDatasetPromotionPayload(user_errors=errors))
