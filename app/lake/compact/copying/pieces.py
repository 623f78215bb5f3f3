"""What a file is put together of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

IsStopped = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of another file."""

    location: str
    start: int
    length: int

    def cut(self, size: int) -> Iterator[Extent]:
        """The same in parts of at most so many bytes."""
        for offset in range(0, self.length, size):
            yield Extent(self.location, self.start + offset, min(size, self.length - offset))


# In the order in which they lie in the file.
Piece = Extent | bytes
