"""createTag, moveTag, deleteTag."""

from __future__ import annotations

import strawberry

from app.domain.names import DatasetName
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of, domain_selector, table_state
from app.graphql.types.dataset import Dataset, dataset_of
from app.graphql.types.inputs import EntityRef, VersionSelector, snapshot_id_of
from app.graphql.types.interfaces import Version
from app.graphql.types.snapshot import find_snapshot
from app.graphql.types.tag import Tag
from app.graphql.types.user_errors import UserError

ON_DATASET = ("on", "dataset")
KEY_DESCRIPTION = "A request with the same key and input is done once, and answered the same."
REASON_DESCRIPTION = "Why, for the record."
FORCE_DESCRIPTION = "Whether to do it to a protected tag too."
TARGET_DESCRIPTION = "Node id of the version at which the tag must be; else nothing is changed."


@strawberry.input(description="A tag to set.")
class CreateTagInput:
    """A tag to set."""

    on: EntityRef = strawberry.field(description="What to tag a version of.")
    at: VersionSelector | None = strawberry.field(default=None, description="The version; the latest if left out.")
    name: str = strawberry.field(description="The tag's name.")
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    protected: bool = strawberry.field(default=False, description="Whether it shall need `force` to move or delete it.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A tag to move to another version.")
class MoveTagInput:
    """A tag to move."""

    on: EntityRef = strawberry.field(description="What has the tag.")
    name: str = strawberry.field(description="The tag's name.")
    to: VersionSelector = strawberry.field(description="The version that it shall name.")
    expected_target: strawberry.ID | None = strawberry.field(default=None, description=TARGET_DESCRIPTION)
    force: bool = strawberry.field(default=False, description=FORCE_DESCRIPTION)
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A tag to delete. The version stays.")
class DeleteTagInput:
    """A tag to delete."""

    on: EntityRef = strawberry.field(description="What has the tag.")
    name: str = strawberry.field(description="The tag's name.")
    expected_target: strawberry.ID | None = strawberry.field(default=None, description=TARGET_DESCRIPTION)
    force: bool = strawberry.field(default=False, description=FORCE_DESCRIPTION)
    reason: str | None = strawberry.field(default=None, description=REASON_DESCRIPTION)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.type(description="A tag as it was left, or why it was not.")
class TagPayload:
    """A tag as it was left."""

    tag: Tag | None = strawberry.field(default=None, description="The tag; null where nothing was done.")
    warnings: list[str] = strawberry.field(default_factory=list, description="What is doubtful about its name.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")


@strawberry.type(description="What a deleted tag named, or why it was not deleted.")
class DeleteTagPayload:
    """What a deleted tag named."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="Node id that the tag had.")
    dataset: Dataset | None = strawberry.field(default=None, description="The dataset without the tag.")
    target: Version | None = strawberry.field(default=None, description="The version that the tag named.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")


async def create_tag(info: Info, input: CreateTagInput) -> TagPayload:  # noqa: A002  (the schema's name)
    """Set a new tag."""

    async def act() -> TagPayload:
        name = input.on.to_name()
        at = await domain_selector(info, name, input.at)
        command = command_of(info, input.reason, input.idempotency_key)
        outcome = await info.context.versioning.create_tag(name, input.name, at, command, protected=input.protected)
        info.context.loaders.renew(outcome.table)
        return TagPayload(tag=Tag(table=outcome.table, ref=outcome.tag), warnings=list(outcome.warnings))

    fields = InputFields(
        dataset=input.on.dataset,
        dataset_path=ON_DATASET,
        refs=(("name", input.name),),
        version="at",
        selector=input.at,
    )
    return await attempt(info, act, fields, lambda errors: TagPayload(user_errors=errors))


async def move_tag(info: Info, input: MoveTagInput) -> TagPayload:  # noqa: A002
    """Point a tag to another version."""

    async def act() -> TagPayload:
        name = input.on.to_name()
        to = await domain_selector(info, name, input.to)
        expected = await _expected(info, name, input.expected_target)
        command = command_of(info, input.reason, input.idempotency_key)
        outcome = await info.context.versioning.move_tag(
            name, input.name, to, command, expected_target=expected, force=input.force
        )
        info.context.loaders.renew(outcome.table)
        return TagPayload(tag=Tag(table=outcome.table, ref=outcome.tag), warnings=list(outcome.warnings))

    fields = InputFields(
        dataset=input.on.dataset,
        dataset_path=ON_DATASET,
        refs=(("name", input.name),),
        version="to",
        selector=input.to,
        expected="expectedTarget",
    )
    return await attempt(info, act, fields, lambda errors: TagPayload(user_errors=errors))


async def delete_tag(info: Info, input: DeleteTagInput) -> DeleteTagPayload:  # noqa: A002
    """Take a tag away; the version that it named stays."""

    async def act() -> DeleteTagPayload:
        name = input.on.to_name()
        expected = await _expected(info, name, input.expected_target)
        command = command_of(info, input.reason, input.idempotency_key)
        removal = await info.context.versioning.delete_tag(
            name, input.name, command, expected_target=expected, force=input.force
        )
        info.context.loaders.renew(removal.table)
        return DeleteTagPayload(
            deleted_id=ids.tag_id(removal.table.state.table_uuid, removal.name),
            dataset=dataset_of(removal.table),
            target=find_snapshot(removal.table, removal.snapshot_id),
        )

    fields = InputFields(
        dataset=input.on.dataset, dataset_path=ON_DATASET, refs=(("name", input.name),), expected="expectedTarget"
    )
    return await attempt(info, act, fields, lambda errors: DeleteTagPayload(user_errors=errors))


async def _expected(info: Info, name: DatasetName, node_id: str | None) -> int | None:
    if node_id is None:
        return None
    return snapshot_id_of(node_id, await table_state(info, name), "expectedTarget")
