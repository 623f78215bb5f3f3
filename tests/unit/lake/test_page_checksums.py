"""Pages that are not as they were written, and are values all the same: their checksums tell, and whoever reads them
does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField

from app.errors import UnreadableTableError
from app.lake.compact.merging.bins import merge_bin
from app.lake.compact.merging.pages import DATA, DICTIONARY, read_pages
from app.lake.deleted_positions import DeletedPositions
from app.lake.deleted_rows import read_deleted_rows
from app.lake.named_files import BrokenFileError
from tests.unit.lake.compact.merges import task_of
from tests.unit.lake.compact.rewriting import rewrite, rows_of_files, terms
from tests.unit.lake.compact.test_rewriting_files import path_of
from tests.unit.lake.local_tables import as_lake_table, create_table, read
from tests.unit.lake.row_diff.comparing import compare, version
from tests.unit.lake.row_diff.made_snapshots import DELETES_SCHEMA, commit_files

SCHEMA = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "kind", LongType()))
ROWS = 400
WRONG = "checksum"


def write(path: Path, rows: pa.Table) -> Path:
    pq.write_table(rows, path, compression="NONE", store_schema=False, write_page_checksum=True)
    return path


def break_page(path: Path, column: str, kind: int) -> None:
    """Change a bit of the first page of this kind that still can be decoded, and is another value then."""
    content = bytearray(path.read_bytes())
    before = pq.read_table(path)
    group = pq.read_metadata(path).row_group(0)
    found = next(group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == column)
    start = found.dictionary_page_offset or found.data_page_offset
    page = next(page for page in read_pages(content, start, start + found.total_compressed_size) if page.kind == kind)
    content[(page.body + page.end) // 2 & -8 | 1] ^= 1
    path.write_bytes(content)
    assert pq.read_table(path) != before


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    """Two appends of a file each; in one column no value comes twice, in the other they all do."""
    made = create_table(catalog, SCHEMA)
    folder = path_of(f"{made.location()}/data")
    folder.mkdir(parents=True)
    schema = schema_to_pyarrow(SCHEMA)
    for number in range(2):
        ids = range(ROWS * number, ROWS * (number + 1))
        rows = pa.table([list(ids), [n % 7 for n in ids]], schema=schema)
        commit_files(made, Operation.APPEND, add=[task_of(write(folder / f"{number}.parquet", rows)).file])
    return made


def location(table: Table) -> Path:
    return path_of(f"{table.location()}/data/1.parquet")


def merge(table: Table) -> object:
    tasks = [task_of(path_of(f"{table.location()}/data/{number}.parquet")) for number in range(2)]
    return rows_of_files(table, merge_bin(as_lake_table(table), tasks, terms()))


def rows_differ(table: Table, *keys: str) -> object:
    first, second = (snapshot.snapshot_id for snapshot in table.refresh().snapshots())
    return compare(version(table, first), version(table, second), keys)


READERS: dict[str, Callable[[Table], object]] = {
    "rows": read,
    "rows of a filter": lambda table: read(table, "kind = 3"),
    "the row diff by key": lambda table: rows_differ(table, "id"),
    "the row diff as multisets": rows_differ,
    "rewriting": lambda table: rows_of_files(table, rewrite(table)),
    "merging": merge,
}


@pytest.mark.parametrize(("column", "kind"), [("id", DICTIONARY), ("id", DATA), ("kind", DICTIONARY), ("kind", DATA)])
@pytest.mark.parametrize("reader", READERS)
def test_a_page_that_is_not_as_it_was_written_is_told_by_its_file(
    table: Table, reader: str, column: str, kind: int
) -> None:
    assert READERS[reader](table)
    break_page(location(table), column, kind)
    with pytest.raises(UnreadableTableError, match=WRONG) as raised:
        READERS[reader](table)
    assert raised.value.fields["file"] == location(table).as_uri()


@pytest.mark.parametrize("reader", [read_deleted_rows, lambda io, tasks: DeletedPositions(io).of(tasks[0])])
@pytest.mark.parametrize("rows", [9, 200_000])
def test_so_is_one_of_a_delete_file(
    table: Table, reader: Callable[[object, list[FileScanTask]], object], rows: int
) -> None:
    path = path_of(f"{table.location()}/data/deletes.parquet")
    about = location(table).as_uri()
    write(path, pa.table([[about] * rows, list(range(rows))], schema=DELETES_SCHEMA))
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path.as_uri(),
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=rows,
        file_size_in_bytes=path.stat().st_size,
    )
    task = FileScanTask(task_of(location(table)).file, delete_files={deletes})
    assert reader(table.io, [task])

    break_page(path, "pos", DICTIONARY)
    with pytest.raises(BrokenFileError, match=WRONG) as raised:
        reader(table.io, [task])
    assert raised.value.location == path.as_uri()
