"""Keeping what model versions were trained on: a protected, endless Iceberg tag, which no engine's expiry removes.

Order of events, and what a crash after each leaves:

1. the registration's intention, with a lease       - given up once the lease is over
2. the pin, WANTED, in Postgres                     - given up with it
3. the tag in the table                             - removed with it, because the pin says whose it is
4. the model version and the pin, LIVE, in one transaction.

Archiving goes the other way: the version is archived and its pins are RELEASING in one transaction, and then the tags
are removed; whoever looks next removes those that are left.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from app.domain.changes import Actor, Command
from app.domain.history import History, RefKind
from app.domain.pins import Pin, PinState, choose_other_pin_name, choose_pin_name, is_pinned
from app.domain.uses import VersionUse
from app.domain.versions import VersionSelector
from app.errors import (
    AppError,
    BranchExistsError,
    HeadMovedError,
    NotFound,
    TagExistsError,
)
from app.registry.pins import PinStore, PinTakenError
from app.services.datasets import Datasets
from app.services.executing import worker_name
from app.services.outcomes import TagOutcome
from app.services.versioning import Versioning

logger = logging.getLogger(__name__)

UPKEEP_ACTOR = Actor(subject="stratigraph upkeep")
NAME_ATTEMPTS = 10
PAGE = 200


class Pinning:
    """Sets, releases and repairs pins."""

    def __init__(self, pins: PinStore, datasets: Datasets, versioning: Versioning) -> None:
        self._pins = pins
        self._datasets = datasets
        self._versioning = versioning

    async def pin(self, change_id: UUID, model: str, number: int, use: VersionUse, command: Command) -> Pin:
        """Keep a snapshot for a model version that is about to be recorded. Costs a commit to the table.

        Raises: as `Versioning.create_tag`; SnapshotExpiredError and VersionNotFoundError where the snapshot is gone.
        """
        for _ in range(NAME_ATTEMPTS):
            table = await self._datasets.load(use.dataset)
            taken = await self._pins.taken_tags(use.table_uuid)
            tag = choose_pin_name(use, model, number, table.state.history, taken)
            pin = Pin(
                pin_id=uuid4(),
                model=model,
                number=number,
                dataset=use.dataset,
                table_uuid=use.table_uuid,
                snapshot_id=use.snapshot_id,
                tag=tag,
                state=PinState.WANTED,
                is_adopted=tag in table.state.history.refs,
            )
            try:
                await self._pins.want(change_id, pin)
                done = await self._set(pin, command)
            except PinTakenError:
                continue
            except (TagExistsError, BranchExistsError) as error:
                # Somebody has set it elsewhere in this moment, and nothing was set by us.
                logger.info("the tag %s of %s is taken: %s", tag, use.dataset, error.message)
                await self._pins.abandon(pin.pin_id)
                continue
            if not done.is_new and not pin.is_adopted:
                await self._pins.adopt(pin.pin_id)
            return pin
        raise TagExistsError(str(use.dataset), tag, use.snapshot_id)

    async def release(self, pins: Sequence[Pin]) -> int:
        """Remove the tags of pins that are RELEASING; answers how many are gone. What fails is tried again later."""
        gone = 0
        for pin in pins:
            try:
                await self._remove(pin)
            except AppError as error:
                # Whatever it is, it must keep neither the other pins nor the model from going on.
                await self._pins.release_failed(pin.pin_id, f"{error.code}: {error.message}")
                logger.warning("the pin %s of %s is removed later: %s", pin.tag, pin.dataset, error.message)
            else:
                await self._pins.release_done(pin.pin_id)
                gone += 1
        return gone

    async def settle_model(self, model: str) -> None:
        """Give up what nobody is at any more, for whoever holds the lock of the model."""
        await self._pins.give_up_dead(model=model, by=worker_name())
        await self.release(await self._pins.list_releasing(model))

    async def settle(self) -> None:
        """Give up registrations whose process is gone, and remove the tags that are to go. For any process, any time.

        Raises:
            BackendUnavailableError: Postgres is away.
        """
        given_up = await self._pins.give_up_dead(by=worker_name())
        if given_up:
            logger.warning("%d registrations of models, left open, were given up", given_up)
        await self.release(await self._pins.list_releasing())

    async def restore(self, table_uuid: UUID | None = None) -> list[Pin]:
        """Set the tags of live pins that are not there, of one table or of all; answers those that were set.

        A tag that some engine may end by its age counts as one that is not there: it gets an endless one where it is.
        Where the name is by now that of something else, which stays, the pin gets another one.
        What an expiry calls before it plans. A snapshot that is gone already is told in the log, and stays gone.

        Raises:
            BackendUnavailableError: Postgres is away, and so nothing is known to be unneeded.
        """
        if table_uuid is not None:
            pins = await self._pins.list_of_table(table_uuid)
            return await self._restore([pin for pin in pins if pin.state is PinState.LIVE])
        restored: list[Pin] = []
        after: UUID | None = None
        while page := await self._pins.list_live(after, limit=PAGE):
            restored += await self._restore(page)
            after = page[-1].pin_id
        return restored

    async def _restore(self, pins: Sequence[Pin]) -> list[Pin]:
        found = [await self._restore_one(pin) for pin in pins]
        return [pin for pin in found if pin is not None]

    async def _restore_one(self, pin: Pin) -> Pin | None:
        """The pin as its tag was set now; None where it was there, or cannot be set."""
        try:
            table = await self._datasets.find_table(pin.table_uuid, pin.dataset)
            if table is None:
                return None
            if is_pinned(table.state.history.refs.get(pin.tag), pin.snapshot_id):
                return None
            kept = await self._with_free_name(pin, table.state.history)
            if kept is None:
                return None
            # One that is there by now is ours all the same: others restore pins too.
            await self._set(kept, Command(actor=UPKEEP_ACTOR, reason=_reason(pin)))
        except AppError as error:
            logger.warning("%s of %s (%s) cannot be set: %s", pin.tag, pin.dataset, _reason(pin), error.message)
            return None
        return kept

    async def _with_free_name(self, pin: Pin, history: History) -> Pin | None:
        """The pin with a tag that can be set; None where it needs none any more, or somebody else is at it."""
        ref = history.refs.get(pin.tag)
        is_ours = ref is None or (ref.kind is RefKind.TAG and ref.snapshot_id == pin.snapshot_id)
        if is_ours or pin.snapshot_id not in history.snapshots:
            return pin
        tag = choose_other_pin_name(pin, history, await self._pins.taken_tags(pin.table_uuid))
        renamed = replace(pin, tag=tag, is_adopted=tag in history.refs)
        try:
            # Written down first, as at registration: whose process dies now leaves a live pin without its tag.
            return renamed if await self._pins.rename(pin, renamed) else None
        except PinTakenError:
            # Looked at again the next time.
            return None

    async def _set(self, pin: Pin, command: Command) -> TagOutcome:
        return await self._versioning.create_tag(
            pin.dataset,
            pin.tag,
            VersionSelector(snapshot_id=pin.snapshot_id),
            Command(actor=command.actor, reason=_reason(pin)),
            protected=True,
            endless=True,
        )

    async def _remove(self, pin: Pin) -> None:
        """Remove the tag, unless it is somebody else's, or no longer what was set."""
        if pin.is_adopted:
            return
        table = await self._datasets.find_table(pin.table_uuid, pin.dataset)
        if table is None:
            return
        command = Command(actor=UPKEEP_ACTOR, reason=f"released: {_reason(pin)}")
        try:
            await self._versioning.delete_tag(
                table.state.name, pin.tag, command, expected_target=pin.snapshot_id, force=True
            )
        except (NotFound, HeadMovedError) as error:
            logger.info("%s of %s is not ours to remove: %s", pin.tag, pin.dataset, error.message)


def _reason(pin: Pin) -> str:
    return f"training data of {pin.model} v{pin.number}"
