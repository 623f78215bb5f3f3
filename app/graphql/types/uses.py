"""Uses of versions of datasets: by runs, and for training models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from app.domain.events import DatasetId
from app.domain.lineage import parse_external, snapshot_id_of, table_uuid_of
from app.domain.names import DatasetName
from app.domain.pipelines import RunDataset
from app.domain.uses import VersionUse as TrainingUse
from app.errors import AppError, InvalidNameError
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.types.enums import InputRole
from app.graphql.types.external import ExternalDataset

if TYPE_CHECKING:
    from app.graphql.types.dataset import Dataset
    from app.graphql.types.snapshot import Snapshot


@strawberry.type(
    description="A version of a dataset, and what it was used for. What a run read or wrote may be in no catalog of "
    "ours: then there are `name` and `external`, and neither `dataset` nor `version`."
)
class VersionUse:
    """A version of a dataset, and what it was used for."""

    name: str = strawberry.field(description="The dataset as it was called when it was used: `namespace.table`.")
    version_label: str | None = strawberry.field(
        description="Snapshot id, or what another system calls the version; null where it is not known."
    )
    role: InputRole = strawberry.field(description="What it was used for; INPUT for what a run wrote too.")
    is_inferred: bool = strawberry.field(
        description="Whether the version was not reported, but taken from the time at which it was used."
    )
    uuid: strawberry.Private[UUID | None]
    seen_as: strawberry.Private[DatasetName | None]
    number: strawberry.Private[int | None]
    external_id: strawberry.Private[DatasetId | None] = None

    @field(
        description="The dataset, under the name that it has now; its `availability` is EXPIRED once the table was "
        "dropped. Null where it is in no catalog of ours."
    )
    async def dataset(self, info: Info) -> Annotated[Dataset, strawberry.lazy("app.graphql.types.dataset")] | None:
        """The dataset."""
        from app.graphql.types.dataset import Dataset, dataset_of

        if self.uuid is None or self.seen_as is None:
            return None
        try:
            table = await info.context.loaders.find_table(self.uuid, self.seen_as)
        except AppError:
            # It is there and cannot be read: its fields say so, each time the table is needed.
            return Dataset(dataset_name=self.seen_as, known_uuid=self.uuid)
        return dataset_of(table) if table else Dataset(dataset_name=self.seen_as, known_uuid=self.uuid)

    @field(description="The version; null once it has expired, where it is not known, or is in no catalog of ours.")
    async def version(self, info: Info) -> Annotated[Snapshot, strawberry.lazy("app.graphql.types.snapshot")] | None:
        """The version."""
        from app.graphql.types.snapshot import find_snapshot

        if self.uuid is None or self.seen_as is None or self.number is None:
            return None
        table = await info.context.loaders.find_table(self.uuid, self.seen_as)
        return find_snapshot(table, self.number) if table else None

    @field(description="What events told of it, where it is in no catalog of ours; null for all else.")
    async def external(self, info: Info) -> ExternalDataset | None:
        """What events told of a dataset that is none of ours."""
        if self.external_id is None:
            return None
        return ExternalDataset.of(await info.context.loaders.externals.load(self.external_id))


def show_training_use(use: TrainingUse) -> VersionUse:
    """What a model version was trained on."""
    return VersionUse(
        name=str(use.dataset),
        version_label=str(use.snapshot_id),
        role=use.role,
        is_inferred=use.is_inferred,
        uuid=use.table_uuid,
        seen_as=use.dataset,
        number=use.snapshot_id,
    )


def show_run_use(use: RunDataset) -> VersionUse:
    """What a run read or wrote."""
    uuid = table_uuid_of(use.vertex)
    return VersionUse(
        name=use.vertex.name,
        version_label=use.vertex.version or None,
        role=use.role,
        is_inferred=use.is_inferred,
        uuid=uuid,
        seen_as=_name_of(use.vertex.name) if uuid else None,
        number=snapshot_id_of(use.vertex),
        external_id=parse_external(use.vertex),
    )


def _name_of(text: str) -> DatasetName | None:
    try:
        return DatasetName.parse(text)
    except InvalidNameError:  # some other system's name for a table that is told by its id
        return None
