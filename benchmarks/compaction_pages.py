"""Files merged page by page and rewritten row by row, by how large their pages are: what it takes, and what reads."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from app.domain.compaction.policy import MIB, CompactionPolicy
from app.domain.names import DatasetName
from app.lake.compact.making import BinMaker
from app.lake.compact.outcomes import MadeBin, Way
from app.lake.compact.planning import PlannedTable, plan_table
from app.lake.compact.rewriting.writer_options import JOINED_FRAMES
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable, to_state
from benchmarks.compaction_tables import SCHEMA, Files, create_table

_NAMESPACE = "bench"
_REPEATS = 7
_QUERY = "SELECT bit_xor(hash(t)) FROM read_parquet('{path}') t"


def measure_pages(rows: int, total_rows: int, *, are_joined: bool) -> dict[str, Any]:
    """Files of so many rows and eight columns: ratios of merged to rewritten, of time, size, and time to read."""
    files = Files(rows=[rows] * (total_rows // rows))
    with (
        tempfile.TemporaryDirectory(prefix="bench-compaction-") as folder,
        CachingSqlCatalog(
            "bench", MetadataCache(64 * MIB), uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}"
        ) as catalog,
    ):
        catalog.create_namespace(_NAMESPACE)
        name = DatasetName(namespace=_NAMESPACE, name="pages")
        table = create_table(catalog, str(name), files, **{JOINED_FRAMES: str(are_joined).lower()})
        lake_table = LakeTable(state=to_state(table.metadata, table.metadata_location, name), handle=table)
        planned = plan_table(
            lake_table, CompactionPolicy(min_file_size_mb=64, max_concurrent_files=max(2, len(files.rows)))
        )
        makers = {
            "merged": BinMaker(
                name="merged", memory_bytes=512 * MIB, scratch=Path(folder), threads=2, merge_min_chunk_bytes=0
            ),
            "rewritten": BinMaker(
                name="rewritten", memory_bytes=512 * MIB, scratch=Path(folder), threads=2, way=Way.REWRITE
            ),
        }
        made = {which: _make(planned, maker) for which, maker in makers.items()}
        paths = {which: _path(some) for which, (some, _) in made.items()}
        size = sum(task.file.file_size_in_bytes for task in table.scan().plan_files())
        line: dict[str, Any] = {
            "case": "pages",
            "rows_per_file": rows,
            "pages": "joined" if are_joined else "apart",
            "files": len(files.rows),
            "chunk_kb": round(size / len(files.rows) / len(SCHEMA.fields) / 1024, 1),
        }
        line |= {f"{which}_ms": round(ms, 1) for which, (_, ms) in made.items()}
        line["ratio"] = round(made["merged"][1] / made["rewritten"][1], 3)
        line["size_ratio"] = round(made["merged"][0].size_bytes / made["rewritten"][0].size_bytes, 3)
        for reader, read in {"duckdb": _read_with_duckdb, "arrow": _read_with_arrow}.items():
            ms = {which: _median(partial(read, path)) for which, path in paths.items()}
            line[f"{reader}_ratio"] = round(ms["merged"] / ms["rewritten"], 3)
        return line


def _make(planned: PlannedTable, maker: BinMaker) -> tuple[MadeBin, float]:
    """One bin, and how long it took; once before that, to warm up."""
    (some,) = planned.plan.bins
    first = maker(planned, some, lambda: False)
    if maker.way is None and "row by row" in (first.why or ""):
        raise RuntimeError(f"nothing was merged: {first.why}")
    _path(first).unlink()
    begun = time.perf_counter()
    made = maker(planned, some, lambda: False)
    return made, 1000 * (time.perf_counter() - begun)


def _path(made: MadeBin) -> Path:
    (file,) = made.added
    return Path(file.file_path.removeprefix("file://"))


def _read_with_duckdb(path: Path) -> None:
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute(_QUERY.format(path=path)).fetchall()


def _read_with_arrow(path: Path) -> None:
    pq.read_table(path)


def _median(ask: Callable[[], None]) -> float:
    ask()
    times = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        ask()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
