"""Retention of many tables in one go: what fails at one is told with it, and the others are done all the same."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.changes import Command
from app.domain.names import DatasetName
from app.domain.retention.policy import RetentionPolicy
from app.errors import AppError, InvalidArgumentError, JsonValue
from app.lake.metadata_cache import passing_by
from app.lake.names import Listing
from app.lake.neighbours import Neighbours
from app.services.datasets import Datasets
from app.services.retention import Report, Retention, TableRun
from app.services.retention_entries import SnapshotEntry, TableEntry, snapshot_entry
from app.services.retention_planning import MeasuredPlan, RetentionPlanning

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The tables that are meant: one, those of a namespace, or all.

    Raises:
        InvalidArgumentError: none of them, or several.
    """

    dataset: DatasetName | None = None
    namespace: str | None = None
    is_all: bool = False

    def __post_init__(self) -> None:
        given = [
            name
            for name, is_given in (
                ("dataset", self.dataset is not None),
                ("namespace", self.namespace is not None),
                ("all", self.is_all),
            )
            if is_given
        ]
        if not given:
            raise InvalidArgumentError("dataset", "say which tables: one dataset, a namespace, or all")
        if len(given) > 1:
            raise InvalidArgumentError(given[-1], f"{' and '.join(given)} cannot go together")


class RetentionSweeps:
    """Plans or carries out retention of the tables that were chosen, one after the other."""

    def __init__(self, datasets: Datasets, planning: RetentionPlanning, retention: Retention) -> None:
        self._datasets = datasets
        self._planning = planning
        self._retention = retention

    async def names(self, chosen: Chosen) -> list[DatasetName]:
        """The tables that are meant, by name.

        Raises:
            DatasetNotFoundError, NamespaceNotFoundError, InvalidNameError: there is none of that name.
            NamespaceForbiddenError: the catalog does not tell what is in one of them.
            BackendUnavailableError: the catalog does not answer.
        """
        if chosen.dataset is not None:
            await self._datasets.load(chosen.dataset)
            return [chosen.dataset]
        return await self._datasets.list_names(namespace=chosen.namespace)

    async def visible(self, chosen: Chosen) -> Listing:
        """The tables that are meant, and where all are, the namespaces that the catalog forbids to look into.

        Raises:
            NamespaceForbiddenError: it forbids the only one that is meant.
            As `names`.
        """
        return await self._datasets.list_visible() if chosen.is_all else Listing(names=await self.names(chosen))

    async def sweep(
        self,
        names: Sequence[DatasetName],
        policy: RetentionPolicy,
        command: Command,
        report: Report,
        *,
        is_dry_run: bool,
        operation_id: UUID | None = None,
        ends_with_failure: bool = False,
    ) -> AsyncIterator[TableEntry]:
        """What was done to each table, or would be, as it is done. What failed has its error, and what is known of it.

        Raises:
            AppError: with `ends_with_failure`, what failed first.
            UnreadableTableError, BackendUnavailableError: where the other tables have their files cannot be told, and
                so of none which files are its own.
        """
        neighbours = await self._planning.neighbours()
        for number, name in enumerate(names):

            def tell(fraction: float, message: str, number: int = number) -> None:
                report((number + fraction) / len(names), message)

            try:
                with passing_by():
                    entry = await self._one(name, policy, command, neighbours, tell, is_dry_run, operation_id)
            except AppError as error:
                if ends_with_failure:
                    raise
                logger.warning("retention of %s failed: %s", name, error.message)
                entry = await self._failed(name, error, is_dry_run=is_dry_run)
            yield entry

    async def _one(
        self,
        name: DatasetName,
        policy: RetentionPolicy,
        command: Command,
        neighbours: Neighbours,
        report: Report,
        is_dry_run: bool,
        operation_id: UUID | None,
    ) -> TableEntry:
        if is_dry_run:
            report(0.0, f"{name}: planning")
            return planned_entry(name, await self._planning.measure(name, policy, neighbours))
        return done_entry(
            name, await self._retention.run(name, policy, command, neighbours, report, operation_id=operation_id)
        )

    async def _failed(self, name: DatasetName, error: AppError, *, is_dry_run: bool) -> TableEntry:
        """How many snapshots it has, where even that can be told."""
        failure: dict[str, JsonValue] = {"code": error.code, "message": error.message, **error.fields}
        kept: list[SnapshotEntry] = []
        try:
            table = await self._datasets.load(name)
            kept = [
                SnapshotEntry(
                    snapshot_id=str(snapshot.snapshot_id),
                    timestamp_ms=snapshot.timestamp_ms,
                    reasons=[f"not looked at: {error.code}"],
                    expires_at_ms=None,
                )
                for snapshot in table.state.history.newest_first
            ]
        except AppError as again:
            logger.info("nothing is known of %s: %s", name, again.message)
        return _entry(name, kept, [], is_dry_run=is_dry_run, error=failure)


def planned_entry(name: DatasetName, planned: MeasuredPlan) -> TableEntry:
    """What would be done."""
    entry = _entry(
        name,
        list(map(snapshot_entry, planned.plan.kept)),
        list(map(snapshot_entry, planned.plan.expired)),
        is_dry_run=True,
    )
    return _with_plan(entry, planned)


def done_entry(name: DatasetName, run: TableRun) -> TableEntry:
    """What was done; bytes are those that are gone."""
    entry = planned_entry(name, run.planned)
    entry["dry_run"] = False
    entry["run_id"] = None if run.run_id is None else str(run.run_id)
    entry["bytes_freed"] = run.done.bytes_freed + run.earlier.bytes_freed
    entry["files_deleted"] = run.done.files_deleted + run.earlier.files_deleted
    entry["files_left"] = left = run.done.files_left + run.earlier.files_left
    if run.earlier.files_deleted:
        entry["warnings"].append(f"{run.earlier.files_deleted:,} files were deleted that earlier runs had left")
    if left:
        reasons = "; ".join([*run.done.examples, *run.earlier.examples][:3])
        entry["error"] = {
            "code": "FILES_LEFT",
            "message": f"{left:,} files could not be deleted, and are tried again by the next run: {reasons}",
        }
    if run.base is not None and not run.base.may_delete:
        entry["error"] = {
            "code": "BASE_CHANGED",
            "message": "The table was changed by others in the moment of its expiry, so no file was deleted. What it "
            f"held then is in {run.base.base_location}.",
            "refs": list(run.base.refs),
            "snapshotIds": [str(number) for number in run.base.snapshot_ids],
        }
    return entry


def _with_plan(entry: TableEntry, planned: MeasuredPlan) -> TableEntry:
    entry["removed_tags"] = sorted(planned.plan.removed_refs)
    entry["bytes_freed"] = planned.files.freed.size_bytes
    entry["bytes_total"] = planned.files.total.size_bytes
    entry["files_deleted"] = planned.files.freed.file_count
    entry["pinned"] = dict(planned.pinned)
    entry["warnings"] = planned.warnings
    return entry


def _entry(
    name: DatasetName,
    kept: list[SnapshotEntry],
    expired: list[SnapshotEntry],
    *,
    is_dry_run: bool,
    error: dict[str, JsonValue] | None = None,
) -> TableEntry:
    return TableEntry(
        namespace=name.namespace,
        table=name.name,
        total_snapshots=len(kept) + len(expired),
        kept=len(kept),
        expired=len(expired),
        kept_snapshots=kept,
        expired_snapshots=expired,
        kept_snapshots_truncated=False,
        expired_snapshots_truncated=False,
        removed_tags=[],
        removed_tags_truncated=False,
        bytes_freed=0,
        bytes_total=0,
        files_deleted=0,
        files_left=0,
        pinned={},
        pinned_truncated=False,
        warnings=[],
        run_id=None,
        dry_run=is_dry_run,
        error=error,
    )
