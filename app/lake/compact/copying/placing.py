"""Where bytes of a file come to lie in another one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from app.lake.compact.copying.survey import Span


class Placement:
    """Spans of a file, put one behind the other from `start` on."""

    def __init__(self, spans: Sequence[Span], start: int) -> None:
        self._starts = [first for first, _ in spans]
        self._ends = [last for _, last in spans]
        self._places: list[int] = []
        self.end = start
        for first, last in spans:
            self._places.append(self.end)
            self.end += last - first

    def find(self, position: int) -> int | None:
        """Where the byte at this position of the file is; None where it was not taken along."""
        index = bisect_right(self._starts, position) - 1
        if index < 0 or position >= self._ends[index]:
            return None
        return self._places[index] + position - self._starts[index]

    def get(self, position: int) -> int:
        """As `find`, of a byte that was taken along.

        Raises:
            ValueError: it was not.
        """
        found = self.find(position)
        if found is None:
            raise ValueError(f"byte {position} is in no column chunk and no page index")
        return found
