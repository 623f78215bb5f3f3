"""On what terms a bin is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BinTerms:
    """How large the files of a bin become, what making them may take, what they are called, and whether to stop.

    `outputs` is how many files there are to be if estimates are true; none is above 1.1 times `target_bytes`. So many
    row groups are made at once, in `threads` beside the caller's. `name` is part of the files' names.
    """

    outputs: int
    target_bytes: int
    memory_bytes: int
    threads: int
    name: str
    is_stopped: Callable[[], bool]
