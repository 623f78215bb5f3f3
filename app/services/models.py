"""Models: looking at them and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.domain.changes import ModelSubject
from app.domain.datasets import Availability
from app.domain.models import Model, ModelVersion
from app.domain.numbered import NumberedHistory, NumberSelector, resolve_number
from app.domain.pages import Page, PageRequest
from app.domain.pins import Pin
from app.domain.versions import closest
from app.errors import (
    Expired,
    MissingFileError,
    ModelNotFoundError,
    NotFound,
    UnreadableTableError,
    VersionNotFoundError,
)
from app.lake.table import LakeTable
from app.registry.models import ModelStore
from app.registry.pins import PinStore
from app.registry.version_tags import VersionTags
from app.services.datasets import Datasets


class Models:
    """The models of the registry.

    Every method raises BackendUnavailableError where Postgres is away.
    """

    def __init__(self, store: ModelStore, tags: VersionTags, pins: PinStore, datasets: Datasets) -> None:
        self._store = store
        self._tags = tags
        self._pins = pins
        self._datasets = datasets

    async def get(self, name: str) -> Model:
        """A model. Raises ModelNotFoundError with the closest names."""
        found = (await self._store.find_models([name])).get(name)
        if found is None:
            raise ModelNotFoundError(name[:200], closest(name, await self._store.names_like()))
        return found

    async def latest_numbers(self, names: Sequence[str]) -> dict[str, int]:
        """The highest number of each model that has a version, in one statement."""
        return await self._store.latest_numbers(names)

    async def page(self, request: PageRequest, *, name_prefix: str = "") -> Page[Model]:
        """Models by name. Raises InvalidPageError."""
        return await self._store.page_models(request, name_prefix=name_prefix)

    async def find(self, names: Sequence[str]) -> dict[str, Model]:
        """Those of these models that exist; one statement."""
        return await self._store.find_models(names)

    async def find_versions(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], ModelVersion]:
        """Those of these versions that exist, by model and number; one statement."""
        return await self._store.find_versions(keys)

    async def find_latest(self, names: Sequence[str]) -> dict[str, ModelVersion]:
        """The latest version of each of these models that has one; two statements."""
        numbers = await self._store.latest_numbers(names)
        versions = await self._store.find_versions(list(numbers.items()))
        return {model: version for (model, _), version in versions.items()}

    async def trained_on(self, snapshots: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], list[ModelVersion]]:
        """The versions that were trained on each of these very snapshots, in whatever role; two statements."""
        keys = await self._store.trained_on(snapshots)
        versions = await self._store.find_versions(sorted({key for found in keys.values() for key in found}))
        return {snapshot: [versions[key] for key in found] for snapshot, found in keys.items()}

    async def made_by_runs(self, run_ids: Sequence[UUID]) -> dict[UUID, list[ModelVersion]]:
        """The versions that say that these runs made them; two statements."""
        keys = await self._store.made_by_runs(run_ids)
        versions = await self._store.find_versions(sorted({key for found in keys.values() for key in found}))
        return {run_id: [versions[key] for key in found] for run_id, found in keys.items()}

    async def page_versions(self, name: str, request: PageRequest) -> Page[ModelVersion]:
        """Versions of a model, newest first. Raises InvalidPageError."""
        return (await self.pages_of_versions([name], request))[name]

    async def pages_of_versions(self, names: Sequence[str], request: PageRequest) -> dict[str, Page[ModelVersion]]:
        """The same page of the versions of each of these models; two statements. Raises InvalidPageError."""
        return await self._store.pages_of_versions(names, request)

    async def histories(self, names: Sequence[str]) -> dict[str, NumberedHistory]:
        """What references to versions of these models are resolved by; two statements."""
        subjects = {name: ModelSubject(name=name) for name in names}
        tags = await self._tags.of_subjects(list(subjects.values()))
        made = await self._store.histories(names)
        return {
            name: NumberedHistory(
                owner=name,
                owner_field=subject.owner_field,
                created_at=made[name],
                tags={tag.name: tag.number for tag in tags[subject]},
            )
            for name, subject in subjects.items()
        }

    async def resolve(self, name: str, at: NumberSelector | str | None) -> int:
        """The number of the version that is named.

        Raises:
            ModelNotFoundError: no such model.
            As `app.domain.numbered.resolve_number`.
        """
        await self.get(name)
        return resolve_number(at, (await self.histories([name]))[name])

    async def get_version(self, name: str, at: NumberSelector | str | None) -> ModelVersion:
        """A version. Raises as `resolve`."""
        number = await self.resolve(name, at)
        found = (await self._store.find_versions([(name, number)])).get((name, number))
        if found is None:
            raise VersionNotFoundError(name, str(number), "it is gone", owner_field=ModelSubject.owner_field)
        return found

    async def get_versions(self, name: str, ats: Sequence[NumberSelector | str | None]) -> list[ModelVersion]:
        """Versions of one model, in the order asked for; four statements. Raises as `resolve`."""
        await self.get(name)
        history = (await self.histories([name]))[name]
        keys = [(name, resolve_number(at, history)) for at in ats]
        found = await self._store.find_versions(list(dict.fromkeys(keys)))
        if gone := next((number for _, number in keys if (name, number) not in found), None):
            raise VersionNotFoundError(name, str(gone), "it is gone", owner_field=ModelSubject.owner_field)
        return [found[key] for key in keys]

    async def list_pins(self, version: ModelVersion) -> list[Pin]:
        """The tags that keep what a version was trained on, by table and tag."""
        return await self._pins.list_of(version.model, version.number)

    async def availability(self, version: ModelVersion) -> Availability:
        """EXPIRED for an archived version; the record itself is always there."""
        return Availability.EXPIRED if version.is_archived else Availability.AVAILABLE

    async def is_reproducible(self, version: ModelVersion) -> bool | None:
        """Whether every snapshot that it was trained on exists and can be read; None where it does not say on what.

        Reads the manifest lists and manifests of the snapshots, not the data files.

        Raises:
            BackendUnavailableError: a catalog or store is away, so that it cannot be told.
        """
        if not version.training_data:
            return None
        for use in version.training_data:
            table = await self._datasets.find_table(use.table_uuid, use.dataset)
            if not await self.is_readable(table, use.snapshot_id):
                return False
        return True

    async def is_readable(self, table: LakeTable | None, snapshot_id: int) -> bool:
        """Whether a snapshot that a model was trained on exists and can be read. Costs and raises as above."""
        if table is None or snapshot_id not in table.state.history.snapshots:
            return False
        try:
            await self._datasets.column_stats(table, snapshot_id, None)
        except (NotFound, Expired, MissingFileError, UnreadableTableError):
            return False
        return True
