"""The metadata files of one snapshot before it is committed: its manifests, and their list."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable, Sequence
from itertools import count

from pyiceberg.io import OutputFile
from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    write_manifest,
    write_manifest_list,
)

from app.lake.compact.manifest_codecs import manifest_codec
from app.lake.delete_manifests import DeleteManifestWriter
from app.lake.expire.deletion import delete_files
from app.lake.table import LakeTable

logger = logging.getLogger(__name__)


class SnapshotFiles:
    """Writes the metadata files of a snapshot of this id, on top of the table as it is; `discard` removes them.

    Raises:
        InvalidTablePropertyError: the table wants manifests compressed in a way that there is not.
    """

    def __init__(self, table: LakeTable, snapshot_id: int) -> None:
        self.snapshot_id = snapshot_id
        self._table = table
        self._locations = table.handle.location_provider()
        self._name = uuid.uuid4()
        self._numbers = count()
        self._written: list[str] = []
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

    def without(self, manifest: ManifestFile, gone: Collection[str]) -> tuple[ManifestFile, list[DataFile]]:
        """A manifest in which the files at these paths are removed, and which those are; itself where none is in it.

        Costs reading it, and writing it anew where one is.
        """
        if not gone:
            return manifest, []
        entries = manifest.fetch_manifest_entry(self._table.io, discard_deleted=True)
        removed = [entry.data_file for entry in entries if entry.data_file.file_path in gone]
        if not removed:
            return manifest, []
        with self._manifest(manifest.partition_spec_id, manifest.content) as writer:
            for entry in entries:
                if entry.data_file.file_path in gone:
                    writer.delete(entry)
                else:
                    writer.existing(entry)
        return writer.to_manifest_file(), removed

    def list_of(self, manifests: Sequence[ManifestFile], parent_id: int | None) -> str:
        """The list of the snapshot's manifests; answers its location."""
        location = self._locations.new_metadata_location(f"snap-{self.snapshot_id}-0-{self._name}.avro")
        metadata = self._table.metadata
        with write_manifest_list(
            metadata.format_version,
            self._output(location),
            self.snapshot_id,
            parent_id,
            metadata.next_sequence_number(),
            self._codec,
        ) as writer:
            writer.add_manifests(list(manifests))
        return location

    def discard(self) -> None:
        """Remove what was written, of a snapshot that was not committed and never will be.

        What cannot be removed is logged, and left as an orphan: why the snapshot was given up matters more.
        """
        for file in delete_files(self._table.io, self._written).left:
            logger.warning("%s, of a snapshot that was not committed, cannot be removed: %s", file.path, file.reason)
        self._written.clear()

    def _manifest(self, spec_id: int, content: ManifestContent) -> ManifestWriter:
        metadata = self._table.metadata
        location = self._locations.new_metadata_location(f"{self._name}-m{next(self._numbers)}.avro")
        arguments = (
            metadata.specs()[spec_id],
            metadata.schema(),
            self._output(location),
            self.snapshot_id,
            self._codec,
        )
        if content is ManifestContent.DELETES:
            return DeleteManifestWriter(*arguments)
        return write_manifest(metadata.format_version, *arguments)

    def _output(self, location: str) -> OutputFile:
        self._written.append(location)
        return self._table.io.new_output(location)
