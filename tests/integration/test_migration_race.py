"""Several processes that start at once on one database migrate it once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncpg

PROCESSES = 4
SCRIPT = """
import asyncio, pathlib, sys
from app.postgres.migrate import migrate

print("ready", flush=True)
sys.stdin.readline()
applied = asyncio.run(migrate(sys.argv[1], directory=pathlib.Path(sys.argv[2])))
print(*(migration.version for migration in applied), flush=True)
"""


def test_processes_that_migrate_at_once_apply_each_file_once(empty_database_url: str, tmp_path: Path) -> None:
    # Each file fails if it is applied twice, and takes long enough for the others to come in between.
    for version in range(1, 6):
        (tmp_path / f"{version:04d}_step.sql").write_text(
            f"CREATE TABLE step_{version} (id int PRIMARY KEY); SELECT pg_sleep(0.05);"
        )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, empty_database_url, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()

    outputs = [racer.communicate()[0].split() for racer in racers]

    assert [racer.returncode for racer in racers] == [0] * PROCESSES
    assert sorted(outputs) == [[], [], [], ["1", "2", "3", "4", "5"]]
    assert asyncio.run(versions(empty_database_url)) == [1, 2, 3, 4, 5]


async def versions(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT version FROM schema_migrations ORDER BY version")
        return [row["version"] for row in rows]
    finally:
        await connection.close()
