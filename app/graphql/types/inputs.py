"""Inputs that several fields share."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

import strawberry

from app.domain import names, numbered, versions
from app.domain.changes import ModelSubject, PipelineSubject, RegistrySubject
from app.domain.datasets import TableState
from app.errors import AmbiguousReferenceError, InvalidArgumentError, VersionNotFoundError
from app.graphql.ids import NodeKind, decode_id
from app.graphql.scalars import SnapshotId
from app.graphql.types.enums import InputRole


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
    model: str | None = strawberry.field(default=None, description="A model, by its name.")
    pipeline: str | None = strawberry.field(default=None, description="A pipeline, by its pipelineId.")

    def check(self) -> None:
        """That exactly one field is given. Raises InvalidArgumentError."""
        given = [f.name for f in fields(self) if getattr(self, f.name) is not None]
        if len(given) != 1:
            what = f"gives {' and '.join(given)}" if given else "gives nothing"
            raise InvalidArgumentError("on", f"it {what}; name a dataset, a model or a pipeline")

    def to_subject(self) -> RegistrySubject | None:
        """The model or pipeline; None where it is a dataset."""
        if self.model is not None:
            return ModelSubject(name=self.model)
        return None if self.pipeline is None else PipelineSubject(pipeline_id=self.pipeline)


@strawberry.input(
    description="A version: give exactly one field. Datasets know all but `number`; models and pipelines, whose "
    "versions are counted, all but `snapshotId` and `branch`."
)
class VersionSelector:
    """A version: exactly one field is given."""

    id: strawberry.ID | None = strawberry.field(default=None, description="Node id of the version.")
    snapshot_id: SnapshotId | None = strawberry.field(default=None, description="Iceberg's id of the snapshot.")
    tag: str | None = strawberry.field(default=None, description="The tag of this name.")
    branch: str | None = strawberry.field(default=None, description="Head of the branch of this name.")
    as_of: datetime | None = strawberry.field(
        default=None, description="What was the latest at this instant; of a dataset, what was current on `main`."
    )
    number: int | None = strawberry.field(
        default=None, description="Number of a version of a model or pipeline; snapshots have none."
    )
    ref: str | None = strawberry.field(
        default=None,
        description="The text form: `main~3`, `production_2026_02_15`, `2026-02-15`, `latest`, a snapshot id, or one "
        "of them behind `tag:`, `branch:`, `snapshot:`, `at:`. Of models and pipelines: `3`, `latest~1`, a tag, a "
        "date.",
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

    def to_number(self, subject: RegistrySubject) -> numbered.NumberSelector:
        """The selector of a version of a model or pipeline, as the services take it.

        Raises:
            AmbiguousReferenceError: none or several fields are given.
            InvalidArgumentError: a field that such versions do not have, or an `id` of something else.
            VersionNotFoundError: an `id` of a version of another model or pipeline.
        """
        if len(self.given) != 1:
            raise AmbiguousReferenceError(self.given)
        for name in ("snapshotId", "branch"):
            if name in self.given:
                raise InvalidArgumentError(
                    name, "versions of models and pipelines are numbered, and have no such thing"
                )
        number = self.number if self.id is None else number_of(self.id, subject, "id")
        return numbered.NumberSelector(ref=self.ref, number=number, tag=self.tag, as_of=self.as_of)


@strawberry.input(description="A version of a dataset, and what it was used for.")
class VersionUseInput:
    """A version of a dataset, and what it was used for."""

    dataset: DatasetRef = strawberry.field(description="The dataset.")
    at: VersionSelector = strawberry.field(description="The version.")
    role: InputRole = strawberry.field(
        default=InputRole.INPUT, description="What it was used for; says nothing of what a run wrote."
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


def number_of(node_id: str, subject: RegistrySubject, argument: str) -> int:
    """The number of the version of a model or pipeline that a node id names.

    Raises:
        InvalidArgumentError: it is no version's id.
        VersionNotFoundError: it is one of another model or pipeline.
    """
    key = decode_id(node_id, argument)
    is_model = isinstance(subject, ModelSubject)
    if key.kind is not (NodeKind.MODEL_VERSION if is_model else NodeKind.PIPELINE_VERSION):
        raise InvalidArgumentError(
            argument, f"it is not the id of a version of a {'model' if is_model else 'pipeline'}"
        )
    if key.subject != subject:
        reason = f"the id is one of a version of {key.subject}"
        raise VersionNotFoundError(str(subject), key.rest, reason, owner_field=subject.owner_field)
    return key.number
