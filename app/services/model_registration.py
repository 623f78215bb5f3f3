"""Registering and archiving model versions; what a version was trained on is kept for as long as it is in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from app.domain.changes import ChangeKind, ChangeState, Command, ModelSubject
from app.domain.history import same_rows_as
from app.domain.lineage import Vertex
from app.domain.models import ModelVersion, NewModelVersion, check_model_name, check_new_version
from app.domain.names import DatasetName
from app.domain.numbered import NumberSelector
from app.domain.records import ModelRecord
from app.domain.roles import InputRole
from app.domain.uses import VersionUse
from app.errors import AppError, JsonValue, RegistrationGivenUpError, placed
from app.registry.events import LogRecord, append_records, reopen_run
from app.registry.facts import Facts, StoredFact, insert_fact, settle_fact
from app.registry.models import LeftArtifact, ModelStore, archive_version, insert_version
from app.registry.pins import PinStore, make_live, start_release
from app.services.cold_storage import ColdStorage
from app.services.datasets import Datasets
from app.services.executing import worker_name
from app.services.finishing import finished
from app.services.models import Models
from app.services.pinning import Pinning
from app.services.recording import FactRequest, find_repeated, key_of_its_own
from app.services.versioning import Version
from app.settings import Settings
from app.telemetry.tracing import span


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingInput:
    """A version of a dataset that a model was trained on, as it is named by whoever registers it."""

    dataset: DatasetName
    at: Version
    role: InputRole = InputRole.TRAINING
    is_inferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutcome:
    """A model version as it is now; `is_unchanged` where it was so before."""

    version: ModelVersion
    warnings: tuple[str, ...] = ()
    is_unchanged: bool = False
    change_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """What a model was trained on: the very snapshots, and what stands for them in the lineage graph."""

    uses: tuple[VersionUse, ...]
    vertices: tuple[Vertex, ...]


class ModelRegistration:
    """Writes to the registry of models.

    Every method raises BackendUnavailableError where Postgres is away.
    """

    def __init__(
        self,
        models: Models,
        store: ModelStore,
        facts: Facts,
        pins: PinStore,
        pinning: Pinning,
        cold_storage: ColdStorage,
        datasets: Datasets,
        settings: Settings,
    ) -> None:
        self._models = models
        self._store = store
        self._facts = facts
        self._pins = pins
        self._pinning = pinning
        self._cold_storage = cold_storage
        self._datasets = datasets
        self._settings = settings

    async def register(self, new: NewModelVersion, training: Sequence[TrainingInput], command: Command) -> ModelOutcome:
        """Register the next version of a model; what it was trained on is kept before it is recorded.

        Costs a commit to a table for each snapshot. Registrations of one model wait for each other.

        Raises:
            InvalidNameError, InvalidArgumentError: what is wrong with it.
            DatasetNotFoundError, VersionNotFoundError, SnapshotExpiredError: there is no such training data.
            LockTimeoutError, RegistrationGivenUpError, IdempotencyKeyInUseError, IdempotencyKeyReusedError.
            As `Versioning.create_tag`. Whatever it raises, nothing was registered.
        """
        check_new_version(new)
        subject = ModelSubject(name=new.model)
        request = FactRequest(kind=ChangeKind.MODEL_REGISTERED, subject=subject, arguments=_arguments(new, training))
        with span("model.register", model=new.model):
            async with self._facts.lock(subject, self._settings.lock_timeout_s):
                # First of all, so that a key whose holder has died is free.
                await self._pinning.settle_model(new.model)
                async with self._facts.transaction() as connection:
                    done = await find_repeated(connection, request, command)
                if done is not None:
                    return await self._repeated(done)
                resolved = await self._resolve(training)
                check_new_version(new, resolved.uses)
                return await finished(self._register(new, resolved, request, command))

    async def _register(
        self, new: NewModelVersion, training: _Training, request: FactRequest, command: Command
    ) -> ModelOutcome:
        number = await self._store.next_number(new.model)
        fact = request.fact(
            command,
            {
                "number": number,
                "trainingData": [f"{use.dataset}@{use.snapshot_id} as {use.role.value}" for use in training.uses],
            },
        )
        # One pin keeps a snapshot for all that it was used for.
        snapshots: dict[tuple[UUID, int], tuple[int, VersionUse]] = {}
        for place, use in enumerate(training.uses):
            snapshots.setdefault((use.table_uuid, use.snapshot_id), (place, use))
        lease_s = self._settings.lease_s + len(snapshots) * self._settings.lock_timeout_s
        async with self._facts.transaction() as connection:
            with key_of_its_own(command):
                await insert_fact(connection, fact, ChangeState.INTENDED, by=worker_name(), lease_s=lease_s)
        try:
            for place, use in snapshots.values():
                with placed("trainingData", place):
                    await self._pinning.pin(fact.change_id, new.model, number, use, command)
            async with self._facts.transaction() as connection:
                if not await settle_fact(connection, fact.change_id, ChangeState.DONE, by=worker_name(), details={}):
                    raise RegistrationGivenUpError(new.model)
                at = await insert_version(
                    connection,
                    fact.change_id,
                    number,
                    new,
                    training.uses,
                    by=command.actor.subject,
                    reason=command.reason,
                )
                await make_live(connection, fact.change_id)
                record = ModelRecord(model=new.model, number=number, at=at, trained_on=training.vertices)
                await append_records(connection, [_log_record(record)])
                if new.run_id is not None:
                    await reopen_run(connection, new.run_id)
        except AppError as error:
            # What may have taken place is left open: whoever finds it when its lease is over gives it up.
            if not error.leaves_open:
                await self._facts.fail(fact.change_id, f"{error.code}: {error.message}", by=worker_name())
                await self._pinning.release(await self._pins.list_releasing(new.model))
            raise
        version = (await self._store.find_versions([(new.model, number)]))[new.model, number]
        return ModelOutcome(version=version, change_id=fact.change_id, warnings=_warnings(version))

    async def archive(
        self, name: str, number: int, command: Command, *, cold_storage_uri: str | None = None
    ) -> ModelOutcome:
        """Take a version out of use: its data is no longer kept for it. Its record stays.

        Its artifact is moved to `<cold_storage_uri>/<model>/v<number>/` where that is given: copied and read back
        before, removed from where it was after the version is archived. One that is archived already is unchanged, and
        its artifact where it is.

        Raises:
            ModelNotFoundError, VersionNotFoundError: there is none.
            InvalidArgumentError: it has no artifact that could be moved.
            ArtifactNotFoundError, ArtifactExistsError, ArtifactChangedError, ArtifactForbiddenError: as
                `ArtifactStore.copy`; then nothing was archived.
            LockTimeoutError, IdempotencyKeyInUseError, IdempotencyKeyReusedError.
        """
        subject = ModelSubject(name=check_model_name(name))
        arguments: dict[str, JsonValue] = {"number": number, "coldStorageUri": cold_storage_uri}
        request = FactRequest(kind=ChangeKind.MODEL_ARCHIVED, subject=subject, arguments=arguments)
        with span("model.archive", model=name):
            async with self._facts.lock(subject, self._settings.lock_timeout_s):
                async with self._facts.transaction() as connection:
                    done = await find_repeated(connection, request, command)
                if done is not None:
                    return await self._repeated(done)
                version = await self._models.get_version(name, NumberSelector(number=number))
                return await finished(self._archive(version, cold_storage_uri, request, command))

    async def _archive(
        self, version: ModelVersion, cold_storage_uri: str | None, request: FactRequest, command: Command
    ) -> ModelOutcome:
        moved = None
        if cold_storage_uri is not None and not version.is_archived:
            moved = await self._cold_storage.copy(version, cold_storage_uri)
        async with self._facts.transaction() as connection:
            is_news = await archive_version(connection, version.model, version.number, moved=moved)
            pins = await start_release(connection, version.model, version.number)
            details: dict[str, JsonValue] = {
                "number": version.number,
                "pinsReleased": pins,
                "movedTo": moved.copy_uri if moved else None,
            }
            fact = request.fact(command, details)
            if is_news or command.idempotency_key is not None:
                with key_of_its_own(command):
                    state = ChangeState.DONE if is_news else ChangeState.UNCHANGED
                    await insert_fact(connection, fact, state, by=worker_name())
        await self._pinning.release(await self._pins.list_releasing(version.model))
        if moved is not None:
            await self._cold_storage.remove(LeftArtifact(model=version.model, number=version.number, proof=moved))
        key = (version.model, version.number)
        return ModelOutcome(
            version=(await self._store.find_versions([key]))[key],
            is_unchanged=not is_news,
            change_id=fact.change_id if is_news else None,
        )

    async def _repeated(self, done: StoredFact) -> ModelOutcome:
        change = done.change
        key = (str(change.subject), int(str(change.details["number"])))
        is_unchanged = change.state is ChangeState.UNCHANGED
        version = (await self._store.find_versions([key]))[key]
        return ModelOutcome(
            version=version,
            warnings=_warnings(version),
            is_unchanged=is_unchanged,
            change_id=None if is_unchanged else change.change_id,
        )

    async def _resolve(self, training: Sequence[TrainingInput]) -> _Training:
        uses: list[VersionUse] = []
        vertices: list[Vertex] = []
        for place, given in enumerate(training):
            with placed("trainingData", place):
                table = await self._datasets.load(given.dataset)
                found = await self._datasets.resolve_with_record(table, given.at)
            use = VersionUse(
                dataset=given.dataset,
                table_uuid=table.state.table_uuid,
                snapshot_id=found.snapshot_id,
                role=given.role,
                is_inferred=given.is_inferred,
            )
            uses.append(use)
            vertices.append(use.with_snapshot(same_rows_as(table.state.history, found.snapshot_id)).vertex)
        return _Training(uses=tuple(uses), vertices=tuple(vertices))


def _warnings(version: ModelVersion) -> tuple[str, ...]:
    if version.training_data:
        return ()
    return ("It does not say what it was trained on: nothing is kept for it, and no lineage leads to it.",)


def _arguments(new: NewModelVersion, training: Sequence[TrainingInput]) -> dict[str, JsonValue]:
    return {
        "description": new.description,
        "framework": new.framework,
        "artifactUri": new.artifact_uri,
        "parameters": dict(new.parameters),
        "metrics": [[metric.name, metric.value, metric.higher_is_better] for metric in new.metrics],
        "trainingData": [[str(each.dataset), repr(each.at), each.role.value] for each in training],
        "runId": str(new.run_id),
    }


def _log_record(record: ModelRecord) -> LogRecord:
    body = record.to_body()
    return LogRecord(run_key=record.run_key, event_time=record.at, body_hash=sha256(body).digest(), body=body)
