"""Laws of row filters: what is answered of a table is what DuckDB, another engine, answers of the same rows."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, TruncateTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
)

from tests.properties.filter_strategies import filters, predicates, random_rows
from tests.unit.lake.local_tables import NAME, append, create_table, delete_rows, open_catalog, read

MODERATE = settings(max_examples=30, deadline=None)

SCHEMA = Schema(
    NestedField(1, "id", IntegerType()),
    NestedField(2, "n", IntegerType()),
    NestedField(3, "x", DoubleType()),
    NestedField(4, "s", StringType()),
    NestedField(5, "price", DecimalType(9, 2)),
    NestedField(6, "day", DateType()),
)
ARROW_SCHEMA = pa.schema(
    [
        ("id", pa.int32()),
        ("n", pa.int64()),
        ("x", pa.float64()),
        ("s", pa.string()),
        ("price", pa.decimal128(9, 2)),
        ("day", pa.date32()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A table and the rows that are in it."""

    table: Table
    rows: list[dict[str, Any]]


def in_one_file(catalog: SqlCatalog) -> DataSet:
    rows = random_rows(60, 1)
    return DataSet(table=create_table(catalog, SCHEMA, rows), rows=rows)


def in_files_of_one_row(catalog: SqlCatalog) -> DataSet:
    # Statistics of these files say all there is to say, and so skip wrongly most easily.
    rows = random_rows(6, 2)
    table = create_table(catalog, SCHEMA)
    for row in rows:
        append(table, [row])
    return DataSet(table=table, rows=rows)


def in_partitions(catalog: SqlCatalog) -> DataSet:
    rows = random_rows(30, 3)
    spec = PartitionSpec(
        PartitionField(source_id=4, field_id=1000, transform=TruncateTransform(1), name="s_1"),
        PartitionField(source_id=2, field_id=1001, transform=BucketTransform(2), name="n_2"),
    )
    table = catalog.create_table(str(NAME), SCHEMA, partition_spec=spec)
    append(table, rows)
    return DataSet(table=table, rows=rows)


def with_deleted_rows(catalog: SqlCatalog) -> DataSet:
    rows = random_rows(40, 4)
    table = create_table(catalog, SCHEMA)
    with table.transaction() as transaction:
        transaction.set_properties({"write.parquet.row-group-limit": "8"})
    append(table, rows[:30])
    delete_rows(table, "id", pc.field("id").isin([row["id"] for row in rows[:30:3]]))
    append(table, rows[30:])
    return DataSet(table=table, rows=[row for n, row in enumerate(rows) if n >= 30 or n % 3])


def in_row_groups(catalog: SqlCatalog) -> DataSet:
    rows = random_rows(60, 5)
    table = create_table(catalog, SCHEMA)
    with table.transaction() as transaction:
        transaction.set_properties({"write.parquet.row-group-limit": "2"})
    append(table, rows)
    return DataSet(table=table, rows=rows)


def after_evolution(catalog: SqlCatalog) -> DataSet:
    """Of the older file, `x` was float, `n` int, `price` narrower, and there was neither `s` nor `day`."""
    old, new = random_rows(20, 6), random_rows(20, 7)
    schema = Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "n", IntegerType()),
        NestedField(3, "x", FloatType()),
        NestedField(4, "price", DecimalType(7, 2)),
    )
    table = create_table(catalog, schema, [{key: row[key] for key in ("id", "n", "x", "price")} for row in old])
    with table.update_schema() as update:
        update.update_column("n", LongType())
        update.update_column("x", DoubleType())
        update.update_column("price", DecimalType(9, 2))
        update.add_column("s", StringType())
        update.add_column("day", DateType())
    append(table, new)

    def single(x: float | None) -> float | None:
        return None if x is None else struct.unpack("f", struct.pack("f", x))[0]

    return DataSet(table=table, rows=[{**row, "x": single(row["x"]), "s": None, "day": None} for row in old] + new)


MAKERS: dict[str, Callable[[SqlCatalog], DataSet]] = {
    "one file": in_one_file,
    "files of one row": in_files_of_one_row,
    "partitions": in_partitions,
    "deleted rows": with_deleted_rows,
    "row groups": in_row_groups,
    "evolution": after_evolution,
}


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, DataSet]]:
    """Each written once: only the filters are random."""
    folders = {case: tmp_path_factory.mktemp("lake") for case in MAKERS}
    catalogs = {case: open_catalog(folder) for case, folder in folders.items()}
    yield {case: make(catalogs[case]) for case, make in MAKERS.items()}
    for catalog in catalogs.values():
        catalog.close()


@pytest.fixture(scope="module")
def judge() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def ids(data_set: DataSet, row_filter: str) -> list[int]:
    return sorted(row["id"] for row in read(data_set.table, row_filter, "id").rows)


@pytest.mark.parametrize("case", MAKERS)
@MODERATE
@given(wanted=filters)
def test_a_filter_answers_what_duckdb_answers(data_sets, judge, case, wanted):
    data_set = data_sets[case]
    judge.register("rows", pa.Table.from_pylist(data_set.rows, ARROW_SCHEMA))

    found = ids(data_set, wanted.text)

    expected = judge.execute(f"SELECT id FROM rows WHERE {wanted.sql} ORDER BY id").fetchall()
    assert found == [number for (number,) in expected]


@MODERATE
@given(wanted=filters)
def test_a_row_is_never_in_a_filter_and_in_its_negation_and_in_one_if_it_is_whole(data_sets, wanted):
    data_set = data_sets["evolution"]

    found, missed = ids(data_set, wanted.text), ids(data_set, f"not ({wanted.text})")

    assert not set(found) & set(missed)
    whole = {row["id"] for row in data_set.rows if not any(is_missing(row[column]) for column in wanted.columns)}
    assert whole <= {*found, *missed}


@MODERATE
@given(wanted=predicates)
def test_a_comparison_its_negation_and_the_nulls_are_all_rows(data_sets, wanted):
    data_set = data_sets["evolution"]
    (column,) = wanted.columns

    parts = [ids(data_set, wanted.text), ids(data_set, f"not {wanted.text}")]
    if not wanted.is_total:
        parts.append(ids(data_set, f"{column} is null"))

    # Comparisons by order are the ones that NaN is on neither side of.
    nan = [row["id"] for row in data_set.rows if isinstance(row[column], float) and math.isnan(row[column])]
    left_out = {row["id"] for row in data_set.rows} - {number for part in parts for number in part}
    assert left_out in (set(), set(nan))
    assert sorted([*left_out, *(number for part in parts for number in part)]) == [row["id"] for row in data_set.rows]


def is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
