"""Settling changes whose process died between the intention and the outcome. Any process may do it, at any time."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from uuid import UUID

from app.domain.changes import ChangeState
from app.errors import DatasetNotFoundError, LockTimeoutError, Unavailable
from app.lake.recovery import Finding
from app.lake.store import Lake
from app.lake.table import LakeTable
from app.registry.changes import ChangeLog, StoredChange
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

    async def run(self) -> None:
        """Settle what is overdue, now and then again and again until cancelled."""
        while True:
            try:
                await self.settle_overdue()
            except Unavailable as error:
                logger.warning("repair waits: %s", error.message)
            await asyncio.sleep(self._interval_s)

    async def settle_overdue(self, table_uuid: UUID | None = None, *, is_locked: bool = False) -> int:
        """Settle the overdue changes of one table, or of all; answers how many were.

        `is_locked` says that the caller holds that table's lock. Without it each change is settled under the lock of
        its table, so that nobody is judged while still at work; one whose table is busy waits for the next time.
        """
        settled = 0
        for stored in await self._changes.list_overdue(table_uuid):
            try:
                if is_locked:
                    settled += await self._settle(stored)
                else:
                    async with self._changes.lock(stored.change.table_uuid, BUSY_TIMEOUT_S):
                        settled += await self._settle(stored)
            except LockTimeoutError:
                logger.info("change %s is left for later: its table is busy", stored.change.change_id)
        return settled

    async def _settle(self, stored: StoredChange) -> int:
        change = stored.change
        table = await self._find_table(stored)
        if table is None:
            # The table is gone, and its files may be: whether the change was in it can no longer be known.
            await self._write(stored, ChangeState.UNKNOWN, None, "the table is no longer in the catalog")
            return 1
        finding, metadata = await self._lake.find_commit(table, stored.plan, stored.base_metadata)
        failure = None if finding is Finding.COMMITTED else f"found {finding.value} in the table's metadata files"
        await self._write(stored, _OUTCOMES[finding], metadata, failure)
        logger.warning("change %s of %s, left open, is %s", change.change_id, change.dataset, finding.value)
        return 1

    async def _find_table(self, stored: StoredChange) -> LakeTable | None:
        """The table as it is now, under whatever name; None where the catalog has it no more."""
        change = stored.change
        try:
            table = await self._datasets.load(change.dataset)
            if table.state.table_uuid == change.table_uuid:
                return table
        except DatasetNotFoundError:
            logger.info("%s is not under its name any more", change.dataset)
        name = await self._datasets.find_name(change.table_uuid)
        return await self._datasets.load(name) if name else None

    async def _write(self, stored: StoredChange, state: ChangeState, metadata: str | None, failure: str | None) -> None:
        by = f"repair by {socket.gethostname()}:{os.getpid()}"
        await self._changes.settle(stored.change.change_id, state, by=by, metadata=metadata, failure=failure)
