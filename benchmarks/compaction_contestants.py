"""One contestant of the benchmark of compaction, in a process of its own: a task a line in, an answer a line out.

    python -m benchmarks.compaction_contestants ours|copying|spark|arrow|cp HOME DATABASE_URL

What is timed: ours, all of a run, from planning to the record of it and the report; `copying`, the same with every bin
copied that can be; Spark, its `rewrite_data_files`; `arrow`, reading all rows and writing them to files of the target's
size, with no commit; `cp`, the program, of all files to another folder. Sessions and services are started once and not
timed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from app.bootstrap import open_services
from app.cli.memory import settle_memory
from app.domain.changes import Actor, Command
from app.domain.compaction.policy import MIB, CompactionPolicy
from app.domain.names import DatasetName
from app.lake.compact.jobs import CompactionJob
from app.lake.compact.outcomes import Way
from app.services.compaction.sweeps import Limits
from app.settings import Settings
from benchmarks.answering import answer_all

COMMAND = Command(actor=Actor(subject="benchmark"), reason="measured")
TARGET_MB = 512
# Files of 40 MB are not small by the default, and no table of such files needs compaction.
MIN_MB = 64
_BATCH_ROWS = 131_072


async def main() -> None:
    """Answer tasks until there are no more."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    name, home, url = sys.argv[1:]
    settings = Settings(home=Path(home), database_url=url)
    if name == "spark":
        await _spark(settings)
    elif name == "arrow":
        await answer_all(_stream, ["self"])
    elif name == "cp":
        await answer_all(_copy, ["self"])
    else:
        await _ours(settings, way=Way.COPY if name == "copying" else None)


async def _ours(settings: Settings, *, way: Way | None) -> None:
    async with open_services(settings) as services:
        if way is not None:
            compact = services.lake.compact

            async def compact_so(planned: Any, job: CompactionJob, *told: Any) -> Any:
                return await compact(planned, dataclasses.replace(job, way=way), *told)

            services.lake.compact = compact_so  # type: ignore[method-assign]

        async def work(task: dict[str, Any]) -> dict[str, Any]:
            sweep = services.compaction_sweeps.sweep(
                [DatasetName.parse(task["table"])],
                CompactionPolicy(target_file_size_mb=TARGET_MB, min_file_size_mb=MIN_MB),
                Limits(),
                COMMAND,
                lambda *_: None,
                is_dry_run=False,
            )
            (entry,) = [entry async for entry in sweep]
            if entry["error"] is not None or entry["is_partial"] or not entry["bins"]:
                raise RuntimeError(str(entry))
            ways = sorted({each["way"] for each in entry["bins"]})
            return {"ways": ways, "files_after": entry["files_after"]}

        # As a worker does, and the command.
        settle_memory()
        await answer_all(work, ["self"])


async def _spark(settings: Settings) -> None:
    from pyspark import SparkContext

    from app.lake.catalog import EMBEDDED_CATALOG
    from tests.servers.spark import add_catalog, spark_session, sql_catalog_settings

    with tempfile.TemporaryDirectory(prefix="bench-compaction-") as folder:
        more = {"spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "4"}
        with spark_session(Path(folder), more) as session:
            url = settings.database_url or ""
            add_catalog(session, EMBEDDED_CATALOG, sql_catalog_settings(url, settings.warehouse.as_uri()))

            async def work(task: dict[str, Any]) -> dict[str, Any]:
                if "query" in task:
                    session.sql(task["query"].format(table=f"{EMBEDDED_CATALOG}.{task['table']}")).collect()
                    return {}
                (done,) = session.sql(
                    f"CALL {EMBEDDED_CATALOG}.system.rewrite_data_files(table => '{task['table']}', options => map("
                    f"'target-file-size-bytes', '{TARGET_MB * MIB}', 'min-input-files', '2', "
                    "'max-concurrent-file-group-rewrites', '2'))"
                ).collect()
                return {"ways": ["rewrite"], "files_rewritten": done[0], "files_added": done[1]}

            await answer_all(work, ["self", SparkContext._gateway.proc.pid])


async def _stream(task: dict[str, Any]) -> dict[str, Any]:
    dataset = ds.dataset(task["files"], format="parquet")
    with tempfile.TemporaryDirectory(dir=task["folder"]) as folder:
        number, writer, path = 0, None, Path(folder)
        for batch in dataset.to_batches(batch_size=_BATCH_ROWS):
            if writer is None:
                path = Path(folder) / f"{number}.parquet"
                writer = pq.ParquetWriter(path, dataset.schema, compression="zstd")
            writer.write_table(pa.Table.from_batches([batch]), row_group_size=1_048_576)
            if path.stat().st_size >= TARGET_MB * MIB:
                writer.close()
                number, writer = number + 1, None
        if writer is not None:
            writer.close()
    return {}


async def _copy(task: dict[str, Any]) -> dict[str, Any]:
    folder = tempfile.mkdtemp(dir=task["folder"])
    try:
        begun = time.perf_counter()
        # Nothing else is on this loop.
        subprocess.run([shutil.which("cp") or "cp", "--reflink=never", *task["files"], folder], check=True)  # noqa: ASYNC221
        # What it takes to remove them again is not of the copying.
        return {"ms": 1000 * (time.perf_counter() - begun)}
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main())
