"""Expiry as a role in a race: again and again, as hard as the rules allow."""

from __future__ import annotations

import asyncio
import random
from typing import TextIO

import orjson

from app.bootstrap import open_services
from app.domain.changes import Actor, Command
from app.domain.retention.policy import RetentionPolicy
from app.errors import AppError
from tests.integration.races.table import NAME
from tests.integration.races.workers import Race, _Turns

POLICY = RetentionPolicy(keep_last_n=3, keep_days=0, production_keep_days=0, allow_zero_days=True)


def expire_on(name: str, race: Race) -> None:
    asyncio.run(_expire(name, race))


async def _expire(name: str, race: Race) -> None:
    settings, ledger, begin, duration_s = race
    async with open_services(settings) as services:
        with (ledger / f"{name}.jsonl").open("w") as file:
            await asyncio.to_thread(begin.wait)
            turns = _Turns(duration_s)
            command = Command(actor=Actor(subject=name), reason="race")
            neighbours = await services.retention_planning.neighbours()
            while turns.are_left():
                try:
                    done = await services.retention.run(NAME, POLICY, command, neighbours, lambda *_: None)
                except AppError as error:
                    _note(file, refused=type(error).__name__, message=error.message)
                else:
                    turns.done += bool(done.run_id)
                    _note(file, op="expire", snapshots=[str(number) for number in done.planned.plan.expired_ids])
                await asyncio.sleep(random.uniform(0, 0.2))


def _note(file: TextIO, **entry: object) -> None:
    file.write(orjson.dumps(entry).decode() + "\n")
    file.flush()
