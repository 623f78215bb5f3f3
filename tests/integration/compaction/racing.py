"""What takes part in a race with compaction: compactors, and those who delete rows; each with a ledger of its own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import orjson
import pyarrow.compute as pc
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import And, EqualTo

from app.bootstrap import Services, open_services
from app.domain.changes import Actor, Command
from app.domain.compaction.policy import CompactionPolicy
from app.errors import AppError
from app.lake.commits import CommitRefusedError
from app.lake.compact.jobs import CompactionJob
from app.lake.compact.making import MERGED
from app.lake.compact.outcomes import CommittedBin
from app.lake.sample.snapshots import delete_by_position
from app.lake.sample.steps import Marks
from app.lake.sample.tpch import TpchFiles
from app.services.compaction.sweeps import Limits
from tests.integration.races.table import NAME, stock_catalog
from tests.integration.races.workers import Race, _Turns


def compact_on(name: str, race: Race) -> None:
    """As everybody does: under the lock, recorded."""
    asyncio.run(_compact(name, race, _as_asked, lambda reasons: bool(reasons)))


def compact_beside_the_lock(name: str, race: Race) -> None:
    """As if the lock had been lost; with pages that stay as they are, however small, wherever they can."""
    asyncio.run(_compact(name, race, _without_lock, lambda reasons: any(map(_is_merged, reasons))))


# Answers why each bin that was committed was made as it was.
_Run = Callable[[Services, CompactionPolicy, str], Awaitable[list[str]]]


async def _compact(name: str, race: Race, run: _Run, is_done: Callable[[list[str]], bool]) -> None:
    settings, ledger, begin, duration_s = race
    async with open_services(settings) as services:
        with (ledger / f"{name}.jsonl").open("w") as file:
            await asyncio.to_thread(begin.wait)
            turns = _Turns(duration_s)
            while turns.are_left():
                policy = CompactionPolicy(rewrite_all=random.random() < 0.2)
                try:
                    reasons = await run(services, policy, name)
                except (AppError, CommitRefusedError) as error:
                    _note(file, refused=type(error).__name__, message=str(error))
                else:
                    turns.done += is_done(reasons)
                    _note(file, op="compact", bins=len(reasons), merged=sum(map(_is_merged, reasons)))
                await asyncio.sleep(random.uniform(0, 0.2))


def _is_merged(reason: str) -> bool:
    return reason.endswith(MERGED)


async def _as_asked(services: Services, policy: CompactionPolicy, name: str) -> list[str]:
    command = Command(actor=Actor(subject=name), reason="race")
    sweep = services.compaction_sweeps.sweep([NAME], policy, Limits(), command, lambda *_: None, is_dry_run=False)
    (entry,) = [entry async for entry in sweep]
    if entry["error"] is not None:
        raise _RefusedError(f"{entry['error']['code']}: {entry['error']['message']}")
    return [each["why"] or "" for each in entry["bins"]]


async def _without_lock(services: Services, policy: CompactionPolicy, name: str) -> list[str]:
    planned = await services.compaction_planning.plan(NAME, policy)
    scratch = services.settings.home / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    job = CompactionJob(
        name=str(uuid4()),
        properties={},
        scratch=scratch,
        memory_bytes=128 * 1024 * 1024,
        threads=2,
        # Files of a race are tiny, and would all be rewritten row by row.
        merge_min_chunk_bytes=0,
    )
    committed: list[CommittedBin] = []
    await services.lake.compact(planned, job, lambda _: None, committed.extend)
    return [each.made.why or "" for each in committed]


class _RefusedError(CommitRefusedError):
    """What an entry tells."""


def delete_on(name: str, race: Race, way: str, writer: str) -> None:
    """Delete rows of one writer, of whom nobody else deletes any: in files of positions, or by writing files anew."""
    settings, ledger, begin, duration_s = race
    with stock_catalog(settings) as catalog, (ledger / f"{name}.jsonl").open("w") as file:
        begin.wait()
        turns = _Turns(duration_s)
        while turns.are_left():
            table = catalog.load_table(str(NAME))
            try:
                rows = table.scan(row_filter=EqualTo("writer", writer)).to_arrow()["n"].to_pylist()
                if not rows:
                    time.sleep(0.05)
                    continue
                n = random.choice(rows)
                if way == "positions":
                    condition = (pc.field("writer") == writer) & (pc.field("n") == n)
                    deletion = delete_by_position("delete", ["writer", "n"], condition)
                    deletion.commit(table, TpchFiles(root=Path(), parts=1), Marks(step="delete", is_last=False))
                else:
                    table.delete(And(EqualTo("writer", writer), EqualTo("n", n)))
            except (CommitFailedException, ValidationException, FileNotFoundError) as error:
                # Overtaken, or what was read was expired meanwhile: nothing is written.
                _note(file, op="delete", refused=type(error).__name__, message=str(error))
                continue
            turns.done += 1
            _note(file, op="delete", writer=writer, n=n)
            time.sleep(random.uniform(0, 0.1))


def _note(file: TextIO, **entry: object) -> None:
    file.write(orjson.dumps(entry).decode() + "\n")
    file.flush()
