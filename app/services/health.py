"""Whether the backends answer, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import AppError
from app.lake.store import Lake
from app.lineage.store import LineageStore
from app.registry.changes import ChangeLog
from app.registry.workers import Workers
from app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One backend: whether it answers, what was seen, and what to do where it does not.

    Without one that is not `is_required`, most requests can be served all the same.
    """

    name: str
    ok: bool
    detail: str
    hint: str | None = None
    is_required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """All checks."""

    checks: tuple[Check, ...]

    @property
    def is_ready(self) -> bool:
        """Whether requests can be served."""
        return all(check.ok for check in self.checks if check.is_required)


class Health:
    """Asks each backend something cheap."""

    def __init__(
        self, lake: Lake, changes: ChangeLog, graph: LineageStore, workers: Workers, settings: Settings
    ) -> None:
        self._lake = lake
        self._changes = changes
        self._graph = graph
        self._workers = workers
        self._settings = settings

    async def check(self) -> HealthReport:
        """Two statements to Postgres, a listing from the catalog, and JanusGraph's version where one is configured."""
        checks = [await self._postgres(), await self._catalog(), await self._worker()]
        if self._settings.graph_url is not None:
            checks.append(await self._lineage())
        return HealthReport(checks=tuple(checks))

    async def _lineage(self) -> Check:
        try:
            version = await self._graph.ping()
        except AppError as error:
            hint = "STRATIGRAPH_GRAPH_URL names it; only lineage fields fail, and catch up once it is back."
            return Check(name="lineage", ok=False, detail=error.message, hint=hint, is_required=False)
        return Check(name="lineage", ok=True, detail=f"{self._graph.kind}, version {version}", is_required=False)

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

    async def _worker(self) -> Check:
        """Not well only where work waits and nobody does it: without any, a worker may come when it likes."""
        try:
            status = await self._workers.status()
        except AppError as error:
            hint = "Once Postgres answers, this can be told."
            return Check(name="worker", ok=False, detail=error.message, hint=hint, is_required=False)
        seen = (
            "none was ever seen" if status.last_seen_s is None else f"the last one was seen {_ago(status.last_seen_s)}"
        )
        if status.working:
            detail = f"{status.working} at work, {seen}"
            return Check(name="worker", ok=True, detail=detail, is_required=False)
        waiting = []
        if status.waiting_s is not None:
            waiting.append(f"lineage that was reported {_ago(status.waiting_s)} is not in the graph")
        if status.queued_s is not None:
            waiting.append(f"an operation that was asked for {_ago(status.queued_s)} waits")
        if not waiting:
            return Check(name="worker", ok=True, detail=f"{seen}, and nothing waits for one", is_required=False)
        return Check(
            name="worker",
            ok=False,
            detail=f"{seen}, and {' and '.join(waiting)}",
            hint="Start one: `stratigraph worker`. `stratigraph serve` does so itself unless it is told not to.",
            is_required=False,
        )


def _ago(duration_s: float) -> str:
    seconds = max(0, round(duration_s))
    if seconds < 120:
        return f"{seconds} s ago"
    return f"{seconds // 60} min ago" if seconds < 7200 else f"{seconds // 3600} h ago"
