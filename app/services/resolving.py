"""Which of our tables, and which version of it, a lineage event speaks of."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain.events import DatasetId, DatasetUse
from app.domain.history import History, same_rows_as
from app.domain.lineage import EntityKind, Vertex, dataset_entity, external_vertex, is_external, snapshot_vertex
from app.domain.locations import location_of_dataset, normalise_location
from app.domain.names import DatasetName
from app.domain.pipelines import NATIVE_NAMESPACE
from app.domain.run_projection import Binding, BoundUse
from app.domain.run_state import ResolvableUse
from app.domain.versions import VersionSelector, resolve
from app.errors import AppError, DatasetForbiddenError, Invalid, NotFound, UnreadableTableError
from app.lake.table import LakeTable
from app.registry.bindings import BindingKey, Bindings
from app.services.datasets import Datasets

logger = logging.getLogger(__name__)

# How long a walk through the lake for locations is good for, when it did not find what was asked for.
LOCATIONS_TTL_S = 30.0
SEARCH_BATCH = 32
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class _Locations:
    names: dict[str, DatasetName]
    read_at: float


class Resolving:
    """Binds uses of datasets to vertices; to those of our tables once for ever."""

    def __init__(self, datasets: Datasets, bindings: Bindings) -> None:
        self._datasets = datasets
        self._bindings = bindings
        self._locations = _Locations({}, float("-inf"))
        self._walking = asyncio.Lock()

    async def bind(self, uses: Sequence[ResolvableUse]) -> list[BoundUse]:
        """Each use with the vertex that it is about, in their order.

        A dataset that is none of our tables is an external one. What was bound to a table before stays bound so,
        because tables' histories forget.

        Raises:
            BackendUnavailableError: Postgres or the catalog is away.
            DatasetForbiddenError, UnreadableTableError: it is a table that cannot be read now.
        """
        keys = [_key(use) for use in uses]
        known = await self._bindings.find(keys)
        fresh = {key: await self._find(use) for key, use in zip(keys, uses, strict=True) if key not in known}
        # What is external today may be a table of ours tomorrow, and is looked for again each time.
        ours = {key: binding for key, binding in fresh.items() if not is_external(binding.vertex)}
        known |= fresh | await self._bindings.keep(ours)
        return [BoundUse(use=use, binding=known[key]) for key, use in zip(keys, uses, strict=True)]

    async def find_ours(self, uses: Iterable[DatasetUse]) -> set[DatasetId]:
        """Those of the datasets that are tables of ours now, by any of these uses. Raises as `bind`."""
        distinct = {(use.dataset, use.aliases, use.version): use for use in uses}
        return {use.dataset for use in distinct.values() if await self._find_table(use) is not None}

    async def _find(self, use: ResolvableUse) -> Binding:
        version = use.use.version
        table_uuid = _told_uuid(use.use.dataset)
        table = await (self._find_table(use.use) if table_uuid is None else self._by_uuid(table_uuid))
        if table is None and table_uuid is not None and (told := _as_snapshot_id(version)) is not None:
            # Dropped since: it is known for certain all the same.
            shown = next((alias.name for alias in use.use.aliases), str(table_uuid))
            return Binding(vertex=snapshot_vertex(table_uuid, told, shown), is_inferred=False)
        if table is None:
            dataset = use.use.dataset
            vertex = external_vertex(dataset.namespace, dataset.name, version or "")
            return Binding(vertex=vertex, is_inferred=False)
        state = table.state
        snapshot_id = _as_snapshot_id(version)
        is_inferred = snapshot_id is None
        if snapshot_id is None:
            snapshot_id = _current_at(state.history, use.at, str(state.name))
        if snapshot_id is None:
            # Before the table's history begins, or in a part of it that has expired.
            unknown = Vertex(
                entity=dataset_entity(state.table_uuid), version="", kind=EntityKind.DATASET, name=str(state.name)
            )
            return Binding(vertex=unknown, is_inferred=True)
        origin = same_rows_as(state.history, snapshot_id)
        return Binding(vertex=snapshot_vertex(state.table_uuid, origin, str(state.name)), is_inferred=is_inferred)

    async def _by_uuid(self, table_uuid: UUID) -> LakeTable | None:
        name = await self._datasets.find_name(table_uuid)
        try:
            table = await self._datasets.load(name) if name else None
        except NotFound:
            return None
        return table if table and table.state.table_uuid == table_uuid else None

    async def _find_table(self, use: DatasetUse) -> LakeTable | None:
        locations = list(_locations_in(use))
        for name in _names_in(use):
            try:
                table = await self._datasets.load(name)
            except NotFound:
                continue
            if _is_likely(table, use, locations):
                return table
        for location in locations:
            found = await self._at_location(location)
            if found is not None:
                return found
        return None

    async def _at_location(self, location: str) -> LakeTable | None:
        name = self._locations.names.get(location)
        if name is None and time.monotonic() - self._locations.read_at > LOCATIONS_TTL_S:
            async with self._walking:
                if time.monotonic() - self._locations.read_at > LOCATIONS_TTL_S:
                    self._locations = _Locations(await self._read_locations(), time.monotonic())
            name = self._locations.names.get(location)
        if name is None:
            return None
        try:
            table = await self._datasets.load(name)
        except NotFound:
            return None
        return table if normalise_location(table.state.location) == location else None

    async def _read_locations(self) -> dict[str, DatasetName]:
        found: dict[str, DatasetName] = {}
        names = await self._datasets.list_names()
        for start in range(0, len(names), SEARCH_BATCH):
            batch = names[start : start + SEARCH_BATCH]
            answers = await asyncio.gather(*map(self._datasets.load, batch), return_exceptions=True)
            for name, answer in zip(batch, answers, strict=True):
                if isinstance(answer, (NotFound, DatasetForbiddenError, UnreadableTableError)):
                    logger.info("%s has no location that can be read: %s", name, answer.message)
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    found[normalise_location(answer.state.location)] = name
        return found


def _is_likely(table: LakeTable, use: DatasetUse, locations: Sequence[str]) -> bool:
    """Whether a table of the right name is the one that is meant, and not one of that name in another lake."""
    if not locations or normalise_location(table.state.location) in locations:
        return True
    # The same files may be mounted elsewhere; but two tables do not share a snapshot id.
    return _as_snapshot_id(use.version) in table.state.history.snapshots


def _told_uuid(dataset: DatasetId) -> UUID | None:
    """The table that is told by its id, as this system itself tells it."""
    kind, _, text = dataset.name.partition(":")
    if dataset.namespace != NATIVE_NAMESPACE or kind != "dataset":
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def _key(use: ResolvableUse) -> BindingKey:
    return (use.use.dataset, use.use.version, use.at if use.is_inferred else None)


def _as_snapshot_id(version: str | None) -> int | None:
    if version is None or not version.lstrip("+-").isascii() or not version.lstrip("+-").isdigit():
        return None
    number = int(version) if len(version) <= 20 else 0
    return number if number in _INT64 and number not in (0, -1) else None


def _current_at(history: History, at: datetime, dataset: str) -> int | None:
    try:
        return resolve(VersionSelector(as_of=at), history, dataset).snapshot_id
    except (NotFound, Invalid):
        return None
    except AppError as error:  # it has expired
        logger.info("%s has no snapshot of %s any more: %s", dataset, at.isoformat(), error.message)
        return None


def _names_in(use: DatasetUse) -> Iterator[DatasetName]:
    """Names of tables that the dataset may have, the likeliest first."""
    texts = [alias.name for alias in use.aliases if alias.type.upper() != "LOCATION"]
    if location_of_dataset(use.dataset.namespace, use.dataset.name) is None:
        texts.append(use.dataset.name)
    seen: set[str] = set()
    for text in texts:
        parts = text.split(".")
        # With the catalog's own name in front, as engines write it, and without.
        for start in range(max(1, len(parts) - 1)):
            shorter = ".".join(parts[start:])
            if shorter.count(".") and shorter not in seen:
                seen.add(shorter)
                try:
                    yield DatasetName.parse(shorter)
                except AppError:
                    continue


def _locations_in(use: DatasetUse) -> Iterator[str]:
    for dataset in (use.dataset, *(DatasetId(namespace=a.namespace, name=a.name) for a in use.aliases)):
        location = location_of_dataset(dataset.namespace, dataset.name)
        if location is not None:
            yield location
