"""A worker: it brings the lineage graph up to the log, settles what dead processes left, and runs operations.

Any number may work.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from uuid import UUID, uuid4

from app.errors import Unavailable
from app.registry.workers import ABSENT_S, Workers
from app.services.model_upkeep import ModelUpkeep
from app.services.operation_runner import OperationRunner
from app.services.projecting import Projector
from app.services.repair import Repair

logger = logging.getLogger(__name__)

TELL_EVERY_S = ABSENT_S / 5


class Worker:
    """All the work that is not an answer to a request."""

    def __init__(
        self,
        projector: Projector,
        repair: Repair,
        models: ModelUpkeep,
        operations: OperationRunner,
        workers: Workers,
    ) -> None:
        self._projector = projector
        self._repair = repair
        self._models = models
        self._operations = operations
        self._workers = workers

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; what was begun is ended first, so that nobody has to wait for its lease.

        An operation is not waited for: it is given back.
        """
        worker_id = uuid4()
        told_at = float("-inf")

        async def tell() -> None:
            # Told by the loop that does the work: a worker that hangs is not seen.
            nonlocal told_at
            if time.monotonic() - told_at >= TELL_EVERY_S:
                await self._workers.seen(worker_id, host=socket.gethostname(), pid=os.getpid())
                told_at = time.monotonic()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._repair.run(stop), name="repair")
                group.create_task(self._models.run(stop), name="models")
                group.create_task(self._operations.run(stop), name="operations")
                group.create_task(self._projector.run(stop, before_each=tell), name="projector")
        finally:
            await self._say_goodbye(worker_id)

    async def _say_goodbye(self, worker_id: UUID) -> None:
        try:
            await self._workers.gone(worker_id)
        except Unavailable as error:
            logger.info("that this worker has ended could not be told: %s", error.message)
