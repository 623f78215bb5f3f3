"""What two versions of a table differ in, file by file and partition by partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionDelta:
    """Data files and their rows that came to a partition, and that left it; deletes are not taken off the rows.

    `partition` has a text for each field of its partition spec, None for null; it is empty without partitions.
    """

    partition: Mapping[str, str | None]
    spec_id: int
    files_added: int = 0
    files_removed: int = 0
    records_added: int = 0
    records_removed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """The files that one version has and the other has not; bytes are those of data files.

    `partitions` are those with most files first, at most `MAX_PARTITIONS` of `partition_count`. `is_rewritten_only`:
    the files differ, but they are known to hold the same rows, as a compaction leaves them.
    """

    files_added: int
    files_removed: int
    bytes_added: int
    bytes_removed: int
    delete_files_added: int
    delete_files_removed: int
    partitions: tuple[PartitionDelta, ...]
    partition_count: int
    is_rewritten_only: bool

    @property
    def is_empty(self) -> bool:
        """Whether both have the same files."""
        return not (self.files_added or self.files_removed or self.delete_files_added or self.delete_files_removed)

    def first_partitions(self, first: int) -> tuple[PartitionDelta, ...]:
        """The partitions in which most files came or went, at most so many.

        Raises:
            InvalidArgumentError: not 1 to 1,000.
        """
        if not 1 <= first <= MAX_LISTED:
            raise InvalidArgumentError("first", f"{first} is not between 1 and {MAX_LISTED}")
        return self.partitions[:first]


MAX_PARTITIONS = 10_000
DEFAULT_LISTED, MAX_LISTED = 20, 1_000
