"""From settings to open stores to services: the one place where things are wired together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread

from app.domain.changes import Actor, Command
from app.domain.names import DatasetName
from app.domain.versions import VersionSelector
from app.errors import TagExistsError
from app.lake.store import Lake
from app.lineage.postgres.store import PostgresLineage
from app.lineage.store import LineageStore
from app.postgres.embedded import EmbeddedPostgres
from app.postgres.migrate import migrate
from app.postgres.pool import Pool, open_advisory_locks, open_pool
from app.registry.bindings import Bindings
from app.registry.changes import ChangeLog
from app.registry.datasets import DatasetNames
from app.registry.events import EventLog
from app.services.datasets import Datasets
from app.services.executing import Executor
from app.services.graph_upkeep import GraphUpkeep
from app.services.health import Health
from app.services.ingesting import Ingesting
from app.services.lineage import Lineage
from app.services.projecting import Projector
from app.services.repair import Repair
from app.services.resolving import Resolving
from app.services.versioning import Versioning
from app.settings import Settings
from app.telemetry.tracing import start_export

if TYPE_CHECKING:
    from app.lake.sample.load import SampleReport, SampleStep

SAMPLE_ACTOR = Actor(subject="stratigraph demo")
SAMPLE_ROLLBACK = "gold.daily_revenue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All services, open."""

    settings: Settings
    lake: Lake
    datasets: Datasets
    versioning: Versioning
    repair: Repair
    health: Health
    ingesting: Ingesting
    lineage: Lineage
    projector: Projector
    upkeep: GraphUpkeep


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Start what is embedded, connect to the rest, bring the database up to date; all is closed at the end.

    Raises:
        InvalidSettingError, BackendUnavailableError, MigrationError: what is wrong or away.
    """
    start_export()
    async with AsyncExitStack() as stack:
        url = settings.database_url or await _start_embedded(stack, settings)
        await migrate(url)
        pool = await open_pool(url)
        stack.push_async_callback(pool.close)
        locks = await open_advisory_locks(url)
        stack.push_async_callback(locks.close)
        # Several processes may open an empty database at once, and pyiceberg's table creation is no match for that.
        async with locks.held("open catalog", timeout_s=120):
            lake = await Lake.open(settings, url)
        stack.push_async_callback(lake.close)
        changes = ChangeLog(pool, locks)
        datasets = Datasets(lake, changes, DatasetNames(pool), settings)
        repair = Repair(lake, datasets, changes, settings)
        executor = Executor(lake, datasets, changes, repair, settings)
        log = EventLog(pool)
        graph = await _open_graph(settings, pool)
        stack.push_async_callback(graph.close)
        projector = Projector(log, graph, Resolving(datasets, Bindings(pool)))
        yield Services(
            settings=settings,
            lake=lake,
            datasets=datasets,
            versioning=Versioning(datasets, changes, executor, settings),
            repair=repair,
            health=Health(lake, changes, graph, settings),
            ingesting=Ingesting(log, settings),
            lineage=Lineage(graph, log, projector, settings),
            projector=projector,
            upkeep=GraphUpkeep(log, graph, projector),
        )


async def build_sample_lake(services: Services, scale: float, progress: Callable[[SampleStep], None]) -> SampleReport:
    """Build what the sample lake lacks; its tags and a rollback go through the service, so that they are recorded."""
    report, tags = await services.lake.load_sample(services.settings.home / "tmp", scale, progress)
    for tag, snapshot_id in tags:
        command = Command(actor=SAMPLE_ACTOR, reason=tag.reason)
        try:
            await services.versioning.create_tag(
                DatasetName.parse(tag.dataset), tag.tag, VersionSelector(snapshot_id=snapshot_id), command
            )
        except TagExistsError:
            # Somebody has moved it since: it is theirs now.
            continue
    if SAMPLE_ROLLBACK not in report.foreign:
        await _show_a_rollback(services.versioning)
    return report


async def _show_a_rollback(versioning: Versioning) -> None:
    """A rollback and its undo, so that the sample has one to look at; by their keys they are done once for ever."""
    dataset = DatasetName.parse(SAMPLE_ROLLBACK)
    done = await versioning.roll_back(
        dataset,
        "main~1",
        Command(actor=SAMPLE_ACTOR, reason="The restated totals look too low", idempotency_key="sample: roll back"),
    )
    if done.undo_tag is not None:
        reason = "The ledger was wrong, not the restatement"
        command = Command(actor=SAMPLE_ACTOR, reason=reason, idempotency_key="sample: undo")
        await versioning.undo_rollback(dataset, done.undo_tag.name, command)


async def _open_graph(settings: Settings, pool: Pool) -> LineageStore:
    if settings.graph_url is None:
        return PostgresLineage(pool)
    # Imported where it is needed: its driver takes a while.
    from app.lineage.janusgraph.store import open_janusgraph

    return await open_janusgraph(settings.graph_url)


async def _start_embedded(stack: AsyncExitStack, settings: Settings) -> str:
    postgres = EmbeddedPostgres(settings.home)
    url = await anyio.to_thread.run_sync(postgres.start)
    stack.push_async_callback(anyio.to_thread.run_sync, postgres.stop)
    return url
