"""How a contestant answers: a task a line in, how long it took and how much memory that was a line out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any


async def answer_all(work: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]], pids: Sequence[int | str]) -> None:
    """Answer tasks until there are no more, with `ms`, unless work says it, and the memory of these processes, in MB.

    `rss_mb` is what they held before and after, `peak_rss_mb` the most at once.
    """
    for line in sys.stdin:
        task = json.loads(line)
        _reset_peaks(pids)
        before = memory_mb(pids, "VmRSS")
        start = time.perf_counter()
        answer = await work(task)
        elapsed = time.perf_counter() - start
        answer = {"ms": 1000 * elapsed} | answer
        answer |= {
            "rss_mb": (before, memory_mb(pids, "VmRSS")),
            "peak_rss_mb": memory_mb(pids, "VmHWM"),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _reset_peaks(pids: Sequence[int | str]) -> None:
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def memory_mb(pids: Sequence[int | str], name: str) -> float:
    """What these processes hold together: `VmRSS` now, `VmHWM` the most since it was last reset."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return round(sum(int(status.partition(f"{name}:")[2].split()[0]) / 1024 for status in statuses), 1)
