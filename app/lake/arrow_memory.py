"""Which of its allocators Arrow uses in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

_VARIABLE = "ARROW_DEFAULT_MEMORY_POOL"

_lock = threading.Lock()
_users = 0
_usual: pa.MemoryPool | None = None


@contextmanager
def thrifty_memory_pool() -> Iterator[None]:
    """Within this Arrow allocates by jemalloc, where it has that and nobody chose another one by its variable.

    For work in which one thread frees what another one allocated, as where rows are decoded in one and encoded in
    others. Arrow's default keeps more of that for later: rewriting 440 MB took 489 MB, and takes 362. For all else it
    is as fast or faster. The whole process has the one or the other, for as long as anybody is within this.
    """
    global _users, _usual
    if _VARIABLE in os.environ or "jemalloc" not in pa.supported_memory_backends():
        yield
        return
    with _lock:
        _users += 1
        if _users == 1:
            _usual = pa.default_memory_pool()
            pa.set_memory_pool(pa.jemalloc_memory_pool())
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _usual is not None:
                pa.set_memory_pool(_usual)
                _usual = None
