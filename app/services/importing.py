"""Importing models from an MLflow registry: as often as one likes, each version once."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from app.domain.changes import Command, ModelSubject
from app.domain.import_plans import AddVersion, DropTag, PointTag, ReviseVersion, plan_import
from app.domain.imported_models import ImportedDataset, ImportedModel, ImportedVersion
from app.domain.models import MAX_NAME_CHARS, Metric, NewModelVersion
from app.domain.roles import InputRole
from app.domain.training_references import find_training_reference
from app.domain.versions import VersionSelector
from app.errors import AppError, Expired, NotFound, Unavailable
from app.mlflow.registry import read_registry
from app.registry.imports import ImportStore
from app.services.datasets import Datasets
from app.services.model_registration import ModelRegistration, TrainingInput
from app.services.version_tagging import VersionTagging

_ROLES = {
    "training": InputRole.TRAINING,
    "train": InputRole.TRAINING,
    "validation": InputRole.VALIDATION,
    "eval": InputRole.VALIDATION,
    "evaluation": InputRole.VALIDATION,
    "test": InputRole.TEST,
    "testing": InputRole.TEST,
}


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """What an import did: how many versions are new, known, and changed at their source since they were imported.

    `notes` tell what was left out or guessed, as (model, text).
    """

    models: int = 0
    imported: int = 0
    unchanged: int = 0
    changed: int = 0
    tags: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)


class Importing:
    """Imports from other registries."""

    def __init__(
        self, store: ImportStore, registration: ModelRegistration, tagging: VersionTagging, datasets: Datasets
    ) -> None:
        self._store = store
        self._registration = registration
        self._tagging = tagging
        self._datasets = datasets

    async def import_mlflow(
        self, uri: str, command: Command, *, dry_run: bool = False, progress: Callable[[str, int], None]
    ) -> ImportReport:
        """Import all models of a registry: `sqlite:///path`, `postgresql://…` or `http(s)://…`.

        Nothing is written to it. Versions get numbers of ours in the order of theirs; aliases become tags, which move
        with them. A version that says something else than when it was imported is told, and stays as it is: versions do
        not change. `progress` takes a model's name and how many versions of it are done.

        Raises:
            MissingExtraError: `stratigraph[mlflow]` is not installed.
            UnsupportedSourceError, InvalidArgumentError: what is wrong with the URI, or what is there.
            BackendUnavailableError: the registry, Postgres or the catalog is away; what was imported stays imported.
        """
        source = _source_of(uri)
        known = await self._store.known(source)
        report = ImportReport()
        async for model in _read(uri):
            report.models += 1
            actions = plan_import([model], known)
            new = [action for action in actions if isinstance(action, AddVersion)]
            report.changed += sum(isinstance(action, ReviseVersion) for action in actions)
            report.unchanged += len(model.versions) - len(new)
            report.notes += [
                (model.name, f"version {action.version.number} says something else than when it was imported")
                for action in actions
                if isinstance(action, ReviseVersion)
            ]
            for done, action in enumerate(new):
                progress(model.name, done)
                if dry_run:
                    report.imported += 1
                else:
                    await self._add(source, model, action, command, report)
            for tag in actions:
                if isinstance(tag, PointTag | DropTag):
                    report.tags += 1 if dry_run else await self._set_tag(source, tag, command, report)
        return report

    async def _add(
        self, source: str, model: ImportedModel, action: AddVersion, command: Command, report: ImportReport
    ) -> None:
        version = action.version
        training = []
        for dataset in version.datasets:
            found, note = await self._find_training(dataset, version)
            training += [found] if found and found not in training else []
            if note:
                report.notes.append((model.name, f"version {version.number}: dataset {dataset.name!r}: {note}"))
        new = NewModelVersion(
            model=model.name,
            description=model.description,
            framework="mlflow",
            artifact_uri=version.artifact_uri or None,
            parameters=dict(version.parameters),
            metrics=_metrics(version, model.name, report),
            run_id=_run_id(version.run_id),
        )
        # By its key it is done once, also where this process dies before it has written down that it was.
        key = hashlib.sha256(f"{source}\n{model.name}\n{version.number}".encode()).hexdigest()[:32]
        reason = f"MLflow version {version.number} of {version.created_at:%Y-%m-%d %H:%M} UTC"
        own = Command(actor=command.actor, reason=reason, idempotency_key=f"mlflow {key}")
        try:
            done = await self._registration.register(new, training, own)
        except Unavailable:
            raise
        except AppError as error:
            report.notes.append((model.name, f"version {version.number} is not imported: {error.message}"))
            return
        await self._store.keep_version(source, model.name, version.number, done.version.number, action.fingerprint)
        report.imported += 1

    async def _find_training(
        self, dataset: ImportedDataset, version: ImportedVersion
    ) -> tuple[TrainingInput | None, str | None]:
        reference = find_training_reference(dataset)
        role = _ROLES.get(reference.context or "", InputRole.TRAINING)
        for name in reference.candidates:
            try:
                table = await self._datasets.load(name)
            except NotFound:
                continue
            at = VersionSelector(snapshot_id=reference.snapshot_id)
            is_inferred = reference.snapshot_id is None
            if is_inferred:
                if version.started_at is None:
                    return None, "neither its snapshot nor when it was read is told"
                at = VersionSelector(as_of=version.started_at)
            try:
                found = await self._datasets.resolve_with_record(table, at)
            except (NotFound, Expired) as error:
                return None, error.message
            pinned = VersionSelector(snapshot_id=found.snapshot_id)
            note = "its snapshot is not told; that of the run's start was taken" if is_inferred else None
            return TrainingInput(dataset=name, at=pinned, role=role, is_inferred=is_inferred), note
        return None, reference.reason or f"there is no dataset {reference.table}"

    async def _set_tag(self, source: str, action: PointTag | DropTag, command: Command, report: ImportReport) -> int:
        subject = ModelSubject(name=action.model)
        reason = Command(actor=command.actor, reason=f"MLflow alias {action.tag}")
        try:
            if isinstance(action, DropTag):
                await self._tagging.delete(subject, action.tag, reason)
                await self._store.keep_alias(source, action.model, action.tag, None)
                return 1
            number = await self._store.find_number(source, action.model, action.number)
            if number is None:
                report.notes.append((action.model, f"alias {action.tag!r}: version {action.number} is not here"))
                return 0
            if action.previous is None:
                await self._tagging.create(subject, action.tag, number, reason)
            else:
                previous = await self._store.find_number(source, action.model, action.previous)
                await self._tagging.move(subject, action.tag, number, reason, expected=previous)
            await self._store.keep_alias(source, action.model, action.tag, action.number)
        except Unavailable:
            raise
        except AppError as error:
            # Taken by somebody, protected, or no name for a tag: theirs stays as it is.
            report.notes.append((action.model, f"alias {action.tag!r}: {error.message}"))
            return 0
        return 1


async def _read(uri: str) -> AsyncIterator[ImportedModel]:
    """The models, read in a thread of their own: a connection of SQLite belongs to the thread that opened it."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="mlflow") as thread:
        models = read_registry(uri)
        while (model := await loop.run_in_executor(thread, next, models, None)) is not None:
            yield model


def _metrics(version: ImportedVersion, model: str, report: ImportReport) -> tuple[Metric, ...]:
    found = []
    for name, value in sorted(version.metrics.items()):
        if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
            report.notes.append((model, f"version {version.number}: metric {name[:50]!r} is left out for its name"))
            continue
        found.append(Metric(name=name, value=value if math.isfinite(value) else None))
    return tuple(found)


def _run_id(text: str | None) -> UUID | None:
    return UUID(text) if text and re.fullmatch(r"[0-9a-f]{32}", text) else None


def _source_of(uri: str) -> str:
    """The address without a password, as what it is known by."""
    try:
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]
        if parts.scheme.startswith("sqlite") and not host and not parts.path.startswith("//"):
            # A relative path: of another folder it is another registry.
            return f"{parts.scheme}:///{Path(parts.path[1:]).absolute()}"
    except ValueError:
        return uri
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
