"""What it costs to tell what rows two versions differ in, beside DuckDB and Spark.

    python -m benchmarks.compare [--rows 10000000] [--files 100] [--large-rows 30000000] [--rounds 3] [--no-spark]
                                 [--cases clustered,scattered]

DuckDB reads both versions whole and joins them by key. Spark is `create_changelog_view`, which reads the files that the
snapshots between the two added and removed. Each contestant is a process of its own with two threads; they take turns.
All have to find the same numbers of rows. A round to warm up is not counted. `ratio` is that of our median to the
faster peer's; `bytes_ratio` that of the bytes we read to those of the live files that one version has and the other has
not. Memory is the most that a process held at once, Spark's with its JVM. At the end, the schemas of a wide table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compare_contestants import Answer, Task
from benchmarks.compare_schemas import measure_schemas
from benchmarks.compare_tables import Size, TableMaker, TwoVersions
from benchmarks.processes import Process

OURS, DUCKDB, SPARK = "ours", "duckdb", "spark"
COUNTS = "counts"
SCHEMAS = "schemas"

Make = Callable[[TableMaker], TwoVersions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Two versions to compare; `counts_alone` also without a sample."""

    make: Make
    is_keyed: bool = True
    counts_alone: bool = False


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--large-rows", type=int, help="rows of the table that is appended to; three times --rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-spark", action="store_true", help="leave Spark out, which needs Java and `make servers`")
    parser.add_argument("--cases", help="names, separated by commas; all of them by default")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    size = Size(rows=chosen.rows, files=chosen.files)
    cases = _cases(size, chosen.large_rows or 3 * chosen.rows)
    names = chosen.cases.split(",") if chosen.cases else [*cases, SCHEMAS]
    if unknown := set(names) - {*cases, SCHEMAS}:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join([*cases, SCHEMAS])}")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-compare-"))
        maker = stack.enter_context(contextlib.closing(TableMaker(Path(folder), size)))
        # All before Spark is started: it goes on seeing the catalog as it was when it first looked.
        made = {name: cases[name].make(maker) for name in names if name != SCHEMAS}
        spark = None if chosen.no_spark else stack.enter_context(contextlib.closing(_contestant(SPARK)))
        for name in names:
            if name == SCHEMAS:
                measure_schemas(Path(folder), 10 * chosen.rounds)
            else:
                _measure(name, cases[name], made[name], folder, spark, chosen.rounds)


def _cases(size: Size, large_rows: int) -> dict[str, Case]:
    everywhere = range(size.files)
    return {
        "clustered": Case(make=lambda maker: maker.rewritten("clustered", size.clustered)),
        "scattered": Case(make=lambda maker: maker.rewritten("scattered", everywhere)),
        "append_only": Case(
            make=lambda maker: maker.appended("append_only", large_rows, size.rows // 10), counts_alone=True
        ),
        "merge_on_read": Case(make=lambda maker: maker.deleted("merge_on_read", size.clustered)),
        "compacted": Case(make=lambda maker: maker.compacted("compacted")),
        "random_keys_clustered": Case(
            make=lambda maker: maker.rewritten("random_keys_clustered", size.clustered, is_random=True)
        ),
        "random_keys_scattered": Case(
            make=lambda maker: maker.rewritten("random_keys_scattered", everywhere, is_random=True)
        ),
        "no_keys_clustered": Case(
            make=lambda maker: maker.rewritten("no_keys_clustered", size.clustered), is_keyed=False
        ),
        "no_keys_scattered": Case(make=lambda maker: maker.rewritten("no_keys_scattered", everywhere), is_keyed=False),
    }


def _measure(name: str, case: Case, versions: TwoVersions, folder: str, spark: Process | None, rounds: int) -> None:
    task = Task(folder=folder, versions=versions, is_keyed=case.is_keyed)
    with _processes(spark, case) as processes:
        tasks = dict.fromkeys(processes, task)
        if case.counts_alone:
            tasks[COUNTS] = Task(folder=folder, versions=versions, is_keyed=case.is_keyed, sample_size=0)
        answers = _take_turns(processes, tasks, rounds)
    _check(name, answers)
    _report(name, versions, answers)


def _contestant(name: str) -> Process:
    return Process("benchmarks.compare_contestants", name)


@contextlib.contextmanager
def _processes(spark: Process | None, case: Case) -> Iterator[dict[str, Process]]:
    with contextlib.ExitStack() as stack:
        names = [OURS, *([COUNTS] if case.counts_alone else []), DUCKDB]
        processes = {
            name: stack.enter_context(contextlib.closing(_contestant(OURS if name == COUNTS else name)))
            for name in names
        }
        yield {**processes, **({} if spark is None else {SPARK: spark})}


def _take_turns(processes: Mapping[str, Process], tasks: Mapping[str, Task], rounds: int) -> dict[str, list[Answer]]:
    names = list(processes)
    answers: dict[str, list[Answer]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            answer = Answer(**processes[name].ask(tasks[name].line()))
            if turn:
                answers[name].append(answer)
    return answers


def _check(name: str, answers: Mapping[str, list[Answer]]) -> None:
    counts = {who: {answer.counts for answer in some if answer.refusal is None} for who, some in answers.items()}
    if len(set().union(*counts.values())) != 1:
        raise RuntimeError(f"the contestants of {name} do not agree: {counts}")


def _report(name: str, versions: TwoVersions, answers: Mapping[str, list[Answer]]) -> None:
    ours = answers[OURS][-1]
    ms = {
        who: statistics.median(answer.ms for answer in some) for who, some in answers.items() if some[0].refusal is None
    }
    peers = {who: ms[who] for who in (DUCKDB, SPARK) if who in ms}
    faster = min(peers, key=peers.__getitem__)
    line: dict[str, object] = {
        "case": name,
        "rows_from": versions.before.rows,
        "rows_to": versions.after.rows,
        "files_from": len(versions.before.data_files),
        "files_to": len(versions.after.data_files),
        "added": ours.added,
        "removed": ours.removed,
        "changed": ours.changed,
        "method": ours.method,
        "ms_median": round(ms[OURS], 1),
        **{f"{who}_ms_median": round(ms[who], 1) for who in peers},
        **{f"{who}_refuses": some[0].refusal for who, some in answers.items() if some[0].refusal is not None},
        "peer": faster,
        "ratio": round(ms[OURS] / peers[faster], 3),
        "bytes_read": ours.bytes_read,
        "differing_bytes": versions.differing_bytes,
        "bytes_ratio": round((ours.bytes_read or 0) / versions.differing_bytes, 3),
        "files_read": ours.files_read,
        **{
            "peak_rss_mb" if who == OURS else f"{who}_peak_rss_mb": max(answer.peak_rss_mb for answer in some)
            for who, some in answers.items()
        },
    }
    if COUNTS in answers:
        line["counts_ms_median"] = round(ms[COUNTS], 1)
        line["counts_bytes_read"] = answers[COUNTS][-1].bytes_read
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
