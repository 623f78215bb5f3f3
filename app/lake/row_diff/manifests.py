"""The live files of snapshots, and what they differ in; manifests that both snapshots have are not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace

from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent, ManifestFile
from pyiceberg.table import FileScanTask
from pyiceberg.table.snapshots import Snapshot

from app.domain import history
from app.domain.history import SnapshotOperation
from app.domain.live_files import FileDelta, LiveFile, Rewrite, cancel_rewrites
from app.domain.version_relation import Kinship
from app.errors import SnapshotExpiredError, UnsupportedTableError
from app.lake.deleted_positions import DeletedPositions
from app.lake.manifest_files import Remembered, list_manifests
from app.lake.reading import DeletesPlanner, FilePlanner, refuse_equality_deletes
from app.lake.row_diff.columns import columns_of
from app.lake.table import LakeTable

# `file_path` in position delete files (Iceberg spec, "Reserved Field IDs").
_PATH_FIELD_ID = 2147483546

_NO_DELETES: frozenset[str] = frozenset()

Tasks = Mapping[LiveFile, FileScanTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferingFiles:
    """The live files that one of two versions has and the other has not, with how each is read.

    `is_rewritten` says that there were some, and that taking rewrites back left none.
    """

    from_tasks: Tasks
    to_tasks: Tasks
    is_rewritten: bool = False


def find_snapshot(table: LakeTable, snapshot_id: int) -> Snapshot:
    """The snapshot in pyiceberg's words. Raises SnapshotExpiredError where the table has it no more."""
    snapshot = table.metadata.snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise SnapshotExpiredError(str(table.state.name), snapshot_id)
    return snapshot


def live_files(table: LakeTable, snapshot: Snapshot, remembered: Remembered | None = None) -> Tasks:
    """All live files of a snapshot. Costs reading all its manifests that are not `remembered`, which they are then.

    Raises:
        UnsupportedTableError: it has equality deletes.
    """
    refuse_equality_deletes(table, snapshot)
    return _plan(table, list_manifests(table.io, snapshot, remembered))


def counted_files(table: LakeTable, snapshot: Snapshot) -> Tasks:
    """All live files of a snapshot, also where rows are deleted by value: for counting, not for reading. Costs the
    same.
    """
    return _plan(table, list_manifests(table.io, snapshot), DeletesPlanner)


def differing_files(table: LakeTable, before: Snapshot, after: Snapshot) -> tuple[Tasks, Tasks]:
    """The live files of one and not of the other, each way.

    Costs reading the manifests that differ; and all of both, where their delete files differ, because a delete file may
    be about any data file.

    Raises:
        UnsupportedTableError: one of them has equality deletes.
    """
    manifests = [list_manifests(table.io, snapshot) for snapshot in (before, after)]
    for snapshot in (before, after):
        refuse_equality_deletes(table, snapshot)
    deletes = [{m.manifest_path for m in some if m.content == ManifestContent.DELETES} for some in manifests]
    shared: set[str] = set()
    if deletes[0] == deletes[1]:
        data = [{m.manifest_path for m in some if m.content == ManifestContent.DATA} for some in manifests]
        shared = data[0] & data[1]
    ours, theirs = (_plan(table, [m for m in some if m.manifest_path not in shared]) for some in manifests)
    return (
        {file: task for file, task in ours.items() if file not in theirs},
        {file: task for file, task in theirs.items() if file not in ours},
    )


def least_differing_files(
    table: LakeTable, before: Snapshot, after: Snapshot, kinship: Kinship, field_ids: Collection[int]
) -> DifferingFiles:
    """As `differing_files`, with rewrites on the way from one to the other taken back where that is less to read.

    `field_ids` are the columns that count: a rewrite in a schema that had dropped one of them has lost its values.
    """
    from_tasks, to_tasks = differing_files(table, before, after)
    if not from_tasks or not to_tasks:
        return DifferingFiles(from_tasks=from_tasks, to_tasks=to_tasks)
    known = {**from_tasks, **to_tasks}
    from_rewrites = _rewrites(table, reversed(kinship.from_side), known, field_ids)
    to_rewrites = _rewrites(table, reversed(kinship.to_side), known, field_ids)
    delta = FileDelta(from_only=frozenset(from_tasks), to_only=frozenset(to_tasks))
    least = cancel_rewrites(delta, from_rewrites, to_rewrites, size_of=lambda file: _size(known[file]))
    return DifferingFiles(
        from_tasks={file: known[file] for file in sorted(least.from_only)},
        to_tasks={file: known[file] for file in sorted(least.to_only)},
        is_rewritten=least.is_empty,
    )


def count_rows(
    table: LakeTable,
    snapshot: Snapshot,
    deleted: DeletedPositions,
    differing: Container[LiveFile] = (),
    *,
    is_list_trusted: bool = True,
) -> int:
    """How many rows a snapshot has.

    Without delete files the manifest list alone tells, unless it is not to be trusted. A delete file that is about one
    data file says in its manifest how many rows it deletes, which is taken for true of files that are not `differing`.
    All others are read: they may name a row twice, or files that are gone.
    """
    manifests = list_manifests(table.io, snapshot)
    if is_list_trusted and not any(manifest.content == ManifestContent.DELETES for manifest in manifests):
        return sum(_count_in_manifest(table, manifest) for manifest in manifests)
    tasks = live_files(table, snapshot)
    told = {
        file: deletes.record_count
        for file, task in tasks.items()
        if file not in differing and (deletes := _only_deletes(task)) is not None
    }
    touched = {file: task for file, task in tasks.items() if task.delete_files and file not in told}
    deleted.read(touched.values())
    gone = sum(told.values()) + sum(len(deleted.of(task)) for task in touched.values())
    return sum(task.file.record_count for task in tasks.values()) - gone


def _only_deletes(task: FileScanTask) -> DataFile | None:
    """The one delete file of a data file, where it is about no other one."""
    if len(task.delete_files) != 1:
        return None
    (deletes,) = task.delete_files
    bounds = [(found or {}).get(_PATH_FIELD_ID) for found in (deletes.lower_bounds, deletes.upper_bounds)]
    return deletes if bounds == [task.file.file_path.encode()] * 2 else None


def delete_bytes(tasks: Iterable[FileScanTask]) -> int:
    """Size of the delete files of these tasks, each counted once."""
    return sum({file.file_path: file.file_size_in_bytes for task in tasks for file in task.delete_files}.values())


def _count_in_manifest(table: LakeTable, manifest: ManifestFile) -> int:
    if manifest.added_rows_count is not None and manifest.existing_rows_count is not None:
        return int(manifest.added_rows_count) + int(manifest.existing_rows_count)
    # Optional in version 1 of the format.
    entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    return sum(e.data_file.record_count for e in entries if e.data_file.content == DataFileContent.DATA)


def _rewrites(
    table: LakeTable,
    line: Iterable[history.Snapshot],
    known: dict[LiveFile, FileScanTask],
    field_ids: Collection[int],
) -> list[Rewrite]:
    """What the replace snapshots among these did, in their order; their files are added to `known`."""
    found: list[Rewrite] = []
    for snapshot in line:
        if snapshot.operation is not SnapshotOperation.REPLACE or snapshot.parent_id is None:
            continue
        parent = table.metadata.snapshot_by_id(snapshot.parent_id)
        if parent is None:  # expired: what it was made from is not known any more
            continue
        if _has_lost(table, snapshot, field_ids):
            continue
        try:
            removed, added = differing_files(table, parent, find_snapshot(table, snapshot.snapshot_id))
        except UnsupportedTableError:  # it applied deletes by value: what it rewrote is not known by its files
            continue
        known |= {**removed, **added}
        found.append(Rewrite(removed=frozenset(removed), added=frozenset(added)))
    return found


def _has_lost(table: LakeTable, snapshot: history.Snapshot, field_ids: Collection[int]) -> bool:
    """Whether it was written without one of these columns that the table had had before."""
    schema_id = table.metadata.current_schema_id if snapshot.schema_id is None else snapshot.schema_id
    schema = next((schema for schema in table.metadata.schemas if schema.schema_id == schema_id), None)
    if schema is None:
        return True
    missing = set(field_ids).difference(schema.field_ids)
    return bool(missing) and min(missing) <= columns_of(table, snapshot.snapshot_id, schema_id).seen


def _plan(
    table: LakeTable, manifests: Iterable[ManifestFile], make_planner: type[FilePlanner] = FilePlanner
) -> dict[LiveFile, FileScanTask]:
    planner = make_planner(table.metadata, table.io)
    copies: Counter[LiveFile] = Counter()
    found: dict[LiveFile, FileScanTask] = {}
    for task in planner.plan_files(manifests):
        deletes = frozenset(file.file_path for file in task.delete_files) if task.delete_files else _NO_DELETES
        file = LiveFile(task.file.file_path, deletes)
        if file in found:
            copies[file] += 1
            file = replace(file, copy=copies[file])
        found[file] = task
    return found


def _size(task: FileScanTask) -> int:
    return int(task.file.file_size_in_bytes) + delete_bytes([task])
