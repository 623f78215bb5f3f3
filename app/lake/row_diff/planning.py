"""What has to be read to tell two versions' rows apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata

from app.domain.row_diffs import RowDiffRequest
from app.domain.row_ranges import Group
from app.domain.version_relation import Kinship
from app.domain.versions import ResolvedVersion
from app.errors import UnsupportedTableError
from app.lake.file_schemas import NAME_MAPPING
from app.lake.reading import READABLE_FORMATS, bytes_of
from app.lake.row_diff.columns import ComparedColumns, VersionColumns, columns_of, compared_columns
from app.lake.row_diff.manifests import find_snapshot
from app.lake.row_diff.parts import FilePart, parts_of_one, parts_of_two
from app.lake.row_diff.spans import best_groups, spans_of
from app.lake.table import LakeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVersion:
    """A snapshot of a table, and the schema that its rows are read in."""

    table: LakeTable
    snapshot_id: int
    schema_id: int

    @classmethod
    def of(cls, table: LakeTable, version: ResolvedVersion) -> TableVersion:
        """A version that was resolved in this very state of the table."""
        schema_id = table.state.schema_of(version).schema_id
        return cls(table=table, snapshot_id=version.snapshot_id, schema_id=schema_id)

    @property
    def metadata(self) -> TableMetadata:
        """The table's metadata, with the version's schema as the current one."""
        return self.table.metadata.model_copy(update={"current_schema_id": self.schema_id})

    @property
    def columns(self) -> VersionColumns:
        """The columns that it has."""
        return columns_of(self.table, self.snapshot_id, self.schema_id)

    @property
    def identity(self) -> tuple[str, int, str, int, str | None]:
        """All that its rows depend on.

        Not by the schema's number alone: a table that is registered anew from an older metadata file numbers its next
        schema as one that there was. And files without field ids are read by the table's name mapping.
        """
        mapping = self.metadata.properties.get(NAME_MAPPING)
        table_uuid = str(self.table.state.table_uuid)
        if self.snapshot_id not in self.table.state.history.snapshots:  # expired, which whoever reads it will find
            return table_uuid, self.snapshot_id, "", 0, mapping
        columns = self.columns
        return table_uuid, self.snapshot_id, columns.schema.model_dump_json(), columns.seen, mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSide:
    """What of one version may differ, and how it is read."""

    table: LakeTable
    metadata: TableMetadata
    schema: Schema
    parts: tuple[FilePart, ...]

    def size_bytes(self, places: Iterable[int], columns: Sequence[int] | None = None) -> int:
        """Bytes that reading these parts takes, or these columns of them.

        Without delete files, which are counted once for all.
        """
        ids = self.schema.field_ids
        if columns is not None:
            ids = Schema(*(self.schema.fields[place] for place in columns)).field_ids
        return sum(bytes_of(self.parts[place].task, ids, with_deletes=False) for place in places)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDiffPlan:
    """What is to be compared; `groups` are parts that may have equal rows, in the order of their values."""

    from_side: PlannedSide
    to_side: PlannedSide
    columns: ComparedColumns
    groups: tuple[Group, ...]
    rows_from: int
    rows_to: int
    delete_bytes: int
    request: RowDiffRequest

    @property
    def to_join(self) -> tuple[Group, ...]:
        """The groups that have to be read."""
        return tuple(group for group in self.groups if not group.is_one_sided)

    def rows_of(self, group: Group) -> int:
        """How many rows a group has, both sides together."""
        return sum(self.from_side.parts[place].rows for place in group.from_places) + sum(
            self.to_side.parts[place].rows for place in group.to_places
        )

    def bytes_of(self, group: Group) -> int:
        """Bytes that reading a group takes, without delete files."""
        return self.from_side.size_bytes(group.from_places) + self.to_side.size_bytes(group.to_places)

    @property
    def size_bytes(self) -> int:
        """Bytes that have to be read for the counts."""
        return self.delete_bytes + sum(map(self.bytes_of, self.to_join))


def plan_row_diff(
    before: TableVersion, after: TableVersion, request: RowDiffRequest, kinship: Kinship | None
) -> RowDiffPlan:
    """Find what has to be read; costs reading manifests and delete files. `kinship` is None for two tables.

    Raises:
        UnsupportedTableError: equality deletes, files that cannot be read, or nothing to compare.
        UnknownColumnError, InvalidArgumentError: a key that is none.
        SnapshotExpiredError: a snapshot is not in the table any more.
        MissingFileError, UnreadableTableError: a manifest or a delete file is missing or broken.
    """
    for side in (before, after):
        find_snapshot(side.table, side.snapshot_id)
    columns = compared_columns(before.columns, after.columns, request.keys)
    if kinship is None:
        found = parts_of_two((before.table, before.snapshot_id), (after.table, after.snapshot_id))
    else:
        field_ids = columns.to_schema.field_ids
        found = parts_of_one(after.table, before.snapshot_id, after.snapshot_id, kinship, field_ids)
    sides = [
        PlannedSide(table=side.table, metadata=side.metadata, schema=schema, parts=parts)
        for side, schema, parts in (
            (before, columns.from_schema, found.from_parts),
            (after, columns.to_schema, found.to_parts),
        )
    ]
    for planned in sides:
        _refuse_unreadable(planned)
    return RowDiffPlan(
        from_side=sides[0],
        to_side=sides[1],
        columns=columns,
        groups=tuple(_groups(sides[0], sides[1], columns)),
        rows_from=found.rows_from,
        rows_to=found.rows_to,
        delete_bytes=found.delete_bytes,
        request=request,
    )


def _groups(from_side: PlannedSide, to_side: PlannedSide, columns: ComparedColumns) -> list[Group]:
    places = columns.keys or range(len(columns.names))
    files = [[part.task.file for part in side.parts] for side in (from_side, to_side)]
    candidates = []
    for place in places:
        fields = [schema.fields[place] for schema in (columns.from_schema, columns.to_schema)]
        spans = [spans_of(some, field.field_id, field.field_type) for some, field in zip(files, fields, strict=True)]
        candidates.append((spans[0], spans[1]))
    rows = ([part.rows for part in from_side.parts], [part.rows for part in to_side.parts])
    return best_groups(candidates, rows)


def _refuse_unreadable(side: PlannedSide) -> None:
    for part in side.parts:
        if part.task.file.file_format not in READABLE_FORMATS:
            kind = part.task.file.file_format.value
            reason = "only Parquet and ORC files can be read"
            raise UnsupportedTableError(str(side.table.state.name), f"{kind} data files", reason)
