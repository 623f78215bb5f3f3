"""What the racing processes do, each until its time is up; every answer is written to the process's own ledger."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections.abc import Awaitable, Callable
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, TextIO

import orjson
from pyiceberg.exceptions import CommitFailedException, ValidationException

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Command
from app.domain.history import History
from app.domain.versions import VersionSelector
from app.errors import AppError
from app.services.outcomes import RollbackOutcome
from app.settings import Settings
from tests.integration.races.table import MAIN, NAME, STAGE, append, our_catalog, stock_catalog

# Importing what they need takes a process seconds; forked from one that has it, they start at once.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])

LATE_S = 60.0

Race = tuple[Settings, Path, Event, float]


class _Turns:
    """How long a process goes on: for its time, and longer on a machine so slow that it has done nothing by then."""

    def __init__(self, duration_s: float, *, least: int = 1) -> None:
        self._deadline = time.monotonic() + duration_s
        self._least = least
        self.done = 0

    def are_left(self) -> bool:
        late_s = time.monotonic() - self._deadline
        return late_s < 0 or (self.done < self._least and late_s < LATE_S)


def start(role: Callable[..., None], name: str, race: Race, *arguments: Any, seed: int | None = None) -> BaseProcess:
    """A process that plays this role; with a seed, what it chooses at random is the same each time."""
    process = CONTEXT.Process(target=_play, name=name, args=(seed, role, name, race, *arguments), daemon=True)
    process.start()
    return process


def _play(seed: int | None, role: Callable[..., None], name: str, *arguments: Any) -> None:
    if seed is not None:
        random.seed(f"{seed} {name}")
    role(name, *arguments)


def append_on(name: str, race: Race, kind: str, branch: str) -> None:
    settings, ledger, begin, duration_s = race
    opened = our_catalog if kind == "ours" else stock_catalog
    with opened(settings) as catalog, (ledger / f"{name}.jsonl").open("w") as file:
        begin.wait()
        turns = _Turns(duration_s)
        n = 0
        while turns.are_left():
            n += 1
            table = catalog.load_table(str(NAME))
            try:
                snapshot_id = append(table, name, n, branch)
            except CommitFailedException as error:
                _note(file, op="append", refused=type(error).__name__)
                continue
            except ValueError as error:
                # pyiceberg's own word for having lost a race against an append on another branch: with its own ref
                # where it was, only the sequence number is taken. Nothing is written.
                if not str(error).startswith("Cannot add snapshot with sequence number"):
                    raise
                _note(file, op="append", refused=CommitFailedException.__name__)
                continue
            except ValidationException as error:
                # And for a head that was expired meanwhile, as what was made from it is long the head.
                if not str(error).startswith("Cannot find starting snapshot"):
                    raise
                _note(file, op="append", refused=CommitFailedException.__name__)
                continue
            except FileNotFoundError:
                # Or deleted, while it is read.
                _note(file, op="append", refused=CommitFailedException.__name__)
                continue
            turns.done += 1
            _note(file, op="append", branch=branch, snapshot=snapshot_id, writer=name, n=n)
            time.sleep(random.uniform(0, 0.02))


def version(name: str, race: Race, role: str) -> None:
    asyncio.run(_version(name, race, ROLES[role]))


async def _version(name: str, race: Race, step: Step) -> None:
    settings, ledger, begin, duration_s = race
    async with open_services(settings) as services:
        with (ledger / f"{name}.jsonl").open("w") as file:
            await asyncio.to_thread(begin.wait)
            turns = _Turns(duration_s, least=5 if step is _tag else 1)
            n = 0
            while turns.are_left():
                n += 1
                command = Command(actor=Actor(subject=name), reason=f"step {n}", idempotency_key=f"{name}-{n}")
                try:
                    answer = await step(services, command, n)
                except AppError as error:
                    _note(file, refused=type(error).__name__, message=error.message)
                else:
                    turns.done += 1
                    _note(file, **answer)
                # A change of refs is much shorter than an append; without rest no append would ever come through.
                await asyncio.sleep(random.uniform(0, 0.2))


Step = Callable[[Services, Command, int], Awaitable[dict[str, Any]]]


async def _tag(services: Services, command: Command, n: int) -> dict[str, Any]:
    at = random.choice([None, MAIN, f"{MAIN}~1", STAGE])
    tag = f"t_{n}"
    done = await services.versioning.create_tag(NAME, tag, at, command)
    return {"op": "tag", "tag": tag, "snapshot": done.tag.snapshot_id, "change": str(done.change_id)}


async def _move(services: Services, command: Command, n: int) -> dict[str, Any]:
    history = (await services.datasets.load(NAME)).state.history
    name, at = _some_tag(history)
    to = VersionSelector(snapshot_id=random.choice(list(history.snapshots)[-10:]))
    done = await services.versioning.move_tag(NAME, name, to, command, expected_target=random.choice([None, at]))
    change = None if done.is_unchanged else str(done.change_id)
    return {"op": "move", "tag": done.tag.name, "snapshot": done.tag.snapshot_id, "change": change}


async def _untag(services: Services, command: Command, n: int) -> dict[str, Any]:
    history = (await services.datasets.load(NAME)).state.history
    name, at = _some_tag(history, keep=2)
    done = await services.versioning.delete_tag(NAME, name, command, expected_target=random.choice([None, at]))
    return {"op": "untag", "tag": done.name, "snapshot": done.snapshot_id, "change": str(done.change_id)}


def _some_tag(history: History, keep: int = 0) -> tuple[str, int | None]:
    """One of the tagger's tags (undo tags are left alone), the name of none where there are no more than `keep`."""
    tags = [ref for ref in history.tags if ref.name.startswith("t_")]
    if len(tags) <= keep:
        return "t_none", None
    tag = random.choice(tags)
    return tag.name, tag.snapshot_id


async def _roll_back(services: Services, command: Command, n: int) -> dict[str, Any]:
    head = (await services.datasets.load(NAME)).state.history.refs[MAIN].snapshot_id
    to = random.choice([f"{MAIN}~1", f"{MAIN}~2", STAGE])
    expected = random.choice([None, head])
    done = await services.versioning.roll_back(NAME, to, command, expected_head=expected)
    if expected is not None and done.previous_id != expected:
        raise AssertionError(f"rolled back from {done.previous_id} though {expected} was insisted on")
    return _rolled("roll_back", done)


async def _undo(services: Services, command: Command, n: int) -> dict[str, Any]:
    history = (await services.datasets.load(NAME)).state.history
    undo_tags = sorted(ref.name for ref in history.tags if ref.name.startswith("pre_rollback_"))
    if not undo_tags:
        undo_tags = ["pre_rollback_20200101T000000Z_1"]
    done = await services.versioning.undo_rollback(NAME, random.choice(undo_tags[-3:]), command)
    return _rolled("undo", done)


def _rolled(op: str, done: RollbackOutcome) -> dict[str, Any]:
    undo_tag = done.undo_tag.name if done.undo_tag else None
    ids = {"from": done.previous_id, "to": done.current_id}
    return {"op": op, "undo_tag": undo_tag, **ids, "change": str(done.change_id)}


ROLES: dict[str, Step] = {"tag": _tag, "move": _move, "untag": _untag, "roll_back": _roll_back, "undo": _undo}


def _note(file: TextIO, **entry: Any) -> None:
    file.write(orjson.dumps(entry).decode() + "\n")
    file.flush()
