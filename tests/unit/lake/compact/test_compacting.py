"""Whole runs of compaction: plan, make, commit, and what readers see of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.table.update import SetCurrentSchemaUpdate
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from app.domain.compaction.policy import CompactionPolicy
from app.errors import MissingFileError, UnreadableTableError
from app.lake.compact import making
from app.lake.compact.making import BinMaker
from app.lake.compact.outcomes import CompactionOutcome, Way
from app.lake.compact.planning import PlannedTable, plan_table
from app.lake.compact.rewriting.writer_options import JOINED_FRAMES
from app.lake.compact.running import CompactionRun
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from app.lake.parquet.fields import ColumnFields, FileFields, PageFields
from app.lake.parquet.row_groups import get_int, read_row_group, write_row_group
from app.lake.parquet.thrift import of_int, read_list, write_list, write_struct
from app.lake.parquet.wire import I32, I64, STRUCT
from tests.unit.lake.compact.parquet_files import footer_fields
from tests.unit.lake.compact.rewrites import look, rows_of
from tests.unit.lake.compact.test_compact_running import strangers
from tests.unit.lake.compact.test_rewriting_files import path_of, with_set
from tests.unit.lake.local_tables import NAME, append, as_lake_table, create_table, delete_rows

SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "price", DoubleType()), NestedField(3, "name", StringType())
)
POLICY = CompactionPolicy(target_file_size_mb=8, min_file_size_mb=4)


def load(catalog: CachingSqlCatalog) -> Any:
    return as_lake_table(catalog.load_table(str(NAME)))


@pytest.fixture
def compact(catalog: CachingSqlCatalog, cache: MetadataCache, tmp_path: Path) -> Callable[..., CompactionOutcome]:
    def compacted(
        policy: CompactionPolicy = POLICY, plan: PlannedTable | None = None, **maker: Any
    ) -> CompactionOutcome:
        make = BinMaker(name="run", memory_bytes=64 * 2**20, scratch=tmp_path, **maker)
        run = CompactionRun(catalog, lambda: load(catalog), cache, make, properties={}, threads=2)
        return run.run(plan or planned(catalog, policy))

    return compacted


def planned(catalog: CachingSqlCatalog, policy: CompactionPolicy = POLICY) -> PlannedTable:
    return plan_table(load(catalog), policy)


def put(table: Table | Transaction, first: int, count: int) -> None:
    """A file of rows that do not compress: about 24 bytes each."""
    random = np.random.default_rng(first)
    # Twelve digits each, all at once: value by value they took longer than what is tested.
    digits = pa.py_buffer(random.bytes(6 * count).hex().encode())
    ends = pa.py_buffer(np.arange(0, 12 * count + 1, 12))
    table.append(
        pa.table(
            {
                "id": np.arange(first, first + count),
                "price": random.random(count),
                "name": pa.LargeStringArray.from_buffers(count, ends, digits),
            }
        )
    )


@pytest.fixture
def table(catalog: CachingSqlCatalog) -> Table:
    """Twelve files of nearly a megabyte."""
    made = create_table(catalog, SCHEMA)
    # Twelve snapshots in one commit: what commits take is not tested here.
    with made.transaction() as change:
        for number in range(12):
            put(change, 40_000 * number, 40_000)
    return made


def duckdb_sum(table: Table) -> tuple[Any, ...]:
    files = [task.file.file_path.removeprefix("file://") for task in table.refresh().scan().plan_files()]
    (row,) = duckdb.sql(f"SELECT count(*), sum(hash(id, price, name)::HUGEINT) FROM read_parquet({files})").fetchall()
    return tuple(row)


@pytest.mark.parametrize("way", [Way.COPY, Way.REWRITE, None], ids=["copy", "rewrite", "as it likes"])
def test_rows_are_the_same_however_bins_are_made(
    catalog: CachingSqlCatalog, table: Table, compact: Callable[..., CompactionOutcome], way: Way | None
) -> None:
    before = duckdb_sum(table)
    plan = planned(catalog).plan
    found = compact(way=way, copy_min_row_group_bytes=2**19)
    assert {each.made.way for each in found.committed} == {way or Way.COPY}
    assert duckdb_sum(table) == before
    files = [task.file for task in table.refresh().scan().plan_files()]
    assert len(files) <= plan.files_after
    assert max(file.file_size_in_bytes for file in files) <= 1.1 * POLICY.target_bytes
    # And a second run has nothing to do, and nothing is left over
    assert planned(catalog).plan.bins == ()
    assert not strangers(table)
    # And the manifests say what is in the files
    assert sum(file.record_count for file in files) == before[0]
    for file in files:
        assert file.value_counts[1] == file.record_count
        lower, upper = (int.from_bytes(bounds[1], "little") for bounds in (file.lower_bounds, file.upper_bounds))
        path = file.file_path.removeprefix("file://")
        assert duckdb.sql(f"SELECT min(id), max(id) FROM '{path}'").fetchall() == [(lower, upper)]


def test_small_row_groups_are_rewritten_into_large_ones(
    table: Table, compact: Callable[..., CompactionOutcome]
) -> None:
    found = compact()
    assert {each.made.way for each in found.committed} == {Way.REWRITE}
    assert all("smaller than 8.0 MB" in (each.made.why or "") for each in found.committed)
    assert sum(len(task.file.split_offsets or []) for task in table.refresh().scan().plan_files()) < 12


def test_pages_stay_where_they_are_large_enough_and_the_report_says_so(
    catalog: CachingSqlCatalog, table: Table, compact: Callable[..., CompactionOutcome]
) -> None:
    before, plan = duckdb_sum(table), planned(catalog).plan
    found = compact(merge_min_chunk_bytes=100 * 1024)
    assert {each.made.way for each in found.committed} == {Way.REWRITE}
    whys = [each.made.why or "" for each in found.committed]
    assert all(why.endswith("their pages stay as they are in larger row groups") for why in whys), whys
    assert duckdb_sum(table) == before
    assert len(list(table.refresh().scan().plan_files())) <= plan.files_after
    assert planned(catalog).plan.bins == ()


@pytest.mark.parametrize(
    "properties",
    [{JOINED_FRAMES: "true"}, {"write.parquet.compression-codec": "uncompressed"}],
    ids=["frames of zstd", "no compression"],
)
def test_small_pages_stay_where_they_may_be_put_together(
    catalog: CachingSqlCatalog, compact: Callable[..., CompactionOutcome], properties: dict[str, str]
) -> None:
    table = with_set(create_table(catalog, SCHEMA), properties)
    for number in range(4):
        put(table, 40_000 * number, 40_000)
    before = duckdb_sum(table)
    found = compact(merge_min_chunk_bytes=2**30)
    (why,) = (each.made.why or "" for each in found.committed)
    assert why.endswith("their pages stay as they are in larger row groups")
    assert duckdb_sum(table) == before


def test_pages_that_are_too_small_are_rewritten(table: Table, compact: Callable[..., CompactionOutcome]) -> None:
    before = duckdb_sum(table)
    found = compact(merge_min_chunk_bytes=2**30)
    whys = [each.made.why or "" for each in found.committed]
    assert all(why.endswith("and would stay so") for why in whys), whys
    assert duckdb_sum(table) == before


def test_what_cannot_be_merged_is_rewritten_row_by_row_with_the_reason(
    catalog: CachingSqlCatalog, table: Table, compact: Callable[..., CompactionOutcome]
) -> None:
    before = duckdb_sum(table)
    with table.transaction() as change:
        change.set_properties({"write.parquet.compression-level": "1"})
    found = compact()
    whys = [each.made.why or "" for each in found.committed]
    assert all(why.endswith("row by row: a level of compression is asked for") for why in whys), whys
    assert duckdb_sum(table) == before


def test_pages_of_a_kind_that_merging_does_not_know_are_no_reason_to_give_up(
    table: Table, compact: Callable[..., CompactionOutcome]
) -> None:
    # Given a file with an empty page of an index, which the format has and nobody reads, before the data of its end
    path = path_of(next(iter(table.scan().plan_files())).file.file_path)
    before = duckdb_sum(table)
    with_index_page(path)
    assert duckdb_sum(table) == before

    found = compact()

    whys = [each.made.why or "" for each in found.committed]
    assert any("row by row" in why and "of kind 1, which is not known" in why for why in whys), whys
    assert duckdb_sum(table) == before


def with_index_page(path: Path) -> None:
    """Put one behind the last column chunk of a file."""
    header = write_struct(
        {
            PageFields.TYPE: of_int(I32, 1),
            PageFields.UNCOMPRESSED_SIZE: of_int(I32, 0),
            PageFields.COMPRESSED_SIZE: of_int(I32, 0),
            6: (STRUCT, b"\0"),
        }
    )
    content = path.read_bytes()
    fields = footer_fields(path)
    (raw,) = read_list(fields[FileFields.ROW_GROUPS])[1]
    group = read_row_group(raw)
    column = group.chunks[-1].column
    size = get_int(column, ColumnFields.TOTAL_COMPRESSED_SIZE)
    column[ColumnFields.TOTAL_COMPRESSED_SIZE] = of_int(I64, size + len(header))
    fields[FileFields.ROW_GROUPS] = write_list(STRUCT, [write_row_group(group)])
    footer = write_struct(fields)
    data = content[: group.chunks[-1].start + size]
    path.write_bytes(data + header + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def test_of_files_that_are_too_small_to_be_copied_no_footer_is_read(
    table: Table, compact: Callable[..., CompactionOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = duckdb_sum(table)
    read: list[str] = []
    monkeypatch.setattr(making, "read_footer", lambda _, location, __: read.append(location))
    found = compact()
    assert {each.made.way for each in found.committed} == {Way.REWRITE}
    assert read == []
    assert duckdb_sum(table) == before


def test_deletes_are_applied_and_the_rest_is_copied(
    catalog: CachingSqlCatalog, table: Table, compact: Callable[..., CompactionOutcome]
) -> None:
    delete_rows(table, "id", pc.field("id") == 123)
    before = rows_of(table)
    found = compact(copy_min_row_group_bytes=2**19)
    ways = {each.made.way: each.made.why for each in found.committed}
    assert ways[Way.REWRITE] == "there are deletes to apply"
    assert Way.COPY in ways
    assert rows_of(table.refresh()) == before
    assert not any(file.deletes for file in look(catalog).files)
    assert len(found.dropped_deletes) == 1


def test_files_of_several_schemas_are_made_into_the_current_one(
    catalog: CachingSqlCatalog, compact: Callable[..., CompactionOutcome]
) -> None:
    table = create_table(catalog, SCHEMA)
    append(table, [{"id": 1, "price": 1.5, "name": "x"}])
    with table.update_schema() as update:
        update.rename_column("name", "title")
        update.add_column("more", LongType())
    append(table, [{"id": 2, "price": 2.5, "title": "y", "more": 7}])
    with table.update_schema() as update:
        update.delete_column("price")
    before = rows_of(table)
    found = compact(copy_min_row_group_bytes=1)
    (only,) = found.committed
    assert only.made.way is Way.REWRITE
    assert (only.made.why or "").startswith("different schemas")
    assert rows_of(table.refresh()) == before == [(1, "x", None), (2, "y", 7)]


def test_a_table_with_a_sort_order_is_sorted(
    catalog: CachingSqlCatalog, compact: Callable[..., CompactionOutcome]
) -> None:
    order = SortOrder(SortField(source_id=1, transform=IdentityTransform()))
    table = catalog.create_table(str(NAME), SCHEMA, sort_order=order)
    for first in (3, 1, 2):
        append(table, [{"id": first, "price": 0.5, "name": "x"}, {"id": first + 10, "price": 0.5, "name": "x"}])
    compact(copy_min_row_group_bytes=1)
    (task,) = table.refresh().scan().plan_files()
    assert task.file.sort_order_id == order.order_id
    assert table.scan().to_arrow()["id"].to_pylist() == [1, 2, 3, 11, 12, 13]


@pytest.mark.parametrize("way", [Way.COPY, Way.REWRITE])
def test_files_that_are_missing_or_cut_short_are_named_and_nothing_is_committed(
    catalog: CachingSqlCatalog, table: Table, compact: Callable[..., CompactionOutcome], way: Way
) -> None:
    head = table.metadata.current_snapshot_id
    path = Path(sorted(look(catalog).paths)[5].removeprefix("file://"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableTableError, match=path.name):
        compact(way=way)
    path.unlink()
    with pytest.raises(MissingFileError, match=path.name):
        compact(way=way)
    assert table.refresh().metadata.current_snapshot_id == head
    assert not strangers(table)
    path.write_bytes(whole)
    assert compact(way=way).committed


@pytest.mark.parametrize("way", [Way.COPY, Way.REWRITE])
def test_a_file_that_an_expiry_deleted_since_the_plan_overtakes_its_bin(
    catalog: CachingSqlCatalog, table: Table, compact: Callable[..., CompactionOutcome], way: Way
) -> None:
    plan = planned(catalog)
    # Given a row that is deleted after the plan was made, and the file that had it, deleted by an expiry
    before = look(catalog).paths
    catalog.load_table(str(NAME)).delete("id == 7")
    (gone,) = before - look(catalog).paths
    Path(gone.removeprefix("file://")).unlink()

    outcome = compact(plan=plan, way=way)

    # Then what was left of it is brought together in the next round
    assert outcome.overtaken == ()
    assert len(look(catalog).paths) == len(planned(catalog).table_files) < len(before)
    ids = table.refresh().scan().to_arrow()["id"].to_pylist()
    assert len(ids) == 12 * 40_000 - 1
    assert 7 not in ids


@pytest.mark.parametrize("way", [Way.COPY, Way.REWRITE])
def test_a_column_that_is_there_again_since_the_plan_loses_nothing(
    catalog: CachingSqlCatalog, table: Table, compact: Callable[..., CompactionOutcome], way: Way
) -> None:
    # Given a plan made while a column was dropped, which is set back before the commit, as a rollback does
    schema_id = table.metadata.current_schema_id
    before = sorted(table.scan().to_arrow()["name"].to_pylist())
    with table.update_schema() as change:
        change.delete_column("name")
    plan = planned(catalog)
    now = catalog.load_table(str(NAME))
    catalog.commit_table(now, (), (SetCurrentSchemaUpdate(schema_id=schema_id),))

    outcome = compact(plan=plan, way=way)

    assert outcome.committed
    assert len(look(catalog).paths) < 12
    assert sorted(table.refresh().scan().to_arrow()["name"].to_pylist()) == before


@pytest.mark.parametrize("seed", range(3))
def test_appends_and_deletes_beside_several_compactions_all_hold(
    catalog: CachingSqlCatalog, cache: MetadataCache, compact: Callable[..., CompactionOutcome], seed: int
) -> None:
    # Given a table that others write to all the while
    table = create_table(catalog, SCHEMA)
    for number in range(6):
        append(table, [{"id": 100 * number + place, "price": 0.5, "name": "x"} for place in range(10)])
    random = np.random.default_rng(seed)
    expected = {row[0] for row in rows_of(table)}
    done = threading.Event()
    faults: list[BaseException] = []

    def compact_again() -> None:
        while not done.is_set():
            try:
                compact(CompactionPolicy())
            except BaseException as error:
                faults.append(error)
                raise

    threads = [threading.Thread(target=compact_again) for _ in range(2)]
    for thread in threads:
        thread.start()
    # When rows are added, deleted by position and written anew
    try:
        for number in range(12):
            mine = catalog.load_table(str(NAME))
            what = random.choice(["append", "delete", "overwrite"])
            if what == "append":
                append(mine, [{"id": 1000 + number, "price": 0.5, "name": "y"}])
                expected.add(1000 + number)
                continue
            gone = int(random.choice(sorted(expected)))
            try:
                if what == "delete":
                    delete_rows(mine, "id", pc.field("id") == gone)
                else:
                    mine.delete(f"id == {gone}")
            except (CommitFailedException, ValidationException):
                # Whoever loses the race writes nothing.
                continue
            expected.discard(gone)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    # Then the rows are those of what was acknowledged
    assert not faults
    assert [row[0] for row in rows_of(table.refresh())] == sorted(expected)
    compact(CompactionPolicy())
    assert [row[0] for row in rows_of(table.refresh())] == sorted(expected)
    # And none of our files is left over; those of others who lost are theirs
    assert not [path for path in strangers(table) if "-run-" in path]
