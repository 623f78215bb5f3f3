"""Which files are brought together: bins, each of one partition, that make as few files of the target as can be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.domain.compaction.files import Place, TableFile
from app.domain.compaction.policy import TOLERANCE, CompactionPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Files that are made into `outputs` new ones, each of about the same size."""

    place: Place
    files: tuple[TableFile, ...]
    outputs: int

    @property
    def size_bytes(self) -> int:
        """Bytes of its files, without those of delete files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def rows(self) -> int:
        """Rows in its files, also deleted ones."""
        return sum(file.rows for file in self.files)

    @property
    def has_deletes(self) -> bool:
        """Whether there are deletes to apply, so that its files cannot be copied."""
        return any(file.has_deletes for file in self.files)

    @property
    def is_asked_for(self) -> bool:
        """Whether any of its files is to be rewritten whatever comes of it."""
        return any(file.is_asked_for for file in self.files)

    @property
    def files_saved(self) -> int:
        """How many files fewer there are afterwards."""
        return len(self.files) - self.outputs


def pack(files: Iterable[TableFile], policy: CompactionPolicy) -> list[Bin]:
    """The bins that make these candidates fewer or rid them of deletes, in the order of their places.

    Of one partition `ceil(bytes / target)` files are made, unless `max_concurrent_files` are too few for that; a run
    over what was made would then make them fewer once more. The same files give the same bins, in whatever order.
    Costs time of the order of files times bins of a partition.
    """
    by_place: dict[Place, list[TableFile]] = defaultdict(list)
    for file in files:
        by_place[file.place].append(file)
    bins = [found for place in sorted(by_place) for found in _pack_place(place, by_place[place], policy)]
    return [
        found
        for found in bins
        if found.files_saved > 0 or found.has_deletes or found.is_asked_for or policy.rewrite_all
    ]


def _pack_place(place: Place, files: Sequence[TableFile], policy: CompactionPolicy) -> list[Bin]:
    target = policy.target_bytes
    packed: list[_Packed] = []
    unfilled: list[_Packed] = []
    smallest = min(file.size_bytes for file in files)
    for file in sorted(files, key=lambda file: file.order):
        # First fit, the largest first: files that are small beside the target leave no room to speak of.
        chosen = next((some for some in unfilled if some.has_room(file.size_bytes, policy)), None)
        if chosen is None:
            chosen = _Packed()
            packed.append(chosen)
            unfilled.append(chosen)
        chosen.take(file)
        if not chosen.has_room(smallest, policy):
            unfilled.remove(chosen)
    fewest = -(-sum(some.size_bytes for some in packed) // target)
    return [_to_bin(place, some, target) for some in _merged(packed, fewest, policy)]


class _Packed:
    """A bin that is being filled."""

    def __init__(self) -> None:
        self.files: list[TableFile] = []
        self.size_bytes = 0

    def has_room(self, size_bytes: int, policy: CompactionPolicy) -> bool:
        return self.size_bytes + size_bytes <= policy.target_bytes and len(self.files) < policy.max_concurrent_files

    def take(self, *files: TableFile) -> None:
        self.files += files
        self.size_bytes += sum(file.size_bytes for file in files)


def _merged(packed: list[_Packed], fewest: int, policy: CompactionPolicy) -> list[_Packed]:
    """Where files are so large that they leave room in each bin: the emptiest bins as one that makes several files."""
    target = policy.target_bytes
    rest = sorted(packed, key=lambda some: (some.size_bytes, some.files[0].order))
    merged = _Packed()
    outputs = made = sum(_outputs(some.size_bytes, target) for some in packed)
    while rest and outputs > fewest and len(merged.files) + len(rest[0].files) <= policy.max_concurrent_files:
        outputs -= _outputs(merged.size_bytes, target)
        outputs -= _outputs(rest[0].size_bytes, target)
        merged.take(*rest.pop(0).files)
        outputs += _outputs(merged.size_bytes, target)
    return [*rest, merged] if outputs < made else packed


def _to_bin(place: Place, some: _Packed, target: int) -> Bin:
    # In the order of their paths, which with most writers is that of time.
    files = tuple(sorted(some.files, key=lambda file: file.file))
    return Bin(place=place, files=files, outputs=max(1, _outputs(some.size_bytes, target)))


def _outputs(size_bytes: int, target: int) -> int:
    """Files of this target, none above the tolerance."""
    if size_bytes == 0:
        return 0
    return 1 if size_bytes <= target * TOLERANCE else -(-size_bytes // target)
