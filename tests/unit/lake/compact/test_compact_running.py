"""Carrying out plans: in groups, beside other writers, and ended early."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField

from app.domain.compaction.packing import Bin
from app.domain.compaction.policy import CompactionPolicy
from app.errors import DatasetNotFoundError, InvalidTablePropertyError
from app.lake.commits import CommitOutcomeUnknownError, CommitRefusedError
from app.lake.compact import commit, running
from app.lake.compact.jobs import carry_out
from app.lake.compact.outcomes import CommittedBin, MadeBin, Way
from app.lake.compact.planning import PlannedTable, plan_table
from app.lake.compact.running import CompactionRun, CompactionStoppedError, MakeBin
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from tests.unit.lake.compact.rewrites import merged, rows_of
from tests.unit.lake.local_tables import NAME, append, as_lake_table, delete_rows

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "part", LongType()))
BY_PART = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="part"))
PARTS = 15


def make(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
    """The plainest way to make a bin."""
    if is_stopped():
        raise CompactionStoppedError
    return MadeBin(way=Way.REWRITE, added=tuple(merged(planned.table, list(planned.tasks_of(some).values()))))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_FIRST_WAIT_S", 0.0)


@pytest.fixture
def table(catalog: CachingSqlCatalog) -> Table:
    """Three files in each of fifteen partitions."""
    made = catalog.create_table(str(NAME), SCHEMA, partition_spec=BY_PART)
    for number in range(3):
        append(made, [{"id": 100 * part + number, "part": part} for part in range(PARTS)])
    return made


class Compaction:
    """Runs of one table."""

    def __init__(self, catalog: CachingSqlCatalog, cache: MetadataCache) -> None:
        self._catalog = catalog
        self._cache = cache
        self.progress: list[float] = []

    def load(self) -> Any:
        return as_lake_table(self._catalog.load_table(str(NAME)))

    def planned(self, **policy: Any) -> PlannedTable:
        return plan_table(self.load(), CompactionPolicy(**policy))

    def run(self, made: MakeBin = make, threads: int = 2) -> CompactionRun:
        return CompactionRun(
            self._catalog,
            self.load,
            self._cache,
            made,
            properties={},
            threads=threads,
            on_progress=self.progress.append,
        )


@pytest.fixture
def compaction(catalog: CachingSqlCatalog, cache: MetadataCache) -> Compaction:
    return Compaction(catalog, cache)


def strangers(table: Table) -> set[str]:
    """Data files that no snapshot has."""
    known = {
        entry.data_file.file_path
        for snapshot in table.refresh().snapshots()
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False)
    }
    folder = Path(table.location().removeprefix("file://")) / "data"
    return {f"file://{path}" for path in folder.rglob("*.parquet")} - known


def test_bins_are_committed_in_groups(compaction: Compaction, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows_of(table)
    each_bytes = compaction.planned().plan.bins[0].size_bytes
    monkeypatch.setattr(running, "_GROUP_BYTES", 2 * each_bytes - 100)
    found = compaction.run().run(compaction.planned())
    assert rows_of(table.refresh()) == before
    assert len(found.committed) == PARTS
    # Two bins a group, and one that is left
    assert len(found.snapshot_ids) == 8
    assert found.snapshot_ids[-1] == table.metadata.current_snapshot_id
    assert compaction.planned().plan.bins == ()
    assert compaction.progress == sorted(compaction.progress)
    assert compaction.progress[-1] == 1
    assert not strangers(table)


def test_what_others_changed_meanwhile_is_made_again(compaction: Compaction, table: Table) -> None:
    changed = threading.Event()

    def disturbed(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
        made = make(planned, some, is_stopped)
        if not changed.is_set():
            changed.set()
            append(table, [{"id": 7, "part": 0}])
            table.delete("id == 701")
        return made

    found = compaction.run(disturbed, threads=1).run(compaction.planned())
    assert found.overtaken == ()
    ids = [row[0] for row in rows_of(table.refresh())]
    assert 7 in ids
    assert 701 not in ids
    assert len(ids) == 3 * PARTS
    assert compaction.planned().plan.bins == ()
    assert not strangers(table)


def test_of_all_files_that_are_rewritten_only_what_was_overtaken_is_again(compaction: Compaction, table: Table) -> None:
    # Given somebody who deletes a file of one partition each time that its bin has been made, but for the last one
    made: list[tuple[str, int]] = []
    left = iter([300, 301])

    def disturbed(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
        found = make(planned, some, is_stopped)
        if some.place.partition == "part=3" and (number := next(left, None)) is not None:
            table.refresh().delete(f"id == {number}")
        made.append((some.place.partition, len(some.files)))
        return found

    before = {f"part={part}": 3 for part in range(PARTS)}
    found = compaction.run(disturbed, threads=1).run(compaction.planned(rewrite_all=True))

    # Then all partitions are rewritten once, and that one until nobody disturbs it
    assert dict(made[:PARTS]) == before
    assert made[PARTS:] == [("part=3", 2), ("part=3", 1)]
    assert (found.overtaken, len(found.committed)) == ((), PARTS)
    ids = [row[0] for row in rows_of(table.refresh())]
    assert len(ids) == 3 * PARTS - 2
    assert not {300, 301} & set(ids)
    assert not strangers(table)


def test_what_was_overtaken_is_rewritten_although_that_makes_no_file_fewer(
    compaction: Compaction, catalog: CachingSqlCatalog
) -> None:
    # Given one file in each partition
    table = catalog.create_table(str(NAME), SCHEMA, partition_spec=BY_PART)
    append(table, [{"id": part, "part": part} for part in range(3)])
    left = iter([1])
    made: list[str] = []

    def disturbed(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
        found = make(planned, some, is_stopped)
        made.append(some.place.partition)
        if some.place.partition == "part=1" and next(left, None) is not None:
            # A schema that it was not written in
            with catalog.load_table(str(NAME)).update_schema() as update:
                update.add_column("more", LongType())
        return found

    found = compaction.run(disturbed, threads=1).run(compaction.planned(rewrite_all=True))

    assert made == ["part=0", "part=1", "part=2", "part=0", "part=1", "part=2"]
    assert (found.overtaken, len(found.committed)) == ((), 3)
    assert not strangers(table)


def test_bins_that_are_always_overtaken_are_given_up(compaction: Compaction, catalog: CachingSqlCatalog) -> None:
    table = catalog.create_table(str(NAME), SCHEMA)
    for number in range(40):
        append(table, [{"id": number, "part": 0}, {"id": number + 100, "part": 0}])
    left = iter(range(40))

    def disturbed(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
        made = make(planned, some, is_stopped)
        delete_rows(table, "id", pc.field("id") == next(left))
        return made

    found = compaction.run(disturbed).run(compaction.planned())
    assert (found.committed, len(found.overtaken)) == ((), 1)
    assert len(rows_of(table.refresh())) == 80 - next(left)
    assert not strangers(table)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_one_that_fails_ends_the_others_and_nothing_is_left(compaction: Compaction, table: Table, threads: int) -> None:
    failing = threading.Semaphore(4)

    def breaking(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
        if not failing.acquire(blocking=False):
            raise OSError("no space left on device")
        return make(planned, some, is_stopped)

    before = rows_of(table)
    with pytest.raises(OSError, match="no space"):
        compaction.run(breaking, threads).run(compaction.planned())
    assert rows_of(table.refresh()) == before
    assert not strangers(table)


def test_a_run_that_is_stopped_keeps_what_is_done(compaction: Compaction, table: Table) -> None:
    before = rows_of(table)
    made: list[Bin] = []

    def stopping(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
        found = make(planned, some, is_stopped)
        made.append(some)
        if len(made) == 5:
            run.stop()
        return found

    run = compaction.run(stopping)
    found = run.run(compaction.planned())
    assert found.is_stopped
    assert len(made) == len(found.committed) < PARTS
    assert rows_of(table.refresh()) == before
    assert not strangers(table)
    # And the next run does the rest
    rest = compaction.run().run(compaction.planned())
    assert len(rest.committed) == PARTS - len(found.committed)


def test_files_of_a_commit_that_was_refused_for_good_are_removed(
    compaction: Compaction, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise CommitRefusedError("others were faster")

    monkeypatch.setattr(commit, "commit_changes", refused)
    with pytest.raises(CommitRefusedError):
        compaction.run().run(compaction.planned())
    assert not strangers(table)


def test_files_of_a_commit_that_may_come_to_be_are_left(
    compaction: Compaction, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any) -> Any:
        raise CommitOutcomeUnknownError("connection reset")

    monkeypatch.setattr(commit, "commit_changes", unknown)
    with pytest.raises(CommitOutcomeUnknownError):
        compaction.run().run(compaction.planned())
    # All of them were of that commit
    assert len(strangers(table)) == PARTS


def test_files_that_cannot_be_removed_are_told(
    compaction: Compaction, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturbed(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
        made = make(planned, some, is_stopped)
        if some.place.partition == "part=3":
            table.refresh().delete("part == 3")
        return made

    def refuse(_self: object, location: str) -> None:
        raise PermissionError(location)

    planned = compaction.planned()
    monkeypatch.setattr("app.lake.named_files.NamedFiles.delete", refuse)
    found = compaction.run(disturbed).run(planned)
    assert set(found.leftovers) == {path for path in strangers(table) if "part=3" in path}
    assert len(found.leftovers) == 1


def test_another_table_of_the_same_name_between_two_rounds_is_left_alone(
    compaction: Compaction, catalog: CachingSqlCatalog, cache: MetadataCache, table: Table
) -> None:
    # Given a table that is dropped once its first round is committed, and made again with as many small files
    rows = [[{"id": 1000 * part + number, "part": part} for part in range(3)] for number in range(4)]
    committed: list[CommittedBin] = []

    def made_again(bins: Sequence[CommittedBin]) -> None:
        committed.extend(bins)
        catalog.drop_table(str(NAME))
        other = catalog.create_table(str(NAME), SCHEMA, partition_spec=BY_PART)
        for some in rows:
            append(other, some)

    run = CompactionRun(catalog, compaction.load, cache, make, properties={}, threads=2, on_commit=made_again)
    planned = compaction.planned()

    with pytest.raises(DatasetNotFoundError):
        carry_out(run, planned)

    # Then what was committed counts, and the other table has its own files alone
    assert len(committed) == PARTS
    other = catalog.load_table(str(NAME))
    assert other.metadata.table_uuid != table.metadata.table_uuid
    assert len(other.metadata.snapshots) == len(rows)
    assert len(list(other.scan().plan_files())) == 12
    assert rows_of(other) == sorted((row["id"], row["part"]) for some in rows for row in some)


def test_another_table_of_the_same_name_before_the_commit_is_left_alone(
    compaction: Compaction, catalog: CachingSqlCatalog, table: Table
) -> None:
    def made_again(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
        made = make(planned, some, is_stopped)
        if some.place.partition == "part=3":
            catalog.drop_table(str(NAME))
            append(catalog.create_table(str(NAME), SCHEMA, partition_spec=BY_PART), [{"id": 1, "part": 3}])
        return made

    before = set(Path(table.location().removeprefix("file://")).rglob("data/**/*.parquet"))
    with pytest.raises(DatasetNotFoundError):
        carry_out(compaction.run(made_again), compaction.planned())

    other = catalog.load_table(str(NAME))
    assert rows_of(other) == [(1, 3)]
    assert len(other.metadata.snapshots) == 1
    # And what was made in vain is removed; the tables share their folder
    after = set(Path(table.location().removeprefix("file://")).rglob("data/**/*.parquet"))
    assert len(after - before) == 1


def test_what_few_files_a_bin_may_hold_is_brought_together_in_rounds(
    compaction: Compaction, catalog: CachingSqlCatalog
) -> None:
    table = catalog.create_table(str(NAME), SCHEMA)
    for number in range(9):
        append(table, [{"id": number, "part": 0}])
    found = compaction.run().run(compaction.planned(max_concurrent_files=3))
    assert [len(each.some.files) for each in found.committed] == [3, 3, 3, 3]
    assert len(list(table.refresh().scan().plan_files())) == 1
    assert [row[0] for row in rows_of(table)] == list(range(9))


def test_a_codec_of_manifests_that_there_is_not_is_told_before_any_file_is_made(
    compaction: Compaction, table: Table
) -> None:
    with table.transaction() as change:
        change.set_properties({"write.avro.compression-codec": "brotli"})
    made: list[Bin] = []

    def counted(planned: PlannedTable, some: Bin, is_stopped: Callable[[], bool]) -> MadeBin:
        made.append(some)
        return make(planned, some, is_stopped)

    with pytest.raises(InvalidTablePropertyError, match=r"write\.avro\.compression-codec"):
        compaction.run(counted).run(compaction.planned())
    assert made == []
    assert not strangers(table)
