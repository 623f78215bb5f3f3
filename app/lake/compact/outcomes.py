"""What came of a run of compaction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pyiceberg.manifest import DataFile

from app.domain.compaction.packing import Bin


class Way(StrEnum):
    """How a bin was made."""

    # Column chunks as they are, and a footer for all of them.
    COPY = "copy"
    # Read and written anew: deletes applied, in the current schema and sort order.
    REWRITE = "rewrite"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBin:
    """The files that have the rows of a bin; none of them is in the table yet. `why` is why they were not copied."""

    way: Way
    added: tuple[DataFile, ...]
    why: str | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the new files."""
        return sum(file.file_size_in_bytes for file in self.added)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedBin:
    """A bin whose files are in the table, and the snapshot that brought them."""

    some: Bin
    made: MadeBin
    snapshot_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionOutcome:
    """What was done, bin by bin in the order of their commits.

    `overtaken` are bins that others changed each time they were made; `left` are such as Spark was to do and did
    not, of which it does not say why; `leftovers` are files that could not be removed, and are in no snapshot;
    `cleaning_snapshot_ids` are snapshots that only took delete files out. With `is_stopped` it was ended before its
    end; what is committed counts.
    """

    committed: tuple[CommittedBin, ...]
    overtaken: tuple[Bin, ...] = ()
    left: tuple[Bin, ...] = ()
    dropped_deletes: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    cleaning_snapshot_ids: tuple[int, ...] = ()
    is_stopped: bool = False

    @property
    def snapshot_ids(self) -> tuple[int, ...]:
        """The snapshots that were made, the oldest first."""
        return tuple(dict.fromkeys(each.snapshot_id for each in self.committed))
