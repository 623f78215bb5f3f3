"""Versions of Iceberg tables, for synchronous callers."""

from __future__ import annotations

from typing import TypedDict

from app.bootstrap import Services
from app.client.arguments import dataset, names, snapshot_id_of, text, whole_number
from app.client.opening import Opening
from app.domain.history import MAIN
from app.domain.impact import ImpactKind
from app.domain.names import DatasetName
from app.domain.versions import VersionSelector, get_tag
from app.errors import NoSnapshotError
from app.lake.encoding import ArrowTable, to_table
from app.lake.reading import RowRequest
from app.services.impact_entries import ImpactEntry, impact_entry
from app.services.listings import SnapshotEntry, oldest_first, snapshot_entries
from app.settings import Settings


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


class Tables(Opening):
    """Looking at tables, tagging, reading and rolling back."""

    def __init__(
        self, catalog: str | None = None, *, settings: Settings | None = None, actor: str | None = None
    ) -> None:
        super().__init__(catalog, settings=settings, actor=actor)
        # Main's head of each table as this caller last saw it: what a rollback is decided on.
        self._seen_heads: dict[DatasetName, int] = {}

    def get_snapshot_id(self, namespace: str, table_name: str) -> int:
        """Id of the current snapshot.

        Raises:
            NoSnapshotError: the table is empty.
            DatasetNotFoundError, InvalidNameError, UnreadableTableError, BackendUnavailableError: as every method.
        """
        name = dataset(namespace, table_name)

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
        name = dataset(namespace, table_name)

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
        name = dataset(namespace, table_name)
        at = VersionSelector(snapshot_id=snapshot_id_of(snapshot_id))

        async def run(services: Services) -> TagResult:
            done = await services.versioning.create_tag(name, text("tag", tag), at, self._command(reason))
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
        name = dataset(namespace, table_name)

        async def run(services: Services) -> int:
            done = await services.versioning.delete_tag(name, text("tag", tag), self._command(reason), force=force)
            return done.snapshot_id

        return self._call(run)

    def get_snapshot_by_tag(self, namespace: str, table_name: str, tag: str) -> int:
        """Id of the snapshot that a tag points to. Raises TagNotFoundError with the closest names."""
        name = dataset(namespace, table_name)

        async def run(services: Services) -> int:
            history = (await services.datasets.load(name)).state.history
            return get_tag(text("tag", tag), history, str(name)).snapshot_id

        return self._call(run)

    def time_travel(
        self,
        namespace: str,
        table_name: str,
        snapshot_id: int | str,
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
        at = VersionSelector(snapshot_id=snapshot_id_of(snapshot_id))
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
        return self._read(namespace, table_name, VersionSelector(tag=text("tag", tag)), columns, row_filter, limit)

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
        name = dataset(namespace, table_name)
        to = VersionSelector(snapshot_id=snapshot_id_of(snapshot_id))

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
        name, change = dataset(namespace, table_name), ImpactKind.parse(text("kind", kind))
        asked = None if columns is None else names("columns", columns)
        hops = None if depth is None else whole_number("depth", depth)
        if isinstance(rollback_to, int):
            rollback_to = str(snapshot_id_of(rollback_to))
        to = None if rollback_to is None else text("rollback_to", rollback_to)

        async def run(services: Services) -> ImpactEntry:
            table = await services.datasets.load(name)
            # No server needs to run for it: what is pending is projected first.
            while await services.projector.project_pending():
                continue
            impact = await services.impacts.of_dataset(table, change, asked, to, depth=hops)
            return impact_entry(str(name), impact)

        return self._call(run)

    def _read(
        self,
        namespace: str,
        table_name: str,
        at: VersionSelector,
        columns: list[str] | None,
        row_filter: str | None,
        limit: int | None,
    ) -> ArrowTable:
        name = dataset(namespace, table_name)
        request = RowRequest(
            columns=None if columns is None else names("columns", columns),
            row_filter=None if row_filter is None else text("row_filter", row_filter),
            limit=None if limit is None else whole_number("limit", limit),
        )

        async def run(services: Services) -> ArrowTable:
            table = await services.datasets.load(name)
            stream = await services.datasets.stream_rows(table, at, request)
            try:
                return to_table(stream.schema, [batch async for batch in stream])
            finally:
                await stream.aclose()

        return self._call(run)
