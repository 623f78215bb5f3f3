"""Bring the database's schema up to this program's: numbered SQL files, forward only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from app.errors import LockTimeoutError, MigrationError
from app.postgres.pool import APPLICATION_NAME, CONNECT_TIMEOUT_S, UNAVAILABLE, advisory_key, checked_url, translated

MIGRATIONS_DIR = Path(__file__).parent / "migrations"
LOCK_KEY = "stratigraph:migrations"
LOCK_TIMEOUT_S = 120.0

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version    integer     PRIMARY KEY,
        name       text        NOT NULL,
        sha256     text        NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file `NNNN_name.sql`, applied as one transaction."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The checksum that tells whether an applied file was edited."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedMigration:
    """What a database says about one migration that it has had."""

    name: str
    sha256: str


def load_migrations(directory: Path = MIGRATIONS_DIR) -> list[Migration]:
    """The migrations of `directory` by version, from 1 on without a gap.

    Raises:
        MigrationError: a file name that is not `NNNN_name.sql`, a version twice, or one missing.
    """
    found = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named NNNN_name.sql")
        # Read as text, so that a checkout with other line ends has the same checksum.
        found.append(Migration(version=int(match[1]), name=match[2], sql=path.read_text(encoding="utf-8")))
    versions = [migration.version for migration in found]
    if versions != list(range(1, len(found) + 1)):
        raise MigrationError(f"versions must be 1, 2, 3 … without gap or repetition, and are {versions}")
    return found


def pending_migrations(migrations: Sequence[Migration], applied: Mapping[int, AppliedMigration]) -> list[Migration]:
    """Those of `migrations` that a database lacks which has had `applied`, in order.

    Raises:
        MigrationError: an applied file was edited or renamed, one is missing below another, or the database is newer.
    """
    known = {migration.version: migration for migration in migrations}
    newer = sorted(applied.keys() - known.keys())
    if newer:
        raise MigrationError(
            f"the database is at version {newer[-1]} ({applied[newer[-1]].name}), "
            f"and this program knows {len(known)}; use a newer program"
        )
    for version, had in sorted(applied.items()):
        if (had.name, had.sha256) != (known[version].name, known[version].sha256):
            raise MigrationError(
                f"{version:04d}_{had.name}.sql was edited after it was applied; changes belong in a new file"
            )
    pending = [migration for migration in migrations if migration.version not in applied]
    if pending and applied and pending[0].version < max(applied):
        raise MigrationError(f"version {pending[0].version} was never applied, although {max(applied)} was")
    return pending


async def migrate(
    url: str, *, directory: Path = MIGRATIONS_DIR, lock_timeout_s: float = LOCK_TIMEOUT_S
) -> list[Migration]:
    """Apply what the database lacks, and answer that; nothing where it is up to date.

    Any number of processes may call this at once: one works, the others wait and then find nothing to do.
    A file that fails is rolled back whole, and those before it stay.

    Raises:
        MigrationError: the database and the files do not fit together, or a file failed.
        LockTimeoutError: another process was migrating for `lock_timeout_s`.
        BackendUnavailableError: Postgres is away.
    """
    migrations = load_migrations(directory)
    async with translated():
        # A connection of its own: no statement timeout may cut a long change short.
        settings = {"application_name": APPLICATION_NAME, "lock_timeout": str(int(lock_timeout_s * 1000))}
        with checked_url():
            connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings=settings)
        try:
            # Not released by hand: it ends with the connection, however that ends.
            await connection.execute("SELECT pg_advisory_lock($1)", advisory_key(LOCK_KEY))
            await connection.execute(_TABLE)
            rows = await connection.fetch("SELECT version, name, sha256 FROM schema_migrations")
            applied = {row["version"]: AppliedMigration(name=row["name"], sha256=row["sha256"]) for row in rows}
            pending = pending_migrations(migrations, applied)
            for migration in pending:
                await _apply(connection, migration)
        except asyncpg.LockNotAvailableError as error:
            raise LockTimeoutError(LOCK_KEY, lock_timeout_s) from error
        finally:
            await connection.close()
    return pending


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            if not connection.is_in_transaction():
                raise MigrationError(f"{migration.version:04d}_{migration.name}.sql ends its transaction itself")
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.sha256,
            )
    except (*UNAVAILABLE, asyncpg.LockNotAvailableError):
        raise
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{migration.version:04d}_{migration.name}.sql failed: {error}") from error
