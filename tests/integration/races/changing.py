"""What the tests of single changes share: steps on the table, and trouble put in their way."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import CommitTableResponse
from sqlalchemy.exc import OperationalError

from app.bootstrap import Services
from app.domain.changes import Actor, ChangeKind, ChangeState, Command
from app.domain.ref_changes import plan_tag
from app.domain.ref_plans import RefPlan
from app.domain.versions import VersionSelector
from app.registry.change_rows import Intent
from app.registry.changes import ChangeLog
from app.settings import Settings
from tests.integration.races.table import (
    MAIN,
    NAME,
    change_rows,
)

ANNA, BERT = Actor(subject="anna"), Actor(subject="bert")
FINISHED = {"DONE", "FAILED", "UNKNOWN"}


def command(key: str | None = None, actor: Actor = ANNA) -> Command:
    return Command(actor=actor, idempotency_key=key)


async def tag(services: Services, name: str, at: str | int = MAIN, key: str | None = None, actor: Actor = ANNA):
    version = VersionSelector(snapshot_id=at) if isinstance(at, int) else at
    return await services.versioning.create_tag(NAME, name, version, command(key, actor))


async def states(settings: Settings) -> list[str]:
    return [row["state"] for row in await change_rows(settings.database_url or "")]


def wrap_commit(services: Services, wrapper: Callable[..., CommitTableResponse], *, times: int = 1) -> None:
    """From the next commit on, `times` commits of these services go through `wrapper(original, *arguments)`."""
    catalog = services.lake._catalog
    original = catalog.commit_table
    left = [times]

    def commit_table(*arguments: Any) -> CommitTableResponse:
        if left[0] == 0:
            return original(*arguments)
        left[0] -= 1
        return wrapper(original, *arguments)

    catalog.commit_table = commit_table


def log_of(services: Services) -> ChangeLog:
    return services.repair._changes


class Gate:
    """A commit that stands still inside the catalog until it is let go."""

    def __init__(self, services: Services, *, fails: bool = False) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        self._fails = fails
        wrap_commit(services, self._pass)

    def _pass(self, original: Callable[..., CommitTableResponse], *arguments: Any) -> CommitTableResponse:
        self.entered.set()
        assert self.open.wait(timeout=60)
        if self._fails:
            raise CommitFailedException("refused")
        return original(*arguments)


def operational_error() -> Exception:
    return OperationalError("UPDATE iceberg_tables", {}, Exception("server closed the connection unexpectedly"))


async def make_intent(services: Services, name: str, *, lease_s: float = 0.001, key: str | None = None, **also: Any):
    """An intention as a process leaves it that dies before its commit; and its table."""
    table = await services.datasets.load(NAME)
    plan = plan_tag(table.state, name, table.state.history.refs[MAIN].snapshot_id)
    assert plan is not None
    intent = _intent(table.state.table_uuid, plan, table.state.metadata_location, lease_s, key, **also)
    await log_of(services).intend(intent)
    return intent, table


def _intent(table_uuid: Any, plan: RefPlan, base: str, lease_s: float, key: str | None, actor: Actor = ANNA) -> Intent:
    return Intent(
        change_id=uuid4(),
        kind=ChangeKind.TAG_CREATED,
        dataset=NAME,
        table_uuid=table_uuid,
        command=command(key, actor),
        request_hash=b"",
        plan=plan,
        base_metadata=base,
        lease_s=lease_s,
    )


async def state_of(services: Services, intent: Intent) -> ChangeState:
    change = await log_of(services).find(intent.change_id)
    assert change is not None
    return change.state


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(settings.database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def expire_leases(settings: Settings) -> None:
    """As if the time of every lease had passed."""
    async with connected(settings) as connection:
        await connection.execute("UPDATE changes SET lease_until = now() - interval '1 second'")
