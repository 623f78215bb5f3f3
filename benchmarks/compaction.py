"""What it costs to bring files together, beside `cp`, Arrow and Spark's `rewrite_data_files`; and what reads gain.

    python -m benchmarks.compaction [--cases copy,rewrite,memory,small,many,many_joined,effect,
                                            requests,row_groups,pages]
                                    [--scale 1.0] [--rounds 2] [--no-spark]

`copy`: 60 files of 40 MB, each of one row group. `rewrite`: 245 files of all sizes, 20 million rows, which `copying`
joins as they are. `memory`: twice that. `small`: 10 files of 300 KB. `many`: 5,000 files of 100 KB; `many_joined`: of
a table whose pages may be put together. Contestants are processes of their own that take turns on the same table, which
is put back between them; first each has a small table to warm up on. `ratio` is that of medians of wall times, ours to
the peer's. `effect`: queries of DuckDB, and of Spark, over the table of `rewrite`, before and after. `requests`: what
scans ask of a store that speaks S3. `row_groups`: what copying and rewriting do for both,
by the size of the row groups that there are; what is copied by default was chosen by it. `pages`: what pages that stay
as they are, or are put together, cost beside rewriting row by row, by their size; how small they may be was chosen by
it. `--scale` makes tables smaller or larger.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from pyiceberg.table import Table

from app.lake.compact.rewriting.writer_options import JOINED_FRAMES
from benchmarks.compaction_pages import measure_pages
from benchmarks.compaction_queries import measure_effect, measure_requests, measure_row_groups
from benchmarks.compaction_tables import Files, create_table, files_of
from benchmarks.lakes import NAMESPACE, BenchLake, open_bench_lake
from benchmarks.processes import Process

OURS, COPYING, SPARK, ARROW, CP = "ours", "copying", "spark", "arrow", "cp"
MEASURED: dict[str, tuple[Callable[[float], Files], Sequence[str]]] = {
    "copy": (lambda scale: Files.equal(max(2, round(60 * scale)), 40), (OURS, CP, SPARK)),
    "rewrite": (
        lambda scale: Files.mixed(round(245 * scale), round(20_000_000 * scale)),
        (OURS, COPYING, ARROW, SPARK),
    ),
    "memory": (lambda scale: Files.mixed(round(490 * scale), round(40_000_000 * scale)), (OURS,)),
    "small": (lambda _: Files.equal(10, 0.3), (OURS, SPARK)),
    "many": (lambda scale: Files.equal(round(5_000 * scale), 0.1), (OURS, SPARK)),
    "many_joined": (lambda scale: Files.equal(round(5_000 * scale), 0.1), (OURS, SPARK)),
}
PROPERTIES = {"many_joined": {JOINED_FRAMES: "true"}}
EFFECT, REQUESTS, ROW_GROUPS, PAGES = "effect", "requests", "row_groups", "pages"
CASES = (*MEASURED, EFFECT, REQUESTS, ROW_GROUPS, PAGES)
ROW_GROUP_MB = (1, 4, 8, 16, 32)
PAGES_FILE_ROWS = (100, 400, 1_600, 3_200, 6_400, 25_600)
PAGES_ROWS = 640_000
MIB = 1024 * 1024


class Restored:
    """A table that is put back to its first files after each turn."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._head = table.metadata.current_snapshot_id
        self.files = files_of(table)
        self._known = set(self.files)

    @property
    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    def task(self) -> dict[str, Any]:
        return {
            "table": f"{NAMESPACE}.{self.table.name()[-1]}",
            "files": [str(path) for path in self.files],
            "folder": str(self.files[0].parents[3]),
        }

    def put_back(self) -> int:
        """How many files it had; the new ones go."""
        self.table.refresh()
        made = files_of(self.table)
        self.table.manage_snapshots().rollback_to_snapshot(self._head).commit()
        for path in set(made) - self._known:
            path.unlink()
        return len(made)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help="names, separated by commas")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-spark", action="store_true", help="leave Spark out, which needs Java and `make servers`")
    chosen = parser.parse_args(arguments)
    cases = chosen.cases.split(",")
    if unknown := set(cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for case in cases:
        if case in MEASURED:
            make, names = MEASURED[case]
            with open_bench_lake() as lake:
                some = [name for name in names if name != SPARK or not chosen.no_spark]
                _measure(lake, case, make(chosen.scale), some, chosen.rounds)
        elif case == EFFECT:
            with open_bench_lake() as lake:
                table = create_table(lake.stock, f"{NAMESPACE}.{case}", MEASURED["rewrite"][0](chosen.scale))
                with _processes(lake, [OURS, *([] if chosen.no_spark else [SPARK])]) as processes:
                    for line in measure_effect(table, processes[OURS], processes.get(SPARK)):
                        _print(line)
        elif case == ROW_GROUPS:
            for megabytes in ROW_GROUP_MB:
                for line in measure_row_groups(megabytes, 192 * chosen.scale):
                    _print(line)
        elif case == PAGES:
            for rows, are_joined in product(PAGES_FILE_ROWS, (False, True)):
                _print(measure_pages(rows, round(PAGES_ROWS * chosen.scale), are_joined=are_joined))
        else:
            for line in measure_requests(Files.equal(round(300 * chosen.scale), 1)):
                _print(line)


@contextlib.contextmanager
def _processes(lake: BenchLake, names: Sequence[str]) -> Any:
    with contextlib.ExitStack() as stack:
        module, home, url = "benchmarks.compaction_contestants", str(lake.home), lake.settings.database_url or ""
        yield {name: stack.enter_context(contextlib.closing(Process(module, name, home, url))) for name in names}


def _measure(lake: BenchLake, case: str, files: Files, names: Sequence[str], rounds: int) -> None:
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    left: dict[str, int] = {}
    warm_up = Restored(create_table(lake.stock, f"{NAMESPACE}.warm_up", Files.equal(12, 1)))
    table = Restored(create_table(lake.stock, f"{NAMESPACE}.{case}", files, **PROPERTIES.get(case, {})))
    with _processes(lake, names) as processes:
        for turn in range(rounds + 1):
            for name in [*names[turn % len(names) :], *names[: turn % len(names)]]:
                restored = table if turn else warm_up
                # What one has written is not to be waited for by the next.
                os.sync()
                answer = processes[name].ask(json.dumps(restored.task()) + "\n")
                count = restored.put_back()
                if turn:
                    answers[name].append(answer)
                    left[name] = count
    size_mb = table.size_bytes / MIB
    ms = {name: statistics.median(answer["ms"] for answer in some) for name, some in answers.items()}
    line: dict[str, Any] = {
        "case": case,
        "files": len(table.files),
        "files_after": left[OURS],
        "megabytes": round(size_mb, 1),
        "rows": sum(files.rows),
        "ways": answers[OURS][0]["ways"],
        "ms_median": round(ms[OURS], 1),
        "mb_per_s": round(size_mb / ms[OURS] * 1000, 1),
        "peak_rss_mb": max(answer["peak_rss_mb"] for answer in answers[OURS]),
    }
    for name in names:
        if name != OURS:
            line |= {
                f"{name}_ms_median": round(ms[name], 1),
                f"{name}_mb_per_s": round(size_mb / ms[name] * 1000, 1),
                f"ratio_to_{name}": round(ms[OURS] / ms[name], 4),
                f"{name}_peak_rss_mb": max(answer["peak_rss_mb"] for answer in answers[name]),
            }
    _print(line)


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
