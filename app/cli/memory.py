"""What processes that work for long do about Python's collector of garbage."""

from __future__ import annotations

import gc


def settle_memory() -> None:
    """What was made up to now stays: the collector of garbage has not to go through it again and again.

    An answer of some thousand fields, or the footers of some hundred files, make enough objects to set off a collection
    of all, which took 100 ms and more.
    """
    gc.collect()
    gc.freeze()
