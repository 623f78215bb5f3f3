"""What models and holds leave to be done: tags to be set or removed, artifacts to be removed from where they were."""

from __future__ import annotations

import asyncio
import time

from app.services.background import keep_at
from app.services.cold_storage import ColdStorage
from app.services.holding import Holding
from app.services.pinning import Pinning

SETTLE_EVERY_S = 30.0
# Looks at every table that something is pinned or held in.
RESTORE_EVERY_S = 3600.0


class ModelUpkeep:
    """Settles what a process that died has left."""

    def __init__(self, pinning: Pinning, holding: Holding, cold_storage: ColdStorage) -> None:
        self._pinning = pinning
        self._holding = holding
        self._cold_storage = cold_storage
        self._restored_at = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Settle what is left open, now and then again and again until `stop` is set."""
        await keep_at("settling models", self.settle, pause_s=SETTLE_EVERY_S, away_s=SETTLE_EVERY_S, stop=stop)

    async def settle(self) -> None:
        """Settle what is left open, and now and then set again what tags of live pins and of holds are lost.

        Raises:
            BackendUnavailableError: Postgres is away.
        """
        await self._pinning.settle()
        await self._holding.settle()
        await self._cold_storage.settle()
        if time.monotonic() - self._restored_at >= RESTORE_EVERY_S:
            await self._pinning.restore()
            await self._holding.restore()
            self._restored_at = time.monotonic()
