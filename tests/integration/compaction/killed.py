"""Compactions that are killed in the middle, at a point of their own choosing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import app.lake.compact.commit
import app.lake.compact.jobs
import app.lake.compact.running
from app.bootstrap import Services, open_services
from app.lake.compact.snapshot_files import SnapshotFiles
from app.settings import Settings
from tests.integration.compaction.tables import compact
from tests.integration.races.dying import die, die_after
from tests.integration.races.workers import CONTEXT

Work = Callable[[Services], Awaitable[object]]


def _after_the_claim(services: Services) -> None:
    changes = services.compaction_sweeps._compaction._changes
    intend = changes.intend

    async def then(*arguments: Any, **named: Any) -> None:
        await intend(*arguments, **named)
        die()

    changes.intend = then  # type: ignore[method-assign]


def _before_the_first_file(services: Services) -> None:
    app.lake.compact.jobs.BinMaker.__call__ = die  # type: ignore[method-assign]


def _after_the_first_bin(services: Services) -> None:
    made = app.lake.compact.jobs.BinMaker.__call__
    app.lake.compact.jobs.BinMaker.__call__ = die_after(made)  # type: ignore[method-assign]


def _before_the_commit(services: Services) -> None:
    app.lake.compact.running.commit_bins = die


def _between_the_manifests(services: Services) -> None:
    SnapshotFiles.add = die_after(SnapshotFiles.add)  # type: ignore[method-assign]


def _after_the_manifest_list(services: Services) -> None:
    SnapshotFiles.list_of = die_after(SnapshotFiles.list_of)  # type: ignore[method-assign]


def _after_the_metadata_file(services: Services) -> None:
    catalog: Any = services.lake._catalog
    catalog._write_metadata = die_after(catalog._write_metadata)


def _after_the_commit(services: Services) -> None:
    catalog = services.lake._catalog
    catalog.commit_table = die_after(catalog.commit_table)  # type: ignore[method-assign]


def _after_the_second_commit(services: Services) -> None:
    catalog = services.lake._catalog
    commit, count = catalog.commit_table, iter(range(2))

    def second(*arguments: Any, **named: Any) -> Any:
        if next(count) == 1:
            return die_after(commit)(*arguments, **named)
        return commit(*arguments, **named)

    catalog.commit_table = second  # type: ignore[method-assign]


def _before_it_is_written_down(services: Services) -> None:
    records = services.compaction_sweeps._compaction._records
    records.settle_own = die  # type: ignore[method-assign]


def _after_it_is_written_down(services: Services) -> None:
    changes = services.compaction_sweeps._compaction._changes
    settle = changes.settle

    async def then(*arguments: Any, **named: Any) -> None:
        await settle(*arguments, **named)
        die()

    changes.settle = then  # type: ignore[method-assign]


# Where a compaction is killed, and how many of three bins, each committed by itself, are in the table then.
POINTS: Mapping[str, tuple[Callable[[Services], None], int]] = {
    "after the claim": (_after_the_claim, 0),
    "before the first file": (_before_the_first_file, 0),
    "after the first bin": (_after_the_first_bin, 0),
    "before the commit": (_before_the_commit, 0),
    "between the manifests": (_between_the_manifests, 0),
    "after the manifest list": (_after_the_manifest_list, 0),
    "after the metadata file": (_after_the_metadata_file, 0),
    "after the commit": (_after_the_commit, 1),
    "after the second commit": (_after_the_second_commit, 2),
    "before it is written down": (_before_it_is_written_down, 3),
    "after it is written down": (_after_it_is_written_down, 3),
}


async def kill_at(
    settings: Settings, point: str, work: Work = compact, environment: Mapping[str, str] | None = None
) -> None:
    """Let a process compact the table, in such a way and with these variables, and be killed there."""
    arguments = (settings, point, work, dict(environment or {}))
    process = CONTEXT.Process(target=_compact_and_die, args=arguments, daemon=True)
    process.start()
    await asyncio.to_thread(process.join, 120)
    assert process.exitcode == -signal.SIGKILL, process.exitcode


def _compact_and_die(settings: Settings, point: str, work: Work, environment: Mapping[str, str]) -> None:
    # It is forked from a process that was started ahead of the test.
    os.environ.update(environment)
    # Each bin is committed by itself.
    app.lake.compact.running._GROUP_BYTES = 0

    async def run() -> None:
        async with open_services(settings) as services:
            POINTS[point][0](services)
            await work(services)

    asyncio.run(run())
