"""Reading manifest lists and manifests for the paths in them, and little else."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from pyiceberg.avro.decoder import new_decoder
from pyiceberg.manifest import (
    DEFAULT_READ_VERSION,
    MANIFEST_ENTRY_SCHEMAS,
    MANIFEST_LIST_FILE_SCHEMAS,
    DataFile,
    DataFileContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)

from app.lake.avro_files import Readers, parse_avro
from app.lake.deleted_positions import naming_file
from app.lake.manifest_files import check_whole, counted_entries
from app.lake.whole_files import WholeFiles

# Of the list before, so many entries at the beginning may be another one's.
_MAX_NEW = 3
_LIST_READERS = Readers(MANIFEST_LIST_FILE_SCHEMAS[DEFAULT_READ_VERSION], {-1: ManifestFile})
# With all fields: pyiceberg skips maps item by item in Python, reads them at once in C, and cannot skip lists.
_ENTRY_READERS = Readers(MANIFEST_ENTRY_SCHEMAS[DEFAULT_READ_VERSION], {-1: ManifestEntry, 2: DataFile})


@dataclass(frozen=True, slots=True)
class ListedManifest:
    """A manifest as manifest lists name it; `number` counts those of one `ManifestIndex`.

    `entry_count` is None where the list does not tell.
    """

    number: int
    path: str
    size_bytes: int
    entry_count: int | None


@dataclass(slots=True)
class LiveFiles:
    """The files that are live in one manifest: not those of its entries that say that a file was deleted."""

    paths: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    contents: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class ManifestList:
    """A manifest list, decompressed: its entries one after the other, how many they are, and the file's size."""

    schema: str
    count: int
    entries: bytes
    size_bytes: int


@dataclass(slots=True)
class _Known:
    """What was decoded of lists of one schema.

    `entries` are whole entries by the bytes of their paths, with the manifest's number; `last` is the list before, with
    where its first few entries begin and the numbers of all.
    """

    entries: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    last: bytes = b""
    starts: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


class ManifestIndex:
    """All manifests that some manifest lists name, each once.

    The lists of a table repeat each other: two thousand appends leave two million entries about two thousand manifests.
    How an entry is decoded depends on nothing but its bytes and the list's schema, so bytes that were decoded before
    are not decoded again: neither the end of a list, where that is how the one before it ends, nor an entry that begins
    as a known one does and goes on like it.
    """

    def __init__(self) -> None:
        self.manifests: list[ListedManifest] = []
        self._by_path: dict[str, ListedManifest] = {}
        self._known: dict[str, _Known] = {}

    def add_list(self, found: ManifestList) -> list[int]:
        """The numbers of the manifests that a list names.

        Raises:
            EOFError, ValueError: the list is broken.
        """
        known = self._known.setdefault(found.schema, _Known())
        entries, end = found.entries, len(found.entries)
        reader, decoder = _LIST_READERS.of(found.schema), new_decoder(entries)
        tail_at, tail = _common_end(entries, known)
        numbers: list[int] = []
        starts: list[int] = []
        at = 0
        while len(numbers) < found.count:
            if at == tail_at and len(numbers) + len(known.numbers) - tail == found.count:
                shift = at - known.starts[tail]
                starts += [start + shift for start in known.starts[tail:]]
                numbers += known.numbers[tail:]
                at = end
                break
            if len(starts) <= _MAX_NEW:
                starts.append(at)
            # An entry begins with its path, whose length has two bytes for 64 to 8,191 characters.
            first = at + 2
            name = entries[at : first + (((entries[at] & 0x7F) | (entries[at + 1] << 7)) >> 1)] if first < end else b""
            same = known.entries.get(name)
            if same is not None and entries.startswith(same[1], at):
                numbers.append(same[0])
                at += len(same[1])
                continue
            decoder.skip(at - decoder.tell())
            entry = reader.read(decoder)
            after = decoder.tell()
            if after > end:
                raise EOFError("an entry goes beyond the end")
            numbers.append(self._number_of(entry))
            if name:
                known.entries[name] = (numbers[-1], entries[at:after])
            at = after
        if at != end:
            raise ValueError("it holds more than its entries")
        known.last, known.starts, known.numbers = entries, starts[: _MAX_NEW + 1], numbers
        return numbers

    def _number_of(self, entry: ManifestFile) -> int:
        path = entry.manifest_path
        manifest = self._by_path.get(path)
        if manifest is None:
            manifest = ListedManifest(len(self.manifests), path, entry.manifest_length, counted_entries(entry))
            self.manifests.append(manifest)
            self._by_path[path] = manifest
        return manifest.number


def _common_end(entries: bytes, known: _Known) -> tuple[int, int]:
    """Where the bytes begin that the list before ends with too, and which of its entries begins them; -1 for nowhere.

    Of the one before a few entries may be written otherwise at first: pyiceberg writes one that it has just made
    otherwise than the same one read back.
    """
    for number, start in enumerate(known.starts):
        if entries.endswith(known.last[start:]):
            return len(entries) - len(known.last) + start, number
    return -1, 0


def read_list(files: WholeFiles, path: str) -> ManifestList:
    """A manifest list, for `ManifestIndex.add_list`.

    Raises:
        OSError: it is missing or broken; its name is in the message.
    """
    with naming_file(path):
        found = parse_avro(files.read(path))
        blocks = list(found.blocks())
        entries = b"".join(block for _, block in blocks)
        return ManifestList(found.schema, sum(count for count, _ in blocks), entries, found.size_bytes)


def read_live_files(files: WholeFiles, manifest: ListedManifest) -> LiveFiles:
    """The live files of a manifest. Memory: the manifest, and the paths in it.

    Raises:
        OSError: it is missing or broken; its name is in the message.
    """
    with naming_file(manifest.path):
        found = parse_avro(files.read(manifest.path))
        count, live = 0, LiveFiles()
        for entry in found.records(_ENTRY_READERS.of(found.schema)):
            count += 1
            status, file = entry[0], entry[4]
            if status == ManifestEntryStatus.DELETED:
                continue
            live.paths.append(file[1])
            live.sizes.append(file[5])
            live.contents.append(DataFileContent(file[0] or 0))
        check_whole(found, manifest.size_bytes, count, manifest.entry_count)
        return live
