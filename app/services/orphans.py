"""Files that a table does not reach: found, and removed once they are old enough not to be about to be committed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.domain.changes import Command
from app.domain.names import DatasetName
from app.domain.orphans import Orphan, OrphanKind, OrphanTally
from app.domain.retention.overrides import GC_ENABLED, is_gc_enabled
from app.errors import DatasetNotFoundError, InvalidArgumentError, UnsupportedTableError
from app.lake.neighbours import Neighbours, hidden_from, why_hidden
from app.lake.store import Lake
from app.lake.table import LakeTable
from app.registry.changes import ChangeLog
from app.services.datasets import Datasets
from app.services.finishing import finished
from app.services.retention import BATCH_FILES, Report
from app.services.retention_records import RetentionRecords
from app.settings import Settings

DEFAULT_DAYS, LEAST_DAYS = 3.0, 1.0
_DAY_MS = 86_400_000
MAX_LISTED = 1_000
_MAX_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanAge:
    """How long ago an orphan was last modified, at least. Younger files may be about to be committed.

    Raises:
        InvalidArgumentError: no such number of days; less than a day, without `is_forced`.
    """

    days: float = DEFAULT_DAYS
    is_forced: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.days <= 36_500:
            raise InvalidArgumentError("olderThanDays", f"{self.days:g} is not between 0 and 36500 days")
        if self.days < LEAST_DAYS and not self.is_forced:
            raise InvalidArgumentError(
                "olderThanDays",
                f"{self.days:g} days may be younger than what a writer is about to commit; less than 1 needs force",
            )

    @property
    def before_ms(self) -> int:
        """The instant before which that was, as of now."""
        return int(time.time() * 1000 - self.days * _DAY_MS)


@dataclass(slots=True, kw_only=True)
class OrphanReport:
    """What was found under a table's location; `listed` are the first of the orphans, at most 1,000.

    Removed are only those whose names are as Iceberg's writers give them: hidden and unknown files are told. `warnings`
    say why removing them would be refused.
    """

    dataset: DatasetName
    tally: OrphanTally
    listed: list[Orphan] = field(default_factory=list)
    removed: int = 0
    removed_bytes: int = 0
    left: int = 0
    examples: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_cut(self) -> bool:
        """Whether there are more than are listed."""
        return sum(self.tally.orphans.values()) > len(self.listed)


def quiet(fraction: float, message: str) -> None:
    """A `Report` to nobody."""


class Orphans:
    """Finds and removes orphans of tables."""

    def __init__(self, lake: Lake, datasets: Datasets, changes: ChangeLog, settings: Settings) -> None:
        self._lake = lake
        self._datasets = datasets
        self._changes = changes
        self._records = RetentionRecords(changes)
        self._lock_timeout_s = settings.lock_timeout_s

    async def check(self, name: DatasetName, *, is_dry_run: bool = False) -> LakeTable:
        """The table, whose orphans may be removed; for a dry run, which warns, also where they may not.

        Raises:
            UnsupportedTableError: a table with `gc.enabled` not true.
            As `Datasets.load`.
        """
        table = await self._datasets.load(name)
        if not is_dry_run and (refusal := _find_refusal(table)) is not None:
            raise refusal
        return table

    async def find(self, name: DatasetName, age: OrphanAge, report: Report = quiet) -> OrphanReport:
        """The orphans of a table that are of that age. Costs reading its manifests and listing its files.

        Also where removing them would be refused (as `remove` tells), which is a warning.

        Raises:
            UnsupportedTableError: another table's location is the same, inside or around this one's.
            As `Datasets.load`, `Lake.list_neighbours` and `Lake.find_orphans`.
        """
        report(0.0, f"{name}: looking for orphans")
        neighbours = await self._lake.list_neighbours()
        table = await self._datasets.load(name)
        found, _ = await self._look(table, neighbours, age)
        refusals = (_find_refusal(table), why_hidden(name, hidden_from(name, neighbours)))
        found.warnings += [f"Removing them would be refused: {each.message}" for each in refusals if each is not None]
        return found

    async def remove(
        self,
        name: DatasetName,
        command: Command,
        age: OrphanAge,
        report: Report = quiet,
        *,
        operation_id: UUID | None = None,
    ) -> OrphanReport:
        """Remove them; what could not be is told. Each is looked for once more in the table as it is by then.

        Recorded with who and why, also where `report` ends it after some are removed. Begun again, it removes what is
        left.

        Raises:
            LockTimeoutError: an expiry of the table, or another removal, is under way.
            DatasetForbiddenError: also where it is another table that the catalog does not let us look at, whose files
                may be here.
            As `check` and `find`.
        """
        table = await self.check(name)
        async with self._changes.lock_retention(table.state.table_uuid, self._lock_timeout_s):
            report(0.0, f"{name}: looking for orphans")
            neighbours = await self._lake.list_neighbours()
            if (hidden := why_hidden(name, hidden_from(name, neighbours))) is not None:
                raise hidden
            found, sizes = await self._look(await self._datasets.load(name), neighbours, age)
            report(0.4, f"{name}: looking once more at {len(sizes):,} files")
            now = await self.check(name)
            if now.state.table_uuid != table.state.table_uuid:
                # Of another table, which has the name since, nothing was looked at.
                raise DatasetNotFoundError(str(name), [])
            going = await self._lake.still_unreachable(now, list(sizes))
            try:
                await self._delete(now, going, sizes, found, report)
            finally:
                if found.removed or found.left:
                    await finished(
                        self._records.record_orphans(
                            now, command, found.removed, found.removed_bytes, found.left, operation_id
                        )
                    )
        report(1.0, f"{name}: done")
        return found

    async def _delete(
        self, table: LakeTable, going: Sequence[str], sizes: Mapping[str, int], found: OrphanReport, report: Report
    ) -> None:
        for start in range(0, len(going), BATCH_FILES):
            report(0.5 + 0.5 * start / len(going), f"{table.state.name}: removing {len(going):,} files")
            # What is begun is ended, and counted, also where it shall not go on after it.
            await finished(self._delete_batch(table, going[start : start + BATCH_FILES], sizes, found))

    async def _delete_batch(
        self, table: LakeTable, paths: Sequence[str], sizes: Mapping[str, int], found: OrphanReport
    ) -> None:
        done = await self._lake.delete_files(table, paths)
        found.removed += len(done.gone)
        found.removed_bytes += sum(sizes[path] for path in done.gone)
        found.left += len(done.left)
        found.examples += [f"{file.path}: {file.reason}" for file in done.examples]
        del found.examples[_MAX_EXAMPLES:]

    async def _look(
        self, table: LakeTable, neighbours: Neighbours, age: OrphanAge
    ) -> tuple[OrphanReport, dict[str, int]]:
        report = OrphanReport(dataset=table.state.name, tally=OrphanTally())
        paths: dict[str, int] = {}

        def take(found: Iterable[Orphan]) -> None:
            for orphan in found:
                if orphan.kind is OrphanKind.ORPHAN:
                    paths[orphan.path] = orphan.size_bytes
                if len(report.listed) < MAX_LISTED:
                    report.listed.append(orphan)

        report.tally = await self._lake.find_orphans(table, neighbours, age.before_ms, take)
        return report, paths


def _find_refusal(table: LakeTable) -> UnsupportedTableError | None:
    properties = table.state.properties
    if is_gc_enabled(properties):
        return None
    return UnsupportedTableError(
        str(table.state.name),
        f"{GC_ENABLED}={properties[GC_ENABLED][:40]}",
        "its files may be shared with others, and are not removed",
    )
