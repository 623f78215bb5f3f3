"""Holds: snapshots that somebody wants kept until further notice."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.domain import holds
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.scalars import SnapshotId
from app.graphql.types.actor import Actor, show_actor
from app.graphql.types.enums import HoldState
from app.graphql.types.interfaces import Node
from app.graphql.types.snapshot import Snapshot, find_snapshot
from app.graphql.vertices import find_renamed

if TYPE_CHECKING:
    from app.graphql.types.dataset import Dataset


@strawberry.type(
    description="A snapshot that is kept until the hold is released, by a protected tag that every engine's expiry "
    "leaves alone. Holds are remembered once they are released."
)
class Hold(Node):
    """A snapshot that is kept until the hold is released."""

    hold: strawberry.Private[holds.Hold]

    @field(description="Opaque and stable.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return ids.hold_id(self.hold.hold_id)

    @field(description="The hold's own id, by which it is released.")
    def hold_id(self) -> strawberry.ID:
        """The hold's own id."""
        return strawberry.ID(self.hold.hold_id)

    @field(description="The dataset, under the name that it has now.")
    async def dataset(self, info: Info) -> Annotated[Dataset, strawberry.lazy("app.graphql.types.dataset")]:
        """The dataset."""
        return await find_renamed(info, self.hold.table_uuid, self.hold.dataset)

    @field(description="Iceberg's id of the snapshot.")
    def snapshot_id(self) -> SnapshotId:
        """Iceberg's id of the snapshot."""
        return SnapshotId(self.hold.snapshot_id)

    @field(description="The snapshot; null where the dataset has it no more.")
    async def snapshot(self, info: Info) -> Snapshot | None:
        """The snapshot."""
        table = await info.context.loaders.find_table(self.hold.table_uuid, self.hold.dataset)
        return None if table is None else find_snapshot(table, self.hold.snapshot_id)

    @field(description="The tag that keeps it.")
    def tag_name(self) -> str:
        """The tag that keeps it."""
        return self.hold.tag

    @field(description="How it stands.")
    def state(self) -> HoldState:
        """How it stands."""
        return self.hold.state

    @field(description="Who placed it.")
    def placed_by(self) -> Actor:
        """Who placed it."""
        return show_actor(self.hold.placed_by)

    @field(description="When it was placed.")
    def placed_at(self) -> datetime:
        """When it was placed."""
        return self.hold.placed_at

    @field(description="What it is for, in the words of who placed it.")
    def reason(self) -> str:
        """What it is for."""
        return self.hold.reason

    @field(description="Who released it; null as long as nobody has.")
    def released_by(self) -> Actor | None:
        """Who released it."""
        return None if self.hold.released_by is None else show_actor(self.hold.released_by)

    @field(description="When it was released.")
    def released_at(self) -> datetime | None:
        """When it was released."""
        return self.hold.released_at

    @field(description="Why it was released.")
    def release_reason(self) -> str | None:
        """Why it was released."""
        return self.hold.release_reason
