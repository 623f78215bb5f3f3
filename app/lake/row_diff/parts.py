"""The rows of data files that may make the difference of two versions, and how many rows the versions have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import FileScanTask
from pyiceberg.table.snapshots import Snapshot

from app.domain.version_relation import Kinship
from app.errors import UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.deleted_positions import DeletedPositions
from app.lake.row_diff.manifests import (
    DifferingFiles,
    count_rows,
    differing_files,
    find_snapshot,
    least_differing_files,
    live_files,
)
from app.lake.table import LakeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """Rows of a data file: all but those at the positions `deleted`, or with `only` those at these positions."""

    task: FileScanTask
    rows: int
    only: pa.Array | None = None
    deleted: pa.Array | None = None


Parts = tuple[FilePart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferingParts:
    """What may differ, and how many rows there are in all. `delete_bytes` are the sizes of the delete files read."""

    from_parts: Parts
    to_parts: Parts
    rows_from: int
    rows_to: int
    delete_bytes: int

    @property
    def adds_up(self) -> bool:
        """Whether the parts make the difference in rows, as they do unless metadata is wrong about something."""
        gone, new = (sum(part.rows for part in parts) for parts in (self.from_parts, self.to_parts))
        return new - gone == self.rows_to - self.rows_from


def parts_of_two(before: tuple[LakeTable, int], after: tuple[LakeTable, int]) -> DifferingParts:
    """All rows of snapshots of two tables. Raises as `parts_of_one`."""
    parts: list[Parts] = []
    size_bytes = 0
    for table, snapshot_id in (before, after):
        deleted = DeletedPositions(table.io)
        with reading_files(table.state.name):
            tasks = live_files(table, find_snapshot(table, snapshot_id))
            deleted.read(tasks.values())
            whole = (_whole(task, deleted) for _, task in sorted(tasks.items()))
            parts.append(tuple(part for part in whole if part.rows))
        size_bytes += deleted.bytes_read
    rows_from, rows_to = (sum(part.rows for part in some) for some in parts)
    return DifferingParts(
        from_parts=parts[0], to_parts=parts[1], rows_from=rows_from, rows_to=rows_to, delete_bytes=size_bytes
    )


def parts_of_one(
    table: LakeTable, from_id: int, to_id: int, kinship: Kinship, field_ids: Collection[int]
) -> DifferingParts:
    """The rows that may differ between two snapshots of a table, compared by these columns.

    They make the difference in rows. Where they do not, a rewrite had other rows than what it rewrote, and is not taken
    back; or a manifest list counts its manifests' rows wrong, and the manifests are asked.

    Raises:
        SnapshotExpiredError: a snapshot is not in the table any more.
        UnsupportedTableError: equality deletes.
        MissingFileError: a manifest or a delete file is not there.
        UnreadableTableError: one is broken, or manifests contradict each other.
    """
    with reading_files(table.state.name):
        before, after = find_snapshot(table, from_id), find_snapshot(table, to_id)
        deleted = DeletedPositions(table.io)
        least = least_differing_files(table, before, after, kinship, field_ids)
        found = _differing(table, (before, after), least, deleted)
        if not found.adds_up:
            from_tasks, to_tasks = differing_files(table, before, after)
            plain = DifferingFiles(from_tasks=from_tasks, to_tasks=to_tasks)
            found = _differing(table, (before, after), plain, deleted)
            if not found.adds_up:
                found = _differing(table, (before, after), plain, deleted, is_list_trusted=False)
    if not found.adds_up:
        raise UnreadableTableError(
            str(table.state.name), f"the manifests of snapshots {from_id} and {to_id} contradict each other"
        )
    return found


def _differing(
    table: LakeTable,
    snapshots: tuple[Snapshot, Snapshot],
    files: DifferingFiles,
    deleted: DeletedPositions,
    *,
    is_list_trusted: bool = True,
) -> DifferingParts:
    """Of a data file that both sides have with other deletes, only the rows that one of them deletes and one has."""
    sides = (files.from_tasks, files.to_tasks)
    counts = [
        count_rows(table, snapshot, deleted, tasks.keys(), is_list_trusted=is_list_trusted)
        for snapshot, tasks in zip(snapshots, sides, strict=True)
    ]
    by_path = [{file.path: task for file, task in tasks.items()} for tasks in sides]
    times = [Counter(file.path for file in tasks) for tasks in sides]
    shared = {path for path in by_path[0].keys() & by_path[1].keys() if times[0][path] == times[1][path] == 1}
    deleted.read(some[path] for path in shared for some in by_path)
    parts: list[Parts] = []
    for own, tasks in enumerate(sides):
        found = [
            _one_sided(task, by_path[1 - own][file.path], deleted) if file.path in shared else _whole(task, deleted)
            for file, task in sorted(tasks.items())
        ]
        parts.append(tuple(part for part in found if part.rows))
    return DifferingParts(
        from_parts=parts[0],
        to_parts=parts[1],
        rows_from=counts[0],
        rows_to=counts[1],
        delete_bytes=deleted.bytes_read,
    )


def _whole(task: FileScanTask, deleted: DeletedPositions) -> FilePart:
    gone = deleted.of(task) if task.delete_files else None
    return FilePart(task=task, rows=task.file.record_count - (0 if gone is None else len(gone)), deleted=gone)


def _one_sided(task: FileScanTask, other: FileScanTask, deleted: DeletedPositions) -> FilePart:
    theirs, ours = deleted.of(other), deleted.of(task)
    only = theirs.filter(pc.invert(pc.is_in(theirs, value_set=ours)))
    return FilePart(task=task, rows=len(only), only=only)
