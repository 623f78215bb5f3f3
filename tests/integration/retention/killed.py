"""Expiries that are killed in the middle, at a point of their own choosing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Command
from app.domain.names import DatasetName
from app.domain.retention.policy import RetentionPolicy
from app.services.retention import TableRun
from app.settings import Settings
from tests.integration.races.dying import die, die_after
from tests.integration.races.workers import CONTEXT

NAME = DatasetName(namespace="kept", name="events")
POLICY = RetentionPolicy(keep_last_n=2, keep_days=0, production_keep_days=0, allow_zero_days=True)
COMMAND = Command(actor=Actor(subject="cron"), reason="weekly")


async def expire(services: Services, name: DatasetName = NAME, policy: RetentionPolicy = POLICY) -> TableRun:
    neighbours = await services.retention_planning.neighbours()
    return await services.retention.run(name, policy, COMMAND, neighbours, lambda *_: None)


def _die_after_awaiting(owner: Any, name: str) -> None:
    function = getattr(owner, name)

    async def call(*arguments: Any, **named: Any) -> None:
        await function(*arguments, **named)
        die()

    setattr(owner, name, call)


def _before_the_record(services: Services) -> None:
    services.retention._runs.plan = die  # type: ignore[method-assign]


def _after_the_record(services: Services) -> None:
    _die_after_awaiting(services.retention._runs, "plan")


def _holding_the_lock_of_the_table(services: Services) -> None:
    services.lake.commit_expiry = die  # type: ignore[method-assign]


def _before_the_request(services: Services) -> None:
    catalog: Any = services.lake._catalog
    catalog._session.post = die


def _before_the_answer_is_read(services: Services) -> None:
    catalog: Any = services.lake._catalog
    catalog._session.post = die_after(catalog._session.post)


def _after_the_metadata_file(services: Services) -> None:
    catalog: Any = services.lake._catalog
    catalog._write_metadata = die_after(catalog._write_metadata)


def _after_the_commit(services: Services) -> None:
    catalog = services.lake._catalog
    catalog.commit_table = die_after(catalog.commit_table)  # type: ignore[method-assign]


def _after_it_is_known(services: Services) -> None:
    _die_after_awaiting(services.retention._runs, "committed")


def _after_the_change_is_recorded(services: Services) -> None:
    _die_after_awaiting(services.retention._records, "record")


def _after_some_files(services: Services) -> None:
    _die_after_awaiting(services.lake, "delete_files")


def _after_some_are_crossed_off(services: Services) -> None:
    _die_after_awaiting(services.retention._runs, "cross_off")


Points = dict[str, tuple[Callable[[Services], None], bool]]
# Whether the snapshots are gone from the table by then.
POINTS: Points = {
    "before the record": (_before_the_record, False),
    "after the record": (_after_the_record, False),
    "holding the lock of the table": (_holding_the_lock_of_the_table, False),
    "after the commit": (_after_the_commit, True),
    "after it is known": (_after_it_is_known, True),
    "after the change is recorded": (_after_the_change_is_recorded, True),
    "after some files": (_after_some_files, True),
    "after some are crossed off": (_after_some_are_crossed_off, True),
}
# Of catalogs that write the metadata file themselves, in this process.
SQL_POINTS: Points = POINTS | {"after the metadata file": (_after_the_metadata_file, False)}
# Of those whose server does.
REST_POINTS: Points = POINTS | {
    "before the request": (_before_the_request, False),
    "before the answer is read": (_before_the_answer_is_read, True),
}


def kill_in_the_middle(settings: Settings, name: DatasetName, point: str, environment: Mapping[str, str]) -> None:
    """Begin an expiry in a process of its own, with these variables, that does not survive that point of it."""
    process = CONTEXT.Process(target=_run, args=(settings, name, point, dict(environment)), daemon=True)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL


def _run(settings: Settings, name: DatasetName, point: str, environment: Mapping[str, str]) -> None:
    import app.services.retention

    # It is forked from a process that was started ahead of the test.
    os.environ.update(environment)

    # So that there are several batches.
    app.services.retention.BATCH_FILES = 3

    async def run() -> None:
        async with open_services(settings) as services:
            (SQL_POINTS | REST_POINTS)[point][0](services)
            await expire(services, name)

    asyncio.run(run())
