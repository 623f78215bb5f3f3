"""What a snapshot of another engine did to the files of a table, as bins: by the manifests that it wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyiceberg.manifest import DataFile, DataFileContent, ManifestEntryStatus
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from app.domain.compaction.files import Place, TableFile
from app.domain.compaction.packing import Bin
from app.domain.live_files import LiveFile
from app.lake.compact.outcomes import CommittedBin, MadeBin, Way
from app.lake.compact.planning import place_of
from app.lake.manifest_files import list_manifests
from app.lake.table import LakeTable


@dataclass(slots=True)
class SnapshotChanges:
    """The files that a snapshot added and removed: data files by their partitions, delete files by their paths."""

    added: dict[Place, list[DataFile]] = field(default_factory=lambda: defaultdict(list))
    removed: dict[Place, list[DataFile]] = field(default_factory=lambda: defaultdict(list))
    removed_deletes: set[str] = field(default_factory=set)


def changes_of(table: LakeTable, snapshot: Snapshot) -> SnapshotChanges:
    """What the snapshot changed. Costs reading the manifests that it wrote (Iceberg spec, "Manifests").

    Raises: as pyiceberg's readers do.
    """
    found = SnapshotChanges()
    for manifest in list_manifests(table.io, snapshot):
        if manifest.added_snapshot_id != snapshot.snapshot_id:
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
            if entry.snapshot_id != snapshot.snapshot_id or entry.status is ManifestEntryStatus.EXISTING:
                continue
            is_removed, file = entry.status is ManifestEntryStatus.DELETED, entry.data_file
            if file.content == DataFileContent.DATA:
                (found.removed if is_removed else found.added)[place_of(table.metadata, file)].append(file)
            elif is_removed:
                found.removed_deletes.add(file.file_path)
    return found


def committed_bins(metadata: TableMetadata, snapshot_id: int, changes: SnapshotChanges, why: str) -> list[CommittedBin]:
    """A bin for each partition that the snapshot wrote files to or took some from; `why` is why none was copied.

    Files that were moved to the table's current spec are in two of them.
    """
    return [
        CommittedBin(
            some=Bin(
                place=place, files=tuple(_files(place, changes.removed[place])), outputs=len(changes.added[place])
            ),
            made=MadeBin(way=Way.REWRITE, added=tuple(changes.added[place]), why=why),
            snapshot_id=snapshot_id,
        )
        for place in sorted({*changes.added, *changes.removed})
    ]


def _files(place: Place, files: Iterable[DataFile]) -> list[TableFile]:
    # Which deletes were applied to them is not in what the snapshot wrote.
    return [
        TableFile(
            file=LiveFile(file.file_path), size_bytes=file.file_size_in_bytes, rows=file.record_count, place=place
        )
        for file in files
    ]
