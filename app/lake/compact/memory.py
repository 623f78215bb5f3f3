"""Memory that several bins at once may take together: large ones one after the other, small ones side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How often one that waits looks whether it is to stop.
_LOOK_S = 0.2


class MemoryBudget:
    """So many bytes, of which each holder has a part. May be used by several threads."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._free_bytes = total_bytes
        self._changed = threading.Condition()

    @contextmanager
    def held(self, wanted_bytes: int, is_stopped: Callable[[], bool]) -> Iterator[int | None]:
        """Wait for so much, or for all where that is less; how much it is, None where `is_stopped` says so before."""
        size = min(wanted_bytes, self.total_bytes)
        with self._changed:
            while not (is_had := self._free_bytes >= size) and not is_stopped():
                self._changed.wait(_LOOK_S)
            if is_had:
                self._free_bytes -= size
        if not is_had:
            yield None
            return
        try:
            yield size
        finally:
            with self._changed:
                self._free_bytes += size
                self._changed.notify_all()
