"""Changes: who did what, when and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry

from app.domain import changes
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.ids import change_id
from app.graphql.scalars import JSON
from app.graphql.types.actor import Actor, show_actor
from app.graphql.types.enums import ChangeKind, ChangeState
from app.graphql.types.interfaces import Node
from app.graphql.vertices import find_registered, find_renamed


@strawberry.type(description="Who did what, when and why.")
class Change(Node):
    """Who did what, when and why."""

    change: strawberry.Private[changes.Change]

    @field(description="Opaque and stable.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return change_id(self.change.change_id)

    @field(description="When it was done; when it was begun as long as it is not settled.")
    def at(self) -> datetime:
        """When it was done."""
        return self.change.at

    @field(description="Who did it.")
    def by(self) -> Actor | None:
        """Who did it."""
        return show_actor(self.change.actor)

    @field(description="What was done.")
    def kind(self) -> ChangeKind:
        """What was done."""
        return self.change.kind

    @field(description="Whether it took place.")
    def state(self) -> ChangeState:
        """Whether it took place."""
        return self.change.state

    @field(description="The dataset, model or pipeline that it was done to, under the name that it has now.")
    async def subject(self, info: Info) -> Annotated[Node, strawberry.lazy("app.graphql.types.interfaces")] | None:
        """What it was done to."""
        subject = self.change.subject
        if not isinstance(subject, changes.DatasetSubject):
            return await find_registered(info, subject)
        return await find_renamed(info, subject.table_uuid, subject.dataset)

    @field(description="Why it was done, in the words of who did it.")
    def reason(self) -> str | None:
        """Why it was done."""
        return self.change.reason

    @field(description="What exactly was done: refs, snapshots and numbers ahead of it and after it.")
    def details(self) -> JSON:
        """What exactly was done."""
        return JSON(dict(self.change.details))
