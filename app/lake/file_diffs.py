"""The files of two versions of a table, compared from manifests alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import PrimitiveType

from app.domain.file_diffs import MAX_PARTITIONS, FileDiff, PartitionDelta
from app.domain.version_relation import Kinship
from app.lake.catalog import reading_files
from app.lake.deleted_positions import DeletedPositions
from app.lake.manifest_files import list_manifests
from app.lake.row_diff.manifests import count_rows, differing_files, find_snapshot, least_differing_files
from app.lake.table import LakeTable

_Key = tuple[int, tuple[tuple[str, str | None], ...]]


def diff_files(table: LakeTable, from_id: int, to_id: int, kinship: Kinship) -> FileDiff:
    """What files two versions differ in. Costs reading the manifests that differ, and no data files.

    Raises:
        SnapshotExpiredError: a snapshot is not in the table any more.
        UnsupportedTableError: rows are deleted by value.
        MissingFileError, UnreadableTableError: a manifest is missing or broken.
    """
    with reading_files(table.state.name):
        before, after = find_snapshot(table, from_id), find_snapshot(table, to_id)
        from_tasks, to_tasks = differing_files(table, before, after)
        old = {file.path: task.file for file, task in from_tasks.items()}
        new = {file.path: task.file for file, task in to_tasks.items()}
        removed = [file for path, file in old.items() if path not in new]
        added = [file for path, file in new.items() if path not in old]
        deletes = [_delete_files(table, *pair) for pair in ((before, after), (after, before))]
        is_rewritten = bool(from_tasks and to_tasks) and _is_rewritten(table, before, after, kinship)
    partitions = _partitions(table, added, removed)
    return FileDiff(
        files_added=len(added),
        files_removed=len(removed),
        bytes_added=sum(file.file_size_in_bytes for file in added),
        bytes_removed=sum(file.file_size_in_bytes for file in removed),
        delete_files_added=deletes[1],
        delete_files_removed=deletes[0],
        partitions=tuple(partitions[:MAX_PARTITIONS]),
        partition_count=len(partitions),
        is_rewritten_only=is_rewritten,
    )


def _is_rewritten(table: LakeTable, before: Snapshot, after: Snapshot, kinship: Kinship) -> bool:
    """Whether nothing but rewrites made the difference, and they left as many rows as they found."""
    ids = {snapshot.schema_id for snapshot in (before, after)}
    columns = {
        field_id for schema in table.metadata.schemas if schema.schema_id in ids for field_id in schema.field_ids
    }
    if not least_differing_files(table, before, after, kinship, columns).is_rewritten:
        return False
    deleted = DeletedPositions(table.io)
    return count_rows(table, before, deleted) == count_rows(table, after, deleted)


def _delete_files(table: LakeTable, having: Snapshot, lacking: Snapshot) -> int:
    """How many delete files one snapshot has and the other has not."""
    known = {manifest.manifest_path for manifest in list_manifests(table.io, lacking)}
    ours = _paths(table, having, known)
    return len(ours - _paths(table, lacking, set())) if ours else 0


def _paths(table: LakeTable, snapshot: Snapshot, without: set[str]) -> set[str]:
    return {
        entry.data_file.file_path
        for manifest in list_manifests(table.io, snapshot)
        if manifest.content == ManifestContent.DELETES and manifest.manifest_path not in without
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    }


def _partitions(table: LakeTable, added: list[DataFile], removed: list[DataFile]) -> list[PartitionDelta]:
    counts: dict[_Key, Counter[str]] = {}
    for files, files_name, records_name in (
        (added, "files_added", "records_added"),
        (removed, "files_removed", "records_removed"),
    ):
        for file in files:
            count = counts.setdefault((file.spec_id, _partition(table, file)), Counter())
            count[files_name] += 1
            count[records_name] += file.record_count
    found = [
        PartitionDelta(partition=dict(values), spec_id=spec_id, **count) for (spec_id, values), count in counts.items()
    ]
    return sorted(found, key=lambda delta: (-(delta.files_added + delta.files_removed), _order(delta)))


def _order(delta: PartitionDelta) -> tuple[int, list[tuple[str, bool, str]]]:
    return delta.spec_id, [(name, value is None, value or "") for name, value in delta.partition.items()]


def _partition(table: LakeTable, file: DataFile) -> tuple[tuple[str, str | None], ...]:
    spec = table.metadata.specs()[file.spec_id]
    kinds = _source_types(spec, table.metadata.schemas)
    values = []
    for place, field in enumerate(spec.fields):
        value, kind = file.partition[place], kinds.get(field.source_id)
        text = None
        if value is not None:
            text = str(value) if kind is None else field.transform.to_human_string(kind, value)
        values.append((field.name, text))
    return tuple(values)


def _source_types(spec: PartitionSpec, schemas: list[Schema]) -> Mapping[int, PrimitiveType]:
    """Types of the source columns, from the newest schema that has them: one may have been dropped since."""
    found: dict[int, PrimitiveType] = {}
    for schema in sorted(schemas, key=lambda schema: schema.schema_id):
        for field in spec.fields:
            if field.source_id in schema.field_ids and isinstance(
                kind := schema.find_type(field.source_id), PrimitiveType
            ):
                found[field.source_id] = kind
    return found
