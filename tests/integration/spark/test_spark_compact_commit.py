"""Rewritten files are committed beside Spark: what Spark deletes stays deleted, and what it adds is there."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import FileScanTask

from app.domain.live_files import LiveFile
from app.lake.compact.commit import BinsCommit, RewrittenBin, commit_bins
from app.lake.encoded_files import layout_of
from app.lake.manifest_files import list_manifests
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable, to_state
from tests.integration.spark.conftest import SharedLake
from tests.unit.lake.compact.rewrites import Seen, look_at, rows_of
from tests.unit.lake.compact.rewriting import rewrite

pytestmark = pytest.mark.spark

MERGE_ON_READ = (
    "'format-version'='2', 'write.delete.mode'='merge-on-read', 'write.update.mode'='merge-on-read', "
    "'write.distribution-mode'='none'"
)


def load(lake: SharedLake) -> LakeTable:
    handle = lake.foreign.load_table(str(lake.name))
    return LakeTable(state=to_state(handle.metadata, handle.metadata_location, lake.name), handle=handle)


def look(lake: SharedLake) -> Seen:
    return look_at(load(lake))


def by_place(seen: Seen) -> list[RewrittenBin]:
    places = {(task.file.spec_id, repr(task.file.partition)) for task in seen.files.values()}
    return [
        seen.bin(lambda task, place=place: (task.file.spec_id, repr(task.file.partition)) == place)
        for place in sorted(places)
    ]


def rewritten(seen: Seen) -> list[RewrittenBin]:
    """As `by_place`, by our own writer."""
    parts: dict[tuple[int, str], dict[LiveFile, FileScanTask]] = {}
    for file, task in seen.files.items():
        parts.setdefault((task.file.spec_id, repr(task.file.partition)), {})[file] = task
    table = seen.table.handle
    return [RewrittenBin(removed=part, added=rewrite(table, list(part.values()))) for part in parts.values()]


def commit(lake: SharedLake, seen: Seen, bins: list[RewrittenBin]) -> BinsCommit:
    catalog: Catalog = lake.foreign
    return commit_bins(catalog, lambda: load(lake), seen.base, bins, MetadataCache(1), properties={})


def rows(lake: SharedLake, at: int | None = None) -> list[tuple[Any, ...]]:
    version = "" if at is None else f" VERSION AS OF {at}"
    return lake.sql(f"SELECT id, name, day FROM {{t}}{version} ORDER BY id, name")


@pytest.fixture
def table(lake: SharedLake) -> None:
    lake.sql(
        "CREATE TABLE {t} (id BIGINT, name STRING, day DATE) USING iceberg PARTITIONED BY (day) "
        f"TBLPROPERTIES ({MERGE_ON_READ})"
    )
    for number in range(4):
        lake.sql(
            "INSERT INTO {t} SELECT id, concat('name ', id), date_add(DATE'2026-01-01', cast(id % 2 AS INT)) "
            f"FROM range({number * 10}, {number * 10 + 10})"
        )


@pytest.mark.usefixtures("table")
def test_spark_reads_what_was_compacted_now_and_then(lake: SharedLake) -> None:
    # Given rows that Spark has deleted and changed by merge-on-read
    lake.sql("DELETE FROM {t} WHERE id % 7 = 3")
    lake.sql("UPDATE {t} SET name = 'changed' WHERE id % 5 = 0")
    before, seen = rows(lake), look(lake)
    assert any(file.deletes for file in seen.files)
    # When each partition is one file
    found = commit(lake, seen, by_place(seen))
    # Then Spark reads the same, from one file each and without deletes, and what was before too
    assert rows(lake) == before
    assert lake.sql("SELECT content, count(*) FROM {t}.files GROUP BY content") == [(0, 2)]
    assert rows(lake, seen.head.snapshot_id) == before
    assert lake.sql(f"SELECT operation FROM {{t}}.snapshots WHERE snapshot_id = {found.snapshot_id}") == [("replace",)]
    # And Spark goes on with it
    lake.sql("DELETE FROM {t} WHERE id = 20")
    lake.sql("INSERT INTO {t} VALUES (100, 'new', DATE'2026-01-01')")
    after = sorted([row for row in before if row[0] != 20] + [row for row in rows(lake) if row[0] == 100])
    assert rows(lake) == after
    again = look(lake)
    commit(lake, again, by_place(again))
    assert rows(lake) == after
    assert lake.sql("SELECT sum(record_count) FROM {t}.files") == [(len(after),)]


@pytest.mark.usefixtures("table")
def test_spark_finds_all_that_its_manifests_said_of_files(lake: SharedLake) -> None:
    # Given manifests of Spark, each of files of two partitions, and one of delete files, out of which files are copied
    lake.sql("DELETE FROM {t} WHERE id % 7 = 3")
    seen = look(lake)
    entries = "SELECT status, sequence_number, file_sequence_number, data_file FROM {t}.entries WHERE status < {most}"
    before = {row[3].file_path: row for row in lake.sql(entries.replace("{most}", "2"))}
    assert {row[3].content for row in before.values()} == {0, 1}
    spec = seen.table.metadata.spec().partition_type(seen.table.metadata.schema())
    for manifest in list_manifests(seen.table.io, seen.head, keeps_encoded=True):
        layout = layout_of(manifest.fetch_manifest_entry(seen.table.io)[0].data_file)
        assert layout is not None
        assert layout.fits(2, manifest.content, spec)
    # When the files of one partition are made into one
    found = commit(lake, seen, by_place(seen)[:1])
    # Then of those that went, of those that stayed, and of delete files, Spark finds each field as it was
    after = {row[3].file_path: row for row in lake.sql(entries.replace("{most}", "3"))}
    assert {row[0] for path, row in after.items() if path in before} == {0, 2}
    assert {row[3].content for row in after.values() if row[0] == 2} == {0, 1}
    assert len(found.dropped_deletes) > 0
    for path, row in before.items():
        assert after[path][1:] == row[1:]


@pytest.mark.usefixtures("table")
def test_a_delete_and_an_append_between_reading_and_commit_both_hold(lake: SharedLake) -> None:
    seen = look(lake)
    bins = by_place(seen)
    # Only the rows of one of the partitions
    lake.sql("DELETE FROM {t} WHERE id = 4")
    lake.sql("INSERT INTO {t} VALUES (100, 'new', DATE'2026-01-01')")
    before = rows(lake)
    found = commit(lake, seen, bins)
    assert (len(found.committed), len(found.overtaken)) == (1, 1)
    assert rows(lake) == before
    assert [row[0] for row in before] == [*range(4), *range(5, 40), 100]
    again = look(lake)
    assert commit(lake, again, by_place(again)).overtaken == ()
    assert rows(lake) == before


@pytest.mark.usefixtures("table")
def test_a_file_that_spark_writes_anew_is_not_brought_back(lake: SharedLake) -> None:
    seen = look(lake)
    bins = by_place(seen)
    lake.sql("ALTER TABLE {t} SET TBLPROPERTIES ('write.update.mode'='copy-on-write')")
    lake.sql("UPDATE {t} SET name = 'changed' WHERE id = 5")
    before = rows(lake)
    assert len(commit(lake, seen, bins).overtaken) == 1
    assert rows(lake) == before
    # And where Spark compacts meanwhile, both partitions are its own
    seen = look(lake)
    bins = by_place(seen)
    lake.sql("CALL {c}.system.rewrite_data_files(table => '{n}', options => map('rewrite-all', 'true'))")
    assert commit(lake, seen, bins).committed == ()
    assert rows(lake) == before


@pytest.mark.usefixtures("table")
def test_spark_reads_changes_across_a_compaction(lake: SharedLake) -> None:
    start = lake.head()
    seen = look(lake)
    commit(lake, seen, by_place(seen))
    lake.sql("INSERT INTO {t} VALUES (100, 'new', DATE'2026-01-01')")
    lake.sql(
        "CALL {c}.system.create_changelog_view(table => '{n}', changelog_view => 'changes_across', "
        f"options => map('start-snapshot-id', '{start}', 'end-snapshot-id', '{lake.head()}'))"
    )
    assert lake.sql("SELECT id, _change_type FROM changes_across") == [(100, "INSERT")]


def test_rows_that_spark_deleted_in_a_partition_of_nan_stay_deleted(lake: SharedLake) -> None:
    # Given a delete file of Spark about several files of NaN
    lake.sql(
        "CREATE TABLE {t} (id BIGINT, x DOUBLE) USING iceberg PARTITIONED BY (x) "
        f"TBLPROPERTIES ({MERGE_ON_READ}, 'write.delete.granularity'='partition')"
    )
    for number in range(3):
        lake.sql(
            "INSERT INTO {t} SELECT /*+ COALESCE(1) */ id, IF(id % 2 = 0, double('NaN'), 1.0) "
            f"FROM range({number * 10}, {number * 10 + 10})"
        )
    lake.sql("DELETE FROM {t} WHERE id % 10 IN (2, 3)")
    expected = [number for number in range(30) if number % 10 not in (2, 3)]
    assert [row[0] for row in lake.sql("SELECT id FROM {t} ORDER BY id")] == expected
    # Then our readers find it, and what is rewritten has none of the rows
    seen = look(lake)
    table = seen.table.handle
    # One delete file a partition, each about three files
    assert len(seen.files) == 6
    assert len({file.deletes for file in seen.files}) == 2
    assert [row[0] for row in rows_of(table)] == expected
    found = commit(lake, seen, rewritten(seen))
    assert (len(found.committed), found.overtaken) == (2, ())
    assert [row[0] for row in lake.sql("SELECT id FROM {t} ORDER BY id")] == expected
    assert lake.sql("SELECT content, count(*) FROM {t}.files GROUP BY content") == [(0, 2)]


@pytest.mark.parametrize(("merges", "partitions"), [("false", 3), ("true", 2)], ids=["as written", "merged"])
def test_files_of_a_spec_whose_column_spark_dropped_are_compacted(
    lake: SharedLake, merges: str, partitions: int
) -> None:
    # Given two partitions of a former spec with deletes, and files since; where Spark merges manifests after the column
    # is gone, it loses the partitions' values
    lake.sql(
        "CREATE TABLE {t} (id BIGINT, name STRING) USING iceberg PARTITIONED BY (name) "
        f"TBLPROPERTIES ({MERGE_ON_READ}, 'commit.manifest-merge.enabled'='{merges}')"
    )
    for number in range(3):
        lake.sql(
            "INSERT INTO {t} SELECT /*+ COALESCE(1) */ id, IF(id % 2 = 0, NULL, 'odd') "
            f"FROM range({number * 10}, {number * 10 + 10})"
        )
    lake.sql("DELETE FROM {t} WHERE id IN (3, 14)")
    lake.sql("ALTER TABLE {t} DROP PARTITION FIELD name")
    lake.sql("ALTER TABLE {t} DROP COLUMN name")
    for number in range(2):
        lake.sql(f"INSERT INTO {{t}} SELECT /*+ COALESCE(1) */ id FROM range({number * 10 + 100}, {number * 10 + 110})")
    expected = [number for number in (*range(30), *range(100, 120)) if number not in (3, 14)]
    assert [row[0] for row in lake.sql("SELECT id FROM {t} ORDER BY id")] == expected
    # When all of them are compacted
    seen = look(lake)
    found = commit(lake, seen, rewritten(seen))
    assert (len(found.committed), found.overtaken) == (partitions, ())
    # Then Spark reads the same, and goes on with the table; deletes by position are beyond it there in any case
    assert [row[0] for row in lake.sql("SELECT id FROM {t} ORDER BY id")] == expected
    assert [len(file.deletes) for file in look(lake).files] == [0] * partitions
    lake.sql("ALTER TABLE {t} SET TBLPROPERTIES ('write.delete.mode'='copy-on-write')")
    lake.sql("DELETE FROM {t} WHERE id IN (5, 16, 107)")
    after = [number for number in expected if number not in (5, 16, 107)]
    assert [row[0] for row in lake.sql("SELECT id FROM {t} ORDER BY id")] == after
    assert [row[0] for row in rows_of(look(lake).table.handle)] == after
