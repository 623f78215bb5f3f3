"""What reads gain by compaction: how long queries take before and after, and what they ask of an object store."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.table import Table

from app.domain.compaction.policy import MIB, CompactionPolicy
from app.domain.names import DatasetName
from app.lake.compact.jobs import CompactionJob, prepare_run
from app.lake.compact.outcomes import Way
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
_SCANS = {"full scan": ("*",), "one column": ("amount",)}
_REPEATS = 5
_NAMESPACE = "bench"


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
    with _store() as store:
        table = create_table(store.catalog, f"{_NAMESPACE}.requests", files)
        before = {query: store.count(table, columns) for query, columns in _SCANS.items()}
        ways = store.compact(table, None)
        for query, columns in _SCANS.items():
            after = store.count(table, columns)
            yield {
                "case": "requests",
                "query": query,
                "files": len(files.rows),
                "ways": ways,
                "requests_before": before[query],
                "requests_after": after,
                "dropped": round(1 - after / before[query], 3),
            }


def measure_row_groups(megabytes: float, total_megabytes: float) -> Iterator[dict[str, Any]]:
    """What copying and rewriting files of one row group of this size do for requests and for queries of DuckDB."""
    files = Files.equal(round(total_megabytes / megabytes), megabytes)
    line: dict[str, Any] = {"case": "row_groups", "row_group_mb": megabytes, "files": len(files.rows)}
    for way in Way:
        with _store() as store:
            table = create_table(store.catalog, f"{_NAMESPACE}.groups", files)
            before = {query: store.count(table, columns) for query, columns in _SCANS.items()}
            store.compact(table, way)
            for query, columns in _SCANS.items():
                dropped = 1 - store.count(table, columns) / before[query]
                line[f"{way.value} {query}: requests dropped"] = round(dropped, 3)
        with _local() as store:
            table = create_table(store.catalog, f"{_NAMESPACE}.groups", files)
            ms = {query: _median(partial(_ask_duckdb, table), text) for query, text in _QUERIES.items()}
            begun = time.perf_counter()
            store.compact(table, way)
            line[f"{way.value} ms"] = round(1000 * (time.perf_counter() - begun), 1)
            for query, text in _QUERIES.items():
                after = _median(partial(_ask_duckdb, table.refresh()), text)
                line[f"{way.value} {query}: time ratio"] = round(after / ms[query], 3)
    yield line


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """A catalog whose files are on S3 or on disk, and what was asked of S3."""

    catalog: CachingSqlCatalog
    cache: MetadataCache
    scratch: Path
    counts: Counter[str]

    def count(self, table: Table, columns: tuple[str, ...]) -> int:
        """Requests that a scan of these columns makes."""
        table.refresh()
        self.counts.clear()
        table.scan(selected_fields=columns).to_arrow()
        return self.counts["GET"] + self.counts["HEAD"]

    def compact(self, table: Table, way: Way | None) -> list[str]:
        """Bring its files together; answers how."""
        name = DatasetName(namespace=_NAMESPACE, name=table.name()[-1])

        def load() -> LakeTable:
            handle = self.catalog.load_table(str(name))
            return LakeTable(state=to_state(handle.metadata, handle.metadata_location, name), handle=handle)

        job = CompactionJob(
            name="bench", properties={}, scratch=self.scratch, memory_bytes=512 * MIB, threads=2, way=way
        )
        run = prepare_run(self.catalog, load, self.cache, job, on_progress=lambda _: None, on_commit=lambda _: None)
        done = run.run(plan_table(load(), CompactionPolicy(min_file_size_mb=64)))
        return sorted({each.made.way.value for each in done.committed})


@contextmanager
def _store() -> Iterator[_Store]:
    from tests.servers.counting_proxy import counting_proxy
    from tests.servers.s3 import s3_server

    with (
        s3_server() as properties,
        counting_proxy(properties["s3.endpoint"]) as (url, counts),
        _opened(counts, **properties | {"s3.endpoint": url}) as store,
    ):
        yield store


@contextmanager
def _local() -> Iterator[_Store]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-compaction-") as folder,
        _opened(Counter(), warehouse=f"file://{folder}") as store,
    ):
        yield store


@contextmanager
def _opened(counts: Counter[str], **properties: str) -> Iterator[_Store]:
    with tempfile.TemporaryDirectory(prefix="bench-compaction-") as folder:
        cache = MetadataCache(64 * MIB)
        with CachingSqlCatalog("bench", cache, uri=f"sqlite:///{folder}/catalog.db", **properties) as catalog:
            catalog.create_tables()
            catalog.create_namespace(_NAMESPACE)
            yield _Store(catalog=catalog, cache=cache, scratch=Path(folder), counts=counts)


def _ask_duckdb(table: Table, query: str) -> float:
    paths = ", ".join(f"'{path}'" for path in files_of(table))
    with duckdb.connect(config={"threads": 2}) as connection:
        begun = time.perf_counter()
        connection.execute(query.format(table=f"read_parquet([{paths}])")).to_arrow_table()
        return 1000 * (time.perf_counter() - begun)


def _median(ask: Callable[[str], float], query: str) -> float:
    ask(query)
    return statistics.median(ask(query) for _ in range(_REPEATS))
