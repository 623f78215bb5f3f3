"""Committing rewritten files while others write: no row is lost, none comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from pyiceberg.avro.codecs.snappy_codec import SnappyCodec
from pyiceberg.avro.file import AvroFile
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField, StringType

from app.errors import InvalidTablePropertyError, MetadataNotWrittenError, UnsupportedTableError
from app.lake.commits import CommitOutcomeUnknownError, CommitRefusedError
from app.lake.compact import commit, snapshot_files
from app.lake.compact.commit import BinsCommit, RewrittenBin, commit_bins
from app.lake.compact.snapshot_files import SnapshotFiles
from app.lake.internals import CachingSqlCatalog
from app.lake.manifest_files import WholeManifest
from app.lake.metadata_cache import MetadataCache
from app.lake.snapshot_summaries import summarise
from tests.full_disk import full_disk
from tests.unit.lake.compact.rewrites import Seen, live, look, rows_of
from tests.unit.lake.local_tables import NAME, append, as_lake_table, create_table, delete_rows

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))

Commit = Callable[..., BinsCommit]


def rows(*ids: int) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"name {number}"} for number in ids]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_FIRST_WAIT_S", 0.0)


@pytest.fixture
def table(catalog: CachingSqlCatalog) -> Table:
    """Four files of two rows."""
    made = create_table(catalog, SCHEMA)
    for first in range(0, 8, 2):
        append(made, rows(first, first + 1))
    return made


@pytest.fixture
def commit_all(catalog: CachingSqlCatalog, cache: MetadataCache) -> Commit:
    def committed(seen: Seen, bins: Sequence[RewrittenBin], meanwhile: Callable[[], None] | None = None) -> BinsCommit:
        def load() -> Any:
            loaded = as_lake_table(catalog.load_table(str(NAME)))
            if meanwhile is not None:
                meanwhile()
            return loaded

        return commit_bins(catalog, load, seen.base, bins, cache, properties={"reason": "test"})

    return committed


def all_ids(table: Table) -> list[int]:
    return [row[0] for row in rows_of(table)]  # type: ignore[misc]


def test_the_same_rows_are_in_one_file_of_a_replace_snapshot(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    seen, before = look(catalog), rows_of(table)
    found = commit_all(seen, [seen.bin()])
    table.refresh()
    assert rows_of(table) == before
    assert len(live(catalog)) == 1
    head = table.current_snapshot()
    assert head is not None
    assert head.snapshot_id == found.snapshot_id
    assert head.parent_snapshot_id == seen.head.snapshot_id
    assert head.summary is not None
    assert head.summary.operation is Operation.REPLACE
    said = head.summary.additional_properties
    assert {key: said[key] for key in ("added-data-files", "deleted-data-files", "added-records", "reason")} == {
        "added-data-files": "1",
        "deleted-data-files": "4",
        "added-records": "8",
        "reason": "test",
    }
    assert {key: said[key] for key in said if key.startswith("total-")} == {
        "total-data-files": "1",
        "total-delete-files": "0",
        "total-records": "8",
        "total-files-size": str(sum(task.file.file_size_in_bytes for task in look(catalog).files.values())),
        "total-position-deletes": "0",
        "total-equality-deletes": "0",
    }
    # And each earlier snapshot still reads what it read
    assert rows_of(table, seen.head.snapshot_id) == before
    # And what the file was made from is what later deletes by value are compared with
    (entry,) = (
        entry
        for manifest in head.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    )
    assert entry.sequence_number == seen.head.sequence_number
    assert entry.file_sequence_number == head.sequence_number


def test_what_was_removed_is_told_in_the_snapshot_and_no_later_one(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    seen = look(catalog)
    commit_all(seen, [seen.bins()[0]])
    second = look(catalog)
    assert told_as_removed(second) == {min(seen.paths)}
    commit_all(second, [second.bins()[1]])
    assert told_as_removed(look(catalog)).isdisjoint(seen.paths - second.paths)
    assert all_ids(table.refresh()) == list(range(8))


def test_one_manifest_tells_of_all_files_that_were_alone_in_theirs(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    seen = look(catalog)
    assert len(seen.head.manifests(seen.table.io)) == 4
    commit_all(seen, [seen.bin()])
    after = look(catalog)
    manifests = after.head.manifests(after.table.io)
    counts = [(m.added_files_count, m.existing_files_count, m.deleted_files_count) for m in manifests]
    assert counts == [(1, 0, 0), (0, 0, 4)]
    assert told_as_removed(after) == seen.paths


@pytest.mark.parametrize("others", [0, 1, 2], ids=["at once", "in a second attempt", "in a third attempt"])
def test_entries_stay_what_they_were_but_for_what_becomes_of_their_files(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit, others: int
) -> None:
    # Given a manifest of several files, of which some go
    seen = look(catalog)
    files = SnapshotFiles(seen.table, table.metadata.new_snapshot_id(), seen.head)
    with files._manifest(0, ManifestContent.DATA) as writer:
        for entry in told_of(seen).values():
            writer.existing(entry)
    put_snapshot(table, files, [writer.to_manifest_file()], Operation.REPLACE)
    seen = look(catalog)
    before = told_of(seen)
    assert len(before) == 4
    bins = seen.bins()[1:]
    left = iter(range(others))

    found = commit_all(seen, bins, lambda: append(table, rows(100)) if next(left, None) is not None else None)

    after = told_of(look(catalog))
    assert found.overtaken == ()
    for path, entry in before.items():
        now = after[path]
        is_removed = any(file.path == path for some in bins for file in some.removed)
        assert now.status == (ManifestEntryStatus.DELETED if is_removed else ManifestEntryStatus.EXISTING)
        assert now.snapshot_id == (found.snapshot_id if is_removed else entry.snapshot_id)
        assert (now.sequence_number, now.file_sequence_number) == (entry.sequence_number, entry.file_sequence_number)
        assert fields_of(now.data_file) == fields_of(entry.data_file)


def fields_of(file: DataFile) -> list[object]:
    return [dict(value.items()) if isinstance(value, Mapping) else value for value in file._data]


def told_of(seen: Seen) -> dict[str, ManifestEntry]:
    """The entries of the head's manifests of data, by the paths of their files."""
    return {
        entry.data_file.file_path: entry
        for manifest in seen.head.manifests(seen.table.io)
        for entry in manifest.fetch_manifest_entry(seen.table.io, discard_deleted=False)
        if manifest.content == ManifestContent.DATA
    }


def test_a_manifest_that_tells_of_removed_files_has_no_more_than_so_many_bytes(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each entry more is begun where there is less than this.
    monkeypatch.setattr(snapshot_files, "_MANIFEST_BYTES", 1)
    seen = look(catalog)
    commit_all(seen, [seen.bin()])
    after = look(catalog)
    assert [m.deleted_files_count for m in after.head.manifests(after.table.io)] == [0, 1, 1, 1, 1]
    assert told_as_removed(after) == seen.paths


def test_files_of_which_all_rows_are_deleted_go_and_nothing_comes(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    delete_rows(table, "id", pc.field("id") < 4)
    seen = look(catalog)
    gone = {file: task for file, task in seen.files.items() if task.delete_files}
    assert len(gone) == 2
    commit_all(seen, [RewrittenBin(removed=gone, added=())])
    after = look(catalog)
    assert all_ids(table.refresh()) == [4, 5, 6, 7]
    assert after.paths < seen.paths
    assert len(after.paths) == 2
    assert told_as_removed(after) >= seen.paths - after.paths


def told_as_removed(seen: Seen) -> set[str]:
    return {
        entry.data_file.file_path
        for manifest in seen.head.manifests(seen.table.io)
        for entry in manifest.fetch_manifest_entry(seen.table.io, discard_deleted=False)
        if entry.status == ManifestEntryStatus.DELETED
    }


def test_an_append_meanwhile_stays(catalog: CachingSqlCatalog, table: Table, commit_all: Commit) -> None:
    seen = look(catalog)
    bins = [seen.bin()]
    append(table, rows(100))
    found = commit_all(seen, bins)
    assert found.overtaken == ()
    assert all_ids(table.refresh()) == [*range(8), 100]
    assert len(live(catalog)) == 2


def test_a_bin_of_a_file_that_was_removed_meanwhile_is_overtaken_and_the_others_are_committed(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    seen = look(catalog)
    bins = seen.bins()
    table.overwrite(read_as(table, rows(1)), "id in (0, 1)")
    found = commit_all(seen, bins)
    assert len(found.committed) == 3
    assert len(found.overtaken) == 1
    assert all_ids(table.refresh()) == list(range(1, 8))


def test_a_bin_of_a_file_with_rows_deleted_meanwhile_is_overtaken(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    seen = look(catalog)
    bins = [seen.bin()]
    delete_rows(table, "id", pc.field("id") == 3)
    # Also where an append came after it
    append(table, rows(100))
    before = live(catalog)
    found = commit_all(seen, bins)
    assert (found.snapshot_id, found.committed, found.overtaken) == (None, (), tuple(bins))
    assert live(catalog) == before
    assert all_ids(table.refresh()) == [0, 1, 2, 4, 5, 6, 7, 100]


def test_two_deletes_around_a_rewrite_both_hold(catalog: CachingSqlCatalog, table: Table, commit_all: Commit) -> None:
    # Given a delete before, which the bins apply, and one in another file after they were read
    delete_rows(table, "id", pc.field("id") == 0)
    seen = look(catalog)
    bins = seen.bins()
    delete_rows(table, "id", pc.field("id") == 7)
    found = commit_all(seen, bins)
    assert len(found.overtaken) == 1
    assert all_ids(table.refresh()) == list(range(1, 7))
    # And the next run does what was overtaken
    again = look(catalog)
    assert commit_all(again, again.bins()).overtaken == ()
    assert all_ids(table.refresh()) == list(range(1, 7))
    assert [file.deletes for file in live(catalog)] == [frozenset()] * 4


def test_delete_files_go_with_the_last_file_that_they_apply_to(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    delete_rows(table, "id", pc.field("id") < 3)
    seen = look(catalog)
    deletes = {path for file in seen.files for path in file.deletes}
    assert len(deletes) == 2
    found = commit_all(seen, [seen.bin()])
    assert set(found.dropped_deletes) == deletes
    table.refresh()
    assert all_ids(table) == list(range(3, 8))
    said = table.current_snapshot().summary.additional_properties  # type: ignore[union-attr]
    assert {key: said.get(key) for key in ("removed-delete-files", "removed-position-deletes", "total-records")} == {
        "removed-delete-files": "2",
        "removed-position-deletes": "3",
        "total-records": "5",
    }
    assert (said["total-delete-files"], said["total-position-deletes"]) == ("0", "0")


def test_delete_files_of_a_whole_partition_stay_until_none_of_its_files_needs_them(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    # Given one delete file that says nothing of which files it is about
    delete_rows(table, "id", pc.field("id") == 3)
    without_bounds(catalog, table)
    seen = look(catalog)
    assert [len(file.deletes) for file in seen.files] == [1] * 4
    bins = seen.bins()
    assert commit_all(seen, bins[:3]).dropped_deletes == ()
    assert all_ids(table.refresh()) == [0, 1, 2, 4, 5, 6, 7]
    # When the last one of the same base goes, so does it
    found = commit_all(seen, bins[3:])
    assert len(found.committed) == 1
    assert len(found.dropped_deletes) == 1
    assert all_ids(table.refresh()) == [0, 1, 2, 4, 5, 6, 7]


def without_bounds(catalog: CachingSqlCatalog, table: Table) -> None:
    """Write the delete manifests anew, with delete files that do not say which data file they are about."""
    seen = look(catalog)
    files = SnapshotFiles(seen.table, table.metadata.new_snapshot_id(), seen.head)
    manifests = []
    for manifest in seen.head.manifests(table.io):
        if manifest.content.name == "DATA":
            manifests.append(manifest)
            continue
        with files._manifest(0, manifest.content) as writer:
            for entry in manifest.fetch_manifest_entry(table.io):
                names = ("content", "file_path", "file_format", "partition", "record_count", "file_size_in_bytes")
                file = DataFile.from_args(**{name: getattr(entry.data_file, name) for name in names})
                writer.existing(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.EXISTING,
                        snapshot_id=entry.snapshot_id,
                        sequence_number=entry.sequence_number,
                        file_sequence_number=entry.file_sequence_number,
                        data_file=file,
                    )
                )
        manifests.append(writer.to_manifest_file())
    put_snapshot(table, files, manifests, Operation.REPLACE)


def put_snapshot(
    table: Table, files: SnapshotFiles, manifests: list[Any], operation: Operation, added: Sequence[DataFile] = ()
) -> None:
    parent = table.current_snapshot()
    assert parent is not None
    snapshot = Snapshot(
        snapshot_id=files.snapshot_id,
        parent_snapshot_id=parent.snapshot_id,
        sequence_number=table.metadata.next_sequence_number(),
        manifest_list=files.list_of(manifests),
        summary=summarise(operation, parent, added=added, removed=(), properties={}),
        schema_id=table.metadata.current_schema_id,
    )
    update = SetSnapshotRefUpdate(
        ref_name="main",
        type="branch",
        snapshot_id=files.snapshot_id,
        max_ref_age_ms=None,
        max_snapshot_age_ms=None,
        min_snapshots_to_keep=None,
    )
    table.catalog.commit_table(table, (), (AddSnapshotUpdate(snapshot=snapshot), update))
    table.refresh()


def test_rows_deleted_by_value_meanwhile_refuse_the_rewrite(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    seen = look(catalog)
    bins = [seen.bin()]
    files = SnapshotFiles(seen.table, table.metadata.new_snapshot_id(), seen.head)
    by_value = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES,
        file_path=f"{table.location()}/data/by-value.parquet",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=1,
        file_size_in_bytes=1,
        equality_ids=[1],
        spec_id=0,
    )
    with files._manifest(0, delete_content()) as writer:
        writer.add_entry(
            ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED,
                snapshot_id=files.snapshot_id,
                sequence_number=None,
                file_sequence_number=None,
                data_file=by_value,
            )
        )
    put_snapshot(
        table, files, [writer.to_manifest_file(), *seen.head.manifests(table.io)], Operation.DELETE, [by_value]
    )
    head = catalog.load_table(str(NAME)).metadata.current_snapshot_id
    with pytest.raises(UnsupportedTableError, match="equality deletes"):
        commit_all(seen, bins)
    assert catalog.load_table(str(NAME)).metadata.current_snapshot_id == head


def delete_content() -> Any:
    from pyiceberg.manifest import ManifestContent

    return ManifestContent.DELETES


def test_a_file_that_is_there_twice_meanwhile_is_overtaken(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    seen = look(catalog)
    bins = seen.bins()
    table.add_files([min(seen.paths)], check_duplicate_files=False)
    before = rows_of(table.refresh())
    found = commit_all(seen, bins)
    assert len(found.overtaken) == 1
    assert rows_of(table.refresh()) == before


def test_a_rollback_meanwhile_overtakes_what_it_took_back(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    earlier = table.history()[1].snapshot_id
    seen = look(catalog)
    bins = seen.bins()
    table.manage_snapshots().rollback_to_snapshot(earlier).commit()
    found = commit_all(seen, bins)
    assert len(found.committed) == 2
    assert all_ids(table.refresh()) == [0, 1, 2, 3]


def test_the_branchs_own_retention_stays(catalog: CachingSqlCatalog, table: Table, commit_all: Commit) -> None:
    seen = look(catalog)
    update = SetSnapshotRefUpdate(
        ref_name="main",
        type="branch",
        snapshot_id=seen.head.snapshot_id,
        max_ref_age_ms=None,
        max_snapshot_age_ms=86_400_000,
        min_snapshots_to_keep=7,
    )
    catalog.commit_table(table, (), (update,))
    commit_all(seen, [seen.bin()])
    ref = table.refresh().metadata.refs["main"]
    assert (ref.max_snapshot_age_ms, ref.min_snapshots_to_keep) == (86_400_000, 7)
    assert ref.snapshot_id != seen.head.snapshot_id


@pytest.mark.parametrize("losses", [1, 5])
def test_a_lost_race_is_run_again_and_leaves_nothing(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit, losses: int
) -> None:
    seen = look(catalog)
    bins = [seen.bin()]
    left = list(range(100, 100 + losses))
    found = commit_all(seen, bins, lambda: append(table, rows(left.pop())) if left else None)
    assert found.snapshot_id is not None
    assert all_ids(table.refresh()) == [*range(8), *range(100, 100 + losses)]
    assert_no_strangers(catalog)


def test_a_lost_race_reads_no_manifest_again_and_again(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Counter[str]()
    fetch = WholeManifest._read

    def reading(manifest: WholeManifest, io: FileIO) -> list[ManifestEntry]:
        read[manifest.manifest_path] += 1
        return fetch(manifest, io)

    seen = look(catalog)
    bins = [seen.bin()]
    left = list(range(100, 105))
    monkeypatch.setattr(WholeManifest, "_read", reading)
    commit_all(seen, bins, lambda: append(table, rows(left.pop())) if left else None)
    monkeypatch.undo()
    assert all_ids(table.refresh()) == [*range(8), *range(100, 105)]
    assert len(read) == 4 + 5
    # What has come before the second attempt is read in the first one too, and never again.
    assert max(read.values()) == 2
    assert sum(read.values()) == 4 + 4 + 5


def test_races_that_are_always_lost_are_given_up_and_leave_nothing(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    seen = look(catalog)
    bins = [seen.bin()]
    with pytest.raises(CommitRefusedError):
        commit_all(seen, bins, lambda: append(table, rows(100)))
    # Then as often as it tried
    assert Counter(all_ids(table.refresh()))[100] == commit.ATTEMPTS
    assert_no_strangers(catalog)


def assert_no_strangers(catalog: CachingSqlCatalog) -> None:
    """All manifests and their lists are of some snapshot."""
    table = catalog.load_table(str(NAME))
    known = {
        path
        for snapshot in table.snapshots()
        for path in (snapshot.manifest_list, *(manifest.manifest_path for manifest in snapshot.manifests(table.io)))
    }
    folder = Path(table.location().removeprefix("file://")) / "metadata"
    assert {f"file://{path}" for path in folder.glob("*.avro")} == known


@pytest.mark.parametrize("is_done", [True, False], ids=["it took place", "it did not"])
def test_a_commit_of_unknown_outcome_is_looked_up(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    seen = look(catalog)
    bins = [seen.bin()]
    commit_table = catalog.commit_table

    def broken(*arguments: Any) -> Any:
        if is_done:
            commit_table(*arguments)
        raise OSError("connection reset")

    monkeypatch.setattr(catalog, "commit_table", broken)
    if is_done:
        assert commit_all(seen, bins).snapshot_id == catalog.load_table(str(NAME)).metadata.current_snapshot_id
    else:
        with pytest.raises(CommitOutcomeUnknownError):
            commit_all(seen, bins)
        # What it wrote stays, for it may come to be yet
        folder = Path(table.location().removeprefix("file://")) / "metadata"
        assert len(list(folder.glob("snap-*.avro"))) == len(seen.table.metadata.snapshots) + 1
    assert all_ids(table.refresh()) == list(range(8))


def test_a_full_disk_commits_nothing_and_leaves_nothing(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    # Given metadata that has no room where manifests have
    with table.transaction() as change:
        change.set_properties({"comment": "x" * 100_000})
    seen = look(catalog)
    bins = [seen.bin()]

    with full_disk(50_000), pytest.raises(MetadataNotWrittenError):
        commit_all(seen, bins)

    assert all_ids(table.refresh()) == list(range(8))
    assert_no_strangers(catalog)
    # And once there is room again, it is done
    assert commit_all(seen, bins).snapshot_id is not None


def test_an_error_after_the_commit_leaves_what_was_committed(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = look(catalog)
    bins = [seen.bin()]

    def broken(*_: Any) -> None:
        raise RuntimeError("superseded metadata cannot be deleted")

    monkeypatch.setattr(commit, "delete_superseded_metadata", broken)
    found = commit_all(seen, bins)
    assert found.snapshot_id == catalog.load_table(str(NAME)).metadata.current_snapshot_id
    assert all_ids(table.refresh()) == list(range(8))
    assert_no_strangers(catalog)


def test_an_outcome_that_cannot_be_looked_up_is_unknown_and_nothing_is_removed(
    catalog: CachingSqlCatalog, cache: MetadataCache, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = look(catalog)
    bins = [seen.bin()]
    commit_table, loads = catalog.commit_table, iter([as_lake_table(catalog.load_table(str(NAME)))])

    def broken(*arguments: Any) -> Any:
        commit_table(*arguments)
        raise OSError("connection reset")

    def load() -> Any:
        for loaded in loads:
            return loaded
        raise NoSuchTableError("away")

    monkeypatch.setattr(catalog, "commit_table", broken)
    with pytest.raises(CommitOutcomeUnknownError):
        commit_bins(catalog, load, seen.base, bins, cache, properties={})
    assert all_ids(table.refresh()) == list(range(8))
    assert len(live(catalog)) == 1
    assert_no_strangers(catalog)


def test_another_table_of_the_same_name_is_left_alone(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit
) -> None:
    seen = look(catalog)
    bins = [seen.bin()]
    catalog.drop_table(str(NAME))
    with pytest.raises(NoSuchTableError):
        commit_all(seen, bins)
    other = create_table(catalog, SCHEMA, rows(50))
    with pytest.raises(NoSuchTableError, match="another table"):
        commit_all(seen, bins)
    assert all_ids(other) == [50]


def test_tables_of_the_first_version_of_the_format_are_compacted(
    catalog: CachingSqlCatalog, commit_all: Commit
) -> None:
    table = catalog.create_table(str(NAME), SCHEMA, properties={"format-version": "1"})
    for number in range(3):
        append(table, rows(number))
    seen = look(catalog)
    commit_all(seen, [seen.bin()])
    assert all_ids(table.refresh()) == [0, 1, 2]
    assert table.metadata.format_version == 1
    append(table, rows(3))
    assert all_ids(table.refresh()) == [0, 1, 2, 3]


def test_files_of_different_specs_and_partitions_keep_theirs(catalog: CachingSqlCatalog, commit_all: Commit) -> None:
    spec = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="name"))
    table = catalog.create_table(str(NAME), SCHEMA, partition_spec=spec)
    for number in range(4):
        append(table, [{"id": number, "name": name} for name in ("a", "b")])
    with table.update_spec() as update:
        update.remove_field("name")
    for number in range(4, 6):
        append(table, [{"id": number, "name": "a"}])
    before = rows_of(table)
    seen = look(catalog)
    places = {(task.file.spec_id, str(task.file.partition)) for task in seen.files.values()}
    assert len(places) == 3
    # When each partition of each spec is rewritten
    bins = [
        seen.bin(lambda task, place=place: (task.file.spec_id, str(task.file.partition)) == place) for place in places
    ]
    commit_all(seen, bins)
    assert rows_of(table.refresh()) == before
    after = look(catalog)
    assert sorted((task.file.spec_id, str(task.file.partition)) for task in after.files.values()) == sorted(places)


def with_codec(table: Table, name: str) -> None:
    with table.transaction() as change:
        change.set_properties({"write.avro.compression-codec": name})


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("gzip", "deflate"),
        ("GZip", "deflate"),
        ("zstd", "zstandard"),
        ("uncompressed", "null"),
        ("UNCOMPRESSED", "null"),
        ("null", "null"),
        ("bzip2", "bzip2"),
    ],
)
def test_manifests_are_compressed_as_the_table_says(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit, name: str, codec: str
) -> None:
    with_codec(table, name)
    seen, before = look(catalog), rows_of(table)
    commit_all(seen, seen.bins()[:1])
    head = table.refresh().current_snapshot()
    assert head is not None
    own = [m.manifest_path for m in head.manifests(table.io) if m.added_snapshot_id == head.snapshot_id]
    assert len(own) == 2
    for path in (head.manifest_list, *own):
        with AvroFile[Record](table.io.new_input(path)) as file:
            assert file.header.meta["avro.codec"] == codec
    assert rows_of(table) == before


@pytest.mark.parametrize("name", ["brotli", "", "zstd "])
def test_manifests_in_no_known_codec_are_refused_by_the_propertys_name(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit, name: str
) -> None:
    with_codec(table, name)
    seen = look(catalog)
    with pytest.raises(InvalidTablePropertyError, match=r"write\.avro\.compression-codec") as raised:
        commit_all(seen, [seen.bin()])
    assert raised.value.fields["value"] == name
    assert catalog.load_table(str(NAME)).metadata.current_snapshot_id == seen.head.snapshot_id
    assert_no_strangers(catalog)


def test_a_codec_that_cannot_be_written_here_is_refused(
    catalog: CachingSqlCatalog, table: Table, commit_all: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Python without the library that it takes
    def missing(_: bytes) -> tuple[bytes, int]:
        raise ImportError("Snappy support not installed")

    monkeypatch.setattr(SnappyCodec, "compress", missing)
    with_codec(table, "snappy")
    seen = look(catalog)
    with pytest.raises(InvalidTablePropertyError, match="Snappy support not installed"):
        commit_all(seen, [seen.bin()])
    assert_no_strangers(catalog)


def read_as(table: Table, some: list[dict[str, Any]]) -> Any:
    import pyarrow as pa
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return pa.Table.from_pylist(some, schema_to_pyarrow(table.schema(), include_field_ids=False))
