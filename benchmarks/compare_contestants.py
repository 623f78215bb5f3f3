"""One contestant of the benchmark of comparisons, in a process of its own: a task a line in, an answer a line out.

    python -m benchmarks.compare_contestants ours|duckdb|spark

What is timed: ours, from loading the table on; DuckDB, its queries alone, the files being known to it; Spark, the view
and its count. A session is started once, and not timed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.compare_tables import CATALOG, SCHEMA, TwoVersions, Version, open_catalog

THREADS = 2
_COLUMNS = [field.name for field in SCHEMA.fields]
_VALUES = _COLUMNS[1:]
_SPARK_MEMORY = "4g"
_VIEW = "benchmark_changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Compare these two versions, by the key or as multisets."""

    folder: str
    versions: TwoVersions
    is_keyed: bool = True
    sample_size: int = 10

    def line(self) -> str:
        """As it is sent."""
        return json.dumps(asdict(self)) + "\n"

    @staticmethod
    def of(line: str) -> Task:
        """As it was sent."""
        task = json.loads(line)
        versions = task.pop("versions")
        sides = {side: Version(**versions.pop(side)) for side in ("before", "after")}
        return Task(**task, versions=TwoVersions(**versions, **sides))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Rows that differ; `refusal` says instead why there is none. What is read is known of ours only."""

    ms: float = 0
    added: int = 0
    removed: int = 0
    changed: int | None = None
    peak_rss_mb: float = 0
    bytes_read: int | None = None
    files_read: int | None = None
    method: str | None = None
    refusal: str | None = None

    @property
    def counts(self) -> tuple[int, int, int | None]:
        """What all contestants have to agree in."""
        return self.added, self.removed, self.changed


class Contestant(Protocol):
    """Answers tasks; `ms` and memory are filled in by who asks."""

    def answer(self, task: Task) -> Answer:
        """Compare."""

    @property
    def pids(self) -> Sequence[int | str]:
        """The processes that do it."""


def main() -> None:
    """Answer tasks until there are no more."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with _contestant(sys.argv[1]) as contestant:
        for line in sys.stdin:
            task = Task.of(line)
            for pid in contestant.pids:
                _reset_peak(pid)
            start = time.perf_counter()
            answer = contestant.answer(task)
            elapsed = time.perf_counter() - start
            peak = sum(_peak_rss_mb(pid) for pid in contestant.pids)
            measured = {**asdict(answer), "ms": 1000 * elapsed, "peak_rss_mb": round(peak, 1)}
            sys.stdout.write(json.dumps(measured) + "\n")
            sys.stdout.flush()


@contextlib.contextmanager
def _contestant(name: str) -> Iterator[Contestant]:
    with tempfile.TemporaryDirectory(prefix="bench-compare-") as folder:
        if name == "ours":
            yield _Ours(Path(folder))
        elif name == "duckdb":
            yield _DuckDB()
        else:
            from tests.servers.spark import spark_session

            # Its default number of shuffle partitions, which it brings together by itself where they are small.
            more = {"spark.driver.memory": _SPARK_MEMORY, "spark.sql.shuffle.partitions": "200"}
            with spark_session(Path(folder), more) as session:
                yield _Spark(session)


class _Ours:
    pids = ("self",)

    def __init__(self, scratch: Path) -> None:
        from app.lake.row_diff.resources import Resources
        from app.settings import Settings

        memory_bytes = Settings.model_fields["diff_memory_bytes"].default
        self._resources = Resources(scratch=scratch, memory_bytes=memory_bytes, threads=THREADS)

    def answer(self, task: Task) -> Answer:
        from pyiceberg.manifest import clear_manifest_cache

        from app.domain.names import DatasetName
        from app.domain.row_diffs import RowDiffRequest
        from app.domain.version_relation import relate
        from app.domain.versions import ResolvedVersion
        from app.lake.row_diff.planning import TableVersion, plan_row_diff
        from app.lake.row_diff.running import RowDiffRun
        from app.lake.table import LakeTable, to_state

        # Nothing is known from the round before.
        clear_manifest_cache()
        with contextlib.closing(open_catalog(Path(task.folder))) as catalog:
            handle = catalog.load_table(task.versions.table)
            namespace, name = task.versions.table.split(".")
            dataset = DatasetName(namespace=namespace, name=name)
            table = LakeTable(state=to_state(handle.metadata, handle.metadata_location, dataset), handle=handle)
            before, after = (
                TableVersion.of(table, ResolvedVersion(snapshot_id=side.snapshot_id, uses_current_schema=False))
                for side in (task.versions.before, task.versions.after)
            )
            request = RowDiffRequest(keys=None if task.is_keyed else (), sample_size=task.sample_size)
            kinship = relate(table.state.history, before.snapshot_id, after.snapshot_id)
            found = RowDiffRun(plan_row_diff(before, after, request, kinship), self._resources).run()
        return Answer(
            added=found.rows_added,
            removed=found.rows_removed,
            # None also where only metadata was looked at, and there was a key.
            changed=(found.rows_changed or 0) if task.is_keyed else None,
            bytes_read=found.bytes_read,
            files_read=found.files_read,
            method=found.method.value,
        )


class _DuckDB:
    """Both versions read whole, and joined or counted, as one would write it in SQL."""

    pids = ("self",)

    def answer(self, task: Task) -> Answer:
        import duckdb

        before, after = _whole(task.versions.before), _whole(task.versions.after)
        # Of its settings the default ones but for the threads, which all contestants have as many of.
        with duckdb.connect(config={"threads": THREADS}) as connection:
            if task.is_keyed:
                differs = " OR ".join(f"f.{name} IS DISTINCT FROM t.{name}" for name in _VALUES)
                query = (
                    "SELECT count(*) FILTER (f.id IS NULL), count(*) FILTER (t.id IS NULL), "
                    f"count(*) FILTER (f.id = t.id AND ({differs})) FROM ({before}) f FULL JOIN ({after}) t USING (id)"
                )
                added, removed, changed = connection.execute(query).fetchall()[0]
                return Answer(added=added, removed=removed, changed=changed)
            query = (
                "SELECT coalesce(sum(w) FILTER (w > 0), 0)::BIGINT, coalesce(-sum(w) FILTER (w < 0), 0)::BIGINT "
                f"FROM (SELECT sum(w) AS w FROM (SELECT *, -1 AS w FROM ({before}) UNION ALL SELECT *, 1 AS w "
                f"FROM ({after})) GROUP BY {', '.join(_COLUMNS)})"
            )
            added, removed = connection.execute(query).fetchall()[0]
            return Answer(added=added, removed=removed)


def _whole(version: Version) -> str:
    files = [path.removeprefix("file://") for path in version.data_files]
    if not version.delete_files:
        return f"SELECT * FROM read_parquet({files})"
    deletes = [path.removeprefix("file://") for path in version.delete_files]
    return (
        f"SELECT {', '.join(_COLUMNS)} FROM read_parquet({files}, filename = true, file_row_number = true) r "
        f"ANTI JOIN read_parquet({deletes}) d ON 'file://' || r.filename = d.file_path AND r.file_row_number = d.pos"
    )


class _Spark:
    """`create_changelog_view` between the two snapshots, counted by the kind of change."""

    def __init__(self, session) -> None:
        from pyspark import SparkContext

        self._session = session
        self._has_catalog = False
        self.pids = ("self", SparkContext._gateway.proc.pid)

    def answer(self, task: Task) -> Answer:
        from pyspark.errors import PySparkException

        self._open_catalog(task.folder)
        versions = task.versions
        keys = "compute_updates => true, identifier_columns => array('id'), " if task.is_keyed else ""
        try:
            self._session.sql(
                f"CALL {CATALOG}.system.create_changelog_view(table => '{versions.table}', {keys}"
                f"changelog_view => '{_VIEW}', options => map('start-snapshot-id', '{versions.before.snapshot_id}', "
                f"'end-snapshot-id', '{versions.after.snapshot_id}'))"
            ).collect()
            counted = self._session.sql(f"SELECT _change_type, count(*) FROM {_VIEW} GROUP BY 1").collect()
        except PySparkException as error:
            # Delete files, for one.
            if "not supported" not in str(error):
                raise
            return Answer(refusal=next(line for line in str(error).splitlines() if "not supported" in line).strip())
        kinds = {row[0]: row[1] for row in counted}
        return Answer(
            added=kinds.get("INSERT", 0),
            removed=kinds.get("DELETE", 0),
            changed=kinds.get("UPDATE_AFTER", 0) if task.is_keyed else None,
        )

    def _open_catalog(self, folder: str) -> None:
        from tests.servers.spark import add_catalog

        if not self._has_catalog:
            # Spark's name of it is pyiceberg's: the names of tables are kept with it.
            settings = {
                "type": "jdbc",
                "uri": f"jdbc:sqlite:{folder}/catalog.db?busy_timeout=60000",
                "warehouse": f"file://{folder}/warehouse",
                "jdbc.schema-version": "V1",
            }
            add_catalog(self._session, CATALOG, settings)
            self._has_catalog = True


def _peak_rss_mb(pid: int | str) -> float:
    # Not getrusage: a child has its parent's peak from before it became another program.
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _reset_peak(pid: int | str) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
