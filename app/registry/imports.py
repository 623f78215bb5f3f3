"""What was imported from other registries of models: which of their versions is which of ours."""

from __future__ import annotations

import asyncpg

from app.domain.import_plans import KnownImports
from app.postgres.pool import translated
from app.telemetry.tracing import span


class ImportStore:
    """Imports by where they came from: the other registry's address, without a password."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def known(self, source: str) -> KnownImports:
        """All that was imported from a registry, by its own names and numbers."""
        with span("postgres.find_imports"):
            async with translated():
                versions = await self._pool.fetch(
                    "SELECT model, foreign_number, fingerprint FROM model_imports WHERE source = $1", source
                )
                aliases = await self._pool.fetch(
                    "SELECT model, alias, foreign_number FROM alias_imports WHERE source = $1", source
                )
        return KnownImports(
            models=frozenset(row["model"] for row in versions),
            versions={(row["model"], row["foreign_number"]): row["fingerprint"] for row in versions},
            aliases={(row["model"], row["alias"]): row["foreign_number"] for row in aliases},
        )

    async def find_number(self, source: str, model: str, foreign_number: int) -> int | None:
        """Our number of a version of the other registry; None where it was not imported."""
        async with translated():
            found: int | None = await self._pool.fetchval(
                "SELECT number FROM model_imports WHERE source = $1 AND model = $2 AND foreign_number = $3",
                source,
                model,
                foreign_number,
            )
        return found

    async def keep_version(self, source: str, model: str, foreign_number: int, number: int, fingerprint: str) -> None:
        """A version was imported, and what it said then."""
        async with translated():
            await self._pool.execute(
                """
                INSERT INTO model_imports (source, model, foreign_number, number, fingerprint)
                VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
                """,
                source,
                model,
                foreign_number,
                number,
                fingerprint,
            )

    async def keep_alias(self, source: str, model: str, alias: str, foreign_number: int | None) -> None:
        """An alias was set as a tag for a version; None: the tag was removed."""
        async with translated():
            if foreign_number is None:
                await self._pool.execute(
                    "DELETE FROM alias_imports WHERE source = $1 AND model = $2 AND alias = $3", source, model, alias
                )
                return
            await self._pool.execute(
                """
                INSERT INTO alias_imports (source, model, alias, foreign_number) VALUES ($1, $2, $3, $4)
                ON CONFLICT (source, model, alias) DO UPDATE SET foreign_number = excluded.foreign_number
                """,
                source,
                model,
                alias,
                foreign_number,
            )
