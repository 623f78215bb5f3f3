from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from app.errors import BackendUnavailableError, LockTimeoutError, MigrationError
from app.postgres.migrate import (
    LOCK_KEY,
    MIGRATIONS_DIR,
    AppliedMigration,
    Migration,
    load_migrations,
    migrate,
    pending_migrations,
)
from app.postgres.pool import advisory_key


def write(directory: Path, **files: str) -> Path:
    for name, sql in files.items():
        (directory / f"{name.removeprefix('v')}.sql").write_text(sql)
    return directory


def applied(*migrations: Migration) -> dict[int, AppliedMigration]:
    return {m.version: AppliedMigration(name=m.name, sha256=m.sha256) for m in migrations}


ONE = Migration(version=1, name="one", sql="SELECT 1")
TWO = Migration(version=2, name="two", sql="SELECT 2")


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in rows}
    finally:
        await connection.close()


def test_packaged_migrations_load() -> None:
    assert [m.version for m in load_migrations(MIGRATIONS_DIR)] == list(
        range(1, len(list(MIGRATIONS_DIR.glob("*.sql"))) + 1)
    )


def test_files_load_in_order_of_version(tmp_path: Path) -> None:
    write(tmp_path, v0002_two="SELECT 2", v0001_one="SELECT 1")

    assert load_migrations(tmp_path) == [ONE, TWO]


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("gap", ["v0001_a", "v0003_c"]),
        ("repetition", ["v0001_a", "v0001_b"]),
        ("not from one", ["v0002_a"]),
        ("no number", ["vfirst"]),
        ("capitals", ["v0001_Add"]),
    ],
)
def test_wrong_file_names_are_refused(tmp_path: Path, case: str, names: list[str]) -> None:
    write(tmp_path, **dict.fromkeys(names, "SELECT 1"))

    with pytest.raises(MigrationError):
        load_migrations(tmp_path)


def test_line_ends_of_the_checkout_do_not_change_the_checksum(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_bytes(b"SELECT 1;\r\nSELECT 2;\r\n")
    windows = load_migrations(tmp_path)[0]
    (tmp_path / "0001_a.sql").write_bytes(b"SELECT 1;\nSELECT 2;\n")

    assert load_migrations(tmp_path)[0].sha256 == windows.sha256


def test_only_what_is_missing_is_pending() -> None:
    assert pending_migrations([ONE, TWO], {}) == [ONE, TWO]
    assert pending_migrations([ONE, TWO], applied(ONE)) == [TWO]
    assert pending_migrations([ONE, TWO], applied(ONE, TWO)) == []


def test_newer_database_is_refused() -> None:
    with pytest.raises(MigrationError, match=r"version 2 \(two\).*knows 1"):
        pending_migrations([ONE], applied(ONE, TWO))


@pytest.mark.parametrize(
    ("case", "edited"),
    [
        ("other sql", Migration(version=1, name="one", sql="SELECT 3")),
        ("renamed", Migration(version=1, name="uno", sql="SELECT 1")),
    ],
)
def test_edited_file_is_refused(case: str, edited: Migration) -> None:
    with pytest.raises(MigrationError, match="edited after it was applied"):
        pending_migrations([edited, TWO], applied(ONE))


def test_hole_in_the_applied_versions_is_refused() -> None:
    with pytest.raises(MigrationError, match="version 1 was never applied"):
        pending_migrations([ONE, TWO], applied(TWO))


@pytest.mark.anyio
async def test_migrating_twice_applies_once(empty_database_url: str, tmp_path: Path) -> None:
    write(tmp_path, v0001_a="CREATE TABLE a (id int); INSERT INTO a VALUES (1);", v0002_b="CREATE TABLE b (id int)")

    assert [m.name for m in await migrate(empty_database_url, directory=tmp_path)] == ["a", "b"]
    assert await migrate(empty_database_url, directory=tmp_path) == []

    assert await tables(empty_database_url) == {"schema_migrations", "a", "b"}


@pytest.mark.anyio
async def test_new_file_is_applied_to_an_older_database(empty_database_url: str, tmp_path: Path) -> None:
    await migrate(empty_database_url, directory=write(tmp_path, v0001_a="CREATE TABLE a (id int)"))
    write(tmp_path, v0002_b="ALTER TABLE a ADD COLUMN name text")

    assert [m.version for m in await migrate(empty_database_url, directory=tmp_path)] == [2]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("case", "statement"),
    [
        ("syntax", "CREATE TABEL c (id int)"),
        ("constraint", "INSERT INTO a VALUES (1), (1)"),
        ("raised", "DO $$ BEGIN RAISE EXCEPTION 'no'; END $$"),
        ("not in a transaction", "CREATE INDEX CONCURRENTLY i ON a (id)"),
    ],
)
async def test_failing_file_is_rolled_back_whole_and_those_before_it_stay(
    empty_database_url: str, tmp_path: Path, case: str, statement: str
) -> None:
    write(tmp_path, v0001_a="CREATE TABLE a (id int PRIMARY KEY)", v0002_b=f"CREATE TABLE b (id int);\n{statement};")

    with pytest.raises(MigrationError, match=r"0002_b\.sql failed"):
        await migrate(empty_database_url, directory=tmp_path)

    assert await tables(empty_database_url) == {"schema_migrations", "a"}
    (tmp_path / "0002_b.sql").write_text("CREATE TABLE b (id int)")
    assert [m.version for m in await migrate(empty_database_url, directory=tmp_path)] == [2]


@pytest.mark.anyio
async def test_file_that_commits_by_itself_is_refused(empty_database_url: str, tmp_path: Path) -> None:
    write(tmp_path, v0001_a="CREATE TABLE a (id int); COMMIT;")

    with pytest.raises(MigrationError, match="ends its transaction itself"):
        await migrate(empty_database_url, directory=tmp_path)


@pytest.mark.anyio
async def test_edited_file_stops_before_anything_is_applied(empty_database_url: str, tmp_path: Path) -> None:
    await migrate(empty_database_url, directory=write(tmp_path, v0001_a="CREATE TABLE a (id int)"))
    write(tmp_path, v0001_a="CREATE TABLE a (id bigint)", v0002_b="CREATE TABLE b (id int)")

    with pytest.raises(MigrationError, match=r"0001_a\.sql was edited"):
        await migrate(empty_database_url, directory=tmp_path)

    assert "b" not in await tables(empty_database_url)


@pytest.mark.anyio
async def test_waiting_for_another_migrator_ends_with_a_typed_error(empty_database_url: str, tmp_path: Path) -> None:
    other = await asyncpg.connect(empty_database_url)
    await other.execute("SELECT pg_advisory_lock($1)", advisory_key(LOCK_KEY))

    with pytest.raises(LockTimeoutError):
        await migrate(empty_database_url, directory=tmp_path, lock_timeout_s=0.1)

    await other.close()
    assert await migrate(empty_database_url, directory=tmp_path) == []


@pytest.mark.anyio
async def test_absent_postgres_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError):
        await migrate("postgresql://nobody@127.0.0.1:1/none", directory=tmp_path)
