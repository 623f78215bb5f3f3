"""Inputs that several fields share."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

import strawberry

from app.domain import names, versions
from app.domain.datasets import TableState
from app.errors import AmbiguousReferenceError, InvalidArgumentError, VersionNotFoundError
from app.graphql.ids import NodeKind, decode_id
from app.graphql.scalars import SnapshotId


@strawberry.input(description="A dataset by its name.")
class DatasetRef:
    """A dataset by its name."""

    namespace: str = strawberry.field(description="The levels of the namespace, joined by dots.")
    name: str = strawberry.field(description="The table's own name.")

    def to_name(self) -> names.DatasetName:
        """The name, checked. Raises InvalidNameError."""
        return names.DatasetName.checked(self.namespace, self.name)


@strawberry.input(description="An entity by its name: give exactly one field.")
class EntityRef:
    """An entity by its name."""

    dataset: DatasetRef | None = strawberry.field(default=None, description="A dataset.")

    def to_name(self) -> names.DatasetName:
        """The dataset's name, checked. Raises InvalidArgumentError, InvalidNameError."""
        if self.dataset is None:
            raise InvalidArgumentError("on", "name a dataset")
        return self.dataset.to_name()


@strawberry.input(description="A version: give exactly one field.")
class VersionSelector:
    """A version: exactly one field is given."""

    id: strawberry.ID | None = strawberry.field(default=None, description="Node id of the version.")
    snapshot_id: SnapshotId | None = strawberry.field(default=None, description="Iceberg's id of the snapshot.")
    tag: str | None = strawberry.field(default=None, description="The tag of this name.")
    branch: str | None = strawberry.field(default=None, description="Head of the branch of this name.")
    as_of: datetime | None = strawberry.field(default=None, description="What was current on `main` at this instant.")
    number: int | None = strawberry.field(
        default=None, description="Number of a version that is counted; snapshots are not."
    )
    ref: str | None = strawberry.field(
        default=None,
        description="The text form: `main~3`, `production_2026_02_15`, `2026-02-15`, `latest`, a snapshot id, or one "
        "of them behind `tag:`, `branch:`, `snapshot:`, `at:`.",
    )

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the fields that are set, as the schema has them."""
        shown = {"snapshot_id": "snapshotId", "as_of": "asOf"}
        return tuple(shown.get(f.name, f.name) for f in fields(self) if getattr(self, f.name) is not None)

    def check(self) -> None:
        """That exactly one field is given, and one that datasets have.

        Raises:
            AmbiguousReferenceError: none or several are given.
            InvalidArgumentError: `number`, or an `id` that is not a snapshot's.
        """
        if len(self.given) != 1:
            raise AmbiguousReferenceError(self.given)
        if self.number is not None:
            raise InvalidArgumentError("number", "the versions of a dataset are snapshots, which have no numbers")
        if self.id is not None:
            check_snapshot_node_id(self.id, "id")

    def to_domain(self, state: TableState | None) -> versions.VersionSelector:
        """The selector as the services take it; `state` is needed for an `id` only.

        Raises:
            AmbiguousReferenceError, InvalidArgumentError: as `check`.
            VersionNotFoundError: an `id` of another dataset's snapshot.
        """
        self.check()
        snapshot_id: int | None = self.snapshot_id
        if self.id is not None and state is not None:
            snapshot_id = snapshot_id_of(self.id, state, "id")
        return versions.VersionSelector(
            ref=self.ref, snapshot_id=snapshot_id, tag=self.tag, branch=self.branch, as_of=self.as_of
        )


@strawberry.input(description="A span of time. What is left out does not bound it.")
class TimeRange:
    """A span of time."""

    from_: datetime | None = strawberry.field(name="from", default=None, description="Its first instant.")
    to: datetime | None = strawberry.field(default=None, description="The first instant after it.")

    def contains_ms(self, timestamp_ms: int) -> bool:
        """Whether a moment lies in the span."""
        return (self.from_ is None or timestamp_ms >= self.from_.timestamp() * 1000) and (
            self.to is None or timestamp_ms < self.to.timestamp() * 1000
        )


def check_snapshot_node_id(node_id: str, argument: str) -> None:
    """That a node id is one of a snapshot. Raises InvalidArgumentError."""
    if decode_id(node_id, argument).kind is not NodeKind.SNAPSHOT:
        raise InvalidArgumentError(argument, "it is not the id of a snapshot")


def snapshot_id_of(node_id: str, state: TableState, argument: str) -> int:
    """Iceberg's id of the snapshot that a node id names.

    Raises:
        InvalidArgumentError: it is not a snapshot's id.
        VersionNotFoundError: it is one of another dataset.
    """
    check_snapshot_node_id(node_id, argument)
    key = decode_id(node_id, argument)
    if key.uuid != state.table_uuid:
        raise VersionNotFoundError(str(state.name), key.rest, "the id is one of another dataset's snapshot")
    return key.snapshot_id
