"""Where rewritten files go, and what their rows are of: one partition of one spec."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast
from urllib.parse import quote_plus

from pyiceberg.partitioning import PartitionField, PartitionKey
from pyiceberg.table import FileScanTask
from pyiceberg.table.locations import LocationProvider
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.types import IcebergType

from app.lake.partitions import column_types
from app.lake.table import LakeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The spec and partition of a bin, and locations for its files: `<number>-<name>-<uuid>.parquet`."""

    spec_id: int
    partition: Record
    locations: LocationProvider
    key: PartitionKey | None
    name: str

    def location(self, number: int) -> str:
        """A new one each time."""
        file_name = f"{number:05d}-{self.name}-{uuid.uuid4()}.parquet"
        return self.locations.new_data_location(file_name, self.key)


def destination_of(table: LakeTable, tasks: Sequence[FileScanTask], name: str) -> Destination:
    """Where files of the rows of these go, which have all one spec and partition.

    Raises:
        ValueError: they have not, or there are none.
    """
    places = {(task.file.spec_id, repr(task.file.partition)) for task in tasks}
    if len(places) != 1:
        raise ValueError(f"a bin has files of one partition of one spec, not of {len(places)}")
    file = tasks[0].file
    spec = table.metadata.specs()[file.spec_id]
    place = None if spec.is_unpartitioned() else _Place(table.metadata, file.spec_id, file.partition)
    return Destination(
        spec_id=file.spec_id,
        partition=file.partition,
        locations=table.handle.location_provider(),
        # What a location provider asks of a key is its path; pyiceberg makes keys of rows, and there are none.
        key=cast("PartitionKey | None", place),
        name=name,
    )


class _Place:
    """A partition as manifests have it."""

    def __init__(self, metadata: TableMetadata, spec_id: int, partition: Record) -> None:
        self.partition = partition
        self._metadata = metadata
        self._spec = metadata.specs()[spec_id]

    def to_path(self) -> str:
        """Its folder as pyiceberg writes it (`PartitionSpec.partition_to_path`), also of columns that were dropped."""
        return "/".join(
            f"{quote_plus(field.name, safe='')}={quote_plus(self._text(field, place), safe='')}"
            for place, field in enumerate(self._spec.fields)
        )

    def _text(self, field: PartitionField, place: int) -> str:
        value = self.partition[place]
        source = self._types.get(field.source_id)
        if source is None:
            # Of a column of a schema that the table has no more.
            return "null" if value is None else str(value)
        return str(field.transform.to_human_string(field.transform.result_type(source), value))

    @cached_property
    def _types(self) -> dict[int, IcebergType]:
        return column_types(self._metadata)
