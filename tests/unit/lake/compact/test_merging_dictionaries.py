"""Dictionaries that look like the values of their column, and are not: no row may become another one."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, MapType, NestedField, StringType

from app.errors import UnreadableTableError
from app.lake.compact.merging.bins import merge_bin
from app.lake.parquet.fields import ColumnFields, FileFields
from app.lake.parquet.row_groups import read_row_group, write_row_group
from app.lake.parquet.thrift import of_int, read_list, write_list
from app.lake.parquet.wire import I64, STRUCT
from tests.unit.lake.compact.crafted import MadeColumn, MadePage, craft
from tests.unit.lake.compact.merges import tasks_for
from tests.unit.lake.compact.parquet_files import READERS, footer_fields, with_footer, written
from tests.unit.lake.compact.rewriting import terms
from tests.unit.lake.compact.test_rewriting_files import files_of, path_of, with_set
from tests.unit.lake.local_tables import as_lake_table, create_table

COLUMNS = {
    "the identity": MadeColumn(dictionary=[5, 6, 7], pages=[MadePage(values=[0, 1, 2], width=2)]),
    "one value": MadeColumn(dictionary=[5], pages=[MadePage(values=[0], width=1, has_runs=True)]),
    "something behind its values": MadeColumn(
        dictionary=[5, 6, 7], pages=[MadePage(values=[0, 1, 2], width=2)], behind=b"\1" * 8
    ),
    "in two pages": MadeColumn(
        dictionary=[5, 6, 7],
        pages=[MadePage(values=[0, 1], width=2, version=2, has_crc=True), MadePage(values=[2], width=5)],
    ),
    "a page of one value that is not the first": MadeColumn(
        dictionary=[5, 6], pages=[MadePage(values=[1], width=1), MadePage(values=[1], width=1)]
    ),
    "a page of fewer bits than its places would need": MadeColumn(
        dictionary=[5, 6, 7, 8], pages=[MadePage(values=[0, 1], width=1), MadePage(values=[0, 1], width=1)]
    ),
    "fewer bits than eight places further on": MadeColumn(
        dictionary=list(range(16)),
        pages=[MadePage(values=range(8), width=3), MadePage(values=range(8), width=3)],
    ),
    "a null": MadeColumn(dictionary=[5, 6, 7], pages=[MadePage(values=[0, None, 1], width=2)]),
    "two that are swapped": MadeColumn(dictionary=[5, 6, 7], pages=[MadePage(values=[0, 2, 1], width=2)]),
    "plain values after it": MadeColumn(
        dictionary=[5, 6], pages=[MadePage(values=[0, 1], width=1), MadePage(values=[8, None, 9], version=2)]
    ),
    "a page of nothing at its end": MadeColumn(
        dictionary=[5, 6], pages=[MadePage(values=[0, 1], width=1), MadePage(values=[], width=1)]
    ),
    "a page of nothing behind plain values": MadeColumn(
        dictionary=None, pages=[MadePage(values=[8, 9]), MadePage(values=[], version=2)]
    ),
    "a page of nothing between plain values": MadeColumn(
        dictionary=None, pages=[MadePage(values=[8, 9]), MadePage(values=[]), MadePage(values=[10])]
    ),
    "plain values in the middle": MadeColumn(
        dictionary=[5, 6],
        pages=[MadePage(values=[0], width=1), MadePage(values=[8, None, 9]), MadePage(values=[1], width=1)],
    ),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_values_are_what_they_were(catalog: SqlCatalog, case: str) -> None:
    # Given files of such a column
    table = create_table(catalog, Schema(NestedField(1, "n", LongType())))
    with_set(table, {"write.parquet.compression-codec": "uncompressed"})
    folder = path_of(f"{table.location()}/data")
    folder.mkdir(parents=True)
    column = COLUMNS[case]
    paths = [craft(folder / f"{n}.parquet", column, schema_to_pyarrow(table.schema())) for n in range(2)]

    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())

    for name, read in READERS.items():
        assert read(path_of(made.file_path)).column("n").to_pylist() == column.numbers * 2, name
    metadata = pq.read_metadata(path_of(made.file_path)).row_group(0).column(0)
    assert metadata.has_dictionary_page == (
        "a page of nothing" not in case
        and case
        not in ("the identity", "one value", "something behind its values", "in two pages", "plain values after it")
    )


def test_a_column_of_which_arrow_reads_a_part_is_told_as_broken(catalog: SqlCatalog) -> None:
    # Given files that Arrow wrote and does not read: it takes a first page without values for the end of the column
    map_type = MapType(2, StringType(), 3, LongType(), value_required=False)
    table = create_table(catalog, Schema(NestedField(1, "n", LongType()), NestedField(4, "map", map_type)))
    folder = path_of(f"{table.location()}/data")
    folder.mkdir(parents=True)
    rows = pa.table([list(range(4)), [{}, {"k": 1}, {}, {"l": 2}]], schema=schema_to_pyarrow(table.schema()))
    how = {"data_page_size": 1, "row_group_size": 1, "compression": "zstd", "store_schema": False}
    paths = [written(folder / f"{n}.parquet", rows, **how) for n in range(2)]
    with pytest.raises(pa.ArrowInvalid, match="expected length 1 but got length 0"):
        pq.read_table(paths[0])
    before = files_of(table)

    # Then no file comes of it in which rows have no map, or that of another row
    with pytest.raises(UnreadableTableError, match="of 4 rows of map can be read"):
        merge_bin(as_lake_table(table), tasks_for(paths), terms())

    assert files_of(table) == before


def test_what_is_behind_the_values_of_a_dictionary_is_in_no_row(catalog: SqlCatalog) -> None:
    # Given files without compression whose dictionaries have more bytes than they are said to have: DuckDB refuses them
    table = create_table(catalog, Schema(NestedField(1, "n", LongType())))
    with_set(table, {"write.parquet.compression-codec": "uncompressed"})
    folder = path_of(f"{table.location()}/data")
    folder.mkdir(parents=True)
    column = MadeColumn(
        dictionary=[5, 6, 7], pages=[MadePage(values=[0, 1, 2], width=2)], behind=b"\1" * 8, is_hidden=True
    )
    paths = [craft(folder / f"{n}.parquet", column, schema_to_pyarrow(table.schema())) for n in range(2)]

    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())

    for name in ("pyarrow", "datafusion"):
        assert READERS[name](paths[0]).column("n").to_pylist() == [5, 6, 7], name
        assert READERS[name](path_of(made.file_path)).column("n").to_pylist() == [5, 6, 7] * 2, name


def test_dictionaries_that_are_not_there_may_be_said_to_be_at_the_first_byte(catalog: SqlCatalog) -> None:
    # Given files, of another codec than the table's, that say 0 of where the dictionary is that they have not
    table = create_table(catalog, Schema(NestedField(1, "n", LongType())))
    folder = path_of(f"{table.location()}/data")
    folder.mkdir(parents=True)
    column = MadeColumn(dictionary=None, pages=[MadePage(values=[5, None, 7])], codec="snappy")
    paths = [craft(folder / f"{n}.parquet", column, schema_to_pyarrow(table.schema())) for n in range(3)]
    for path in paths:
        fields = footer_fields(path)
        (raw,) = read_list(fields[FileFields.ROW_GROUPS])[1]
        group = read_row_group(raw)
        group.chunks[0].column[ColumnFields.DICTIONARY_PAGE_OFFSET] = of_int(I64, 0)
        with_footer(path, fields | {FileFields.ROW_GROUPS: write_list(STRUCT, [write_row_group(group)])})

    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())

    assert READERS["pyarrow"](path_of(made.file_path)).column("n").to_pylist() == column.numbers * 3
