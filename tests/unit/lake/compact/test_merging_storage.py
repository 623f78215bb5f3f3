"""Merging files in S3 and on disks: what is missing, broken or full is told, and nothing that was written is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import FileScanTask, Table

from app.errors import BackendUnavailableError, MissingFileError, UnreadableTableError
from app.lake.compact.merging.bins import merge_bin
from app.lake.compact.merging.errors import UnmergeableError
from app.lake.internals import CachingSqlCatalog
from app.lake.metadata_cache import MetadataCache
from tests.full_disk import full_disk
from tests.unit.lake.compact.merges import task_of
from tests.unit.lake.compact.rewriting import rewrite, rows_of_files, tasks_of, terms
from tests.unit.lake.compact.test_merging_files import FEW
from tests.unit.lake.compact.test_rewriting_files import files_of, path_of
from tests.unit.lake.local_tables import NAME, append, as_lake_table, create_table

BUCKET = "lake"


@pytest.fixture
def in_s3(store: Mapping[str, str], cache: MetadataCache, tmp_path: Path) -> Iterator[CachingSqlCatalog]:
    """This project's SQL catalog, of tables in S3."""
    warehouse = f"s3://{BUCKET}/{uuid4()}"
    opened = CachingSqlCatalog("s3", cache, **{**store, "uri": f"sqlite:///{tmp_path}/s3.db", "warehouse": warehouse})
    opened.create_tables()
    opened.create_namespace(NAME.namespace)
    yield opened
    opened.close()


def filled(catalog: CachingSqlCatalog, files: int = 4, rows: int = 2000) -> Table:
    """Columns that are taken over, and one that is encoded anew."""
    table = create_table(catalog, FEW)
    for first in range(0, files * rows, rows):
        append(table, [{"id": n, "text": f"text {n}", "kind": n % 7} for n in range(first, first + rows)])
    return table


def keys_of(client: Any, table: Table) -> set[str]:
    prefix = table.location().removeprefix(f"s3://{BUCKET}/")
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/data/").get("Contents", ())
    return {one["Key"] for one in found}


def unfinished(client: Any, table: Table) -> list[str]:
    prefix = table.location().removeprefix(f"s3://{BUCKET}/")
    uploads = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
    return [one["Key"] for one in uploads if one["Key"].startswith(prefix)]


def key_of(task: FileScanTask) -> str:
    return str(task.file.file_path).removeprefix(f"s3://{BUCKET}/")


def test_files_in_s3_are_merged(in_s3: CachingSqlCatalog, client: Any) -> None:
    table = filled(in_s3)
    before = keys_of(client, table)

    (made,) = merge_bin(as_lake_table(table), tasks_of(table), terms())

    (new,) = keys_of(client, table) - before
    assert made.file_path == f"s3://{BUCKET}/{new}"
    assert client.head_object(Bucket=BUCKET, Key=new)["ContentLength"] == made.file_size_in_bytes
    with table.io.new_input(made.file_path).open() as stream:
        assert pq.ParquetFile(stream).metadata.num_row_groups == 1
    assert rows_of_files(table, [made]) == rows_of_files(table, rewrite(table))


@pytest.mark.parametrize("place", [0, 2], ids=["the first one", "one further on"])
@pytest.mark.parametrize("end", [0, 3, 300, -1])
def test_an_object_that_is_cut_off_is_told_and_nothing_is_left(
    in_s3: CachingSqlCatalog, client: Any, end: int, place: int
) -> None:
    table = filled(in_s3)
    key = key_of(tasks_of(table)[place])
    content = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    client.put_object(Bucket=BUCKET, Key=key, Body=content[:end])
    before = keys_of(client, table)

    with pytest.raises(UnreadableTableError, match=key.rpartition("/")[2]):
        merge_bin(as_lake_table(table), tasks_of(table), terms())

    assert (keys_of(client, table), unfinished(client, table)) == (before, [])


@pytest.mark.parametrize("place", [0, 2], ids=["the first one", "one further on"])
def test_an_object_that_is_gone_is_told_and_nothing_is_left(in_s3: CachingSqlCatalog, client: Any, place: int) -> None:
    table = filled(in_s3)
    gone = tasks_of(table)[place]
    client.delete_object(Bucket=BUCKET, Key=key_of(gone))
    before = keys_of(client, table)

    with pytest.raises(MissingFileError) as told:
        merge_bin(as_lake_table(table), tasks_of(table), terms())

    assert told.value.fields["file"] == gone.file.file_path
    assert (keys_of(client, table), unfinished(client, table)) == (before, [])


@pytest.mark.parametrize("place", [0, 2], ids=["the first one", "one further on"])
def test_a_file_that_is_gone_is_told_and_nothing_is_left(catalog: CachingSqlCatalog, place: int) -> None:
    table = filled(catalog)
    gone = tasks_of(table)[place].file.file_path
    path_of(gone).unlink()
    before = files_of(table)

    with pytest.raises(MissingFileError) as told:
        merge_bin(as_lake_table(table), tasks_of(table), terms())

    assert told.value.fields["file"] == gone
    assert files_of(table) == before


@pytest.mark.parametrize("threads", [1, 3])
def test_a_full_disk_is_told_and_nothing_is_left(catalog: CachingSqlCatalog, threads: int) -> None:
    # Given room for the first of several row groups
    table = filled(catalog, 8)
    with table.transaction() as change:
        change.set_properties({"write.parquet.row-group-limit": "4000"})
    before = files_of(table)

    with full_disk(12_000), pytest.raises(BackendUnavailableError):
        merge_bin(as_lake_table(table), tasks_of(table), terms(threads=threads))

    assert files_of(table) == before


@pytest.mark.parametrize("step", [7, 101])
def test_a_file_with_any_other_byte_is_merged_or_told_and_nothing_is_left(
    catalog: CachingSqlCatalog, step: int
) -> None:
    # Given a small file in which one byte after the other is another one
    table = filled(catalog, 2, 30)
    broken = path_of(tasks_of(table)[1].file.file_path)
    content = broken.read_bytes()
    before = files_of(table)
    told = 0
    for place in range(step, len(content), len(content) // 80):
        broken.write_bytes(content[:place] + bytes([content[place] ^ (1 << step % 8)]) + content[place + 1 :])
        try:
            made = merge_bin(as_lake_table(table), tasks_of(table), terms())
        except (UnreadableTableError, UnmergeableError):
            told += 1
            made = ()
        for file in made:
            path_of(file.file_path).unlink()
        assert files_of(table) == before, place

    assert told


@pytest.mark.parametrize(("told", "words"), [(0, "its manifest says 0"), (29, "its manifest says 29")])
def test_a_file_of_other_rows_than_its_manifest_says_is_told(catalog: CachingSqlCatalog, told: int, words: str) -> None:
    table = filled(catalog, 3, 30)
    tasks = tasks_of(table)
    tasks[1] = task_of(path_of(tasks[1].file.file_path), rows=told)
    before = files_of(table)

    with pytest.raises(UnreadableTableError, match=words):
        merge_bin(as_lake_table(table), tasks, terms())

    assert files_of(table) == before


def test_files_without_rows_are_left_out(catalog: CachingSqlCatalog) -> None:
    table = filled(catalog, 2, 30)
    path = path_of(f"{table.location()}/data/empty.parquet")
    pq.write_table(schema_to_pyarrow(table.schema()).empty_table(), path, compression="zstd")
    empty = task_of(path)

    (made,) = merge_bin(as_lake_table(table), [empty, *tasks_of(table), empty], terms())

    assert made.record_count == 60
    assert merge_bin(as_lake_table(table), [empty], terms()) == ()
