"""Manifest lists and manifests, in pyiceberg's words, for all who ask what is in a snapshot.

pyiceberg's readers do not say which file they could not read, and take one that was cut short for a shorter one: its
other files would be in no answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DEFAULT_READ_VERSION,
    MANIFEST_ENTRY_SCHEMAS,
    MANIFEST_LIST_FILE_SCHEMAS,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    PartitionFieldSummary,
    _inherit_from_manifest,
)
from pyiceberg.table.snapshots import Snapshot

from app.lake.avro_files import AvroFile, Readers, parse_avro
from app.lake.deleted_positions import naming_file
from app.lake.encoded_files import EncodedFile, find_layout

_TOTAL_FILES = ("total-data-files", "total-delete-files")


# Entries of manifests, by their paths, for who reads the same ones again: manifests never change.
Remembered = dict[str, list[ManifestEntry]]


class WholeManifest(ManifestFile):
    """A manifest whose entries are all read, or an error names it; pyiceberg's planners read it so too.

    Where entries are `remembered`, they are read once, and not to be changed. With `keeps_encoded` files have the bytes
    that they have in the manifest, if those can be copied to another one.
    """

    remembered: Remembered | None = None
    keeps_encoded: bool = False

    def fetch_manifest_entry(self, io: FileIO, discard_deleted: bool = True) -> list[ManifestEntry]:
        """Its entries, as pyiceberg has them. Costs reading it, unless it is remembered.

        Raises:
            AbsentFileError: it is not there.
            OSError: it is broken; its name is in the message.
        """
        entries = None if self.remembered is None else self.remembered.get(self.manifest_path)
        if entries is None:
            entries = self._read(io)
            if self.remembered is not None:
                self.remembered[self.manifest_path] = entries
        return [entry for entry in entries if not discard_deleted or entry.status != ManifestEntryStatus.DELETED]

    def _read(self, io: FileIO) -> list[ManifestEntry]:
        with naming_file(self.manifest_path):
            found = _read(io, self.manifest_path)
            entries = list(self._entries(found))
            check_whole(found, self.manifest_length, len(entries), counted_entries(self))
            return [_inherit_from_manifest(entry, self) for entry in entries]

    def _entries(self, found: AvroFile) -> Iterator[ManifestEntry]:
        reader = _ENTRY_READERS.of(found.schema)
        layout = find_layout(found.schema) if self.keeps_encoded else None
        if layout is None:
            yield from found.records(reader)
            return
        for entry, block, begin, end in found.located_records(reader):
            encoded = block[begin:end]
            entry.data_file.layout, entry.data_file.encoded = layout, encoded[layout.end_of_head(encoded) :]
            yield entry


_LIST_READERS = Readers(
    MANIFEST_LIST_FILE_SCHEMAS[DEFAULT_READ_VERSION],
    {-1: WholeManifest, 508: PartitionFieldSummary},
    {517: ManifestContent},
)
_ENTRY_READERS = Readers(
    MANIFEST_ENTRY_SCHEMAS[DEFAULT_READ_VERSION],
    {-1: ManifestEntry, 2: EncodedFile},
    {0: ManifestEntryStatus, 101: FileFormat, 134: DataFileContent},
)


def list_manifests(
    io: FileIO, snapshot: Snapshot, remembered: Remembered | None = None, *, keeps_encoded: bool = False
) -> list[ManifestFile]:
    """The manifests of a snapshot, whose entries are `remembered` there once they are read. Costs reading their list.

    Files have their bytes with `keeps_encoded`, and where they are remembered: it is for what they are copied to.

    Raises:
        AbsentFileError: it is not there.
        OSError: it is broken; its name is in the message.
    """
    with naming_file(snapshot.manifest_list):
        found = _read(io, snapshot.manifest_list)
        manifests = list(found.records(_LIST_READERS.of(found.schema)))
        check_list(snapshot, len(manifests))
        for manifest in manifests:
            manifest.remembered = remembered
            manifest.keeps_encoded = keeps_encoded or remembered is not None
        return manifests


def counted_entries(manifest: ManifestFile) -> int | None:
    """How many entries a manifest has, as its list tells; None where it does not: version 1 of the format need not."""
    counts = (manifest.added_files_count, manifest.existing_files_count, manifest.deleted_files_count)
    return None if None in counts else sum(count or 0 for count in counts)


def check_whole(found: AvroFile, size_bytes: int, entries: int, counted: int | None) -> None:
    """Raise EOFError where a manifest was cut between two blocks, which nothing in it tells.

    Shorter than its list says is also a manifest that was copied to a place with a shorter name: Iceberg's
    `rewrite_table_path` leaves sizes as they were (apache/iceberg#13719). Such a one has all its entries.
    """
    if found.size_bytes < size_bytes and (counted is None or entries < counted):
        raise EOFError(f"it has {found.size_bytes} bytes of {size_bytes}")


def check_list(snapshot: Snapshot, manifests: int) -> None:
    """Raise EOFError where a list names no manifest of a snapshot that has files: it was cut where its header ends."""
    summary = snapshot.summary.additional_properties if snapshot.summary else {}
    if not manifests and any(summary.get(name, "0") != "0" for name in _TOTAL_FILES):
        raise EOFError("it names no manifest of a snapshot that has files")


def _read(io: FileIO, path: str) -> AvroFile:
    with io.new_input(path).open() as stream:
        return parse_avro(stream.read())
