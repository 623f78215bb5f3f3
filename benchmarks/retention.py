"""What it costs to expire snapshots: plan, commit and delete, beside Spark's `expire_snapshots`.

    python -m benchmarks.retention [--snapshots 2000] [--tags 50] [--live-files 10] [--rounds 3] [--no-spark]
                                   [--tables 100] [--table-snapshots 200] [--s3-snapshots 200,400]
                                   [--cases expire,sweep,s3]

`expire`: a table of three files for each snapshot; both expire the same table with the same rules, at the same place:
it is put back between them. Each is a process of its own; they take turns, and first each has a small table to warm up
on, and both have to leave the same snapshots and the same files. `ratio` is that of the medians of wall times. Memory
is the most that a process held at once, Spark's with its JVM. `sweep`: many tables by one call, the first tenth of
them beside the last tenth. `s3`: the requests that it takes on a store that speaks S3, beside files and snapshots.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path

from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from app.domain.names import DatasetName
from app.lake.expire.commit import commit_expiry
from app.lake.expire.deletion import delete_files
from app.lake.expire.reachable import measure_expiry
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable, to_state
from benchmarks.lakes import NAMESPACE, BenchLake, open_bench_lake
from benchmarks.processes import Process
from benchmarks.retention_contestants import Answer, Task
from benchmarks.retention_tables import FILES_PER_SNAPSHOT, Shape, create_table, files_of, write_metadata

OURS, SPARK = "ours", "spark"
EXPIRE, SWEEP, S3 = "expire", "sweep", "s3"
CASES = (EXPIRE, SWEEP, S3)
KEEP_LAST = 10
WARM_UP_SNAPSHOTS = 200


def _contestant(name: str, lake: BenchLake) -> Process:
    return Process("benchmarks.retention_contestants", name, str(lake.home), lake.settings.database_url or "")


class Restored:
    """A table that is there again whole, files, place and all, as often as one likes; each time it is a new table."""

    def __init__(self, lake: BenchLake, name: str, shape: Shape) -> None:
        self._lake = lake
        self.now_ms = time.time_ns() // 1_000_000
        table = create_table(lake.stock, f"{NAMESPACE}.{name}", shape, self.now_ms)
        self._metadata = table.metadata
        self._io = table.io
        self._place = Path(table.location().removeprefix("file://"))
        self._store = lake.home / "stored" / name
        # Links: deleting one costs what deleting a file does, and the other stays.
        shutil.copytree(self._place, self._store, copy_function=os.link)
        lake.stock.drop_table(f"{NAMESPACE}.{name}")
        shutil.rmtree(self._place)

    @property
    def location(self) -> str:
        """Where it is, every time."""
        return str(self._metadata.location)

    def register(self, name: str) -> str:
        """Put it there, under this name."""
        shutil.copytree(self._store, self._place, copy_function=os.link)
        metadata = self._metadata.model_copy(update={"table_uuid": uuid.uuid4()})
        self._lake.stock.register_table(f"{NAMESPACE}.{name}", write_metadata(self._io, metadata))
        return f"{NAMESPACE}.{name}"

    def remove(self, name: str) -> tuple[TableMetadata, set[Path]]:
        """Take it away again; answers what it was in the end, and the files that were left."""
        metadata = self._lake.stock.load_table(name).metadata
        left = files_of(self.location)
        self._lake.stock.drop_table(name)
        shutil.rmtree(self._place)
        return metadata, left


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshots", type=int, default=2000)
    parser.add_argument("--tags", type=int, default=50)
    parser.add_argument("--live-files", type=int, default=10, help="data files of each snapshot")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tables", type=int, default=100, help="tables of the sweep")
    parser.add_argument("--table-snapshots", type=int, default=200, help="snapshots of each of them")
    parser.add_argument("--s3-snapshots", default="200,400", help="lengths of history on S3, separated by commas")
    parser.add_argument("--no-spark", action="store_true", help="leave Spark out, which needs Java and `make servers`")
    parser.add_argument("--cases", default=",".join(CASES), help="names, separated by commas")
    chosen = parser.parse_args(arguments)
    cases = chosen.cases.split(",")
    if unknown := set(cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    if EXPIRE in cases:
        shape = Shape(snapshots=chosen.snapshots, tags=chosen.tags, live_files=chosen.live_files)
        with open_bench_lake() as lake:
            _measure_expiry(lake, shape, chosen.rounds, has_spark=not chosen.no_spark)
    if SWEEP in cases:
        with open_bench_lake() as lake:
            _measure_sweep(lake, chosen.tables, Shape(snapshots=chosen.table_snapshots, tags=5, live_files=10))
    if S3 in cases:
        for count in (int(text) for text in chosen.s3_snapshots.split(",")):
            _measure_s3(Shape(snapshots=count, tags=count // 40, live_files=chosen.live_files))


def _measure_expiry(lake: BenchLake, shape: Shape, rounds: int, *, has_spark: bool) -> None:
    small = Shape(snapshots=min(shape.snapshots, WARM_UP_SNAPSHOTS), tags=5, live_files=shape.live_files)
    names = [OURS, *([SPARK] if has_spark else [])]
    answers: dict[str, list[Answer]] = {name: [] for name in names}
    ends = []
    with contextlib.ExitStack() as stack:
        processes = {name: stack.enter_context(contextlib.closing(_contestant(name, lake))) for name in names}
        warm_up, table = Restored(lake, "warm_up", small), Restored(lake, "long", shape)
        for turn in range(rounds + 1):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                restored = table if turn else warm_up
                registered = restored.register(f"{name}_{turn}")
                answer = Answer(**processes[name].ask(_task([registered], shape, restored.now_ms).line()))
                metadata, left = restored.remove(registered)
                if turn:
                    answers[name].append(answer)
                    ends.append(({each.snapshot_id for each in metadata.snapshots}, left))
    snapshots, files = ends[0]
    if any(end != ends[0] for end in ends):
        raise RuntimeError(f"the contestants leave other snapshots or files: {[(len(a), len(b)) for a, b in ends]}")
    ms = {name: statistics.median(answer.ms for answer in some) for name, some in answers.items()}
    line: dict[str, object] = {
        "case": EXPIRE,
        "snapshots": shape.snapshots,
        "tags": shape.tags,
        "files": FILES_PER_SNAPSHOT * shape.snapshots,
        "snapshots_left": len(snapshots),
        "files_deleted": FILES_PER_SNAPSHOT * shape.snapshots - len(files),
        "ms_median": round(ms[OURS], 1),
    }
    if has_spark:
        line |= {"peer": "spark expire_snapshots", "peer_ms_median": round(ms[SPARK], 1)}
        line["ratio"] = round(ms[OURS] / ms[SPARK], 3)
    for name, some in answers.items():
        key = "peak_rss_mb" if name == OURS else f"{name}_peak_rss_mb"
        line[key] = max(answer.peak_rss_mb for answer in some)
    _print(line)


def _measure_sweep(lake: BenchLake, tables: int, shape: Shape) -> None:
    now_ms = time.time_ns() // 1_000_000
    names = [f"{NAMESPACE}.swept_{number:05}" for number in range(tables)]
    for name in names:
        create_table(lake.stock, name, shape, now_ms)
    gc.collect()
    with contextlib.closing(_contestant(OURS, lake)) as process:
        answer = Answer(**process.ask(_task(names, shape, now_ms).line()))
    # The first one waits for where all the others have their files.
    times = answer.table_ms[1:]
    some = max(1, len(times) // 10)
    _print(
        {
            "case": SWEEP,
            "tables": tables,
            "snapshots": shape.snapshots,
            "files": FILES_PER_SNAPSHOT * shape.snapshots,
            "ms": round(answer.ms, 1),
            "first_table_ms": answer.table_ms[0],
            "first_ms_median": round(statistics.median(times[:some]), 1),
            "last_ms_median": round(statistics.median(times[-some:]), 1),
            "growth": round(statistics.median(times[-some:]) / statistics.median(times[:some]), 2),
            "rss_mb_before": answer.rss_mb[0],
            "rss_mb_tenths": [answer.table_rss_mb[max(tenth * tables // 10, 1) - 1] for tenth in range(1, 11)],
            "rss_mb_after": answer.rss_mb[1],
            "peak_rss_mb": answer.peak_rss_mb,
        }
    )


def _measure_s3(shape: Shape) -> None:
    from tests.servers.counting_proxy import counting_proxy
    from tests.servers.s3 import s3_server

    with (
        s3_server() as properties,
        counting_proxy(properties["s3.endpoint"]) as (url, counts),
        tempfile.TemporaryDirectory(prefix="bench-retention-") as folder,
    ):
        cache = MetadataCache(10**8)
        own = {**properties, "s3.endpoint": url}
        catalog = CachingSqlCatalog("bench", cache, uri=f"sqlite:///{folder}/catalog.db", **own)
        catalog.create_tables()
        catalog.create_namespace(NAMESPACE)
        now_ms = time.time_ns() // 1_000_000
        table = create_table(catalog, f"{NAMESPACE}.on_s3", shape, now_ms)
        held = {ref.snapshot_id for ref in table.metadata.refs.values()}
        least_ms = now_ms - 24 * 3_600_000
        going = [
            each.snapshot_id
            for each in table.metadata.snapshots
            if each.snapshot_id not in held and each.timestamp_ms < least_ms
        ]
        requests: dict[str, dict[str, int]] = {}
        start = time.perf_counter()
        counts.clear()
        lake_table = _as_lake_table(table)
        plan = measure_expiry(lake_table, going)
        requests["plan"] = dict(counts)
        counts.clear()
        done = commit_expiry(catalog, lake_table, plan.expiry, cache)
        requests["commit"] = dict(counts)
        counts.clear()
        deletion = delete_files(done.table.io, [file.path for batch in plan.batches() for file in batch])
        requests["delete"] = dict(counts)
        elapsed = time.perf_counter() - start
        if deletion.left:
            raise RuntimeError(f"{len(deletion.left)} files were left: {deletion.examples[0].reason}")
        catalog.close()
        metadata_files = sum(
            count for kind, count in plan.total.files.items() if kind.value in ("MANIFEST", "MANIFEST_LIST")
        )
        total = sum(sum(each.values()) for each in requests.values())
        _print(
            {
                "case": S3,
                "snapshots": shape.snapshots,
                "expired": len(going),
                "files": plan.total.file_count,
                "manifests_and_lists": metadata_files,
                "files_deleted": len(deletion.gone),
                "ms": round(1000 * elapsed, 1),
                "requests": requests,
                "requests_per_file": round(total / plan.total.file_count, 2),
            }
        )


def _as_lake_table(table: Table) -> LakeTable:
    name = DatasetName.parse(".".join(table.name()))
    return LakeTable(state=to_state(table.metadata, table.metadata_location, name), handle=table)


def _task(tables: list[str], shape: Shape, now_ms: int) -> Task:
    # A twelfth of the history, a snapshot being an hour.
    return Task(tables=tables, now_ms=now_ms, keep_days=max(1, shape.snapshots // 288), keep_last=KEEP_LAST)


def _print(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
