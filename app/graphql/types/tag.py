"""Tags: names that stay where they are put."""

from __future__ import annotations

from datetime import datetime

import strawberry

from app.domain.changes import TagRecord
from app.domain.history import Ref
from app.domain.tags import find_convention, find_protection
from app.errors import AppError
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.ids import tag_id
from app.graphql.types.actor import Actor, show_actor
from app.graphql.types.enums import TagConvention
from app.graphql.types.interfaces import Node, Version
from app.lake.table import LakeTable


@strawberry.federation.type(keys=["id"], description="A name for a version; of a dataset's, an Iceberg ref.")
class Tag(Node):
    """A name for a version."""

    table: strawberry.Private[LakeTable]
    ref: strawberry.Private[Ref]

    @field(description="Opaque, and stable as long as the tag exists.")
    def id(self) -> strawberry.ID:
        """Node id."""
        return tag_id(self.table.state.table_uuid, self.ref.name)

    @field(description="The tag's name.")
    def name(self) -> str:
        """The tag's name."""
        return self.ref.name

    @field(description="The version that it names.")
    def target(self) -> Version:
        """The snapshot that it names."""
        # Snapshots have tags, and tags name snapshots: one of the two modules has to wait for the other.
        from app.graphql.types.snapshot import snapshot_of

        return snapshot_of(self.table, self.ref.snapshot_id)

    @field(description="The naming convention that it follows, if any.")
    def convention(self) -> TagConvention | None:
        """The convention that its name follows."""
        return find_convention(self.ref.name)

    @field(description="Whether it is neither moved nor deleted without `force`.")
    async def protected(self, info: Info) -> bool:
        """Whether it needs `force`; by its name alone where the record of what was asked for cannot be read."""
        try:
            record = await self._record(info)
        except AppError as error:
            info.context.report(error, info.path)
            record = None
        return find_protection(self.ref.name, is_requested=bool(record and record.is_protection_requested)) is not None

    @field(description="When it was set here; null where another engine set it.")
    async def created_at(self, info: Info) -> datetime | None:
        """When it was set."""
        record = await self._record(info)
        return record.set_at if record else None

    @field(description="Who set it here.")
    async def created_by(self, info: Info) -> Actor | None:
        """Who set it."""
        record = await self._record(info)
        return show_actor(record.set_by) if record and record.set_by else None

    @field(description="Why it was set here.")
    async def reason(self, info: Info) -> str | None:
        """Why it was set."""
        record = await self._record(info)
        return record.reason if record else None

    async def _record(self, info: Info) -> TagRecord | None:
        record = await info.context.loaders.tag_records.load((self.table.state.table_uuid, self.ref.name))
        # Another engine may have moved the tag since: then what is recorded is not about this tag.
        return record if record and record.snapshot_id == self.ref.snapshot_id else None
