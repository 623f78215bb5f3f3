"""Compaction in a race with Spark's merge-on-read deletes and updates: Spark, DuckDB and pyiceberg read the same."""

from __future__ import annotations

import random
import threading
from collections import Counter
from pathlib import Path

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from app.lake.catalog import EMBEDDED_CATALOG
from tests.integration.compaction.racing import compact_beside_the_lock, compact_on
from tests.integration.compaction.test_compaction_races import GRACE_S, by_duckdb
from tests.integration.races.checks import read_ledgers
from tests.integration.races.table import MAIN, NAME, append, make_table, our_catalog
from tests.integration.races.workers import CONTEXT, append_on, start
from tests.integration.retention.racing import expire_on
from tests.integration.spark.conftest import SharedLake

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.parametrize("lake", ["sql"], indirect=True)]

TABLE = f"{EMBEDDED_CATALOG}.{NAME}"
MERGE_ON_READ = {"write.delete.mode": "merge-on-read", "write.update.mode": "merge-on-read"}
# Overtaken; or what was read was expired meanwhile, so that it is not there or of no known history.
_REFUSALS = (
    "ValidationException",
    "CommitFailed",
    "NotFound",
    "NoSuchFileException",
    "does not exist",
    "is not an ancestor of",
)
# An update moves a row's number by so much, so that one that was updated is told from one that was not.
MOVED = 1_000_000


class SparkWriter:
    """Deletes and updates rows of one writer, of whom nobody else changes any, until it is stopped."""

    def __init__(self, lake: SharedLake, writer: str, seed: int) -> None:
        self._lake = lake
        self._writer = writer
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write_on)
        self.deleted: set[int] = set()
        self.moved: set[int] = set()
        self.refused: Counter[str] = Counter()
        self.fault: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _write_on(self) -> None:
        try:
            # Spark is slow, and may lose to the others for as long as they write.
            while not self._stopped.is_set() or not self.deleted | self.moved:
                self._step()
        except BaseException as error:
            self.fault = error
            raise

    def _step(self) -> None:
        where = f"writer = '{self._writer}'"
        try:
            rows = [row[0] for row in self._sql(f"SELECT n FROM {TABLE} WHERE {where} AND n < {MOVED}")]
            if not rows:
                return
            n = self._random.choice(rows)
            if self._random.random() < 0.5:
                self._sql(f"DELETE FROM {TABLE} WHERE {where} AND n = {n}")
                self.deleted.add(n)
            else:
                self._sql(f"UPDATE {TABLE} SET n = n + {MOVED} WHERE {where} AND n = {n}")
                self.moved.add(n)
        except (PySparkException, Py4JJavaError) as error:
            # It has written nothing.
            text = str(error)
            if not any(known in text for known in _REFUSALS):
                raise
            self.refused[type(error).__name__] += 1

    def _sql(self, statement: str) -> list[tuple[int, ...]]:
        return [tuple(row) for row in self._lake.spark.sql(statement).collect()]


@pytest.mark.parametrize(
    ("duration_s", "seed"),
    [
        pytest.param(8.0, 1, id="short"),
        *(pytest.param(60.0, seed, id=f"full {seed}", marks=pytest.mark.long) for seed in range(1, 4)),
    ],
)
@pytest.mark.timeout(400)
def test_rows_are_those_of_the_acknowledged_operations(
    lake: SharedLake, tmp_path: Path, duration_s: float, seed: int
) -> None:
    with our_catalog(lake.settings) as catalog:
        if catalog.table_exists(str(NAME)):
            catalog.drop_table(str(NAME))
        table = make_table(catalog, NAME, MERGE_ON_READ)
        for number in range(12):
            append(table, "setup", number)
    ledger_folder = tmp_path / "ledger"
    ledger_folder.mkdir()
    begin = CONTEXT.Event()
    race = (lake.settings, ledger_folder, begin, duration_s)
    spark = SparkWriter(lake, "stock", seed)
    processes = [
        start(append_on, "ours", race, "ours", MAIN, seed=seed),
        start(append_on, "stock", race, "stock", MAIN, seed=seed),
        start(compact_on, "compact-1", race, seed=seed),
        start(compact_beside_the_lock, "compact-2", race, seed=seed),
        start(expire_on, "expire", race, seed=seed),
    ]

    # When Spark writes beside all of them
    begin.set()
    spark.start()
    try:
        for process in processes:
            process.join(timeout=duration_s + GRACE_S)
    finally:
        spark.stop()
    exit_codes = {process.name: process.exitcode for process in processes}
    assert exit_codes == dict.fromkeys(exit_codes, 0)
    assert spark.fault is None

    # Then the rows are those that were added, without those deleted, and with those moved
    ledger = read_ledgers(ledger_folder)
    assert sum(entry.get("bins", 0) for entry in ledger) > 1
    assert spark.deleted | spark.moved
    expected = {("setup", number) for number in range(12)}
    expected |= {(e["writer"], e["n"]) for e in ledger if e.get("op") == "append" and "refused" not in e}
    expected -= {("stock", n) for n in spark.deleted | spark.moved}
    expected |= {("stock", n + MOVED) for n in spark.moved}
    with our_catalog(lake.settings) as catalog:
        table = catalog.load_table(str(NAME))
        assert sorted((row["writer"], row["n"]) for row in table.scan().to_arrow().to_pylist()) == sorted(expected)
        assert sorted(by_duckdb(table)) == sorted(expected)
    assert sorted(tuple(row) for row in lake.spark.sql(f"SELECT writer, n FROM {TABLE}").collect()) == sorted(expected)
