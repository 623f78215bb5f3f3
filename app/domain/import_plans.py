"""What an import of another registry's models comes down to, given what was imported before."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.domain.imported_models import ImportedModel, ImportedVersion, RunPresence


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownImports:
    """What earlier imports from the same registry have left here, by its own names and numbers.

    `versions`: (model, number) -> fingerprint at that time; `aliases`: (model, alias) -> number of a version.
    """

    models: frozenset[str] = frozenset()
    versions: Mapping[tuple[str, int], str] = field(default_factory=dict)
    aliases: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddModel:
    """Make the model, which may have no version yet."""

    model: ImportedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class AddVersion:
    """Register a version that is new here."""

    model: str
    version: ImportedVersion
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviseVersion:
    """A version that was imported says something else now: a run that went on, a description, a tag."""

    model: str
    version: ImportedVersion
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PointTag:
    """Set a tag, or move it, to the version of that number; `previous` is where it was."""

    model: str
    tag: str
    number: int
    previous: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTag:
    """Remove a tag whose alias is gone, or names a version that is."""

    model: str
    tag: str
    previous: int


ImportAction = AddModel | AddVersion | ReviseVersion | PointTag | DropTag


def plan_import(models: Iterable[ImportedModel], known: KnownImports) -> list[ImportAction]:
    """The actions, in the order in which they can be done; none where nothing has changed.

    A version whose run has been removed since is left as it was imported: its facts are here alone now. Nor is one
    touched that was deleted at its source; only its aliases go with it.
    """
    actions: list[ImportAction] = []
    for model in models:
        if model.name not in known.models:
            actions.append(AddModel(model=model))
        actions += _plan_versions(model, known)
        actions += _plan_tags(model, known)
    return actions


def fingerprint(version: ImportedVersion) -> str:
    """SHA-256 of all that the version says, in hexadecimal; the order of members and datasets says nothing."""
    facts = dataclasses.asdict(version)
    facts["datasets"] = sorted(_text(dataset) for dataset in facts["datasets"])
    return hashlib.sha256(_text(facts).encode()).hexdigest()


def _plan_versions(model: ImportedModel, known: KnownImports) -> list[ImportAction]:
    actions: list[ImportAction] = []
    for version in model.versions:
        before, now = known.versions.get((model.name, version.number)), fingerprint(version)
        if before is None:
            actions.append(AddVersion(model=model.name, version=version, fingerprint=now))
        elif before != now and version.run is not RunPresence.GONE:
            actions.append(ReviseVersion(model=model.name, version=version, fingerprint=now))
    return actions


def _plan_tags(model: ImportedModel, known: KnownImports) -> list[ImportAction]:
    numbers = {version.number for version in model.versions}
    before = {alias: number for (name, alias), number in known.aliases.items() if name == model.name}
    now = {alias: number for alias, number in model.aliases.items() if number in numbers}
    return [
        *(
            PointTag(model=model.name, tag=alias, number=number, previous=before.get(alias))
            for alias, number in sorted(now.items())
            if before.get(alias) != number
        ),
        *(
            DropTag(model=model.name, tag=alias, previous=number)
            for alias, number in sorted(before.items())
            if alias not in now
        ),
    ]


def _text(value: object) -> str:
    # Every surrogate of foreign text is escaped, so that any text can be hashed.
    return json.dumps(value, sort_keys=True, default=str)
