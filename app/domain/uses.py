"""Uses of versions of datasets: by runs, and for training models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from app.domain.lineage import Vertex, snapshot_vertex
from app.domain.names import DatasetName
from app.domain.roles import InputRole


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUse:
    """A snapshot of one of our tables, and what it was used for; `dataset` is the name that it had then.

    `is_inferred` says that nobody told the snapshot: it is the one that was current at the time of the use.
    """

    dataset: DatasetName
    table_uuid: UUID
    snapshot_id: int
    role: InputRole
    is_inferred: bool = False

    @property
    def vertex(self) -> Vertex:
        """The snapshot in the lineage graph."""
        return snapshot_vertex(self.table_uuid, self.snapshot_id, str(self.dataset))

    def with_snapshot(self, snapshot_id: int) -> VersionUse:
        """The same use, of another snapshot."""
        return replace(self, snapshot_id=snapshot_id)


def parse_dataset_at(text: str) -> tuple[DatasetName, str | None]:
    """The dataset and the reference of `namespace.table@ref`; without `@ref`, None. The last `@` separates.

    Raises:
        InvalidNameError: what is before it is no name of a dataset.
    """
    name, at, ref = text.rpartition("@")
    return (DatasetName.parse(name), ref) if at else (DatasetName.parse(text), None)
