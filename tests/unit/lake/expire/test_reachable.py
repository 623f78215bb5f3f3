"""What expiring frees, against a plain walk of the same table and the sizes on the disk."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.table import Table

from app.domain.expiry import GOING, FileKind
from app.domain.file_keys import digest
from app.errors import InvalidArgumentError, MissingFileError, UnreadableTableError, UnsupportedTableError
from app.lake.expire.file_set import FileSet
from app.lake.expire.reachable import ExpiryPlan, measure_expiry, still_unreachable
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from tests.unit.lake.expire.histories import Step, append, create, make_history, set_statistics
from tests.unit.lake.expire.naive import du, local, on_disk, reached
from tests.unit.lake.local_tables import NAME, as_lake_table

STEPS = st.lists(st.sampled_from(Step), min_size=3, max_size=9)


def freed_paths(plan: ExpiryPlan) -> list[Path]:
    return [local(file.path) for batch in plan.batches(3) for file in batch]


def unheld(table: Table) -> list[int]:
    """The snapshots that no ref names."""
    held = {ref.snapshot_id for ref in table.metadata.refs.values()}
    return [found.snapshot_id for found in table.metadata.snapshots if found.snapshot_id not in held]


@given(steps=STEPS, data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_freed_is_what_only_expired_snapshots_reach(steps: list[Step], data: st.DataObject):
    with TemporaryDirectory() as folder:
        # Given a table with any history, and any of its snapshots that no ref names
        catalog = CachingSqlCatalog(
            "local", MetadataCache(10**7), uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}/w"
        )
        catalog.create_tables()
        table = create(catalog)
        make_history(table, [Step.APPEND, *steps])
        going = [found for found in unheld(table) if data.draw(st.booleans())]

        # When the expiry is measured
        plan = measure_expiry(as_lake_table(table), going)

        # Then it frees what a plain walk finds in them alone, to the byte, and each file once
        expected = reached(table) - reached(table, without=going)
        freed = freed_paths(plan)
        assert sorted(freed) == sorted(expected)
        assert plan.freed.size_bytes == du(expected)
        assert plan.total.size_bytes == du(reached(table))
        assert plan.total.file_count == len(reached(table))
        catalog.close()


def test_manifest_that_is_shared_is_read_once_and_stays(catalog: CachingSqlCatalog):
    # Given three appends, whose manifest lists repeat the manifests of those before
    table = create(catalog)
    first, second, _ = (append(table, number) for number in range(3))

    # When the first two are measured
    plan = measure_expiry(as_lake_table(table), [first, second])

    # Then only their manifest lists are freed: the head has their data
    assert plan.freed.files == {FileKind.MANIFEST_LIST: 2}
    assert plan.total.files == {FileKind.DATA: 3, FileKind.MANIFEST: 3, FileKind.MANIFEST_LIST: 3}


@pytest.mark.parametrize("version", ["1", "2"])
def test_partitioned_tables_of_either_version(catalog: CachingSqlCatalog, version: str):
    # Given a partitioned table, whose first rows were replaced
    table = create(catalog, **{"format-version": version})
    with table.update_spec() as update:
        update.add_identity("name")
    first = append(table, 1, 2)
    table.overwrite(table.scan().to_arrow())

    # When the first snapshot is measured
    plan = measure_expiry(as_lake_table(table), [first])

    # Then its files are freed, those of each partition
    assert plan.freed.files[FileKind.DATA] == 2
    assert plan.freed.size_bytes == du(reached(table) - reached(table, without=[first]))
    assert plan.total.size_bytes == du(reached(table))


def test_file_that_is_named_twice_counts_once():
    # Given a Puffin file with the deletion vectors of two data files, once going and once kept
    files = FileSet()
    for owner in (GOING, GOING, 1, GOING):
        files.add(digest("file:///a.puffin"), "file:///a.puffin", 100, FileKind.POSITION_DELETES, owner)
    files.add(digest("file:///b.puffin"), "file:///b.puffin", 10, FileKind.POSITION_DELETES, GOING)

    # Then each is there once, and goes only where nothing keeps it
    assert files.tally().bytes == {FileKind.POSITION_DELETES: 110}
    assert [file.path for file in files.going()] == ["file:///b.puffin"]
    assert files.bytes_by_owner() == {1: 100, GOING: 10}


def test_statistics_go_with_their_snapshot(catalog: CachingSqlCatalog):
    table = create(catalog)
    first = append(table, 1)
    set_statistics(table, first)
    second = append(table, 2)
    set_statistics(table, second)

    plan = measure_expiry(as_lake_table(table), [first])

    assert plan.freed.bytes[FileKind.STATISTICS] == 100
    assert plan.freed.bytes[FileKind.PARTITION_STATISTICS] == 50
    assert plan.total.bytes[FileKind.STATISTICS] == 200


@pytest.mark.parametrize("held", ["head", "tag", "unknown", "main"])
def test_what_is_held_cannot_go(catalog: CachingSqlCatalog, held: str):
    table = create(catalog)
    first, head = append(table, 1), append(table, 2)
    table.manage_snapshots().create_tag(first, "kept").commit()
    asked = {"head": ([head], []), "tag": ([first], []), "unknown": ([7], []), "main": ([], ["main"])}[held]

    with pytest.raises(InvalidArgumentError):
        measure_expiry(as_lake_table(table.refresh()), *asked)


def test_tag_that_goes_with_its_snapshot_holds_nothing(catalog: CachingSqlCatalog):
    table = create(catalog)
    first = append(table, 1)
    table.manage_snapshots().create_tag(first, "old").commit()
    table.refresh()
    table.overwrite(table.scan().to_arrow())

    plan = measure_expiry(as_lake_table(table), [first], ["old"])

    assert plan.freed.files[FileKind.DATA] == 1


@pytest.mark.parametrize("harm", ["gone", "cut", "empty", "flipped", "cut at a block"])
@pytest.mark.parametrize("kind", ["manifest", "list"])
def test_broken_metadata_is_an_error_and_never_fewer_files(catalog: CachingSqlCatalog, kind: str, harm: str):
    # Given a table of which one manifest, or one manifest list, is broken
    table = create(catalog)
    first = append(table, 1)
    append(table, 2)
    snapshot = table.metadata.snapshot_by_id(first)
    assert snapshot is not None
    path = local(snapshot.manifest_list if kind == "list" else snapshot.manifests(table.io)[0].manifest_path)
    content = path.read_bytes()
    sync = content[-16:]
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[:-20])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "flipped":
        path.write_bytes(content[:-17] + bytes([content[-17] ^ 0xFF]) + content[-16:-1] + b"\x00")
    elif kind == "manifest":
        path.write_bytes(content[: content.index(sync) + 16])
    else:
        path.write_bytes(content[: content.index(sync) + 10])

    # When an expiry is measured, then it is refused with the file's name
    with pytest.raises(MissingFileError if harm == "gone" else UnreadableTableError) as raised:
        measure_expiry(as_lake_table(table), [first])
    assert path.name in raised.value.message


def test_files_of_another_store_are_refused(catalog: CachingSqlCatalog):
    # Given a snapshot whose manifest list is said to be in a bucket
    table = create(catalog)
    first = append(table, 1)
    append(table, 2)
    snapshot = next(found for found in table.metadata.snapshots if found.snapshot_id == first)
    elsewhere = snapshot.model_copy(update={"manifest_list": "gs://bucket/list.avro"})
    metadata = table.metadata.model_copy(update={"snapshots": [elsewhere, table.metadata.snapshots[1]]})
    table.metadata = metadata

    with pytest.raises(UnsupportedTableError, match="another store"):
        measure_expiry(as_lake_table(table), [first])


def test_path_written_otherwise_is_the_same_file(catalog: CachingSqlCatalog):
    # Given a table whose location has another spelling than the paths in its metadata
    table = create(catalog)
    first = append(table, 1)
    append(table, 2)
    table.metadata = table.metadata.model_copy(update={"location": table.location().replace("file://", "file:")})

    plan = measure_expiry(as_lake_table(table), [first])

    assert plan.freed.files == {FileKind.MANIFEST_LIST: 1}


def test_what_was_added_again_is_not_unreachable(catalog: CachingSqlCatalog):
    # Given a file that went with its snapshot
    table = create(catalog)
    first = append(table, 1)
    (file,) = (task.file.file_path for task in table.scan().plan_files())
    table.overwrite(table.scan().to_arrow())
    plan = measure_expiry(as_lake_table(table), [first])
    paths = [found.path for batch in plan.batches() for found in batch]
    assert file in paths
    table.maintenance.expire_snapshots().by_id(first).commit()
    assert still_unreachable(as_lake_table(table.refresh()), paths) == paths

    # When it is added again, by another spelling of its path
    table.add_files([file.replace("file:///", "file:/")])

    # Then it is reached, and the others are not
    left = still_unreachable(as_lake_table(table.refresh()), paths)
    assert left == [path for path in paths if path != file]


def test_metadata_files_are_reached(catalog: CachingSqlCatalog):
    table = create(catalog)
    append(table, 1)
    logged = [entry.metadata_file for entry in table.metadata.metadata_log]

    assert still_unreachable(as_lake_table(table), [table.metadata_location, *logged]) == []


def test_files_in_another_tables_location_are_left_alone(catalog: CachingSqlCatalog):
    # Given a table with a file of another one's, and none of its own that goes
    other = create(catalog, "sales.other")
    append(other, 1)
    (file,) = (task.file.file_path for task in other.scan().plan_files())
    table = create(catalog)
    table.add_files([file])
    first = table.refresh().metadata.current_snapshot_id
    assert first is not None
    table.overwrite(table.scan().to_arrow())
    neighbours = {NAME: [table.location()], NAME.__class__(namespace="sales", name="other"): [other.location()]}

    # When the snapshot that has it is measured
    plan = measure_expiry(as_lake_table(table), [first], neighbours=neighbours)

    # Then the file is told, and stays
    assert plan.foreign.files == {FileKind.DATA: 1}
    assert local(file) not in freed_paths(plan)
    assert measure_expiry(as_lake_table(table), [first]).freed.files[FileKind.DATA] == 1


def test_same_location_as_another_table_is_refused(catalog: CachingSqlCatalog):
    table = create(catalog)
    append(table, 1)
    twin = NAME.__class__(namespace="sales", name="twin")

    with pytest.raises(UnsupportedTableError, match=r"sales\.twin"):
        measure_expiry(as_lake_table(table), [], neighbours={NAME: [table.location()], twin: [table.location() + "/"]})


def test_everything_on_disk_is_counted(catalog: CachingSqlCatalog):
    table = create(catalog)
    make_history(table, [Step.APPEND, Step.DELETE_ROWS, Step.MERGE, Step.OVERWRITE, Step.STATISTICS])

    plan = measure_expiry(as_lake_table(table), [])

    assert plan.total.size_bytes == du(on_disk(table) & reached(table))
    assert plan.freed.file_count == 0
