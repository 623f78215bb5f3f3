"""What reads gain by compaction: how long queries take before and after, and what they ask of an object store."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.table import Table

from app.domain.compaction.policy import CompactionPolicy
from app.domain.names import DatasetName
from app.lake.compact.jobs import CompactionJob, prepare_run
from app.lake.compact.planning import plan_table
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable, to_state
from benchmarks.compaction_tables import Files, create_table, files_of
from benchmarks.processes import Process

_QUERIES = {
    "full scan": "SELECT count(*), sum(id), max(paid_at), sum(customer), sum(amount), sum(share), max(token), "
    "max(note), count(is_paid) FROM {table}",
    "one column": "SELECT sum(amount) FROM {table}",
    "point lookup": "SELECT * FROM {table} WHERE id = 4711",
}
_REPEATS = 5


def measure_effect(table: Table, ours: Process, spark: Process | None) -> Iterator[dict[str, Any]]:
    """A line for each query and engine: milliseconds before and after, and the ratio of the two."""
    name = ".".join(table.name())
    engines: dict[str, Callable[[str], float]] = {"duckdb": lambda query: _ask_duckdb(table, query)}
    if spark is not None:
        engines["spark"] = lambda query: spark.ask(json.dumps({"table": name, "query": query}) + "\n")["ms"]
    before = {
        (engine, query): _median(ask, text) for engine, ask in engines.items() for query, text in _QUERIES.items()
    }
    ways = ours.ask(json.dumps({"table": name}) + "\n")["ways"]
    table.refresh()
    for engine, ask in engines.items():
        for query, text in _QUERIES.items():
            after = _median(ask, text)
            yield {
                "case": "effect",
                "engine": engine,
                "query": query,
                "ways": ways,
                "ms_before": round(before[engine, query], 1),
                "ms_after": round(after, 1),
                "ratio": round(after / before[engine, query], 3),
            }


def measure_requests(files: Files) -> Iterator[dict[str, Any]]:
    """What pyiceberg's scans ask of S3 before and after, by the way that is chosen."""
    from tests.servers.counting_proxy import counting_proxy
    from tests.servers.s3 import s3_server

    with (
        s3_server() as properties,
        counting_proxy(properties["s3.endpoint"]) as (url, counts),
        tempfile.TemporaryDirectory(prefix="bench-compaction-") as folder,
    ):
        cache = MetadataCache(64 * 1024 * 1024)
        catalog = CachingSqlCatalog(
            "bench", cache, uri=f"sqlite:///{folder}/catalog.db", **properties | {"s3.endpoint": url}
        )
        catalog.create_tables()
        catalog.create_namespace("bench")
        table = create_table(catalog, "bench.requests", files)
        asked = {
            "full scan": lambda: table.scan().to_arrow(),
            "one column": lambda: table.scan(selected_fields=("amount",)).to_arrow(),
        }
        before = {query: _count(ask, counts) for query, ask in asked.items()}
        way = _compact(catalog, table, cache, Path(folder))
        table.refresh()
        for query, ask in asked.items():
            after = _count(ask, counts)
            yield {
                "case": "requests",
                "query": query,
                "files": len(files.rows),
                "ways": way,
                "requests_before": before[query],
                "requests_after": after,
                "dropped": round(1 - after / before[query], 3),
            }
        catalog.close()


def _compact(catalog: CachingSqlCatalog, table: Table, cache: MetadataCache, scratch: Path) -> list[str]:
    name = DatasetName(namespace="bench", name="requests")

    def load() -> LakeTable:
        handle = catalog.load_table(str(name))
        return LakeTable(state=to_state(handle.metadata, handle.metadata_location, name), handle=handle)

    job = CompactionJob(name="bench", properties={}, scratch=scratch, memory_bytes=512 * 1024 * 1024, threads=2)
    run = prepare_run(catalog, load, cache, job, on_progress=lambda _: None, on_commit=lambda _: None)
    done = run.run(plan_table(load(), CompactionPolicy()))
    return sorted({each.made.way.value for each in done.committed})


def _count(ask: Callable[[], object], counts: Any) -> int:
    counts.clear()
    ask()
    return int(counts["GET"] + counts["HEAD"])


def _ask_duckdb(table: Table, query: str) -> float:
    paths = ", ".join(f"'{path}'" for path in files_of(table))
    with duckdb.connect(config={"threads": 2}) as connection:
        begun = time.perf_counter()
        connection.execute(query.format(table=f"read_parquet([{paths}])")).fetchall()
        return 1000 * (time.perf_counter() - begun)


def _median(ask: Callable[[str], float], query: str) -> float:
    ask(query)
    return statistics.median(ask(query) for _ in range(_REPEATS))
