"""When a file that is being written is full: as few files as there can be, of about the same size, none too large.

How large rows will be is not known before they are written. What is known is how many bytes they had where they come
from, here their weight; what is written of a weight is taken to be as much as was written of all before. So are row
groups that are still being encoded: near the end of a file it is better to wait for them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil

from app.domain.compaction.policy import TOLERANCE

_TOLERANCE = float(TOLERANCE)
# Encoded bytes are hardly ever more than decoded ones; a dictionary of numbers of which none comes twice is.
_WORST_GROWTH = 1.35
# Files are made larger than the target only where that saves one; what is left to the tolerance is for estimates.
_STRETCH = 1.05
# A file to which less than this share of it would be added is full.
_ALMOST = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroupLimits:
    """What a row group may have at most: rows, bytes as they are in the file, and bytes decoded in memory."""

    rows: int
    file_bytes: int
    memory_bytes: int


@dataclass(slots=True, kw_only=True)
class Rolling:
    """Row groups are begun, and in the same order added to the current file until it is full.

    `weight` is that of all rows, `overhead_bytes` what a file has without any row group, `group_extra_bytes` about what
    each has beside its rows, what the footer says of it included. A single row may be larger than anything.
    """

    target_bytes: int
    outputs: int
    weight: float
    limits: RowGroupLimits
    overhead_bytes: int = 0
    group_extra_bytes: int = 0
    _files_done: int = field(default=0, init=False)
    _written: float = field(default=0.0, init=False)
    _weight_written: float = field(default=0.0, init=False)
    _size: int = field(default=0, init=False)
    _groups: int = field(default=0, init=False)
    _begun: deque[float] = field(default_factory=deque, init=False)

    def share_for(self, rows: int, memory_bytes: int, weight: float, *, buffered: tuple[int, int, float]) -> float:
        """How much of these rows, 0 to 1, may still come into the row group that has `buffered` (the same three)."""
        before = (float(buffered[0]), float(buffered[1]), buffered[2])
        most_weight = min(self.limits.file_bytes, max(0.0, self._aim() - self._size_with_footer())) / self._ratio()
        most_memory = min(float(self.limits.memory_bytes), self._room_for_rows() / _WORST_GROWTH)
        rooms = (self.limits.rows - before[0], most_memory - before[1], most_weight - before[2])
        sizes = (float(rows), float(memory_bytes), weight)
        return min(1.0, *(max(0.0, room) / size for room, size in zip(rooms, sizes, strict=True) if size > 0))

    def group_begun(self, weight: float) -> None:
        """A row group of this weight is being encoded, for the current file."""
        self._begun.append(weight)

    def group_written(self, size_bytes: int) -> None:
        """The first row group that was begun was written, and the current file has this size now."""
        self._written += size_bytes - self._size
        self._weight_written += self._begun.popleft()
        self._size = size_bytes
        self._groups += 1

    def file_closed(self) -> None:
        """What comes next, and what was begun, goes into another file."""
        self._files_done += 1
        self._size = self._groups = 0

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether a row group of so many bytes may come into the current file; the first one always."""
        return self._groups == 0 or self._size + size_bytes <= self.target_bytes * _TOLERANCE - self.overhead_bytes

    @property
    def needs_what_was_begun(self) -> bool:
        """Whether to wait until what was begun is written, before it is said how large the next row group may be.

        Where the end of the file is near, or nothing is known yet of how large rows become.
        """
        if not self._begun:
            return False
        limits, size = self.limits, self._size_with_footer()
        is_near = self._room_for_rows() / _WORST_GROWTH < limits.memory_bytes or self._aim() - size < limits.file_bytes
        return is_near or self._weight_written == 0

    @property
    def is_full(self) -> bool:
        """Whether the rows that are left go into another file."""
        if self._groups + len(self._begun) == 0 or self._left() <= 0:
            return False
        if self._room() < self.target_bytes * _ALMOST / 4:
            return True
        return self._files_left() > 1 and self._size_with_footer() >= self._aim() * (1 - _ALMOST)

    def _ratio(self) -> float:
        return self._written / self._weight_written if self._weight_written > 0 and self._written > 0 else 1.0

    def _left(self) -> float:
        """Bytes that are in no file and not begun either, as far as can be told."""
        return max(0.0, self.weight - self._weight_written - sum(self._begun)) * self._ratio()

    def _size_with_begun(self) -> float:
        return self._size + sum(self._begun) * self._ratio()

    def _size_with_footer(self) -> float:
        return self._size_with_begun() + self.overhead_bytes

    def _room(self) -> float:
        """Bytes that the current file may still get, whatever comes."""
        return max(0.0, self.target_bytes * _TOLERANCE - self._size_with_footer())

    def _room_for_rows(self) -> float:
        """What of it is for the rows of one more row group."""
        return max(0.0, self._room() - self.group_extra_bytes)

    def _files_left(self) -> int:
        """How many files there will be, from the current one on."""
        left = self._size_with_begun() + self._left()
        fewest = max(1, ceil(left / self.target_bytes))
        planned = max(1, self.outputs - self._files_done)
        return planned if planned < fewest and left <= planned * self.target_bytes * _STRETCH else fewest

    def _aim(self) -> float:
        """The size that the current file is to have."""
        files = self._files_left()
        return (self._size_with_begun() + self._left()) / files if files > 1 else self.target_bytes * _TOLERANCE
