"""Tags: names that stay where they are put."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import strawberry

from app.domain.changes import ModelSubject, TagRecord
from app.domain.history import Ref
from app.domain.tags import find_convention, find_protection
from app.errors import AppError, VersionNotFoundError
from app.graphql import ids
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.types.actor import Actor, show_actor
from app.graphql.types.enums import TagConvention
from app.graphql.types.interfaces import Node, Version
from app.lake.table import LakeTable
from app.registry.version_tags import VersionTag


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTag:
    """A tag on a snapshot: an Iceberg ref."""

    table: LakeTable
    ref: Ref


@strawberry.federation.type(
    keys=["id"],
    description="A name for a version: of a dataset's an Iceberg ref, of a model's or a pipeline's one kept here.",
)
class Tag(Node):
    """A name for a version."""

    of: strawberry.Private[SnapshotTag | VersionTag]

    @field(description="Opaque, and stable as long as the tag exists.")
    def id(self) -> strawberry.ID:
        """Node id."""
        if isinstance(self.of, VersionTag):
            return ids.version_tag_id(self.of.subject, self.of.name)
        return ids.tag_id(self.of.table.state.table_uuid, self.of.ref.name)

    @field(description="The tag's name.")
    def name(self) -> str:
        """The tag's name."""
        return self.of.name if isinstance(self.of, VersionTag) else self.of.ref.name

    @field(description="The version that it names.")
    async def target(self, info: Info) -> Version:
        """The version that it names."""
        # Versions have tags, and tags name versions: one of the modules has to wait for the other.
        from app.graphql.types.snapshot import snapshot_of

        if isinstance(self.of, VersionTag):
            return await _numbered_version(info, self.of)
        return snapshot_of(self.of.table, self.of.ref.snapshot_id)

    @field(description="The naming convention that it follows, if any.")
    def convention(self) -> TagConvention | None:
        """The convention that its name follows."""
        return find_convention(self.name())

    @field(description="Whether it is neither moved nor deleted without `force`.")
    async def protected(self, info: Info) -> bool:
        """Whether it needs `force`; by its name alone where the record of what was asked for cannot be read."""
        try:
            record = await self._record(info)
        except AppError as error:
            info.context.report(error, info.path)
            record = None
        return find_protection(self.name(), is_requested=bool(record and record.is_protection_requested)) is not None

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

    async def _record(self, info: Info) -> TagRecord | VersionTag | None:
        if isinstance(self.of, VersionTag):
            return self.of
        table, ref = self.of.table, self.of.ref
        record = await info.context.loaders.tag_records.load((table.state.table_uuid, ref.name))
        # Another engine may have moved the tag since: then what is recorded is not about this tag.
        return record if record and record.snapshot_id == ref.snapshot_id else None


def tag_of(table: LakeTable, ref: Ref) -> Tag:
    """The tag that is an Iceberg ref."""
    return Tag(of=SnapshotTag(table=table, ref=ref))


async def _numbered_version(info: Info, tag: VersionTag) -> Version:
    from app.graphql.types.models import find_model_version
    from app.graphql.types.pipelines import find_pipeline_version

    find = find_model_version if isinstance(tag.subject, ModelSubject) else find_pipeline_version
    version: Version | None = await find(info, str(tag.subject), tag.number)
    if version is None:
        owner_field = tag.subject.owner_field
        raise VersionNotFoundError(str(tag.subject), str(tag.number), "it is gone", owner_field=owner_field)
    return version
