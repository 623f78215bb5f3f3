"""What has to be read to tell two versions' rows apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask
from pyiceberg.table.metadata import TableMetadata

from app.domain.row_diffs import RowDiffRequest
from app.domain.row_ranges import Group
from app.domain.version_relation import Kinship
from app.domain.versions import ResolvedVersion
from app.errors import UnsupportedTableError
from app.lake.catalog import reading_files
from app.lake.deleted_positions import DeletedPositions
from app.lake.reading import READABLE_FORMATS, bytes_of
from app.lake.row_diff.columns import ComparedColumns, VersionColumns, columns_of, compared_columns
from app.lake.row_diff.manifests import (
    DifferingFiles,
    count_rows,
    find_snapshot,
    least_differing_files,
    live_files,
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """Rows of a data file: all but those at the positions `deleted`, or with `only` those at these positions."""

    task: FileScanTask
    rows: int
    only: pa.Array | None = None
    deleted: pa.Array | None = None


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

    @property
    def size_bytes(self) -> int:
        """Bytes that have to be read for the counts."""
        return self.delete_bytes + sum(
            self.from_side.size_bytes(group.from_places) + self.to_side.size_bytes(group.to_places)
            for group in self.to_join
        )


def plan_row_diff(
    before: TableVersion, after: TableVersion, request: RowDiffRequest, kinship: Kinship | None
) -> RowDiffPlan:
    """Find what has to be read; costs reading manifests and delete files. `kinship` is None for two tables.

    Raises:
        UnsupportedTableError: equality deletes, files that cannot be read, or nothing to compare.
        UnknownColumnError, InvalidArgumentError: a key that is none.
        SnapshotExpiredError: a snapshot is not in the table any more.
        UnreadableTableError: a manifest or a delete file is missing or broken.
    """
    snapshots = tuple(find_snapshot(side.table, side.snapshot_id) for side in (before, after))
    columns = compared_columns(before.columns, after.columns, request.keys)
    deleted = [DeletedPositions(side.table.io) for side in (before, after)]
    if kinship is None:
        tasks = []
        for side, snapshot, positions in zip((before, after), snapshots, deleted, strict=True):
            with reading_files(side.table.state.name):
                tasks.append(live_files(side.table, snapshot))
                positions.read(tasks[-1].values())
        files = DifferingFiles(from_tasks=tasks[0], to_tasks=tasks[1])
    else:
        deleted[0] = deleted[1]
        with reading_files(after.table.state.name):
            files = least_differing_files(after.table, snapshots[0], snapshots[1], kinship)
    counts = []
    differing = (files.from_tasks.keys(), files.to_tasks.keys())
    for side, snapshot, positions, some in zip((before, after), snapshots, deleted, differing, strict=True):
        with reading_files(side.table.state.name):
            counts.append(count_rows(side.table, snapshot, positions, some))
    with reading_files(after.table.state.name):
        from_parts, to_parts = _parts(files, deleted, is_one_table=kinship is not None)
    sides = [
        PlannedSide(table=side.table, metadata=side.metadata, schema=schema, parts=parts)
        for side, schema, parts in (
            (before, columns.from_schema, from_parts),
            (after, columns.to_schema, to_parts),
        )
    ]
    for planned in sides:
        _refuse_unreadable(planned)
    return RowDiffPlan(
        from_side=sides[0],
        to_side=sides[1],
        columns=columns,
        groups=tuple(_groups(sides[0], sides[1], columns)),
        rows_from=counts[0],
        rows_to=counts[1],
        delete_bytes=sum({id(positions): positions.bytes_read for positions in deleted}.values()),
        request=request,
    )


def _parts(
    files: DifferingFiles, deleted: Sequence[DeletedPositions], *, is_one_table: bool
) -> tuple[tuple[FilePart, ...], tuple[FilePart, ...]]:
    """Of a data file that both sides have with other deletes, only the rows that one of them deletes and one has."""
    shared: dict[str, tuple[FileScanTask, FileScanTask]] = {}
    if is_one_table:
        theirs = {file.path: task for file, task in files.to_tasks.items()}
        shared = {
            file.path: (task, theirs[file.path]) for file, task in files.from_tasks.items() if file.path in theirs
        }
        deleted[0].read(task for pair in shared.values() for task in pair)
    found: list[list[FilePart]] = [[], []]
    for own, tasks in enumerate((files.from_tasks, files.to_tasks)):
        for file, task in sorted(tasks.items()):
            if file.path not in shared:
                gone = deleted[own].of(task) if task.delete_files else None
                part = FilePart(
                    task=task, rows=task.file.record_count - (0 if gone is None else len(gone)), deleted=gone
                )
            else:
                here, there = shared[file.path][own], shared[file.path][1 - own]
                only = _difference(deleted[0].of(there), deleted[0].of(here))
                part = FilePart(task=task, rows=len(only), only=only)
            if part.rows:
                found[own].append(part)
    return tuple(found[0]), tuple(found[1])


def _difference(positions: pa.Array, without: pa.Array) -> pa.Array:
    return positions.filter(pc.invert(pc.is_in(positions, value_set=without)))


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
