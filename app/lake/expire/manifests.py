"""Reading manifest lists and manifests for the paths in them, and little else."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from pyiceberg.avro.decoder import new_decoder
from pyiceberg.avro.reader import Reader
from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DEFAULT_READ_VERSION,
    MANIFEST_ENTRY_SCHEMAS,
    MANIFEST_LIST_FILE_SCHEMAS,
    DataFile,
    DataFileContent,
    ManifestEntry,
    ManifestEntryStatus,
)

from app.lake.deleted_positions import naming_file
from app.lake.expire.avro_files import AvroFile, Readers, read_avro

_LIST_READERS = Readers(MANIFEST_LIST_FILE_SCHEMAS[DEFAULT_READ_VERSION], {})
# With all fields: pyiceberg skips maps item by item in Python, reads them at once in C, and cannot skip lists.
_ENTRY_READERS = Readers(MANIFEST_ENTRY_SCHEMAS[DEFAULT_READ_VERSION], {-1: ManifestEntry, 2: DataFile})


@dataclass(frozen=True, slots=True)
class ListedManifest:
    """A manifest as manifest lists name it; `number` counts those of one `ManifestIndex`."""

    number: int
    path: str
    size_bytes: int


@dataclass(slots=True)
class LiveFiles:
    """The files that are live in one manifest: not those of its entries that say that a file was deleted."""

    paths: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    contents: bytearray = field(default_factory=bytearray)


class ManifestIndex:
    """All manifests that some manifest lists name, each once.

    The lists of a table repeat each other: a thousand appends leave half a million entries about a thousand manifests.
    An entry is decoded where its bytes are new; where they begin as one does that was decoded before, and go on like
    it, they are the same entry, for how it is decoded depends on nothing but its bytes and the list's schema.
    """

    def __init__(self) -> None:
        self.manifests: list[ListedManifest] = []
        self._by_path: dict[str, ListedManifest] = {}
        # Of each schema: the path's bytes to the number and the whole entry's bytes.
        self._seen: dict[str, dict[bytes, tuple[int, bytes]]] = {}

    def add_list(self, found: AvroFile) -> list[int]:
        """The numbers of the manifests that a list names.

        Raises:
            EOFError, ValueError: the list is broken.
        """
        reader, seen = _LIST_READERS.of(found.schema), self._seen.setdefault(found.schema, {})
        numbers: list[int] = []
        for count, block in found.blocks():
            self._add_block(block, count, reader, seen, numbers)
        return numbers

    def _add_block(
        self, block: bytes, count: int, reader: Reader, seen: dict[bytes, tuple[int, bytes]], numbers: list[int]
    ) -> None:
        decoder, end, at = new_decoder(block), len(block), 0
        for _ in range(count):
            # An entry begins with its path, whose length has two bytes for 64 to 8,191 characters.
            start = at + 2
            name = block[at : start + (((block[at] & 0x7F) | (block[at + 1] << 7)) >> 1)] if start < end else b""
            known = seen.get(name)
            if known is not None and block.startswith(known[1], at):
                numbers.append(known[0])
                at += len(known[1])
                continue
            decoder.skip(at - decoder.tell())
            entry = reader.read(decoder)
            after = decoder.tell()
            if after > end:
                raise EOFError("an entry goes beyond its block")
            number = self._number_of(entry[0], entry[1])
            numbers.append(number)
            if name:
                seen[name] = (number, block[at:after])
            at = after
        if at != end:
            raise ValueError("a block holds more than its entries")

    def _number_of(self, path: str, size_bytes: int) -> int:
        manifest = self._by_path.get(path)
        if manifest is None:
            manifest = ListedManifest(len(self.manifests), path, size_bytes)
            self.manifests.append(manifest)
            self._by_path[path] = manifest
        return manifest.number


def read_list(io: FileIO, path: str) -> AvroFile:
    """A manifest list, for `ManifestIndex.add_list`. Raises OSError where it is missing or no Avro file."""
    with naming_file(path):
        return read_avro(io, path)


def read_live_files(io: FileIO, manifest: ListedManifest) -> LiveFiles:
    """The live files of a manifest. Memory: the manifest, and the paths in it.

    Raises:
        OSError: it is missing or broken; its name is in the message.
    """
    with naming_file(manifest.path):
        found = read_avro(io, manifest.path)
        if found.size_bytes < manifest.size_bytes:
            raise EOFError(f"it has {found.size_bytes} bytes of {manifest.size_bytes}")
        reader, live = _ENTRY_READERS.of(found.schema), LiveFiles()
        for count, block in found.blocks():
            decoder, end = new_decoder(block), len(block)
            for _ in range(count):
                entry = reader.read(decoder)
                if decoder.tell() > end:
                    raise EOFError("an entry goes beyond its block")
                status, file = entry[0], entry[4]
                if status == ManifestEntryStatus.DELETED:
                    continue
                live.paths.append(file[1])
                live.sizes.append(file[5])
                live.contents.append(DataFileContent(file[0] or 0))
            if decoder.tell() != end:
                raise ValueError("a block holds more than its entries")
        return live
