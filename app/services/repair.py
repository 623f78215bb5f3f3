"""Settling changes whose process died between the intention and the outcome. Any process may do it, at any time."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from uuid import UUID

from app.domain.changes import ChangeState
from app.errors import Forbidden, LockTimeoutError, Unavailable
from app.lake.recovery import Finding
from app.lake.store import Lake
from app.registry.change_rows import StoredChange
from app.registry.changes import ChangeLog
from app.services.background import keep_at
from app.services.datasets import Datasets
from app.settings import Settings

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 1.0
_OUTCOMES = {
    Finding.COMMITTED: ChangeState.DONE,
    Finding.NOT_COMMITTED: ChangeState.FAILED,
    Finding.UNDECIDABLE: ChangeState.UNKNOWN,
}


class Repair:
    """Looks for overdue intentions and settles them by what the tables' own metadata files say."""

    def __init__(self, lake: Lake, datasets: Datasets, changes: ChangeLog, settings: Settings) -> None:
        self._lake = lake
        self._datasets = datasets
        self._changes = changes
        self._interval_s = settings.lease_s / 2

    async def run(self, stop: asyncio.Event) -> None:
        """Settle what is overdue, now and then again and again until `stop` is set."""
        await keep_at("repair", self.settle_overdue, pause_s=self._interval_s, away_s=self._interval_s, stop=stop)

    async def settle_overdue(self, table_uuid: UUID | None = None, *, is_locked: bool = False) -> int:
        """Settle the overdue changes of one table, or of all; answers how many were.

        `is_locked` says that the caller holds that table's lock. Without it each table's changes are settled under its
        lock, so that nobody is judged while still at work; a table that is busy or away waits for the next time.

        Raises:
            BackendUnavailableError: Postgres is away; with `is_locked` also what hinders reading the table.
        """
        if table_uuid is not None and is_locked:
            return await self._settle_table(table_uuid)
        settled = 0
        overdue = await self._changes.list_overdue(table_uuid)
        for found in dict.fromkeys(stored.subject.table_uuid for stored in overdue):
            try:
                async with self._changes.lock(found, BUSY_TIMEOUT_S):
                    settled += await self._settle_table(found)
            except LockTimeoutError:
                logger.info("changes of table %s are left for later: it is busy", found)
            except (Unavailable, Forbidden) as error:
                # One table that cannot be read must not keep all others from being settled.
                logger.warning("changes of table %s are left for later: %s", found, error.message)
        return settled

    async def _settle_table(self, table_uuid: UUID) -> int:
        # Read under the lock: what was read before may be settled by now, or about another plan.
        open_changes = await self._changes.list_open(table_uuid)
        if not open_changes:
            return 0
        claimed = await self._changes.list_claimed(table_uuid, open_changes[-1].change.intended_at)
        settled = 0
        # Newest first: of two that look the same, what happened after the later one's base was done by the later one,
        # because the earlier one had lost the lock by then.
        for stored in open_changes:
            settled += await self._settle(stored, claimed)
        return settled

    async def _settle(self, stored: StoredChange, claimed: set[str]) -> int:
        change = stored.change
        table = await self._datasets.find_table(stored.subject.table_uuid, stored.subject.dataset)
        finding, metadata, failure = Finding.UNDECIDABLE, None, "the table is no longer in the catalog"
        if table is not None:
            finding, metadata = await self._lake.find_commit(table, stored.plan, stored.base_metadata, claimed=claimed)
            failure = f"found {finding.value} in the table's metadata files"
        if metadata is not None:
            claimed.add(metadata)
        elif not stored.is_overdue:
            # That it is done is certain as soon as it is seen; that it will not be is not, before the lease runs out.
            return 0
        await self._write(stored, _OUTCOMES[finding], metadata, None if finding is Finding.COMMITTED else failure)
        logger.warning("change %s of %s, left open, is %s", change.change_id, stored.subject.dataset, finding.value)
        return 1

    async def _write(self, stored: StoredChange, state: ChangeState, metadata: str | None, failure: str | None) -> None:
        by = f"repair by {socket.gethostname()}:{os.getpid()}"
        await self._changes.settle(stored.change.change_id, state, by=by, metadata=metadata, failure=failure)
