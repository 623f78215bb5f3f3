"""Compaction that is cancelled over GraphQL: while it waits, and while it runs."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from app.lake.compact.making import BinMaker
from app.lake.compact.running import CompactionRun
from tests.graphql.api import Api
from tests.graphql.test_graphql_compaction import EVENTS, OPERATION, RUN, run
from tests.integration.compaction.tables import NAME, ROWS, create, ids_of, on_disk, reached

pytestmark = pytest.mark.anyio

CANCEL = "mutation($id: ID!) { cancelOperation(id: $id) { operation { status } userErrors { code } } }"
COMPACTED = "{ changes(kind: COMPACTED) { totalCount nodes { reason details } } }"
FILES, PARTS = 12, 3
ENOUGH_S = 60


class SecondBins:
    """Holds all bins but the first back until the run is told to stop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.first_is_made, self.is_stopped = threading.Event(), threading.Event()
        make, stop, calls = BinMaker.__call__, CompactionRun.stop, itertools.count()

        def making(maker: BinMaker, *given: Any) -> Any:
            is_first = next(calls) == 0
            if not is_first:
                self.is_stopped.wait(ENOUGH_S)
            made = make(maker, *given)
            self.first_is_made.set()
            return made

        def stopping(compaction: CompactionRun) -> None:
            stop(compaction)
            self.is_stopped.set()

        monkeypatch.setattr(BinMaker, "__call__", making)
        monkeypatch.setattr(CompactionRun, "stop", stopping)


async def start(api: Api) -> Any:
    given = {"dataset": EVENTS, "dryRun": False, "reason": "reads are slow"}
    return (await api.data(RUN, input=given))["runCompaction"]["operation"]


async def test_one_that_waits_does_nothing(api: Api, catalog: Catalog) -> None:
    table = create(catalog)
    started = await start(api)

    cancelled = (await api.data(CANCEL, id=started["id"]))["cancelOperation"]

    assert cancelled == {"operation": {"status": "CANCELLED"}, "userErrors": []}
    assert not await api.services.operation_runner.run_next(asyncio.Event())
    assert catalog.load_table(str(NAME)).metadata_location == table.metadata_location
    assert (await api.data(COMPACTED))["changes"]["totalCount"] == 0


async def test_one_that_runs_keeps_the_bins_that_were_made_and_the_next_goes_on(
    api: Api, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = create(catalog, files=FILES, parts=PARTS)
    started = await start(api)
    with monkeypatch.context() as patch:
        bins = SecondBins(patch)
        worker = asyncio.create_task(api.services.operation_runner.run_next(asyncio.Event()))
        try:
            # When it is cancelled between its bins
            assert await asyncio.to_thread(bins.first_is_made.wait, ENOUGH_S)
            cancelled = (await api.data(CANCEL, id=started["id"]))["cancelOperation"]
            await worker
        finally:
            bins.is_stopped.set()
            await worker

    # Then it has ended, one partition is done, and that is recorded
    assert cancelled == {"operation": {"status": "RUNNING"}, "userErrors": []}
    ended = (await api.data(OPERATION, id=started["id"]))["operation"]
    assert (ended["status"], ended["result"]) == ("CANCELLED", None)
    table.refresh()
    assert len(table.inspect.files()) == (PARTS - 1) * FILES + 1
    assert ids_of(table) == list(range(FILES * ROWS))
    (change,) = (await api.data(COMPACTED))["changes"]["nodes"]
    assert change["reason"] == "reads are slow"
    assert (change["details"]["filesBefore"], change["details"]["filesAfter"]) == (str(FILES), "1")
    # And no file is left that no snapshot has, and the next run does the rest
    assert on_disk(table) == reached(table)
    (told,) = (await run(api, dataset=EVENTS, dryRun=False))["result"]["tables"]
    assert (told["files_before"], told["files_after"]) == ((PARTS - 1) * FILES + 1, PARTS)
