"""Least and greatest values of files that are merged: where they are not known of all rows, readers would skip some."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datafusion
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from app.lake.compact.merging.bins import merge_bin
from app.lake.compact.merging.errors import UnmergeableError
from app.lake.parquet.fields import ColumnFields, FileFields, StatisticsFields
from app.lake.parquet.row_groups import read_row_group, write_row_group
from app.lake.parquet.thrift import of_bytes, read_list, read_struct, write_list, write_struct
from app.lake.parquet.wire import STRUCT
from tests.unit.lake.compact.merges import tasks_for
from tests.unit.lake.compact.parquet_files import READERS, footer_fields, with_footer, written
from tests.unit.lake.compact.rewriting import rewrite, terms
from tests.unit.lake.compact.test_rewriting_files import files_of, path_of, with_set
from tests.unit.lake.local_tables import as_lake_table, create_table

SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "text", StringType()), NestedField(3, "ratio", DoubleType())
)
ROWS = 90


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    """One whose row groups have the rows of one file each."""
    made = with_set(create_table(catalog, SCHEMA), {"write.parquet.row-group-limit": "100"})
    path_of(f"{made.location()}/data").mkdir(parents=True)
    return made


def rows(first: int, text: str) -> list[dict[str, Any]]:
    return [{"id": first + n, "text": text if n % 2 else text[:2], "ratio": first + n / 2} for n in range(ROWS)]


def by_arrow(table: Table, number: int, some: Sequence[dict[str, Any]]) -> Path:
    content = pa.Table.from_pylist(some, schema_to_pyarrow(table.schema()))
    return written(path_of(f"{table.location()}/data/{number}.parquet"), content, compression="zstd")


def by_datafusion(table: Table, number: int, some: Sequence[dict[str, Any]], **options: Any) -> Path:
    """As a writer that is made of parquet-rs has it: it cuts what is least and greatest off after 64 bytes."""
    path = by_arrow(table, number, some)
    schema = footer_fields(path)[FileFields.SCHEMA]
    kinds = pa.schema([("id", pa.int64()), ("text", pa.string()), ("ratio", pa.float64())])
    context = datafusion.SessionContext(datafusion.SessionConfig({"datafusion.execution.target_partitions": "1"}))
    context.register_record_batches("some", [pa.Table.from_pylist(some, kinds).to_batches()])
    how = ", ".join(f"'format.{name}' '{value}'" for name, value in {"compression": "zstd(3)", **options}.items())
    path.unlink()
    context.sql(f"COPY (SELECT * FROM some) TO '{path}' STORED AS PARQUET OPTIONS ({how})").collect()
    # It gives no field ids.
    return with_footer(path, footer_fields(path) | {FileFields.SCHEMA: schema})


def with_greatest(path: Path, place: int, value: bytes, field_id: int = StatisticsFields.MAX_VALUE) -> Path:
    """The file with another greatest value of a column, or another least one."""
    fields = footer_fields(path)
    (raw,) = read_list(fields[FileFields.ROW_GROUPS])[1]
    group = read_row_group(raw)
    column = group.chunks[place].column
    told = read_struct(column[ColumnFields.STATISTICS][1])[0] | {field_id: of_bytes(value)}
    column[ColumnFields.STATISTICS] = (STRUCT, write_struct(told))
    return with_footer(path, fields | {FileFields.ROW_GROUPS: write_list(STRUCT, [write_row_group(group)])})


def test_values_too_long_for_arrow_are_not_left_out_of_what_a_file_says(table: Table) -> None:
    # Given a file with texts of which Arrow would say nothing, encoded anew, and one with short ones
    paths = [by_datafusion(table, 0, rows(0, "m" * 5000)), by_datafusion(table, 1, rows(0, "ab"))]
    before = files_of(table)

    # Then no file comes of it that has the least and greatest texts of the second one alone
    with pytest.raises(UnmergeableError, match=r"text of .* would have no least and greatest values"):
        merge_bin(as_lake_table(table), tasks_for(paths), terms())

    assert files_of(table) == before


@pytest.mark.parametrize(
    ("place", "value"),
    [(1, "é".encode()[:1]), (2, struct.pack("<d", float("nan")))],
    ids=["half a character", "NaN"],
)
def test_greatest_values_that_are_none_are_not_left_out_of_what_a_file_says(
    table: Table, place: int, value: bytes
) -> None:
    # Given a file that tells no number, or no text, for the greatest one, as Spark tells NaN
    some, others = ([{**one, "text": f"mm{one['id']}"} for one in rows(first, "")] for first in (1000, 0))
    paths = [with_greatest(by_arrow(table, 0, some), place, value), by_arrow(table, 1, others)]

    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())

    # Then it is found out which one that is
    (rewritten,) = rewrite(table, tasks_for(paths))
    assert (made.lower_bounds, made.upper_bounds) == (rewritten.lower_bounds, rewritten.upper_bounds)
    metadata = pq.read_metadata(path_of(made.file_path))
    assert metadata.num_row_groups == 2
    assert all(metadata.row_group(n).column(place).statistics.has_min_max for n in range(2))


def test_greatest_values_that_are_cut_off_are_above_all_values(table: Table) -> None:
    paths = [by_datafusion(table, n, rows(n, f"{n}" + "m" * 100)) for n in range(2)]

    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())

    assert (made.lower_bounds[2], made.upper_bounds[2]) == (b"0m", b"1mmmmmmmmmmmmmmn")
    for name, read in READERS.items():
        assert len(read(path_of(made.file_path), "text >= '1mm'")) == ROWS / 2, name


def test_a_table_that_is_to_know_its_greatest_values_is_not_told_greater_ones(table: Table) -> None:
    # Given a column of which engines take the greatest value from manifests
    with_set(table, {"write.metadata.metrics.column.text": "full"})
    # As many different texts as rows: they need no dictionary.
    some = [{"id": n, "text": f"{n:04}" + "m" * 100, "ratio": float(n)} for n in range(ROWS)]
    paths = [by_datafusion(table, 0, some)]

    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())

    assert made.upper_bounds[2] == some[-1]["text"].encode()


def test_zeros_of_both_signs_are_within_what_is_told(table: Table) -> None:
    # Given files whose writer does not tell zeros apart
    some = [{"id": n, "text": f"m{n}", "ratio": -0.0 if n == ROWS - 1 else float(n)} for n in range(ROWS)]
    path = with_greatest(by_arrow(table, 0, some), 2, struct.pack("<d", 0.0), StatisticsFields.MIN_VALUE)
    others = [{"id": n, "text": f"m{n}", "ratio": 0.0 if n == ROWS - 1 else -float(n)} for n in range(ROWS)]
    other = with_greatest(by_arrow(table, 1, others), 2, struct.pack("<d", -0.0))
    for one, least, greatest in ((path, -0.0, ROWS - 2.0), (other, 2.0 - ROWS, 0.0)):
        (made,) = merge_bin(as_lake_table(table), tasks_for([one]), terms())

        assert (made.lower_bounds[3], made.upper_bounds[3]) == (struct.pack("<d", least), struct.pack("<d", greatest))
