"""Files of a table, each once, and whose they are."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from app.domain.expiry import GOING, SHARED, FileKind, FileTally, TableFile, join_owners

_KINDS = tuple(FileKind)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}


class FileSet:
    """Files by the digests of their keys (`app.domain.file_keys`).

    Bounded by the files, whatever the number of snapshots: about 180 bytes each, and the path of those that only
    snapshots reach which are going: 100,000 files take 20 to 40 MB. A path that comes first from what stays is not
    kept. Add what stays first.
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._sizes = array("q")
        self._owners = array("i")
        self._kinds = bytearray()
        self._paths: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._numbers

    def add(self, digest: bytes, path: str, size_bytes: int, kind: FileKind, owner: int) -> None:
        """A file that this owner has; one that others have too becomes what `join_owners` says."""
        number = self._numbers.setdefault(digest, len(self._sizes))
        if number == len(self._sizes):
            self._sizes.append(size_bytes)
            self._owners.append(owner)
            self._kinds.append(_NUMBERS[kind])
            if owner == GOING:
                self._paths[number] = path
        elif self._owners[number] != owner:
            self._owners[number] = joined = join_owners(self._owners[number], owner)
            if joined != GOING:
                self._paths.pop(number, None)

    def release(self, is_kept: Callable[[str], bool]) -> FileTally:
        """Let files that are going be `SHARED` instead, where this says so of their paths; answers what those are."""
        kept = [number for number, path in self._paths.items() if is_kept(path)]
        files: Counter[FileKind] = Counter()
        sizes: Counter[FileKind] = Counter()
        for number in kept:
            self._owners[number] = SHARED
            del self._paths[number]
            files[_KINDS[self._kinds[number]]] += 1
            sizes[_KINDS[self._kinds[number]]] += self._sizes[number]
        return FileTally(files=dict(files), bytes=dict(sizes))

    def tally(self, owner: int | None = None) -> FileTally:
        """Files and bytes by kind, of one owner or of all."""
        files: Counter[FileKind] = Counter()
        sizes: Counter[FileKind] = Counter()
        for size, whose, kind in zip(self._sizes, self._owners, self._kinds, strict=True):
            if owner is None or whose == owner:
                files[_KINDS[kind]] += 1
                sizes[_KINDS[kind]] += size
        return FileTally(files=dict(files), bytes=dict(sizes))

    def bytes_by_owner(self) -> dict[int, int]:
        """The bytes of the files that each owner has."""
        found: Counter[int] = Counter()
        for size, whose in zip(self._sizes, self._owners, strict=True):
            found[whose] += size
        return dict(found)

    def going(self) -> Iterator[TableFile]:
        """The files that only snapshots reach which are going; data first, and what names it after it."""
        for wanted in range(len(_KINDS)):
            for number, path in self._paths.items():
                if self._kinds[number] == wanted:
                    yield TableFile(path=path, size_bytes=self._sizes[number], kind=_KINDS[wanted])


def in_batches(files: Iterable[TableFile], size: int) -> Iterator[list[TableFile]]:
    """The files, so many at a time."""
    batch: list[TableFile] = []
    for file in files:
        batch.append(file)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
