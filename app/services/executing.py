"""Carrying out a decided change so that it is done once, recorded always, and settled whatever dies in between.

Order of events, and what a crash after each leaves:

1. the table's lock, which keeps our other processes out;
2. the intention in Postgres, with a lease                    - nothing done yet: repair marks it FAILED
3. the commit to the catalog, with every expectation asserted - done: repair finds it in the metadata files, DONE
4. the outcome in Postgres.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from app.domain.changes import ChangeKind, ChangeState, Command
from app.domain.datasets import TableState
from app.domain.names import DatasetName
from app.domain.ref_plans import RefPlan, check_plan_is_current
from app.errors import (
    AppError,
    CommitConflictError,
    CommitStateUnknownError,
    DatasetForbiddenError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    JsonValue,
    Unavailable,
)
from app.lake.commits import CommitOutcomeUnknownError, CommitRefusedError, giving_up
from app.lake.recovery import Finding
from app.lake.store import Lake
from app.lake.table import LakeTable
from app.registry.change_rows import IdempotencyKeyTakenError, Intent, StoredChange
from app.registry.changes import ChangeLog
from app.services.datasets import Datasets
from app.services.finishing import finished
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

    def fingerprint(self, command: Command) -> bytes:
        """A hash that is equal for equal requests, for the same reason."""
        text = json.dumps([self.kind, str(self.dataset), self.arguments, command.reason], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows for the table as it is: a plan, and what is to be remembered.

    Where all is so already, `plan` is None and `as_it_is` says what; `is_protection_news` tells that the protection
    asked for is not recorded yet, which is a change although Iceberg has nothing to commit.
    """

    plan: RefPlan | None
    details: Mapping[str, JsonValue]
    as_it_is: RefPlan | None = None
    is_protection_requested: bool = False
    is_protection_news: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A change that was done, now or before by the same request."""

    table: LakeTable
    change_id: UUID | None
    plan: RefPlan | None = None
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    is_unchanged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Committed:
    """What was committed in the end, and the metadata file that the commit made."""

    table: LakeTable
    plan: RefPlan
    details: Mapping[str, JsonValue]
    metadata_location: str


Decide = Callable[[LakeTable], Awaitable[Decision]]


def pause_s(attempt: int) -> float:
    """How long to wait after an attempt, of which the first is 0, that was refused."""
    # Jitter, so that writers who met once do not meet again and again.
    return min(RETRY_MAX_S, RETRY_BASE_S * 2.0**attempt) * random.uniform(0.5, 1)  # noqa: S311


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
            return await self._leave(request, command, table, decision)
        self._lake.check_writable(table)
        return await finished(self._carry_out(request, command, decide, table, decision.plan, decision))

    async def _leave(self, request: Request, command: Command, table: LakeTable, decision: Decision) -> Executed:
        """Nothing to commit; what there is to remember is one statement, and done when it is written."""
        plan = decision.as_it_is or RefPlan(updates=())
        is_unchanged = not decision.is_protection_news
        change_id = None
        if decision.is_protection_news or command.idempotency_key is not None:
            intent = self._intent(request, command, table, plan, decision)
            state = ChangeState.UNCHANGED if is_unchanged else ChangeState.DONE
            with _key_of_its_own(command):
                await self._changes.record(intent, state, by=worker_name())
            change_id = None if is_unchanged else intent.change_id
        return Executed(
            table=table, change_id=change_id, plan=plan, details=decision.details, is_unchanged=is_unchanged
        )

    def _intent(
        self, request: Request, command: Command, table: LakeTable, plan: RefPlan, decision: Decision
    ) -> Intent:
        return Intent(
            change_id=uuid4(),
            kind=request.kind,
            dataset=request.dataset,
            table_uuid=table.state.table_uuid,
            command=command,
            request_hash=request.fingerprint(command),
            plan=plan,
            base_metadata=table.state.metadata_location,
            lease_s=self._lease_s,
            is_protection_requested=decision.is_protection_requested,
            details=decision.details,
        )

    async def _carry_out(
        self,
        request: Request,
        command: Command,
        decide: Decide,
        table: LakeTable,
        plan: RefPlan,
        decision: Decision,
    ) -> Executed:
        intent = self._intent(request, command, table, plan, decision)
        with _key_of_its_own(command):
            await self._changes.intend(intent)
        try:
            done = await self._commit(intent, decide, table, plan, decision.details)
        except AppError as error:
            # Some, and all that is no error of ours, leave the change open, because the commit may have taken place:
            # whoever finds it later settles it by looking.
            if not error.leaves_open:
                await self._settle(intent, ChangeState.FAILED, failure=f"{type(error).__name__}: {error}"[:1000])
            raise
        await self._settle(intent, ChangeState.DONE, metadata=done.metadata_location)
        return Executed(table=done.table, change_id=intent.change_id, plan=done.plan, details=done.details)

    async def _commit(
        self,
        intent: Intent,
        decide: Decide,
        table: LakeTable,
        plan: RefPlan,
        details: Mapping[str, JsonValue],
    ) -> _Committed:
        refused: CommitRefusedError | None = None
        for attempt in range(MAX_ATTEMPTS):
            try:
                done = await self._lake.commit(table, plan)
            except CommitOutcomeUnknownError as error:
                return await self._look_for(intent, plan, details, table, str(error))
            except CommitRefusedError as refusal:
                refused = refusal
                logger.info("commit to %s refused (attempt %d): %s", intent.dataset, attempt + 1, refusal)
            else:
                return _Committed(
                    table=done, plan=plan, details=details, metadata_location=done.state.metadata_location
                )
            await asyncio.sleep(pause_s(attempt))
            base, table = table, await self._load_again(intent, refused)
            if _may_be_in(table.state, plan):
                # A gateway that sends a request twice gets a refusal for the second, of what the first has done.
                finding, location = await self._lake.find_commit(table, plan, base.state.metadata_location)
                if finding is Finding.COMMITTED and location is not None:
                    return _Committed(table=table, plan=plan, details=details, metadata_location=location)
            # Decided anew also where every ref is where it was: its retention settings, which no requirement can
            # assert, may have changed. If the caller insisted on what it saw, this raises for it.
            decision = await decide(table)
            if decision.plan is None:
                check_plan_is_current(table.state, plan)
                raise CommitConflictError(str(intent.dataset), attempt + 1)
            plan, details = decision.plan, decision.details
            intent = replace(intent, is_protection_requested=decision.is_protection_requested)
            await self._changes.replan(intent, plan, table.state.metadata_location, details)
        failure = giving_up(intent.dataset, MAX_ATTEMPTS, refused)
        if failure.leaves_open:
            # Its family may have done something. This one is known not to have.
            await self._settle(intent, ChangeState.FAILED, failure=f"{type(failure).__name__}: {failure}"[:1000])
        raise failure from refused

    async def _load_again(self, intent: Intent, refused: Exception | None) -> LakeTable:
        try:
            return await self._datasets.load(intent.dataset)
        except DatasetForbiddenError as error:
            # The refusal may have been of a request's second copy; of what the first has done nothing can be seen.
            reason = f"{refused}; and then {error.message}"
            raise CommitStateUnknownError(str(intent.dataset), str(intent.change_id), reason) from error

    async def _look_for(
        self, intent: Intent, plan: RefPlan, details: Mapping[str, JsonValue], table: LakeTable, reason: str
    ) -> _Committed:
        """The table with the plan in it, after a commit whose answer got lost."""
        try:
            now = await self._datasets.load(intent.dataset)
            finding, location = await self._lake.find_commit(now, plan, table.state.metadata_location)
        except AppError as error:  # also not found: it may have been renamed or dropped after the commit
            reason = f"{reason}; and then {error.message}"
        else:
            if finding is Finding.COMMITTED and location is not None:
                return _Committed(table=now, plan=plan, details=details, metadata_location=location)
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
        with _key_of_its_own(command):
            stored = await self._changes.find_by_key(command.actor, key)
        if stored is None:
            return None
        if stored.request_hash != request.fingerprint(command):
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
        is_unchanged = stored.change.state is ChangeState.UNCHANGED
        return Executed(
            table=await self._datasets.load(request.dataset),
            change_id=None if is_unchanged else stored.change.change_id,
            plan=stored.plan,
            details=stored.change.details,
            is_unchanged=is_unchanged,
        )


def _may_be_in(state: TableState, plan: RefPlan) -> bool:
    """Whether something that the plan was to change is now as it was to be."""
    return any(not update.is_assertion and update.is_done_in(state.history) for update in plan.updates)


@contextlib.contextmanager
def _key_of_its_own(command: Command) -> Iterator[None]:
    try:
        yield
    except IdempotencyKeyTakenError as error:
        # By a request on another table, whose lock is not ours, or on something that is no table.
        raise IdempotencyKeyReusedError(command.idempotency_key or "") from error
