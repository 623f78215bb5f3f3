"""A dataset that is in no catalog of ours, by what events told of it."""

from __future__ import annotations

from datetime import datetime

import strawberry

from app.domain import events, external
from app.graphql.scalars import BigInt


@strawberry.type(description="What the producer of events calls a dataset.")
class ExternalName:
    """Namespace and name."""

    namespace: str = strawberry.field(description="Where it is, such as `kafka://broker:9092`.")
    name: str = strawberry.field(description="Its name there.")


@strawberry.type(description="A column as an event describes it.")
class ExternalField:
    """A column."""

    name: str = strawberry.field(description="Name of the column.")
    type: str | None = strawberry.field(description="Type, in the words of its engine.")
    description: str | None = strawberry.field(description="What it is.")
    fields: list[ExternalField] = strawberry.field(description="Columns within it.")

    @classmethod
    def of(cls, told: events.EventField) -> ExternalField:
        """The column as it was told."""
        return cls(
            name=told.name,
            type=told.type,
            description=told.description,
            fields=[cls.of(each) for each in told.fields],
        )


@strawberry.type(description="Who answers for a dataset.")
class ExternalOwner:
    """Who answers for it."""

    name: str = strawberry.field(description="Such as `team:sales`.")
    type: str | None = strawberry.field(description="What kind of owner, such as `MAINTAINER`.")


@strawberry.type(
    description="A dataset that is in no catalog of ours. Of each fact the latest event has the last word; what "
    "none told is null or empty."
)
class ExternalDataset:
    """An external dataset, as far as events told."""

    namespace: str = strawberry.field(description="Where it is, such as `kafka://broker:9092`.")
    name: str = strawberry.field(description="Its name there.")
    fields: list[ExternalField] = strawberry.field(description="Its columns.")
    owners: list[ExternalOwner] = strawberry.field(description="Who answers for it.")
    row_count: BigInt | None = strawberry.field(description="Rows that were written, by the last run that told.")
    size_bytes: BigInt | None = strawberry.field(description="Bytes that were written, by the last run that told.")
    dropped_at: datetime | None = strawberry.field(description="When it was dropped, if it was not made again since.")
    renamed_to: ExternalName | None = strawberry.field(description="What it was renamed to, unless made again since.")
    last_seen_at: datetime | None = strawberry.field(description="Time of the latest event that names it.")

    @classmethod
    def of(cls, known: external.ExternalDataset) -> ExternalDataset:
        """The dataset as far as it is known."""
        renamed_to = known.renamed_to
        return cls(
            namespace=known.dataset.namespace,
            name=known.dataset.name,
            fields=[ExternalField.of(each) for each in known.fields],
            owners=[ExternalOwner(name=owner.name, type=owner.type) for owner in known.owners],
            row_count=None if known.row_count is None else BigInt(known.row_count),
            size_bytes=None if known.size_bytes is None else BigInt(known.size_bytes),
            dropped_at=known.dropped_at,
            renamed_to=None
            if renamed_to is None
            else ExternalName(namespace=renamed_to.namespace, name=renamed_to.name),
            last_seen_at=known.last_seen_at,
        )
