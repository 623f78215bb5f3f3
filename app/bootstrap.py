"""From settings to open stores to services: the one place where things are wired together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio.to_thread

from app.artifacts.store import ArtifactStore
from app.domain.changes import Actor, Command
from app.domain.names import DatasetName
from app.domain.operations import OperationKind
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
from app.registry.externals import Externals
from app.registry.facts import Facts
from app.registry.holds import HoldStore
from app.registry.imports import ImportStore
from app.registry.known_snapshots import KnownSnapshots
from app.registry.models import ModelStore
from app.registry.operation_leases import OperationLeases
from app.registry.operations import OperationStore
from app.registry.pins import PinStore
from app.registry.pipelines import PipelineStore
from app.registry.retention_history import RetentionHistory
from app.registry.retention_runs import RetentionRunStore
from app.registry.row_diffs import RowDiffCache
from app.registry.runs import RunStore
from app.registry.version_tags import VersionTags
from app.registry.workers import Workers
from app.services.checking import Checking
from app.services.cold_storage import ColdStorage
from app.services.compaction.operations import CompactionOperations
from app.services.compaction.planning import CompactionPlanning
from app.services.compaction.reporting import CompactionReporting
from app.services.compaction.running import Compaction
from app.services.compaction.sweeps import CompactionSweeps
from app.services.comparing import Comparing
from app.services.comparing_commits import ComparingCommits
from app.services.comparing_models import ComparingModels
from app.services.comparing_pipelines import ComparingPipelines
from app.services.datasets import Datasets
from app.services.entry_lookup import EntryLookup
from app.services.executing import Executor
from app.services.graph_upkeep import GraphUpkeep
from app.services.health import Health
from app.services.history_walks import HistoryWalks, TablesOfLake
from app.services.holding import Holding
from app.services.impacts import Impacts
from app.services.importing import Importing
from app.services.ingesting import Ingesting
from app.services.interpreting import Interpreting
from app.services.lineage import Lineage
from app.services.model_cards import ModelCards
from app.services.model_registration import ModelRegistration
from app.services.model_upkeep import ModelUpkeep
from app.services.models import Models
from app.services.operation_runner import OperationRunner
from app.services.operations import Operations
from app.services.orphan_operations import OrphanOperations
from app.services.orphans import Orphans
from app.services.past_expiries import PastExpiries
from app.services.pinning import Pinning
from app.services.pipelines import Pipelines
from app.services.projecting import Projector
from app.services.promoting import Promoting
from app.services.repair import Repair
from app.services.resolving import Resolving
from app.services.retention import Retention
from app.services.retention_explaining import RetentionExplaining
from app.services.retention_operations import RetentionOperations
from app.services.retention_planning import RetentionPlanning
from app.services.retention_sweeps import RetentionSweeps
from app.services.row_diff_operations import RowDiffOperations
from app.services.row_diffs import RowDiffs
from app.services.runs import Runs
from app.services.sample import Sample
from app.services.standing import RegisteredModels
from app.services.tagging_by_reference import TaggingByReference
from app.services.version_tagging import VersionTagging
from app.services.versioning import Versioning
from app.services.working import Worker
from app.settings import Settings
from app.telemetry.tracing import start_export

if TYPE_CHECKING:
    from app.lake.sample.load import SampleReport, SampleStep

REGISTRY_LOCKS = 4
SAMPLE_ACTOR = Actor(subject="stratigraph demo")
SAMPLE_ROLLBACK = "gold.daily_revenue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All services, open."""

    settings: Settings
    lake: Lake
    datasets: Datasets
    comparing: Comparing
    comparing_commits: ComparingCommits
    row_diffs: RowDiffs
    row_diff_operations: RowDiffOperations
    versioning: Versioning
    models: Models
    model_cards: ModelCards
    registration: ModelRegistration
    pinning: Pinning
    holding: Holding
    retention_planning: RetentionPlanning
    compaction_planning: CompactionPlanning
    compaction_sweeps: CompactionSweeps
    compaction_operations: CompactionOperations
    retention: Retention
    retention_sweeps: RetentionSweeps
    retention_explaining: RetentionExplaining
    orphans: Orphans
    orphan_operations: OrphanOperations
    retention_operations: RetentionOperations
    past_expiries: PastExpiries
    model_upkeep: ModelUpkeep
    pipelines: Pipelines
    comparing_models: ComparingModels
    comparing_pipelines: ComparingPipelines
    checking: Checking
    runs: Runs
    promoting: Promoting
    operations: Operations
    operation_runner: OperationRunner
    entries: EntryLookup
    version_tags: VersionTags
    version_tagging: VersionTagging
    importing: Importing
    sample: Sample
    tagging: TaggingByReference
    repair: Repair
    health: Health
    ingesting: Ingesting
    lineage: Lineage
    impacts: Impacts
    projector: Projector
    upkeep: GraphUpkeep
    worker: Worker


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
        # Of their own: who holds one of these goes on to lock tables, and must find a connection for that.
        registry_locks = await open_advisory_locks(url, max_held=REGISTRY_LOCKS)
        stack.push_async_callback(registry_locks.close)
        # Several processes may open an empty database at once, and pyiceberg's table creation is no match for that.
        async with locks.held("open catalog", timeout_s=120):
            lake = await Lake.open(settings, url)
        stack.push_async_callback(lake.close)
        changes = ChangeLog(pool, locks)
        retention_runs = RetentionRunStore(pool)
        past_expiries = PastExpiries(retention_runs, RetentionHistory(pool))
        datasets = Datasets(lake, changes, KnownSnapshots(pool), DatasetNames(pool), past_expiries, settings)
        repair = Repair(lake, datasets, changes, settings)
        executor = Executor(lake, datasets, changes, repair, settings)
        log = EventLog(pool)
        graph = await _open_graph(settings, pool)
        stack.push_async_callback(graph.close)
        externals = Externals(pool)
        models, pipelines, runs = ModelStore(pool), PipelineStore(pool), RunStore(pool)
        interpreting = Interpreting(Resolving(datasets, Bindings(pool)), pipelines, models)
        projector = Projector(log, graph, runs, externals, interpreting, lease_s=settings.lease_s)
        versioning = Versioning(datasets, changes, executor, settings)
        facts, tags, pins = Facts(pool, registry_locks), VersionTags(pool), PinStore(pool)
        pinning = Pinning(pins, datasets, versioning)
        holds = HoldStore(pool)
        holding = Holding(holds, datasets, versioning, settings)
        planning = RetentionPlanning(lake, datasets, pins, holds, settings)
        retention = Retention(lake, datasets, changes, planning, retention_runs, pinning, holding, repair, settings)
        sweeps = RetentionSweeps(datasets, planning, retention)
        models_service = Models(models, tags, pins, datasets)
        cold_storage = ColdStorage(ArtifactStore(settings.allowed_artifact_roots, properties=lake.properties), models)
        pipelines_service = Pipelines(pipelines, facts, tags)
        tagging = VersionTagging(facts)
        lineage = Lineage(graph, HistoryWalks(graph, TablesOfLake(datasets)), log, externals, settings)
        ingesting = Ingesting(log, settings)
        registration = ModelRegistration(models_service, models, facts, pins, pinning, cold_storage, datasets, settings)
        runs_service = Runs(runs, log, interpreting, datasets, pipelines_service, lineage)
        workers = Workers(pool)
        model_upkeep = ModelUpkeep(pinning, holding, cold_storage)
        operations = OperationStore(pool)
        operation_runner = OperationRunner(operations, OperationLeases(pool), settings)
        operations_service = Operations(operations, workers)
        comparing, comparing_models = Comparing(datasets), ComparingModels(models_service, datasets)
        row_diffs = RowDiffs(lake, RowDiffCache(pool, settings.diff_cache_bytes), settings)
        row_diff_operations = RowDiffOperations(operations_service, datasets, row_diffs)
        operation_runner.register(OperationKind.ROW_DIFF, row_diff_operations)
        retention_operations = RetentionOperations(operations_service, planning, sweeps)
        operation_runner.register(OperationKind.RETENTION, retention_operations)
        orphans = Orphans(lake, datasets, changes, settings)
        orphan_operations = OrphanOperations(operations_service, orphans)
        operation_runner.register(OperationKind.ORPHANS, orphan_operations)
        compaction_planning = CompactionPlanning(lake, datasets, settings)
        compaction = Compaction(lake, datasets, changes, compaction_planning, settings)
        compaction_sweeps = CompactionSweeps(datasets, compaction_planning, compaction, CompactionReporting(planning))
        compaction_operations = CompactionOperations(operations_service, compaction_planning, compaction_sweeps, sweeps)
        operation_runner.register(OperationKind.COMPACTION, compaction_operations)
        yield Services(
            settings=settings,
            lake=lake,
            datasets=datasets,
            comparing=comparing,
            comparing_commits=ComparingCommits(lineage, runs_service, pipelines_service),
            row_diffs=row_diffs,
            row_diff_operations=row_diff_operations,
            versioning=versioning,
            models=models_service,
            model_cards=ModelCards(models_service, tags),
            registration=registration,
            pinning=pinning,
            holding=holding,
            retention_planning=planning,
            compaction_planning=compaction_planning,
            compaction_sweeps=compaction_sweeps,
            compaction_operations=compaction_operations,
            retention=retention,
            retention_sweeps=sweeps,
            retention_explaining=RetentionExplaining(datasets, planning, retention_runs),
            orphans=orphans,
            orphan_operations=orphan_operations,
            retention_operations=retention_operations,
            past_expiries=past_expiries,
            model_upkeep=model_upkeep,
            pipelines=pipelines_service,
            comparing_models=comparing_models,
            comparing_pipelines=ComparingPipelines(pipelines_service),
            checking=Checking(comparing, row_diffs, comparing_models),
            runs=runs_service,
            promoting=Promoting(facts, datasets, lineage),
            operations=operations_service,
            operation_runner=operation_runner,
            entries=EntryLookup(models=models_service, pipelines=pipelines_service, tags=tags),
            version_tags=tags,
            version_tagging=tagging,
            tagging=TaggingByReference(models_service, pipelines_service, tagging),
            importing=Importing(ImportStore(pool), registration, tagging, datasets),
            sample=Sample(
                lake,
                datasets,
                pipelines_service,
                ingesting,
                runs_service,
                models_service,
                registration,
                settings.home / "artifacts",
            ),
            repair=repair,
            health=Health(lake, changes, graph, workers, settings),
            ingesting=ingesting,
            lineage=lineage,
            impacts=Impacts(graph, datasets, models=RegisteredModels(models, tags)),
            projector=projector,
            upkeep=GraphUpkeep(log, graph, projector, interpreting),
            worker=Worker(projector, repair, model_upkeep, operation_runner, workers),
        )


async def build_sample_lake(services: Services, scale: float, progress: Callable[[SampleStep], None]) -> SampleReport:
    """Build what the sample lake lacks; its tags and a rollback go through the service, so that they are recorded."""
    from app.lake.sample.load import SampleStep

    last = SampleStep(done=1, total=1, what="")

    def remember(step: SampleStep) -> None:
        nonlocal last
        last = step
        progress(step)

    report, tags = await services.lake.load_sample(services.settings.home / "tmp", scale, remember)
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
    if last.what:
        # Of a lake that lacked nothing this changes nothing either, and takes no time worth a line.
        progress(replace(last, what="telling how it was made"))
    await services.sample.tell(lambda what: progress(replace(last, what=what)))
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
