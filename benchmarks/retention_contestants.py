"""One contestant of the benchmark of retention, in a process of its own: a task a line in, an answer a line out.

    python -m benchmarks.retention_contestants ours|spark HOME DATABASE_URL

What is timed: ours, from asking where other tables have their files to the last file deleted and crossed off, with all
that is written to Postgres on the way; Spark, its `expire_snapshots`. A session, and our services, are started once and
not timed. Our services have the default caches, and nothing of the tables in them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.bootstrap import open_services
from app.domain.changes import Actor, Command
from app.domain.names import DatasetName
from app.domain.retention.policy import RetentionPolicy
from app.settings import Settings
from benchmarks.answering import answer_all, memory_mb

COMMAND = Command(actor=Actor(subject="benchmark"), reason="measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Expire these tables one after the other, with all else that is in the catalog left alone."""

    tables: list[str]
    now_ms: int
    keep_days: int
    keep_last: int

    def line(self) -> str:
        """As it is sent."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How long it took, and what was held after each table, and memory: of before, after, and the most at once."""

    ms: float
    table_ms: list[float]
    table_rss_mb: list[float]
    rss_mb: tuple[float, float]
    peak_rss_mb: float


Expire = Callable[[Task], AsyncIterator[None]]


async def _answer_all(expire: Expire, pids: Sequence[int | str]) -> None:
    async def work(task: dict[str, Any]) -> dict[str, Any]:
        times, held, last = [], [], time.perf_counter()
        async for _ in expire(Task(**task)):
            now = time.perf_counter()
            times.append(round(1000 * (now - last), 1))
            held.append(memory_mb(pids, "VmRSS"))
            last = time.perf_counter()
        return {"table_ms": times, "table_rss_mb": held}

    await answer_all(work, pids)


async def main() -> None:
    """Answer tasks until there are no more."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    name, home, url = sys.argv[1:]
    settings = Settings(home=Path(home), database_url=url)
    if name == "ours":
        await _ours(settings)
    else:
        await _spark(settings)


async def _ours(settings: Settings) -> None:
    async with open_services(settings) as services:

        async def expire(task: Task) -> AsyncIterator[None]:
            policy = RetentionPolicy(keep_last_n=task.keep_last, keep_days=task.keep_days)
            names = [DatasetName.parse(table) for table in task.tables]
            sweeps = services.retention_sweeps
            async for entry in sweeps.sweep(names, policy, COMMAND, lambda *_: None, is_dry_run=False):
                if entry["error"] is not None:
                    raise RuntimeError(str(entry["error"]))
                yield

        await _answer_all(expire, ["self"])


async def _spark(settings: Settings) -> None:
    from pyspark import SparkContext

    from app.lake.catalog import EMBEDDED_CATALOG
    from tests.servers.spark import add_catalog, spark_session, sql_catalog_settings

    with tempfile.TemporaryDirectory(prefix="bench-retention-") as folder:
        # As few partitions as is good for it on two threads: its default of 200 is for larger jobs.
        more = {"spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "4"}
        with spark_session(Path(folder), more) as session:
            url = settings.database_url or ""
            add_catalog(session, EMBEDDED_CATALOG, sql_catalog_settings(url, settings.warehouse.as_uri()))

            async def expire(task: Task) -> AsyncIterator[None]:
                older = datetime.fromtimestamp(task.now_ms / 1000, UTC) - timedelta(days=task.keep_days)
                for table in task.tables:
                    session.sql(
                        f"CALL {EMBEDDED_CATALOG}.system.expire_snapshots(table => '{table}', "
                        f"older_than => TIMESTAMP '{older:%Y-%m-%d %H:%M:%S}', retain_last => {task.keep_last})"
                    ).collect()
                    yield

            await _answer_all(expire, ["self", SparkContext._gateway.proc.pid])


if __name__ == "__main__":
    asyncio.run(main())
