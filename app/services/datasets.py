"""Looking at datasets: finding, listing, reading, and what is recorded about them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.changes import Change, ChangeKind, TagRecord
from app.domain.column_stats import ColumnStats
from app.domain.datasets import Layer, is_production, layer_of
from app.domain.names import DatasetName, check_namespace
from app.domain.pages import MAX_PAGE, Page, PageRequest, cut_page
from app.domain.versions import ResolvedVersion, VersionSelector, closest, resolve, resolve_text
from app.errors import (
    BackendUnavailableError,
    ChangeNotFoundError,
    DatasetForbiddenError,
    DatasetNotFoundError,
    InvalidArgumentError,
    JsonValue,
    KnownExpiry,
    NamespaceNotFoundError,
    ReadBudgetError,
    SnapshotExpiredError,
    UnreadableTableError,
    VersionNotFoundError,
)
from app.lake.json_rows import to_json_rows
from app.lake.names import Listing
from app.lake.reading import RowRequest, RowStream
from app.lake.store import Lake
from app.lake.table import LakeTable
from app.registry.changes import ChangeLog
from app.registry.datasets import DatasetNames
from app.registry.known_snapshots import KnownSnapshots
from app.services.listings import to_utc_text
from app.services.past_expiries import PastExpiries
from app.services.table_search import SEARCH_BATCH, TableSearch
from app.settings import Settings

logger = logging.getLogger(__name__)

CURSOR_KIND = "datasets"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPreview:
    """The first rows of a version as JSON values; `truncated` says that there are more."""

    columns: tuple[str, ...]
    rows: list[dict[str, JsonValue]]
    truncated: bool
    bytes_read: int


class Datasets:
    """The datasets of the lake, and what the registry knows of them."""

    def __init__(
        self,
        lake: Lake,
        changes: ChangeLog,
        known: KnownSnapshots,
        names: DatasetNames,
        expiries: PastExpiries,
        settings: Settings,
    ) -> None:
        self._lake = lake
        self._expiries = expiries
        self._changes = changes
        self._known = known
        self._names = names
        self._settings = settings
        self._search = TableSearch(lake, names)

    async def list_names(self, *, namespace: str | None = None, name_prefix: str | None = None) -> list[DatasetName]:
        """Names of all datasets, or of those in a namespace, whose table name begins so; sorted.

        Raises:
            InvalidNameError, NamespaceNotFoundError: the namespace; with the closest names.
            NamespaceForbiddenError: the catalog does not tell what is in it; of all, what is in one of them.
            BackendUnavailableError: the catalog does not answer.
        """
        if namespace is not None:
            check_namespace(namespace)
        try:
            names = await self._lake.list_names(namespace)
        except NamespaceNotFoundError as error:
            known = {name.namespace for name in (await self._lake.list_visible()).names}
            raise NamespaceNotFoundError(namespace or "", closest(namespace or "", sorted(known))) from error
        return names if name_prefix is None else [name for name in names if name.name.startswith(name_prefix)]

    async def list_visible(self) -> Listing:
        """All datasets whose names the catalog tells, and of which namespaces it does not.

        Raises:
            BackendUnavailableError: the catalog does not answer.
        """
        return await self._lake.list_visible()

    async def list_page(
        self,
        request: PageRequest,
        *,
        namespace: str | None = None,
        name_prefix: str | None = None,
        tag: str | None = None,
    ) -> Page[DatasetName]:
        """A page of `list_names`.

        With `tag`, only datasets that have it: costs loading every dataset of the listing (from the metadata cache
        where nothing changed). One that cannot be read is kept, because it may have the tag: what is asked of it
        further will say why it cannot be told.

        Raises:
            InvalidPageError: a cursor of another list.
            As `list_names`.
        """
        names = await self.list_names(namespace=namespace, name_prefix=name_prefix)
        if tag is not None:
            tagged = await self._having_tag(names, tag)
            names = [name for name in names if name in tagged]
        return cut_page(names, request, kind=CURSOR_KIND, key=lambda name: (name.namespace, name.name))

    async def load(self, name: DatasetName) -> LakeTable:
        """The dataset as it is now; one catalog call.

        Raises:
            DatasetNotFoundError: no such table, with the closest names.
            DatasetForbiddenError: the catalog does not let us look at it.
            UnreadableTableError: its metadata is missing or broken.
            BackendUnavailableError: the catalog does not answer.
        """
        try:
            table = await self._lake.load(name)
        except DatasetNotFoundError as error:
            known = [str(other) for other in (await self._lake.list_visible()).names]
            raise DatasetNotFoundError(str(name), closest(str(name), known)) from error
        try:
            await self._names.remember([(table.state.table_uuid, name)])
        except BackendUnavailableError as error:
            # A hint less; what was asked for is here.
            logger.warning("the name of %s is not noted: %s", name, error.message)
        return table

    async def find_table(self, table_uuid: UUID, seen_as: DatasetName, *, is_certain: bool = False) -> LakeTable | None:
        """The table of this id, under whatever name it has now; None where it cannot be found.

        One catalog call where it is still called so, else as `find_names`. With `is_certain` None says that the catalog
        has it no more, for whoever writes that down; where a table could not be looked at, which may be this one under
        another name, that is raised.

        Raises:
            DatasetForbiddenError, UnreadableTableError, BackendUnavailableError: as `load`.
            NamespaceForbiddenError: as `find_names`.
            DatasetNotFoundError: only with `is_certain`; a table was renamed or dropped while it was looked for.
        """
        try:
            table = await self.load(seen_as)
            if table.state.table_uuid == table_uuid:
                return table
        except DatasetNotFoundError:
            logger.info("%s is not under its name any more", seen_as)
        found = await self._search.find([table_uuid], is_certain=is_certain)
        if table_uuid in found:
            try:
                return await self.load(found[table_uuid])
            except DatasetNotFoundError:  # dropped in between, or renamed
                if is_certain:
                    raise
        return None

    async def find_name(self, table_uuid: UUID) -> DatasetName | None:
        """The present name of a table, None where it cannot be found. Costs as `find_names`."""
        return (await self.find_names([table_uuid])).get(table_uuid)

    async def find_names(self, table_uuids: Sequence[UUID]) -> dict[UUID, DatasetName]:
        """The present names of tables; without those that cannot be found.

        Costs one statement, and loading each table that is where it was last seen. For all the others together the lake
        is walked through once, because no catalog finds a table by its id; what is nowhere is not looked for again for
        some seconds.

        Raises:
            NamespaceForbiddenError: one of them is nowhere, unless it is in a namespace in which nobody may look.
            BackendUnavailableError: the catalog does not answer.
        """
        return await self._search.find(table_uuids)

    async def find_uuid(self, name: DatasetName) -> UUID | None:
        """The id that a name was last seen with, for a table that cannot be read now."""
        return await self._names.find_uuid(name)

    async def get_uuid(self, name: DatasetName) -> UUID:
        """The id of a dataset, also of one that was read before and cannot be now.

        Raises: as `load`.
        """
        try:
            return (await self.load(name)).state.table_uuid
        except (DatasetForbiddenError, UnreadableTableError):
            if (seen := await self.find_uuid(name)) is None:
                raise
            return seen

    def resolve(self, table: LakeTable, version: VersionSelector | str | None) -> ResolvedVersion:
        """The snapshot that a selector, or the text form of the contract, names; None is `latest`.

        Raises: as `app.domain.versions.resolve` and `resolve_text`.
        """
        dataset = str(table.state.name)
        if version is None or isinstance(version, str):
            return resolve_text(version, table.state.history, dataset)
        return resolve(version, table.state.history, dataset)

    async def resolve_with_record(self, table: LakeTable, version: VersionSelector | str | None) -> ResolvedVersion:
        """As `resolve`, but what our own records remember is EXPIRED, not unknown, with who expired it and why."""
        try:
            return self.resolve(table, version)
        except SnapshotExpiredError as error:
            raise await self.expired_error(table, int(str(error.fields["ref"]))) from error
        except VersionNotFoundError as error:
            snapshot_id = asked_id(version)
            if snapshot_id is None:
                raise
            expired = await self.expired_error(table, snapshot_id)
            uuid = table.state.table_uuid
            if "runId" in expired.fields or await self._known.is_known(uuid, snapshot_id):
                raise expired from error
            raise

    async def expired_error(self, table: LakeTable, snapshot_id: int) -> SnapshotExpiredError:
        """The error that a snapshot is gone, with who expired it, when and why, where a run of ours did."""
        name = str(table.state.name)
        found = await self._expiries.find(table.state.table_uuid, snapshot_id)
        if found is None:
            return SnapshotExpiredError(name, snapshot_id)
        known = KnownExpiry(at=to_utc_text(found.at), by=found.by, reason=found.reason, run_id=str(found.run_id))
        return SnapshotExpiredError(name, snapshot_id, known)

    async def column_stats(self, table: LakeTable, snapshot_id: int, names: Sequence[str] | None) -> list[ColumnStats]:
        """Statistics of a snapshot's columns, from its manifests."""
        return await self._lake.column_stats(table, snapshot_id, names)

    async def stream_rows(
        self, table: LakeTable, version: VersionSelector | str | None, request: RowRequest
    ) -> RowStream:
        """The rows of a version, streamed in bounded memory.

        Raises: as `resolve_with_record` and `app.lake.reading.plan_scan`.
        """
        resolved = await self.resolve_with_record(table, version)
        return await self._lake.stream_rows(table, resolved, request)

    async def preview_rows(
        self, table: LakeTable, version: VersionSelector | str | None, request: RowRequest
    ) -> RowPreview:
        """The first rows of a version, at most 100, as JSON values.

        Raises:
            InvalidArgumentError: no limit, or more than 100.
            ReadBudgetError: the rows are larger than `read_budget_bytes`.
            As `stream_rows`.
        """
        if request.limit is None or request.limit > MAX_PAGE:
            raise InvalidArgumentError("first", f"{request.limit} is not between 1 and {MAX_PAGE}")
        stream = await self.stream_rows(table, version, request)
        rows: list[dict[str, JsonValue]] = []
        held_bytes = 0
        async with stream:
            async for batch in stream:
                held_bytes += batch.nbytes
                if held_bytes > self._settings.read_budget_bytes:
                    raise ReadBudgetError(str(table.state.name), self._settings.read_budget_bytes)
                rows += await asyncio.to_thread(to_json_rows, batch)
        return RowPreview(columns=stream.columns, rows=rows, truncated=stream.truncated, bytes_read=stream.bytes_read)

    def is_production(self, name: DatasetName, table: LakeTable | None) -> bool:
        """Whether the dataset counts as production, by its property where it can be read, else by its name."""
        return is_production(name, table.state.properties if table else {}, self._settings.production_namespaces)

    def layer(self, name: DatasetName, table: LakeTable | None) -> Layer | None:
        """The dataset's layer, by its properties where they can be read, else by its name."""
        return layer_of(name, table.state.properties if table else {})

    async def tag_records(self, keys: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], TagRecord]:
        """What is recorded of these tags, in one statement."""
        return await self._changes.tag_records(keys)

    async def get_change(self, change_id: UUID) -> Change:
        """A recorded change. Raises ChangeNotFoundError."""
        change = await self._changes.find(change_id)
        if change is None:
            raise ChangeNotFoundError(str(change_id))
        return change

    async def changes_page(
        self, request: PageRequest, *, table_uuid: UUID | None = None, kind: ChangeKind | None = None
    ) -> Page[Change]:
        """Recorded changes, newest first, of one table or of all."""
        return await self._changes.page(request, table_uuid=table_uuid, kind=kind)

    async def _having_tag(self, names: Sequence[DatasetName], tag: str) -> set[DatasetName]:
        found: set[DatasetName] = set()
        for start in range(0, len(names), SEARCH_BATCH):
            batch = names[start : start + SEARCH_BATCH]
            answers = await asyncio.gather(*(self._lake.load(name) for name in batch), return_exceptions=True)
            for name, answer in zip(batch, answers, strict=True):
                if isinstance(answer, (DatasetForbiddenError, UnreadableTableError)):
                    found.add(name)
                elif isinstance(answer, DatasetNotFoundError):
                    logger.info("%s was dropped while it was looked at for a tag", name)
                elif isinstance(answer, BaseException):
                    raise answer
                elif any(ref.name == tag for ref in answer.state.history.tags):
                    found.add(name)
        return found


def asked_id(version: VersionSelector | str | None) -> int | None:
    """The snapshot id that a version is asked for by; None where it is asked for by something that may move."""
    if isinstance(version, VersionSelector):
        if version.snapshot_id is not None:
            return version.snapshot_id
        version = version.ref
    text = (version or "").removeprefix("snapshot:").strip()
    return int(text) if text.lstrip("+-").isascii() and text.lstrip("+-").isdigit() else None
