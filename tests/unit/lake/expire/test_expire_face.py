"""Expiry as services ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from app.domain.names import DatasetName
from app.domain.orphans import Orphan
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.store import Lake
from app.lake.threads import LakeThreads
from tests.lake_tables import create_broken
from tests.unit.lake.expire.histories import append, create
from tests.unit.lake.expire.naive import local, on_disk, reached
from tests.unit.lake.local_tables import NAME

pytestmark = pytest.mark.anyio


@pytest.fixture
def lake(catalog: CachingSqlCatalog, cache: MetadataCache) -> Iterator[Lake]:
    threads = LakeThreads(4, timeout_s=60)
    yield Lake(catalog, cache, threads)
    threads.close()


async def test_from_plan_to_empty_disk(lake: Lake, catalog: CachingSqlCatalog):
    # Given a table with an overwritten snapshot, and a broken table beside it
    table = create(catalog)
    append(table, 1)
    table.overwrite(table.scan().to_arrow())
    create_broken(catalog)
    head = table.refresh().metadata.current_snapshot_id
    going = [found.snapshot_id for found in table.metadata.snapshots if found.snapshot_id != head]

    # When its snapshots go
    loaded = await lake.load(NAME)
    neighbours = await lake.list_neighbours()
    plan = await lake.measure_expiry(loaded, going, (), {"head": [head]}, neighbours)
    paths = [file.path for batch in plan.batches() for file in batch]
    done = await lake.commit_expiry(loaded, plan.expiry)
    assert (await lake.judge_base(done.table, plan.expiry)).may_delete
    assert await lake.still_unreachable(done.table, paths) == paths
    seen: list[int] = []
    deletion = await lake.delete_files(done.table, paths, seen.append)

    # Then only what is reached is left, and no orphan is found
    table.refresh()
    assert sorted(deletion.gone) == sorted(paths)
    assert seen[-1] == len(paths)
    assert on_disk(table) == reached(table)
    assert neighbours[DatasetName(namespace="sales", name="broken")] == [table.location().replace("orders", "broken")]
    found: list[Orphan] = []
    await lake.find_orphans(done.table, neighbours, 2**60, found.extend)
    assert found == []


async def test_cancelled_deletion_ends_its_batches(lake: Lake, catalog: CachingSqlCatalog):
    # Given more files than a few batches
    table = create(catalog)
    append(table, 1)
    loaded = await lake.load(NAME)
    folder = local(table.location()) / "data"
    files = [folder / f"old {number}.parquet" for number in range(3_000)]
    for file in files:
        file.write_bytes(b"")
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    # When the deletion is cancelled on the way
    deleting = asyncio.ensure_future(
        lake.delete_files(loaded, [f"file://{file}" for file in files], lambda _: loop.call_soon_threadsafe(begun.set))
    )
    await begun.wait()
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting

    # Then nothing goes on behind it
    left = sum(file.exists() for file in files)
    await asyncio.sleep(0.05)
    assert sum(file.exists() for file in files) == left
    assert reached(table) <= on_disk(table)
