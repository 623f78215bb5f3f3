"""createTag, moveTag, deleteTag."""

from __future__ import annotations

import strawberry

from app.domain.changes import Command, RegistrySubject
from app.domain.names import DatasetName
from app.errors import InvalidArgumentError, placed
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.mutations.asked import asked_version, check_registered
from app.graphql.mutations.attempts import InputFields, attempt, command_of, domain_selector, table_state
from app.graphql.types.dataset import Dataset, dataset_of
from app.graphql.types.inputs import EntityRef, VersionSelector, number_of, snapshot_id_of
from app.graphql.types.interfaces import Entity, Version
from app.graphql.types.snapshot import find_snapshot
from app.graphql.types.tag import Tag, tag_of
from app.graphql.types.user_errors import Owner, UserError
from app.graphql.vertices import find_registered, find_registered_version
from app.services.outcomes import TagOutcome
from app.services.version_tagging import VersionTagOutcome

ON_DATASET = ("on", "dataset")
EXPECTED = ("expectedTarget",)
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
    dataset: Dataset | None = strawberry.field(
        default=None, description="The dataset without the tag; null where it was no dataset's."
    )
    entity: Entity | None = strawberry.field(
        default=None, description="The dataset, model or pipeline without the tag."
    )
    target: Version | None = strawberry.field(default=None, description="The version that the tag named.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")


async def create_tag(info: Info, input: CreateTagInput) -> TagPayload:  # noqa: A002  (the schema's name)
    """Set a new tag."""

    async def act() -> TagPayload:
        command = command_of(info, input.reason, input.idempotency_key)
        on = _owner(input.on)
        if not isinstance(on, DatasetName):
            at = asked_version(info, on, input.at)
            made = await info.context.version_tagging.create(on, input.name, at, command, protected=input.protected)
            return _version_tag(info, made)
        selector = await domain_selector(info, on, input.at)
        outcome = await info.context.versioning.create_tag(on, input.name, selector, command, protected=input.protected)
        return _snapshot_tag(info, outcome)

    return await attempt(
        info, act, _fields(input, version="at", selector=input.at), lambda errors: TagPayload(user_errors=errors)
    )


async def move_tag(info: Info, input: MoveTagInput) -> TagPayload:  # noqa: A002
    """Point a tag to another version."""

    async def act() -> TagPayload:
        command = command_of(info, input.reason, input.idempotency_key)
        on = _owner(input.on)
        if not isinstance(on, DatasetName):
            to = asked_version(info, on, input.to)
            expected = _expected_number(on, input.expected_target)
            moved = await info.context.version_tagging.move(
                on, input.name, to, command, expected=expected, force=input.force
            )
            return _version_tag(info, moved)
        selector = await domain_selector(info, on, input.to)
        expected = await _expected_snapshot(info, on, input.expected_target)
        outcome = await info.context.versioning.move_tag(
            on, input.name, selector, command, expected_target=expected, force=input.force
        )
        return _snapshot_tag(info, outcome)

    return await attempt(
        info, act, _fields(input, version="to", selector=input.to), lambda errors: TagPayload(user_errors=errors)
    )


async def delete_tag(info: Info, input: DeleteTagInput) -> DeleteTagPayload:  # noqa: A002
    """Take a tag away; the version that it named stays."""

    async def act() -> DeleteTagPayload:
        command = command_of(info, input.reason, input.idempotency_key)
        on = _owner(input.on)
        if not isinstance(on, DatasetName):
            return await _delete_version_tag(info, on, input, command)
        expected = await _expected_snapshot(info, on, input.expected_target)
        removal = await info.context.versioning.delete_tag(
            on, input.name, command, expected_target=expected, force=input.force
        )
        info.context.loaders.renew(removal.table)
        dataset = dataset_of(removal.table)
        return DeleteTagPayload(
            deleted_id=ids.tag_id(removal.table.state.table_uuid, removal.name),
            dataset=dataset,
            entity=dataset,
            target=find_snapshot(removal.table, removal.snapshot_id),
        )

    return await attempt(info, act, _fields(input), lambda errors: DeleteTagPayload(user_errors=errors))


async def _delete_version_tag(
    info: Info,
    subject: RegistrySubject,
    input: DeleteTagInput,  # noqa: A002
    command: Command,
) -> DeleteTagPayload:
    await check_registered(info, subject)
    expected = _expected_number(subject, input.expected_target)
    removal = await info.context.version_tagging.delete(
        subject, input.name, command, expected=expected, force=input.force
    )
    info.context.loaders.registry.clear()
    return DeleteTagPayload(
        deleted_id=ids.version_tag_id(subject, removal.name),
        entity=await find_registered(info, subject),
        target=await find_registered_version(info, subject, removal.number),
    )


def _snapshot_tag(info: Info, outcome: TagOutcome) -> TagPayload:
    info.context.loaders.renew(outcome.table)
    return TagPayload(tag=tag_of(outcome.table, outcome.tag), warnings=list(outcome.warnings))


def _version_tag(info: Info, outcome: VersionTagOutcome) -> TagPayload:
    info.context.loaders.registry.clear()
    return TagPayload(tag=Tag(of=outcome.tag), warnings=list(outcome.warnings))


def _owner(on: EntityRef) -> Owner:
    """What has the tag. Raises InvalidArgumentError, InvalidNameError."""
    on.check()
    subject = on.to_subject()
    if subject is not None:
        return subject
    if on.dataset is None:
        raise InvalidArgumentError("on", "name a dataset, a model or a pipeline")
    return on.dataset.to_name()


def _fields(
    input: CreateTagInput | MoveTagInput | DeleteTagInput,  # noqa: A002
    *,
    version: str | None = None,
    selector: VersionSelector | None = None,
) -> InputFields:
    on = input.on
    return InputFields(
        dataset=on.dataset,
        dataset_path=ON_DATASET,
        refs=(("name", input.name),),
        version=version,
        selector=selector,
        expected="expectedTarget",
        subject=on.to_subject(),
        subject_path=("on", "pipeline" if on.model is None else "model"),
    )


async def _expected_snapshot(info: Info, name: DatasetName, node_id: str | None) -> int | None:
    if node_id is None:
        return None
    with placed(*EXPECTED):
        return snapshot_id_of(node_id, await table_state(info, name), *EXPECTED)


def _expected_number(subject: RegistrySubject, node_id: str | None) -> int | None:
    if node_id is None:
        return None
    with placed(*EXPECTED):
        return number_of(node_id, subject, *EXPECTED)
