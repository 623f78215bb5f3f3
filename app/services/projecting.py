"""From the event log to the lineage graph: what came of a run is worked out anew whenever an event of it comes in.

The unit is the run. All of its events are merged, whatever their order, the versions it read and wrote are found, and
all that it had said in the graph before is replaced. A projector that dies leaves its runs to another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from app.domain.lineage import Projection
from app.errors import AppError, LineageUnavailableError
from app.lineage.store import LineageStore
from app.registry.events import Claim, EventLog
from app.registry.externals import Externals
from app.registry.runs import RunStore
from app.services.background import keep_at
from app.services.interpreting import Interpretation, Interpreting
from app.telemetry.tracing import span

logger = logging.getLogger(__name__)

BATCH = 50
# How soon what was reported is in the graph, on average half of it. Why looking, and not being told: decision 11.
LOOK_EVERY_S = 0.05
AWAY_S = 5.0


class Projector:
    """Brings the graph up to the log. Any number may work at once, in any number of processes."""

    def __init__(
        self,
        log: EventLog,
        store: LineageStore,
        runs: RunStore,
        externals: Externals,
        interpreting: Interpreting,
        *,
        lease_s: float,
    ) -> None:
        self._log = log
        self._store = store
        self._runs = runs
        self._externals = externals
        self._interpreting = interpreting
        self._lease_s = lease_s
        self._is_prepared = False

    async def run(self, stop: asyncio.Event, *, before_each: Callable[[], Awaitable[None]]) -> None:
        """Project what is pending, again and again until `stop` is set; the batch in hand is ended then.

        `before_each` is awaited before each look for runs.
        """

        async def catch_up() -> None:
            await before_each()
            if not self._is_prepared:
                await self._store.prepare()
                self._is_prepared = True
            while not stop.is_set() and await self.project_pending():
                await before_each()

        await keep_at("projecting lineage", catch_up, pause_s=LOOK_EVERY_S, away_s=AWAY_S, stop=stop)

    async def project_pending(self, limit: int = BATCH) -> int:
        """Project at most so many pending runs; answers how many were claimed.

        Raises:
            LineageUnavailableError: the store is away; the claimed runs stay pending.
            BackendUnavailableError: Postgres is away.
        """
        claims = await self._log.claim(limit, self._lease_s)
        if not claims:
            return 0
        with span("lineage.project_runs", count=len(claims)):
            found = await self._interpret(claims)
            # Runs first: they can be looked at while the store of the graph is away.
            await self._runs.keep([each.run for _, each in found if each.run is not None])
            await self._apply([(claim, each.projection) for claim, each in found])
        return len(claims)

    async def _interpret(self, claims: Sequence[Claim]) -> list[tuple[Claim, Interpretation]]:
        try:
            found = await self._interpreting.interpret_all({claim.run_key: claim.events for claim in claims})
        except Exception as error:  # noqa: BLE001  told again for the one whose it is
            logger.info("%d runs are interpreted one by one: %s", len(claims), error)
            return [pair for claim in claims for pair in await self._interpret_alone(claim)]
        return [(claim, found[claim.run_key]) for claim in claims]

    async def _interpret_alone(self, claim: Claim) -> list[tuple[Claim, Interpretation]]:
        try:
            return [(claim, await self._interpreting.interpret(claim.run_key, claim.events))]
        except AppError as error:
            # This run waits, because a table of it cannot be read now; the others do not wait for it.
            await self._log.failed(claim.run_key, f"{error.code}: {error.message}")
        except Exception as error:  # noqa: BLE001  logged, and kept beside the run
            # Whatever is wrong with one run must not hold up those that were claimed with it, for ever.
            await self._give_up(claim, error)
        return []

    async def _apply(self, projected: Sequence[tuple[Claim, Projection]]) -> None:
        if not projected:
            return
        try:
            await self._store.apply([projection for _, projection in projected])
        except LineageUnavailableError as error:
            for claim, _ in projected:
                await self._log.failed(claim.run_key, f"{error.code}: {error.message}")
            raise
        except Exception as error:  # noqa: BLE001  logged, and kept beside the run
            # Something that the store cannot hold: whose it is shows when each is applied by itself.
            if len(projected) == 1:
                await self._give_up(projected[0][0], error)
                return
            for one in projected:
                await self._apply([one])
            return
        # After the graph, which may have refused one of them, and before they count as done.
        await self._externals.tell(fact for _, projection in projected for fact in projection.facts)
        await self._log.done([claim for claim, _ in projected])

    async def _give_up(self, claim: Claim, error: Exception) -> None:
        """Leave a run pending, to be tried again later and later; why is in the log, and beside the run."""
        logger.error("run %s cannot be projected", claim.run_key, exc_info=error)
        await self._log.failed(claim.run_key, f"{type(error).__name__}: {error}")
