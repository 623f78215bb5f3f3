"""The Python face: versions of Iceberg tables, synchronous, with the same rules and records as every other face.

>>> from app.client import IcebergCatalog
>>> with IcebergCatalog() as catalog:  # doctest: +SKIP
...     catalog.list_snapshots("gold", "customers")
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self, TypedDict, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Command
from app.domain.history import MAIN
from app.domain.impact import ImpactKind
from app.domain.names import DatasetName
from app.domain.versions import VersionSelector, check_snapshot_id, get_tag, parse_snapshot_id
from app.errors import InvalidArgumentError, InvalidReferenceError, NoSnapshotError
from app.lake.encoding import ArrowTable, to_table
from app.lake.reading import RowRequest
from app.services.impact_entries import ImpactEntry, impact_entry
from app.services.listings import SnapshotEntry, oldest_first, snapshot_entries
from app.services.os_user import os_user
from app.settings import Settings, load_settings

Answer = TypeVar("Answer")


class TagResult(TypedDict):
    """A tag that was set; `warnings` say what is doubtful about its name."""

    tag: str
    snapshot_id: int
    warnings: list[str]


class RollbackResult(TypedDict):
    """A rollback that was done; `undo_tag` names the state before it."""

    previous_snapshot_id: int
    snapshot_id: int
    undo_tag: str | None
    schema_warning: str | None


class IcebergCatalog:
    """The versions of the tables of one catalog.

    Works in scripts, notebooks and inside a running event loop: everything runs on an event loop of its own, in a
    thread of its own. It is opened by the first call and closed by `close`, by the end of a `with` block, or by the
    end of the program. Safe to share between threads.
    """

    def __init__(
        self, catalog: str | None = None, *, settings: Settings | None = None, actor: str | None = None
    ) -> None:
        """Nothing is opened yet.

        `catalog` names one of pyiceberg's configuration; without it, and without `settings`, the environment decides.
        `actor` is whom changes are recorded under, the user of the operating system unless given.

        Raises:
            InvalidSettingError: a setting is wrong.
            InvalidArgumentError: `actor` is no name.
        """
        if settings is None:
            settings = load_settings(catalog=catalog)
        elif catalog is not None:
            settings = settings.model_copy(update={"catalog": catalog})
        self._settings = settings
        self._actor = Actor.checked(os_user() if actor is None else _text("actor", actor))
        self._lock = threading.Lock()
        self._is_closed = False
        self._resources: ExitStack | None = None
        self._portal: BlockingPortal | None = None
        self._services: Services | None = None
        # Main's head of each table as this caller last saw it: what a rollback is decided on.
        self._seen_heads: dict[DatasetName, int] = {}

    def get_snapshot_id(self, namespace: str, table_name: str) -> int:
        """Id of the current snapshot.

        Raises:
            NoSnapshotError: the table is empty.
            DatasetNotFoundError, InvalidNameError, UnreadableTableError, BackendUnavailableError: as every method.
        """
        name = _dataset(namespace, table_name)

        async def run(services: Services) -> int:
            head_id = (await services.datasets.load(name)).state.history.head_id
            if head_id is None:
                raise NoSnapshotError(str(name))
            return head_id

        head_id: int = self._call(run)
        self._seen_heads[name] = head_id
        return head_id

    def list_snapshots(self, namespace: str, table_name: str) -> list[SnapshotEntry]:
        """All snapshots, oldest first.

        Dicts of `snapshot_id`, `parent_snapshot_id`, `timestamp_ms`, `operation`, `summary` (with `tag`, the first tag
        by name, only where the snapshot is tagged), `tags` (all of them) and `is_current`.
        """
        name = _dataset(namespace, table_name)

        async def run(services: Services) -> tuple[list[SnapshotEntry], int | None]:
            state = (await services.datasets.load(name)).state
            return snapshot_entries(state, oldest_first(state)), state.history.head_id

        entries, head_id = self._call(run)
        if head_id is not None:
            self._seen_heads[name] = head_id
        return entries

    def tag_snapshot(
        self, namespace: str, table_name: str, snapshot_id: int, tag: str, *, reason: str | None = None
    ) -> TagResult:
        """Set a tag, an Iceberg ref that every engine sees. Setting the same tag on the same snapshot again is fine.

        Raises:
            TagExistsError: the tag points to another snapshot; it is never moved silently.
            InvalidNameError, VersionNotFoundError, SnapshotExpiredError, InvalidReferenceError
        """
        name = _dataset(namespace, table_name)
        at = VersionSelector(snapshot_id=_snapshot_id(snapshot_id))

        async def run(services: Services) -> TagResult:
            done = await services.versioning.create_tag(name, _text("tag", tag), at, self._command(reason))
            return TagResult(tag=done.tag.name, snapshot_id=done.tag.snapshot_id, warnings=list(done.warnings))

        return self._call(run)

    def remove_tag(
        self, namespace: str, table_name: str, tag: str, *, force: bool = False, reason: str | None = None
    ) -> int:
        """Remove a tag; answers the id of the snapshot it was on.

        Raises:
            TagNotFoundError: no such tag.
            ProtectedTagError: it is protected, and `force` is not given.
        """
        name = _dataset(namespace, table_name)

        async def run(services: Services) -> int:
            done = await services.versioning.delete_tag(name, _text("tag", tag), self._command(reason), force=force)
            return done.snapshot_id

        return self._call(run)

    def get_snapshot_by_tag(self, namespace: str, table_name: str, tag: str) -> int:
        """Id of the snapshot that a tag points to. Raises TagNotFoundError with the closest names."""
        name = _dataset(namespace, table_name)

        async def run(services: Services) -> int:
            history = (await services.datasets.load(name)).state.history
            return get_tag(_text("tag", tag), history, str(name)).snapshot_id

        return self._call(run)

    def time_travel(
        self,
        namespace: str,
        table_name: str,
        snapshot_id: int,
        columns: list[str] | None = None,
        row_filter: str | None = None,
        limit: int | None = None,
    ) -> ArrowTable:
        """The rows of a snapshot as a `pyarrow.Table` in the schema of that snapshot, all of them in memory.

        Raises:
            VersionNotFoundError, SnapshotExpiredError, InvalidReferenceError: no such snapshot.
            UnknownColumnError, InvalidFilterError, InvalidArgumentError
            UnsupportedTableError: its data cannot be read without risk (equality deletes).
        """
        at = VersionSelector(snapshot_id=_snapshot_id(snapshot_id))
        return self._read(namespace, table_name, at, columns, row_filter, limit)

    def time_travel_by_tag(
        self,
        namespace: str,
        table_name: str,
        tag: str,
        columns: list[str] | None = None,
        row_filter: str | None = None,
        limit: int | None = None,
    ) -> ArrowTable:
        """The rows of the snapshot that a tag points to, as `time_travel`. Raises TagNotFoundError beside those."""
        return self._read(namespace, table_name, VersionSelector(tag=_text("tag", tag)), columns, row_filter, limit)

    def rollback_to_snapshot(
        self, namespace: str, table_name: str, snapshot_id: int, *, reason: str | None = None
    ) -> RollbackResult:
        """Make any other snapshot of the table the current one; the state before stays, under an automatic undo tag.

        The caller decides on what it last saw: by `get_snapshot_id`, `list_snapshots` or an own rollback of this
        object, else on the state at the time of this call.

        Raises:
            HeadMovedError: the current snapshot is not the one last seen; nothing was changed. Look again.
            AlreadyCurrentError: it is the current one.
            VersionNotFoundError, SnapshotExpiredError, InvalidReferenceError, NoSnapshotError
        """
        name = _dataset(namespace, table_name)
        to = VersionSelector(snapshot_id=_snapshot_id(snapshot_id))

        async def run(services: Services) -> RollbackResult:
            done = await services.versioning.roll_back(
                name, to, self._command(reason), branch=MAIN, expected_head=self._seen_heads.get(name)
            )
            return RollbackResult(
                previous_snapshot_id=done.previous_id,
                snapshot_id=done.current_id,
                undo_tag=done.undo_tag.name if done.undo_tag else None,
                schema_warning=done.schema_warning,
            )

        result = self._call(run)
        self._seen_heads[name] = result["snapshot_id"]
        return result

    def get_impact(
        self,
        namespace: str,
        table_name: str,
        kind: str = "ANY",
        columns: list[str] | None = None,
        rollback_to: str | int | None = None,
        depth: int | None = None,
    ) -> ImpactEntry:
        """What a change of a table would affect, by what was reported so far.

        `kind` is ANY, SCHEMA, DATA, DELETE or ROLLBACK, the last with `rollback_to`, a version reference. Dicts of
        `total_affected`, `severity`, `datasets`, `models`, `pipelines` (each with `name`, `severity`, `reason`, `depth`
        and `path`), `complete` and `reasons`.

        Raises:
            InvalidArgumentError: no such kind, `rollback_to` missing or with another kind, `depth` not 1 to 50.
            UnknownColumnError: a column that the table has not now.
            VersionNotFoundError, SnapshotExpiredError, InvalidReferenceError, NoSnapshotError: `rollback_to`.
            LineageUnavailableError: the store of the lineage graph is away.
        """
        name, change = _dataset(namespace, table_name), ImpactKind.parse(_text("kind", kind))
        asked = None if columns is None else _names("columns", columns)
        hops = None if depth is None else _whole_number("depth", depth)
        if isinstance(rollback_to, int):
            rollback_to = str(_snapshot_id(rollback_to))
        to = None if rollback_to is None else _text("rollback_to", rollback_to)

        async def run(services: Services) -> ImpactEntry:
            table = await services.datasets.load(name)
            # No server needs to run for it: what is pending is projected first.
            while await services.projector.project_pending():
                continue
            impact = await services.impacts.of_dataset(table, change, asked, to, depth=hops)
            return impact_entry(str(name), impact)

        return self._call(run)

    def close(self) -> None:
        """Close what was opened; further calls are refused. Closing twice is fine."""
        with self._lock:
            self._is_closed = True
            resources, self._resources = self._resources, None
            self._portal = self._services = None
        _open_catalogs.discard(self)
        if resources is not None:
            resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _read(
        self,
        namespace: str,
        table_name: str,
        at: VersionSelector,
        columns: list[str] | None,
        row_filter: str | None,
        limit: int | None,
    ) -> ArrowTable:
        name = _dataset(namespace, table_name)
        request = RowRequest(
            columns=None if columns is None else _names("columns", columns),
            row_filter=None if row_filter is None else _text("row_filter", row_filter),
            limit=None if limit is None else _whole_number("limit", limit),
        )

        async def run(services: Services) -> ArrowTable:
            table = await services.datasets.load(name)
            stream = await services.datasets.stream_rows(table, at, request)
            try:
                return to_table(stream.schema, [batch async for batch in stream])
            finally:
                await stream.aclose()

        return self._call(run)

    def _command(self, reason: str | None) -> Command:
        return Command(actor=self._actor, reason=None if reason is None else _text("reason", reason))

    def _call(self, run: Callable[[Services], Awaitable[Answer]]) -> Answer:
        portal, services = self._opened()
        return portal.call(run, services)

    def _opened(self) -> tuple[BlockingPortal, Services]:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("this IcebergCatalog is closed")
            if self._portal is None or self._services is None:
                with ExitStack() as stack:
                    portal = stack.enter_context(start_blocking_portal(name="stratigraph"))
                    opening: AbstractContextManager[Services] = portal.wrap_async_context_manager(
                        open_services(self._settings)
                    )
                    self._services, self._portal = stack.enter_context(opening), portal
                    self._resources = stack.pop_all()
                _open_catalogs.add(self)
            return self._portal, self._services


def _dataset(namespace: object, table_name: object) -> DatasetName:
    return DatasetName.checked(_text("namespace", namespace), _text("table_name", table_name))


# Notebooks have no type checker: what is passed is looked at, so that a mistake is told by the argument's name.


def _text(argument: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(argument, f"a text is needed, not {type(value).__name__}")
    return value


def _names(argument: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise InvalidArgumentError(argument, "a list of texts is needed")
    return tuple(value)


def _whole_number(argument: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgumentError(argument, f"a whole number is needed, not {type(value).__name__}")
    return value


def _snapshot_id(value: int | str) -> int:
    if isinstance(value, str):
        return parse_snapshot_id(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidReferenceError(repr(value), "a snapshot id is a whole number")
    return check_snapshot_id(value)


_open_catalogs: set[IcebergCatalog] = set()


def _close_all() -> None:
    for catalog in list(_open_catalogs):
        catalog.close()


# atexit is too late: before it, the interpreter waits for the thread of the event loop, which has no end of its own.
threading._register_atexit(_close_all)  # type: ignore[attr-defined]  # noqa: SLF001
