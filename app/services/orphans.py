"""Files that a table does not reach: found, and removed once they are old enough not to be about to be committed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.domain.changes import Command
from app.domain.names import DatasetName
from app.domain.orphans import Orphan, OrphanKind, OrphanTally
from app.errors import InvalidArgumentError, UnsupportedTableError
from app.lake.store import Lake
from app.registry.changes import ChangeLog
from app.services.datasets import Datasets
from app.services.retention_records import RetentionRecords
from app.settings import Settings

DEFAULT_DAYS, LEAST_DAYS = 3.0, 1.0
_DAY_MS = 86_400_000
MAX_LISTED = 1_000


@dataclass(slots=True, kw_only=True)
class OrphanReport:
    """What was found under a table's location; `listed` are the first of the orphans, at most 1,000.

    Removed are only those whose names are as Iceberg's writers give them: hidden and unknown files are told.
    """

    dataset: DatasetName
    tally: OrphanTally
    listed: list[Orphan] = field(default_factory=list)
    removed: int = 0
    removed_bytes: int = 0
    left: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_cut(self) -> bool:
        """Whether there are more than are listed."""
        return sum(self.tally.orphans.values()) > len(self.listed)


class Orphans:
    """Finds and removes orphans of tables."""

    def __init__(self, lake: Lake, datasets: Datasets, changes: ChangeLog, settings: Settings) -> None:
        self._lake = lake
        self._datasets = datasets
        self._changes = changes
        self._records = RetentionRecords(changes)
        self._lock_timeout_s = settings.lock_timeout_s

    async def find(
        self, name: DatasetName, older_than_days: float = DEFAULT_DAYS, *, force: bool = False
    ) -> OrphanReport:
        """The orphans of a table that are older than that. Costs reading its manifests and listing its files.

        Raises:
            InvalidArgumentError: less than a day, without `force`.
            UnsupportedTableError: another table's location is the same, inside or around this one's.
            As `Datasets.load`, `Lake.list_neighbours` and `Lake.find_orphans`.
        """
        report, _ = await self._look(name, older_than_days, force=force)
        return report

    async def remove(
        self, name: DatasetName, command: Command, older_than_days: float = DEFAULT_DAYS, *, force: bool = False
    ) -> OrphanReport:
        """Remove them; what could not be is told. Each is looked for once more in the table as it is by then.

        Recorded with who and why.

        Raises:
            UnsupportedTableError: also a table with gc.enabled=false.
            LockTimeoutError: an expiry of the table is under way.
            As `find`.
        """
        table = await self._datasets.load(name)
        if table.state.properties.get("gc.enabled", "true").strip().lower() == "false":
            raise UnsupportedTableError(
                str(name), "gc.enabled=false", "its files may be shared with others, and are not removed"
            )
        async with self._changes.lock_retention(table.state.table_uuid, self._lock_timeout_s):
            report, paths = await self._look(name, older_than_days, force=force)
            now = await self._datasets.load(name)
            going = await self._lake.still_unreachable(now, list(paths))
            done = await self._lake.delete_files(now, going)
            report.removed = len(done.gone)
            report.removed_bytes = sum(paths[path] for path in done.gone)
            report.left = len(done.left)
            report.examples = [f"{file.path}: {file.reason}" for file in done.examples]
            if going:
                await self._records.record_orphans(now, command, report.removed, report.removed_bytes, report.left)
        return report

    async def _look(
        self, name: DatasetName, older_than_days: float, *, force: bool
    ) -> tuple[OrphanReport, dict[str, int]]:
        before_ms = _before_ms(older_than_days, force=force)
        neighbours = await self._lake.list_neighbours()
        table = await self._datasets.load(name)
        report = OrphanReport(dataset=name, tally=OrphanTally())
        paths: dict[str, int] = {}

        def take(found: Iterable[Orphan]) -> None:
            for orphan in found:
                if orphan.kind is OrphanKind.ORPHAN:
                    paths[orphan.path] = orphan.size_bytes
                if len(report.listed) < MAX_LISTED:
                    report.listed.append(orphan)

        report.tally = await self._lake.find_orphans(table, neighbours, before_ms, take)
        return report, paths


def _before_ms(days: float, *, force: bool) -> int:
    if not 0 <= days <= 36_500:
        raise InvalidArgumentError("olderThan", f"{days:g} is not between 0 and 36500 days")
    if days < LEAST_DAYS and not force:
        raise InvalidArgumentError(
            "olderThan", f"{days:g} days may be younger than what a writer is about to commit; less than 1 needs force"
        )
    return int(time.time() * 1000 - days * _DAY_MS)
