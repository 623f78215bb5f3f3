"""Timing contestants side by side, so that what disturbs one disturbs all."""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

Timed = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """Something to time; `prepare` runs before each round and is not timed."""

    run: Timed
    prepare: Timed | None = None


async def race(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, float]:
    """The median of each contestant in milliseconds.

    They take turns within every round, in an order that turns too. One round to warm up is not counted. Nobody pays for
    another's garbage: it is collected between turns, and what was in memory before the first is kept out of it.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    gc.collect()
    gc.freeze()
    try:
        for turn in range(rounds + 1):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                contestant = contestants[name]
                if contestant.prepare is not None:
                    await contestant.prepare()
                gc.collect()
                start = time.perf_counter()
                await contestant.run()
                elapsed = time.perf_counter() - start
                if turn:
                    times[name].append(1000 * elapsed)
    finally:
        gc.unfreeze()
    return {name: statistics.median(values) for name, values in times.items()}


def report(case: str, ms: Mapping[str, float], *, ours: str, peer: str, **facts: object) -> None:
    """Print one case as a JSON line."""
    line = {
        "case": case,
        **facts,
        "ms_median": round(ms[ours], 2),
        "peer": peer,
        "peer_ms_median": round(ms[peer], 2),
        "ratio": round(ms[ours] / ms[peer], 2),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
