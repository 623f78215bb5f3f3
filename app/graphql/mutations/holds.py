"""placeHold and releaseHold."""

from __future__ import annotations

import strawberry

from app.graphql.context import Info
from app.graphql.mutations.attempts import InputFields, attempt, command_of, domain_selector
from app.graphql.mutations.tags import KEY_DESCRIPTION
from app.graphql.types.hold import Hold
from app.graphql.types.inputs import DatasetRef, VersionSelector
from app.graphql.types.user_errors import UserError


@strawberry.input(description="A version of a dataset to keep until further notice.")
class PlaceHoldInput:
    """A version of a dataset to keep."""

    on: DatasetRef = strawberry.field(description="The dataset.")
    at: VersionSelector | None = strawberry.field(default=None, description="The version; the latest if left out.")
    reason: str = strawberry.field(description="What it is for; whoever wants to release it will read this.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY_DESCRIPTION)


@strawberry.input(description="A hold that is needed no more.")
class ReleaseHoldInput:
    """A hold that is needed no more."""

    hold_id: strawberry.ID = strawberry.field(description="Its `holdId`.")
    reason: str = strawberry.field(description="Why it is needed no more.")


@strawberry.type(description="A hold as it is now, or why nothing was done.")
class HoldPayload:
    """A hold as it is now."""

    hold: Hold | None = strawberry.field(default=None, description="The hold; null where nothing was done.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was done.")


async def place_hold(info: Info, input: PlaceHoldInput) -> HoldPayload:  # noqa: A002
    """Keep a version until the hold is released."""

    async def act() -> HoldPayload:
        command = command_of(info, input.reason, input.idempotency_key)
        name = input.on.to_name()
        at = await domain_selector(info, name, input.at)
        hold = await info.context.holding.place(name, at, command)
        info.context.loaders.forget(name)
        return HoldPayload(hold=Hold(hold=hold))

    fields = InputFields(dataset=input.on, dataset_path=("on",), version="at", selector=input.at)
    return await attempt(info, act, fields, lambda errors: HoldPayload(user_errors=errors))


async def release_hold(info: Info, input: ReleaseHoldInput) -> HoldPayload:  # noqa: A002
    """Keep a version no longer for a hold."""

    async def act() -> HoldPayload:
        hold = await info.context.holding.release(input.hold_id, command_of(info, input.reason, None))
        info.context.loaders.forget(hold.dataset)
        return HoldPayload(hold=Hold(hold=hold))

    return await attempt(info, act, InputFields(), lambda errors: HoldPayload(user_errors=errors))
