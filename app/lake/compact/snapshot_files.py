"""The metadata files of one snapshot before it is committed: its manifests, and their list."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count

from pyiceberg.io import OutputFile
from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    write_manifest_list,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import IcebergType

from app.lake.catalog import reading_files
from app.lake.compact.manifest_codecs import manifest_codec
from app.lake.compact.manifest_writing import open_manifest
from app.lake.compact.typed_specs import partition_types, typed_spec
from app.lake.encoded_files import EntryLayout, layout_of
from app.lake.expire.deletion import delete_files
from app.lake.manifest_files import list_manifests
from app.lake.table import LakeTable

# What Iceberg wants a manifest to have ("commit.manifest.target-size-bytes").
_MANIFEST_BYTES = 8 * 2**20

# What a manifest is of.
_Kind = tuple[int, ManifestContent, EntryLayout | None]

logger = logging.getLogger(__name__)


class SnapshotFiles:
    """Writes the metadata files of a snapshot of this id on top of another one; `discard` removes them.

    Raises:
        InvalidTablePropertyError: the table wants manifests compressed in a way that there is not.
    """

    def __init__(self, table: LakeTable, snapshot_id: int, parent: Snapshot) -> None:
        self.snapshot_id = snapshot_id
        self._table = table
        self._parent = parent
        self._specs: dict[int, PartitionSpec] = {}
        self._locations = table.handle.location_provider()
        self._name = uuid.uuid4()
        self._numbers = count()
        self._written: list[str] = []
        self._emptied: dict[_Kind, list[ManifestEntry]] = defaultdict(list)
        self._codec = manifest_codec(table.metadata.properties)

    def add(self, files: Iterable[DataFile], spec_id: int, sequence_number: int) -> ManifestFile:
        """A manifest of data files that are new in the snapshot, with the data sequence number of older ones."""
        is_numbered = self._table.metadata.format_version > 1
        with self._manifest(spec_id, ManifestContent.DATA) as writer:
            for file in files:
                writer.add_entry(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.ADDED,
                        snapshot_id=self.snapshot_id,
                        sequence_number=sequence_number if is_numbered else None,
                        # Inherited, as the files are new (Iceberg spec, "Sequence Number Inheritance").
                        file_sequence_number=None,
                        data_file=file,
                    )
                )
        return writer.to_manifest_file()

    def without(self, manifest: ManifestFile, gone: Collection[str]) -> tuple[ManifestFile | None, list[DataFile]]:
        """A manifest in which the files at these paths are removed, and which those are; itself where none is in it.

        None where nothing is left in it: what was is told by `emptied`. Costs reading it, and writing it anew where
        some files are removed and others stay.
        """
        if not gone:
            return manifest, []
        entries = manifest.fetch_manifest_entry(self._table.io, discard_deleted=True)
        removed = [entry.data_file for entry in entries if entry.data_file.file_path in gone]
        if not removed:
            return manifest, []
        layout = self._layout(manifest, removed[0])
        if len(removed) == len(entries):
            self._emptied[manifest.partition_spec_id, manifest.content, layout] += entries
            return None, removed
        with self._manifest(manifest.partition_spec_id, manifest.content, layout) as writer:
            for entry in entries:
                if entry.data_file.file_path in gone:
                    writer.delete(entry)
                else:
                    writer.existing(entry)
        return writer.to_manifest_file(), removed

    def emptied(self) -> Iterator[ManifestFile]:
        """Manifests that tell what was removed from those of which nothing is left: each tells it of many of them.

        A table that is written to in small steps has one for each file, and each would be a file to write.
        """
        for (spec_id, content, layout), entries in sorted(self._emptied.items(), key=lambda item: item[0][:2]):
            left = iter(entries)
            for first in left:
                with self._manifest(spec_id, content, layout) as writer:
                    writer.delete(first)
                    while writer.tell() < _MANIFEST_BYTES and (entry := next(left, None)) is not None:
                        writer.delete(entry)
                yield writer.to_manifest_file()

    def list_of(self, manifests: Sequence[ManifestFile]) -> str:
        """The list of the snapshot's manifests; answers its location."""
        location = self._locations.new_metadata_location(f"snap-{self.snapshot_id}-0-{self._name}.avro")
        metadata = self._table.metadata
        with write_manifest_list(
            metadata.format_version,
            self._output(location),
            self.snapshot_id,
            self._parent.snapshot_id,
            metadata.next_sequence_number(),
            self._codec,
        ) as writer:
            writer.add_manifests(list(manifests))
        return location

    @property
    def written(self) -> Collection[str]:
        """The locations of its files."""
        return self._written

    def discard(self) -> None:
        """Remove what was written, of a snapshot that was not committed and never will be.

        What cannot be removed is logged, and left as an orphan: why the snapshot was given up matters more.
        """
        for file in delete_files(self._table.io, self._written).left:
            logger.warning("%s, of a snapshot that was not committed, cannot be removed: %s", file.path, file.reason)
        self._written.clear()

    def _manifest(self, spec_id: int, content: ManifestContent, layout: EntryLayout | None = None) -> ManifestWriter:
        metadata = self._table.metadata
        location = self._locations.new_metadata_location(f"{self._name}-m{next(self._numbers)}.avro")
        return open_manifest(
            metadata.format_version,
            content,
            self._spec(spec_id),
            metadata.schema(),
            self._output(location),
            self.snapshot_id,
            self._codec,
            layout,
        )

    def _layout(self, manifest: ManifestFile, file: DataFile) -> EntryLayout | None:
        """The layout that a manifest's files can be copied in, as any one of them has it."""
        found, metadata = layout_of(file), self._table.metadata
        if found is None:
            return None
        partition = self._spec(manifest.partition_spec_id).partition_type(metadata.schema())
        return found if found.fits(metadata.format_version, manifest.content, partition) else None

    def _spec(self, spec_id: int) -> PartitionSpec:
        if spec_id not in self._specs:
            with reading_files(self._table.state.name):
                self._specs[spec_id] = typed_spec(self._table.metadata, spec_id, lambda: self._types_of(spec_id))
        return self._specs[spec_id]

    def _types_of(self, spec_id: int) -> Iterable[Mapping[int, IcebergType]]:
        """The types of the partition fields of a spec, as each manifest of the parent has them."""
        io = self._table.io
        return (
            partition_types(io, manifest)
            for manifest in list_manifests(io, self._parent)
            if manifest.partition_spec_id == spec_id
        )

    def _output(self, location: str) -> OutputFile:
        self._written.append(location)
        return self._table.io.new_output(location)
