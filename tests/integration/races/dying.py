"""Processes that are killed in the middle of a change, at a point of their own choosing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from pyiceberg.table import CommitTableResponse

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Command
from app.settings import Settings
from tests.integration.races.table import MAIN, NAME, append
from tests.integration.races.workers import CONTEXT

ACTOR = Actor(subject="mortal")
KEY = "key"


async def create_tag(services: Services) -> Any:
    done = await services.versioning.create_tag(NAME, "t", f"{MAIN}~1", _command())
    return done.tag, done.change_id


async def roll_back(services: Services) -> Any:
    done = await services.versioning.roll_back(NAME, f"{MAIN}~1", _command())
    return done.previous_id, done.current_id, done.undo_tag, done.change_id


async def delete_tag(services: Services) -> Any:
    done = await services.versioning.delete_tag(NAME, "old", _command())
    return done.name, done.snapshot_id, done.change_id


async def set_age(services: Services) -> Any:
    done = await services.versioning.create_tag(NAME, "old", "old", _command(), endless=True)
    return done.tag, done.change_id


CHANGES: dict[str, Callable[[Services], Awaitable[Any]]] = {
    "create_tag": create_tag,
    "roll_back": roll_back,
    "delete_tag": delete_tag,
    "set_age": set_age,
}


def _command() -> Command:
    return Command(actor=ACTOR, idempotency_key=KEY)


def die(*_: object, **__: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody outlives this")


def die_after(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> NoReturn:
        function(*arguments, **named)
        die()

    return call


def _holding_the_lock(services: Services) -> None:
    services.repair._changes.intend = die  # type: ignore[method-assign]


def _before_the_commit(services: Services) -> None:
    services.lake._catalog.commit_table = die  # type: ignore[method-assign]


def _after_the_metadata_file(services: Services) -> None:
    catalog: Any = services.lake._catalog
    catalog._write_metadata = die_after(catalog._write_metadata)


def _after_the_commit(services: Services) -> None:
    catalog = services.lake._catalog
    catalog.commit_table = die_after(catalog.commit_table)  # type: ignore[method-assign]


def _after_the_second_commit(services: Services) -> None:
    catalog = services.lake._catalog
    commit = catalog.commit_table

    def commit_overtaken(*arguments: Any) -> CommitTableResponse:
        append(catalog.load_table(str(NAME)), "overtaker", 1)
        # The overtaker commits through this catalog too.
        catalog.commit_table = die_after(commit)  # type: ignore[method-assign]
        return commit(*arguments)

    def first(*arguments: Any) -> CommitTableResponse:
        catalog.commit_table = commit  # type: ignore[method-assign]
        return commit_overtaken(*arguments)

    catalog.commit_table = first  # type: ignore[method-assign]


def _after_the_record(services: Services) -> None:
    changes = services.repair._changes
    settle = changes.settle

    async def settle_and_die(*arguments: Any, **named: Any) -> None:
        await settle(*arguments, **named)
        die()

    changes.settle = settle_and_die  # type: ignore[method-assign]


POINTS: dict[str, Callable[[Services], None]] = {
    "holding the lock": _holding_the_lock,
    "before the commit": _before_the_commit,
    "after the metadata file": _after_the_metadata_file,
    "after the commit": _after_the_commit,
    "after the record": _after_the_record,
}
OVERTAKEN: dict[str, Callable[[Services], None]] = {"after the second commit": _after_the_second_commit}


def kill_in_the_middle(settings: Settings, change: str, point: str) -> None:
    """Begin a change in a process of its own that does not survive that point of it."""
    process = CONTEXT.Process(target=_run, args=(settings, change, point), daemon=True)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL


def _run(settings: Settings, change: str, point: str) -> None:
    async def run() -> None:
        async with open_services(settings) as services:
            (POINTS | OVERTAKEN)[point](services)
            await CHANGES[change](services)

    asyncio.run(run())
