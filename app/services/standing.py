"""What affected things are to people: production or not, live or archived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from app.domain.changes import ModelSubject
from app.domain.impact import Standing
from app.domain.lineage import EntityKind, Vertex, table_uuid_of
from app.domain.names import DatasetName
from app.domain.tags import TagConvention, find_convention
from app.errors import AppError, NotFound
from app.lake.table import LakeTable
from app.registry.models import ModelStore
from app.registry.version_tags import VersionTags
from app.services.datasets import Datasets

logger = logging.getLogger(__name__)

# Tables that are looked at at once; each is a catalog call.
LOADS_AT_ONCE = 32


class ModelFacts(Protocol):
    """What the registry knows of model versions."""

    async def find(self, vertices: Sequence[Vertex]) -> Mapping[str, tuple[bool, Sequence[str]]]:
        """Whether each is archived, and its tags, by vertex id; without those that it does not know."""


class RegisteredModels:
    """What our own registry knows of them."""

    def __init__(self, store: ModelStore, tags: VersionTags) -> None:
        self._store = store
        self._tags = tags

    async def find(self, vertices: Sequence[Vertex]) -> Mapping[str, tuple[bool, Sequence[str]]]:
        """As `ModelFacts.find`; two statements. Raises BackendUnavailableError."""
        keys = {
            vertex.vertex_id: (vertex.name, int(vertex.version))
            for vertex in vertices
            if vertex.version and vertex.version.isascii() and vertex.version.isdigit() and len(vertex.version) < 10
        }
        versions = await self._store.find_versions(list(keys.values()))
        subjects = [ModelSubject(name=name) for name in sorted({name for name, _ in keys.values()})]
        tags = await self._tags.of_subjects(subjects)
        return {
            vertex_id: (
                versions[key].is_archived,
                [tag.name for tag in tags[ModelSubject(name=key[0])] if tag.number == key[1]],
            )
            for vertex_id, key in keys.items()
            if key in versions
        }


class Standings:
    """Judges what a change affects."""

    def __init__(self, datasets: Datasets, models: ModelFacts | None = None) -> None:
        """Without `models` every model is taken for live."""
        self._datasets = datasets
        self._models = models

    async def find(self, versions: Mapping[Vertex, Sequence[Vertex]]) -> dict[Vertex, Standing]:
        """What each of these is; with each, the versions of it that are affected.

        A model counts as what the most important of its affected versions is. Costs loading each dataset once, and
        one question about models. A dataset that cannot be read is judged by its name.

        Raises:
            BackendUnavailableError: Postgres is away.
        """
        datasets = [vertex for vertex in versions if vertex.kind is EntityKind.DATASET]
        models = {vertex: each for vertex, each in versions.items() if vertex.kind is EntityKind.MODEL}
        found = {
            vertex: Standing.PIPELINE if vertex.kind is EntityKind.PIPELINE else Standing.DATASET for vertex in versions
        }
        return found | await self._of_datasets(datasets) | await self._of_models(models)

    async def _of_datasets(self, vertices: Sequence[Vertex]) -> dict[Vertex, Standing]:
        names = {uuid: vertex.name for vertex in vertices if (uuid := table_uuid_of(vertex)) is not None}
        standings: dict[UUID, Standing] = {}
        uuids = sorted(names)
        for start in range(0, len(uuids), LOADS_AT_ONCE):
            batch = uuids[start : start + LOADS_AT_ONCE]
            answers = await asyncio.gather(*(self._by_hint(uuid, names[uuid]) for uuid in batch))
            standings |= {uuid: answer for uuid, answer in zip(batch, answers, strict=True) if answer is not None}
        missing = [uuid for uuid in uuids if uuid not in standings]
        if missing:
            standings |= await self._elsewhere(missing, names)
        return {
            vertex: standings[uuid] if (uuid := table_uuid_of(vertex)) is not None else Standing.DATASET
            for vertex in vertices
        }

    async def _by_hint(self, table_uuid: UUID, hint: str) -> Standing | None:
        """By the name that it was last reported under; None where it is not there."""
        try:
            name = DatasetName.parse(hint)
            table = await self._datasets.load(name)
        except NotFound:
            return None
        except AppError as error:
            logger.warning("what %s is can only be told by its name: %s", hint, error.message)
            return self._by_name(hint)
        return self._judged(name, table) if table.state.table_uuid == table_uuid else None

    async def _elsewhere(self, uuids: Sequence[UUID], hints: Mapping[UUID, str]) -> dict[UUID, Standing]:
        """Those that were renamed, or dropped."""
        try:
            present = await self._datasets.find_names(uuids)
        except AppError as error:
            logger.warning("what %d datasets are can only be told by their names: %s", len(uuids), error.message)
            return {uuid: self._by_name(hints[uuid]) for uuid in uuids}
        found = dict.fromkeys(uuids, Standing.GONE_DATASET)
        for uuid, name in present.items():
            found[uuid] = await self._by_hint(uuid, str(name)) or Standing.GONE_DATASET
        return found

    def _by_name(self, hint: str) -> Standing:
        try:
            return self._judged(DatasetName.parse(hint), None)
        except AppError as error:
            logger.info("%r is no name of a dataset of ours: %s", hint, error.message)
            return Standing.DATASET

    def _judged(self, name: DatasetName, table: LakeTable | None) -> Standing:
        is_production = self._datasets.is_production(name, table)
        return Standing.PRODUCTION_DATASET if is_production else Standing.DATASET

    async def _of_models(self, models: Mapping[Vertex, Sequence[Vertex]]) -> dict[Vertex, Standing]:
        if self._models is None or not models:
            return dict.fromkeys(models, Standing.MODEL)
        facts = await self._models.find(sorted({version for versions in models.values() for version in versions}))
        found = {}
        for model, versions in models.items():
            standings = {_standing_of(facts.get(version.vertex_id)) for version in versions}
            found[model] = min(standings, key=_MODELS_BY_WEIGHT.index, default=Standing.MODEL)
        return found


_MODELS_BY_WEIGHT = (Standing.PRODUCTION_MODEL, Standing.MODEL, Standing.ARCHIVED_MODEL)


def _standing_of(fact: tuple[bool, Sequence[str]] | None) -> Standing:
    if fact is None:
        return Standing.MODEL
    is_archived, tags = fact
    if is_archived:
        return Standing.ARCHIVED_MODEL
    in_production = any(find_convention(tag) is TagConvention.PRODUCTION for tag in tags)
    return Standing.PRODUCTION_MODEL if in_production else Standing.MODEL
