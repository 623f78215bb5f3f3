"""Holds: placing and releasing them, each kept by a protected, endless Iceberg tag that no engine's expiry removes.

Order of events, and what a crash after each leaves:

1. the hold, WANTED, in Postgres  - its tag is set by upkeep: who asked for it may have been told nothing
2. the tag in the table           - the same
3. the hold is LIVE.

Releasing goes the other way: the hold is RELEASING, then its tag is removed, then it is RELEASED.
"""

from __future__ import annotations

import logging
from uuid import UUID

from app.domain.changes import Actor, Command
from app.domain.holds import Hold, HoldState, hold_tag, new_hold_id, reason_of
from app.domain.names import DatasetName, is_storable
from app.domain.pages import MAX_PAGE, Page, PageRequest
from app.domain.pins import is_pinned
from app.domain.versions import VersionSelector
from app.errors import (
    AppError,
    Expired,
    HeadMovedError,
    HoldNotFoundError,
    IdempotencyKeyReusedError,
    NotFound,
    Unsupported,
)
from app.registry.holds import HoldStore
from app.services.datasets import Datasets, asked_id
from app.services.versioning import Version, Versioning
from app.settings import Settings

logger = logging.getLogger(__name__)

MAX_ID_CHARS = 100
UPKEEP_ACTOR = Actor(subject="stratigraph upkeep")


class Holding:
    """Holds on snapshots of datasets."""

    def __init__(self, holds: HoldStore, datasets: Datasets, versioning: Versioning, settings: Settings) -> None:
        self._holds = holds
        self._datasets = datasets
        self._versioning = versioning
        self._lease_s = settings.lease_s

    async def place(self, name: DatasetName, at: Version, command: Command) -> Hold:
        """Keep a version until the hold is released. Costs a commit to the table.

        The same key with the same arguments answers the hold that it placed, as that is now.

        Raises:
            InvalidArgumentError: no reason is given.
            IdempotencyKeyReusedError: the key came with another dataset, version or reason.
            As `Datasets.resolve` and `Versioning.create_tag`.
        """
        reason = reason_of(command)
        table = await self._datasets.load(name)
        version = await self._datasets.resolve_with_record(table, at)
        hold_id = new_hold_id(command)
        tag = hold_tag(hold_id)
        asked = Command(actor=command.actor, reason=reason)
        hold = await self._holds.want(hold_id, name, table.state.table_uuid, version.snapshot_id, tag, asked)
        # What `latest` or a tag named then may be another snapshot by now, and the request the same.
        is_another = asked_id(at) is not None and hold.snapshot_id != version.snapshot_id
        if is_another or (hold.table_uuid, hold.reason) != (table.state.table_uuid, reason):
            raise IdempotencyKeyReusedError(command.idempotency_key or "")
        if hold.state is not HoldState.WANTED:
            return hold
        try:
            await self._set(hold, name, asked)
        except (NotFound, Expired, Unsupported):
            # Expired or dropped since it was looked at, or a table whose refs cannot be changed: nothing can be held.
            await self._holds.abandon(hold_id)
            raise
        return await self._holds.placed(hold_id)

    async def release(self, hold_id: str, command: Command) -> Hold:
        """Keep the version no longer for this hold. Releasing twice changes nothing.

        Raises:
            InvalidArgumentError: no reason is given.
            HoldNotFoundError: there is none.
            As `Versioning.delete_tag`.
        """
        asked = Command(actor=command.actor, reason=reason_of(command))
        _check_id(hold_id)
        hold = await self._holds.release(hold_id, asked)
        if hold is None:
            raise HoldNotFoundError(hold_id)
        if hold.state is HoldState.RELEASING:
            await self._remove(hold)
        return await self.get(hold_id)

    async def get(self, hold_id: str) -> Hold:
        """A hold by its id. Raises HoldNotFoundError."""
        _check_id(hold_id)
        hold = await self._holds.find(hold_id)
        if hold is None:
            raise HoldNotFoundError(hold_id)
        return hold

    async def page(
        self, request: PageRequest, *, table_uuid: UUID | None = None, keeping_only: bool = False
    ) -> Page[Hold]:
        """Holds, those placed last first. Raises InvalidPageError."""
        return await self._holds.page(request, table_uuid=table_uuid, keeping_only=keeping_only)

    async def restore(self, table_uuid: UUID | None = None) -> list[Hold]:
        """Set the tags of holds that are not there, of one table or of all; answers those that were set.

        A tag that some engine may end by its age counts as one that is not there: it gets an endless one where it is.
        What an expiry calls before it plans. A snapshot that is gone already is told in the log, and stays gone.

        Raises:
            BackendUnavailableError: Postgres is away, and so nothing is known to be unneeded.
        """
        if table_uuid is not None:
            return [hold for hold in await self._holds.list_of_table(table_uuid) if await self._restore_one(hold)]
        restored: list[Hold] = []
        after: str | None = None
        while True:
            page = await self._holds.page(PageRequest(first=MAX_PAGE, after=after), keeping_only=True)
            restored += [hold for hold in page.items if await self._restore_one(hold)]
            if not page.has_next:
                return restored
            after = page.cursors[-1]

    async def _restore_one(self, hold: Hold) -> bool:
        try:
            table = await self._datasets.find_table(hold.table_uuid, hold.dataset)
            if table is None or is_pinned(table.state.history.refs.get(hold.tag), hold.snapshot_id):
                return False
            await self._set(hold, table.state.name, Command(actor=UPKEEP_ACTOR, reason=hold.reason))
        except AppError as error:
            logger.warning("the tag of hold %s on %s cannot be set: %s", hold.hold_id, hold.dataset, error.message)
            return False
        await self._holds.placed(hold.hold_id)
        return True

    async def settle(self) -> None:
        """Finish what dead processes have begun. For any process, any time.

        Raises:
            BackendUnavailableError: Postgres is away.
        """
        for hold in await self._holds.list_unsettled(self._lease_s):
            try:
                if hold.state is HoldState.WANTED:
                    await self._finish(hold)
                else:
                    await self._remove(hold)
            except AppError as error:
                # Whatever it is, it must not keep the other holds from being settled.
                logger.warning("hold %s on %s is settled later: %s", hold.hold_id, hold.dataset, error.message)

    async def _finish(self, hold: Hold) -> None:
        table = await self._datasets.find_table(hold.table_uuid, hold.dataset)
        if table is None or hold.snapshot_id not in table.state.history.snapshots:
            await self._holds.abandon(hold.hold_id)
            return
        await self._set(hold, table.state.name, Command(actor=hold.placed_by, reason=hold.reason))
        await self._holds.placed(hold.hold_id)

    async def _set(self, hold: Hold, name: DatasetName, command: Command) -> None:
        await self._versioning.create_tag(
            name,
            hold.tag,
            VersionSelector(snapshot_id=hold.snapshot_id),
            command,
            protected=True,
            endless=True,
        )

    async def _remove(self, hold: Hold) -> None:
        table = await self._datasets.find_table(hold.table_uuid, hold.dataset)
        if table is not None:
            command = Command(actor=hold.released_by or UPKEEP_ACTOR, reason=f"released: {hold.release_reason}")
            try:
                await self._versioning.delete_tag(
                    table.state.name, hold.tag, command, expected_target=hold.snapshot_id, force=True
                )
            except (NotFound, HeadMovedError) as error:
                logger.info("%s of %s is not there to be removed: %s", hold.tag, hold.dataset, error.message)
        await self._holds.released(hold.hold_id)


def _check_id(hold_id: str) -> None:
    # What cannot even be asked for in Postgres is not there.
    if len(hold_id) > MAX_ID_CHARS or not is_storable(hold_id):
        raise HoldNotFoundError(hold_id[:MAX_ID_CHARS])
