"""Models: looking at them and their versions."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.changes import ModelSubject
from app.domain.datasets import Availability
from app.domain.models import Model, ModelVersion
from app.domain.numbered import NumberedHistory, NumberSelector, resolve_number
from app.domain.pages import Page, PageRequest
from app.domain.pins import Pin
from app.domain.versions import closest
from app.errors import Expired, ModelNotFoundError, NotFound, VersionNotFoundError
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

    async def page_versions(self, name: str, request: PageRequest) -> Page[ModelVersion]:
        """Versions of a model, newest first. Raises InvalidPageError."""
        return await self._store.page_versions(name, request)

    async def resolve(self, name: str, at: NumberSelector | str | None) -> int:
        """The number of the version that is named.

        Raises:
            ModelNotFoundError: no such model.
            As `app.domain.numbered.resolve_number`.
        """
        await self.get(name)
        subject = ModelSubject(name=name)
        tags = (await self._tags.of_subjects([subject]))[subject]
        history = NumberedHistory(
            owner=name,
            created_at=await self._store.history(name),
            tags={tag.name: tag.number for tag in tags},
        )
        return resolve_number(at, history)

    async def get_version(self, name: str, at: NumberSelector | str | None) -> ModelVersion:
        """A version. Raises as `resolve`."""
        number = await self.resolve(name, at)
        found = (await self._store.find_versions([(name, number)])).get((name, number))
        if found is None:
            raise VersionNotFoundError(name, str(number), "it is gone")
        return found

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
            try:
                table = await self._datasets.find_table(use.table_uuid, use.dataset)
                if table is None or use.snapshot_id not in table.state.history.snapshots:
                    return False
                await self._datasets.column_stats(table, use.snapshot_id, None)
            except (NotFound, Expired):
                return False
        return True
