"""Compaction in a race with everybody who writes: the rows are those of the acknowledged appends and deletes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import duckdb
import pytest
from pyiceberg.table import Table

from tests.integration.compaction.racing import compact_beside_the_lock, compact_on, delete_on
from tests.integration.races.checks import read_ledgers
from tests.integration.races.table import MAIN, NAME, append, make_settings, make_table, our_catalog
from tests.integration.races.workers import CONTEXT, LATE_S, append_on, start
from tests.integration.retention.racing import expire_on
from tests.unit.lake.expire.naive import on_disk, reached

GRACE_S = LATE_S + 60


@pytest.mark.parametrize(
    ("duration_s", "seed"),
    [
        pytest.param(5.0, 1, id="short"),
        *(pytest.param(60.0, seed, id=f"full {seed}", marks=pytest.mark.long) for seed in range(1, 4)),
    ],
)
@pytest.mark.timeout(400)
def test_rows_are_those_of_the_acknowledged_operations(
    database_url: str, tmp_path: Path, duration_s: float, seed: int
) -> None:
    settings = make_settings(database_url, tmp_path / "home")
    with our_catalog(settings) as catalog:
        table = make_table(catalog, NAME)
        for number in range(12):
            append(table, "setup", number)
    ledger_folder = tmp_path / "ledger"
    ledger_folder.mkdir()

    # When two compactions work on it, one of them without the lock, beside writers of all kinds and an expiry
    begin = CONTEXT.Event()
    race = (settings, ledger_folder, begin, duration_s)
    processes = [
        start(append_on, "ours", race, "ours", MAIN, seed=seed),
        start(append_on, "stock", race, "stock", MAIN, seed=seed),
        start(delete_on, "by-position", race, "positions", "ours", seed=seed),
        start(delete_on, "by-rewriting", race, "files", "stock", seed=seed),
        start(compact_on, "compact-1", race, seed=seed),
        start(compact_beside_the_lock, "compact-2", race, seed=seed),
        start(expire_on, "expire", race, seed=seed),
    ]
    begin.set()
    for process in processes:
        process.join(timeout=duration_s + GRACE_S)
    exit_codes = {process.name: process.exitcode for process in processes}
    assert exit_codes == dict.fromkeys(exit_codes, 0)

    # Then the rows are those that were added and not deleted, by two readers
    ledger = read_ledgers(ledger_folder)
    done = Counter(entry["op"] for entry in ledger if "refused" not in entry)
    assert {"append", "delete", "compact", "expire"} <= set(done), done
    assert sum(entry.get("bins", 0) for entry in ledger) > 1
    assert sum(entry.get("merged", 0) for entry in ledger) > 0
    expected = {("setup", number) for number in range(12)}
    expected |= {(e["writer"], e["n"]) for e in ledger if e.get("op") == "append" and "refused" not in e}
    expected -= {(e["writer"], e["n"]) for e in ledger if e.get("op") == "delete" and "refused" not in e}
    with our_catalog(settings) as catalog:
        table = catalog.load_table(str(NAME))
        rows = [(row["writer"], row["n"]) for row in table.scan().to_arrow().to_pylist()]
        assert sorted(rows) == sorted(expected)
        assert sorted(by_duckdb(table)) == sorted(expected)
        # And no file that anything needs is missing, in any snapshot that is left
        assert reached(table) <= on_disk(table)
        for snapshot in table.metadata.snapshots:
            found = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
            assert len(found) == int(snapshot.summary["total-records"]) - int(
                snapshot.summary["total-position-deletes"] or 0
            )


def by_duckdb(table: Table) -> list[tuple[str, int]]:
    """The rows as DuckDB reads the files that are live, without those that are deleted by position."""
    rows: list[tuple[str, int]] = []
    with duckdb.connect() as connection:
        for task in table.scan().plan_files():
            deletes = [file.file_path.removeprefix("file://") for file in task.delete_files]
            positions = "SELECT NULL::BIGINT WHERE false"
            if deletes:
                positions = f"SELECT pos FROM read_parquet({deletes}) WHERE file_path = '{task.file.file_path}'"
            rows += connection.execute(
                "SELECT writer, n FROM read_parquet(?, file_row_number = true) "
                f"WHERE file_row_number NOT IN ({positions})",
                [task.file.file_path.removeprefix("file://")],
            ).fetchall()
    return rows
