"""Carrying out a decided change so that it is done once, recorded always, and settled whatever dies in between.

Order of events, and what a crash after each leaves:

1. the table's lock, which keeps our other processes out;
2. the intention in Postgres, with a lease                    - nothing done yet: repair marks it FAILED
3. the commit to the catalog, with every expectation asserted - done: repair finds it in the metadata files, DONE
4. the outcome in Postgres.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import anyio

from app.domain.changes import ChangeKind, ChangeState, Command
from app.domain.names import DatasetName
from app.domain.ref_plans import RefPlan, check_plan_is_current
from app.errors import (
    CommitConflictError,
    CommitStateUnknownError,
    HeadMovedError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    JsonValue,
    Unavailable,
)
from app.lake.commits import CommitOutcomeUnknownError, CommitRefusedError
from app.lake.recovery import Finding
from app.lake.store import Lake
from app.lake.table import LakeTable
from app.registry.changes import ChangeLog, IdempotencyKeyTakenError, Intent, StoredChange
from app.services.datasets import Datasets
from app.services.repair import Repair
from app.settings import Settings
from app.telemetry.tracing import span

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 12
RETRY_BASE_S = 0.02
RETRY_MAX_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, as far as it identifies the request: the same key must come with the same arguments."""

    kind: ChangeKind
    dataset: DatasetName
    arguments: Mapping[str, JsonValue]
    is_protection_requested: bool = False

    @property
    def fingerprint(self) -> bytes:
        """A hash that is equal for equal requests."""
        text = json.dumps([self.kind, str(self.dataset), self.arguments], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows for the table as it is: a plan, or None where it is so already; and what is to be remembered."""

    plan: RefPlan | None
    details: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A change that was done, now or before by the same request."""

    table: LakeTable
    change_id: UUID | None
    plan: RefPlan | None = None
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    is_unchanged: bool = False


Decide = Callable[[LakeTable], Awaitable[Decision]]


def worker_name() -> str:
    """Who settles: this process, on this machine."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Executor:
    """Executes decisions on tables, one at a time for each table across all processes."""

    def __init__(self, lake: Lake, datasets: Datasets, changes: ChangeLog, repair: Repair, settings: Settings) -> None:
        self._lake = lake
        self._datasets = datasets
        self._changes = changes
        self._repair = repair
        self._lock_timeout_s = settings.lock_timeout_s
        self._lease_s = settings.lease_s

    async def execute(self, request: Request, command: Command, decide: Decide) -> Executed:
        """Decide on the table as it is under its lock, commit, record.

        Once the intention is written the rest goes on even if the caller is cancelled: an outcome is worth more than
        the time of one who no longer waits. Raises what `decide` raises, and as `Versioning` says.
        """
        with span(f"change.{request.kind.value.lower()}", dataset=str(request.dataset)):
            table_uuid = (await self._datasets.load(request.dataset)).state.table_uuid
            async with self._changes.lock(table_uuid, self._lock_timeout_s):
                return await self._execute_locked(request, command, decide, table_uuid)

    async def _execute_locked(self, request: Request, command: Command, decide: Decide, table_uuid: UUID) -> Executed:
        await self._repair.settle_overdue(table_uuid, is_locked=True)
        if (done := await self._find_repeated(request, command)) is not None:
            return done
        table = await self._datasets.load(request.dataset)
        if table.state.table_uuid != table_uuid:
            # Dropped and made again while we waited: the lock that is held is of another table.
            raise CommitConflictError(str(request.dataset), 1)
        decision = await decide(table)
        if decision.plan is None:
            return Executed(table=table, change_id=None, details=decision.details, is_unchanged=True)
        self._lake.check_writable(table)
        with anyio.CancelScope(shield=True):
            return await self._carry_out(request, command, decide, table, decision.plan, decision.details)
        raise AssertionError("a shielded scope swallows nothing")

    async def _carry_out(
        self,
        request: Request,
        command: Command,
        decide: Decide,
        table: LakeTable,
        plan: RefPlan,
        details: Mapping[str, JsonValue],
    ) -> Executed:
        intent = Intent(
            change_id=uuid4(),
            kind=request.kind,
            dataset=request.dataset,
            table_uuid=table.state.table_uuid,
            command=command,
            request_hash=request.fingerprint,
            plan=plan,
            base_metadata=table.state.metadata_location,
            lease_s=self._lease_s,
            is_protection_requested=request.is_protection_requested,
            details=details,
        )
        try:
            await self._changes.intend(intent)
        except IdempotencyKeyTakenError as error:
            # By a request on another table, whose lock is not ours.
            raise IdempotencyKeyReusedError(command.idempotency_key or "") from error
        try:
            committed, plan, details = await self._commit(intent, decide, table, plan, details)
        except (CommitStateUnknownError, Unavailable):
            raise  # stays open: whoever finds it after its lease settles it by looking
        except BaseException as error:
            await self._settle(intent, ChangeState.FAILED, failure=f"{type(error).__name__}: {error}"[:1000])
            raise
        await self._settle(intent, ChangeState.DONE, metadata=committed.state.metadata_location)
        return Executed(table=committed, change_id=intent.change_id, plan=plan, details=details)

    async def _commit(
        self,
        intent: Intent,
        decide: Decide,
        table: LakeTable,
        plan: RefPlan,
        details: Mapping[str, JsonValue],
    ) -> tuple[LakeTable, RefPlan, Mapping[str, JsonValue]]:
        for attempt in range(MAX_ATTEMPTS):
            try:
                return await self._lake.commit(table, plan), plan, details
            except CommitOutcomeUnknownError as error:
                return await self._look_for(intent, plan, table, str(error)), plan, details
            except CommitRefusedError as refusal:
                logger.info("commit to %s refused (attempt %d): %s", intent.dataset, attempt + 1, refusal)
            # Jitter, so that writers who met once do not meet again and again.
            await asyncio.sleep(min(RETRY_MAX_S, RETRY_BASE_S * 2**attempt) * random.uniform(0.5, 1))  # noqa: S311
            table = await self._datasets.load(intent.dataset)
            try:
                check_plan_is_current(table.state, plan)
            except HeadMovedError:
                # Decided anew on what is there now; if the caller insisted on what it saw, this raises for it.
                decision = await decide(table)
                if decision.plan is None:
                    raise
                plan, details = decision.plan, decision.details
            await self._changes.replan(intent, plan, table.state.metadata_location, details)
        raise CommitConflictError(str(intent.dataset), MAX_ATTEMPTS)

    async def _look_for(self, intent: Intent, plan: RefPlan, table: LakeTable, reason: str) -> LakeTable:
        """The table with the plan in it, after a commit whose answer got lost."""
        try:
            now = await self._datasets.load(intent.dataset)
            finding, _ = await self._lake.find_commit(now, plan, table.state.metadata_location)
        except Unavailable as error:
            reason = f"{reason}; and then {error.message}"
        else:
            if finding is Finding.COMMITTED:
                return now
        raise CommitStateUnknownError(str(intent.dataset), str(intent.change_id), reason)

    async def _settle(
        self, intent: Intent, state: ChangeState, *, metadata: str | None = None, failure: str | None = None
    ) -> None:
        try:
            await self._changes.settle(intent.change_id, state, by=worker_name(), metadata=metadata, failure=failure)
        except Unavailable as error:
            # The commit is what counts, and it is known; the record is settled by repair once Postgres is back.
            logger.warning("change %s is %s but not settled: %s", intent.change_id, state.value, error.message)

    async def _find_repeated(self, request: Request, command: Command) -> Executed | None:
        key = command.idempotency_key
        if key is None:
            return None
        stored = await self._changes.find_by_key(command.actor, key)
        if stored is None:
            return None
        if stored.request_hash != request.fingerprint:
            raise IdempotencyKeyReusedError(key)
        state = stored.change.state
        if state is ChangeState.INTENDED:
            raise IdempotencyKeyInUseError(key)
        if state is ChangeState.UNKNOWN:
            raise CommitStateUnknownError(
                str(request.dataset), str(stored.change.change_id), "as the first request with this key"
            )
        return await self._repeat(stored, request)

    async def _repeat(self, stored: StoredChange, request: Request) -> Executed:
        return Executed(
            table=await self._datasets.load(request.dataset),
            change_id=stored.change.change_id,
            plan=stored.plan,
            details=stored.change.details,
        )
