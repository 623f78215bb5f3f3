"""Whether the backends answer, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import AppError
from app.lake.store import Lake
from app.registry.changes import ChangeLog
from app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One backend: whether it answers, what was seen, and what to do where it does not."""

    name: str
    ok: bool
    detail: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """All checks."""

    checks: tuple[Check, ...]

    @property
    def is_ready(self) -> bool:
        """Whether requests can be served."""
        return all(check.ok for check in self.checks)


class Health:
    """Asks each backend something cheap."""

    def __init__(self, lake: Lake, changes: ChangeLog, settings: Settings) -> None:
        self._lake = lake
        self._changes = changes
        self._settings = settings

    async def check(self) -> HealthReport:
        """One statement to Postgres, one listing from the catalog."""
        return HealthReport(checks=(await self._postgres(), await self._catalog()))

    async def _postgres(self) -> Check:
        kind = "embedded" if self._settings.is_database_embedded else "external"
        try:
            version = await self._changes.ping()
        except AppError as error:
            return Check(name="postgres", ok=False, detail=error.message, hint=f"The {kind} Postgres must be running.")
        return Check(name="postgres", ok=True, detail=f"{kind}, version {version}")

    async def _catalog(self) -> Check:
        name = self._lake.catalog_name
        try:
            tables = await self._lake.list_names()
        except AppError as error:
            return Check(name="catalog", ok=False, detail=error.message, hint=f"Look at the properties of {name!r}.")
        return Check(name="catalog", ok=True, detail=f"{name!r} answers, {len(tables)} tables")
