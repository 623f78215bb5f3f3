"""A run of compaction that is told to stop: what is made is committed, and the record is right."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from pyiceberg.table import Table

from app.client import IcebergCatalog, IcebergCompactionManager
from app.domain.compaction.packing import Bin
from app.lake.compact.making import BinMaker
from app.lake.compact.outcomes import MadeBin
from app.lake.compact.planning import PlannedTable
from app.lake.compact.running import CompactionStoppedError, IsStopped
from tests.cli.results import Cli
from tests.integration.compaction.tables import create, ids_of, on_disk, reached
from tests.lake_tables import SmallLake

ONE = ("--namespace", "bronze", "--table", "events")
PARTS = 6


class Stopped:
    """Has the process told to stop while the first bin is made; the others are not made before that has arrived."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number
        self._lock = threading.Lock()
        self._make = BinMaker.__call__
        self._is_first = True

    def __call__(self, maker: BinMaker, planned: PlannedTable, some: Bin, is_stopped: IsStopped) -> MadeBin:
        with self._lock:
            is_first, self._is_first = self._is_first, False
        if is_first:
            made = self._make(maker, planned, some, is_stopped)
            # To the process, as Ctrl-C does it: one to this thread would wake nobody.
            os.kill(os.getpid(), self._number)
            return made
        pause = threading.Event()
        for _ in range(3000):
            if is_stopped():
                raise CompactionStoppedError
            pause.wait(0.01)
        raise AssertionError("nobody was told to stop")


@pytest.fixture(params=["our own", "another library's"])
def interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ctrl-C as asyncio handles it, and as where a library has a handler of its own, such as PySpark's."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.default_int_handler if request.param == "our own" else interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_told_to_stop_keeps_what_is_made(
    number: signal.Signals, cli: Cli, own_lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a table of several bins, and somebody who loses patience
    table = create(own_lake.catalog, files=3, parts=PARTS)
    before, rows = table.metadata.current_snapshot_id, ids_of(table)
    handler = signal.getsignal(signal.SIGTERM)
    stopped = Stopped(number)
    with monkeypatch.context() as patched:
        patched.setattr(BinMaker, "__call__", lambda *arguments: stopped(*arguments))
        # When it is told to stop
        result = cli("compaction", "run", *ONE, "--execute", "--min-file-size-mb", "1", "--reason", "first")

    # Then what was made is in the table, nothing else is there, and it is told
    assert result.exit_code == 130
    assert result.stderr == "Interrupted. What was committed stays, and the next run does the rest.\n"
    assert "Analyzing table: bronze.events" in result.stdout
    assert "✓" not in result.stdout
    assert signal.getsignal(signal.SIGTERM) is handler
    table.refresh()
    assert ids_of(table) == ids_of(table, before) == rows
    assert len(table.inspect.files()) == 3 * PARTS - 2
    assert on_disk(table) == reached(table)
    # And the record has it
    assert recorded(own_lake, table) == ["first"]
    # And the next run does the rest
    (told,) = cli("compaction", "run", *ONE, "--execute", "--reason", "second", "--json").answer["tables"]
    assert (told["files_before"], told["files_after"], told["is_partial"]) == (3 * PARTS - 2, PARTS, False)
    assert ids_of(table.refresh()) == rows
    assert recorded(own_lake, table) == ["first", "second"]


def test_python_stops_too_before_it_is_left(own_lake: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    table = create(own_lake.catalog, files=3, parts=PARTS)
    rows, stopped = ids_of(table), Stopped(signal.SIGINT)
    with IcebergCatalog(settings=own_lake.settings) as catalog:
        manager = IcebergCompactionManager(catalog)
        # When whoever waits gives up, as by interrupting a cell of a notebook
        with monkeypatch.context() as patched:
            patched.setattr(BinMaker, "__call__", lambda *arguments: stopped(*arguments))
            with pytest.raises(KeyboardInterrupt):
                manager.compact_table("bronze", "events", dry_run=False, reason="first")
        # Then nothing goes on, and the record is right
        assert ids_of(table.refresh()) == rows
        assert len(table.inspect.files()) == 3 * PARTS - 2
        assert on_disk(table) == reached(table)
        assert recorded(own_lake, table) == ["first"]
        # And the catalog can be used again
        assert manager.compact_table("bronze", "events", dry_run=False)["files_after"] == PARTS


def test_what_fails_in_mid_run_leaves_no_files_and_no_record(
    cli: Cli, own_lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a disk that becomes full
    table = create(own_lake.catalog, files=3, parts=2)
    location, files = table.metadata_location, on_disk(table)
    make = BinMaker.__call__

    def full(maker: BinMaker, planned: PlannedTable, some: Bin, is_stopped: IsStopped) -> MadeBin:
        if some.place.partition == "part=1":
            raise OSError(28, "No space left on device", str(Path("/lake")))
        return make(maker, planned, some, is_stopped)

    monkeypatch.setattr(BinMaker, "__call__", full)

    # When it is compacted
    result = cli("compaction", "run", *ONE, "--execute")

    # Then it is told, and all is as it was
    assert result.exit_code == 1
    (failure,) = [line for line in result.stdout.splitlines() if line.startswith("  ✗")]
    assert failure.startswith("  ✗ BACKEND_UNAVAILABLE: ")
    assert "No space left on device" in failure
    assert table.refresh().metadata_location == location
    assert on_disk(table) == files
    assert recorded(own_lake, table) == []


def recorded(lake: SmallLake, table: Table) -> list[str | None]:
    """The reasons of the compactions of a table that are in the record, the oldest first, whose snapshots it has."""
    from app.domain.changes import ChangeKind
    from app.domain.pages import PageRequest

    with IcebergCatalog(settings=lake.settings) as catalog:
        page = catalog._call(
            lambda services: services.datasets.changes_page(PageRequest(), table_uuid=table.metadata.table_uuid)
        )
    known = {str(snapshot.snapshot_id) for snapshot in table.refresh().metadata.snapshots}
    changes = [change for change in page.items if change.kind is ChangeKind.COMPACTED]
    for change in changes:
        assert isinstance(change.details["snapshotIds"], list)
        assert set(change.details["snapshotIds"]) <= known
    return [change.reason for change in reversed(changes)]
