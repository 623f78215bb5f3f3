"""Files merged page by page: what several readers make of them, what manifests say, and when it is not done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from app.errors import UnreadableTableError
from app.lake.compact.merging.bins import merge_bin
from app.lake.compact.merging.errors import UnmergeableError
from app.lake.compact.rewriting.stopping import RewriteStoppedError
from tests.unit.lake.compact.merges import tasks_for
from tests.unit.lake.compact.parquet_files import READERS, rows_of
from tests.unit.lake.compact.rewriting import rewrite, rows_of_files, tasks_of, terms
from tests.unit.lake.compact.test_rewriting_files import files_of, path_of, with_set
from tests.unit.lake.local_tables import append, as_lake_table, create_table

PLACE = StructType(NestedField(30, "city", StringType()), NestedField(31, "zip", LongType()))
SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "small", IntegerType()),
    NestedField(3, "name", StringType()),
    NestedField(4, "ratio", DoubleType()),
    NestedField(5, "single", FloatType()),
    NestedField(6, "amount", DecimalType(12, 2)),
    NestedField(7, "large", DecimalType(30, 4)),
    NestedField(8, "day", DateType()),
    NestedField(9, "at", TimestamptzType()),
    NestedField(10, "local", TimestampType()),
    NestedField(11, "time", TimeType()),
    NestedField(12, "flag", BooleanType()),
    NestedField(13, "raw", BinaryType()),
    NestedField(14, "fixed", FixedType(3)),
    NestedField(15, "uuid", UUIDType()),
    NestedField(16, "tags", ListType(32, StringType(), element_required=False)),
    NestedField(17, "counts", MapType(33, StringType(), 34, LongType(), value_required=False)),
    NestedField(18, "place", PLACE),
)
FEW = Schema(NestedField(1, "id", LongType()), NestedField(2, "text", StringType()), NestedField(3, "kind", LongType()))


def row(number: int, *, is_unique: bool = True) -> dict[str, Any]:
    """A row whose values are its own, or such as come again and again, with nulls among them."""
    moment = dt.datetime(2026, 2, 15, tzinfo=dt.UTC) + dt.timedelta(microseconds=number)
    again = number if is_unique else number % 7
    return {
        "id": number,
        "small": again if is_unique or again else None,
        "name": f"name {again}" if is_unique or again else None,
        "ratio": again / 7 if is_unique or again > 1 else float("nan"),
        "single": again / 3 if is_unique or again else -0.0,
        "amount": Decimal(again) / 100,
        "large": -Decimal(again) / 100,
        "day": dt.date(1900, 1, 1) + dt.timedelta(again),
        "at": moment,
        "local": moment.replace(tzinfo=None),
        "time": (moment.min + dt.timedelta(microseconds=again)).time(),
        "flag": number % 3 == 0,
        "raw": again.to_bytes(4, "big"),
        "fixed": again.to_bytes(3, "big"),
        "uuid": UUID(int=again * 2**100 + 1),
        "tags": [f"t{again}", None] * (number % 3) if number % 5 else None,
        "counts": {f"k{again}": number, "none": None} if number % 4 else {},
        "place": {"city": f"c{again}", "zip": number} if is_unique or again else None,
    }


def merge(table: Table, **options: Any) -> tuple[DataFile, ...]:
    return merge_bin(as_lake_table(table), tasks_of(table), terms(**options))


def sources_of(table: Table) -> list[Path]:
    return [path_of(task.file.file_path) for task in tasks_of(table)]


def encodings_of(path: Path, column: str) -> list[set[str]]:
    """How the pages of a column are encoded, by row group."""
    metadata = pq.ParquetFile(path).metadata
    place = metadata.schema.names.index(column)
    return [set(metadata.row_group(number).column(place).encodings) for number in range(metadata.num_row_groups)]


CODECS = ["zstd", "snappy", "gzip", "uncompressed", "lz4"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("is_unique", [True, False], ids=["values of their own", "values that come again"])
def test_every_reader_has_the_rows_in_their_order(catalog: SqlCatalog, codec: str, is_unique: bool) -> None:
    # Given files of several sizes, with columns of every type
    table = with_set(create_table(catalog, SCHEMA), {"write.parquet.compression-codec": codec})
    for first, count in ((0, 700), (1000, 1), (2000, 333), (3000, 1200)):
        append(table, [row(number, is_unique=is_unique) for number in range(first, first + count)])
    sources = sources_of(table)

    # When they are merged
    (made,) = merge(table)

    # Then there is one row group, which all readers read as they read the files before
    path = path_of(made.file_path)
    metadata = pq.ParquetFile(path).metadata
    assert (metadata.num_row_groups, metadata.num_rows, made.record_count) == (1, 2234, 2234)
    for name, read in READERS.items():
        before = pa.concat_tables([read(source) for source in sources], promote_options="permissive")
        assert rows_of(read(path)) == rows_of(before), name
    assert rows_of(pq.read_table(path, page_checksum_verification=True)) == rows_of(READERS["pyarrow"](path))


def test_columns_of_values_of_their_own_keep_their_pages_and_others_are_encoded_anew(catalog: SqlCatalog) -> None:
    table = create_table(catalog, FEW)
    for first in (0, 1000):
        append(table, [{"id": n, "text": f"text {n}", "kind": n % 3} for n in range(first, first + 500)])

    (made,) = merge(table)

    path = path_of(made.file_path)
    assert encodings_of(path, "id") == encodings_of(path, "text") == [{"PLAIN", "RLE"}]
    assert encodings_of(path, "kind") == [{"PLAIN", "RLE", "RLE_DICTIONARY"}]
    # What is taken over is smaller than it was: places in a dictionary say nothing where they are 0, 1, 2 ….
    assert made.file_size_in_bytes < sum(task.file.file_size_in_bytes for task in tasks_of(table))


def test_what_the_manifest_says_is_what_it_says_of_rewritten_files(catalog: SqlCatalog) -> None:
    table = create_table(catalog, SCHEMA)
    for first, count in ((0, 300), (1000, 400)):
        append(table, [row(number) for number in range(first, first + count)])

    (made,), (rewritten,) = merge(table), rewrite(table)

    for name in ("record_count", "value_counts", "null_value_counts", "lower_bounds", "upper_bounds"):
        assert getattr(made, name) == getattr(rewritten, name), name
    # The writer of the files does not say how many are NaN.
    assert (made.nan_value_counts, made.sort_order_id, made.spec_id) == ({}, 0, 0)
    metadata = pq.ParquetFile(path_of(made.file_path)).metadata
    sizes = [metadata.row_group(0).column(place).total_compressed_size for place in range(metadata.num_columns)]
    assert list(made.column_sizes.values()) == sizes
    assert made.split_offsets == [4]
    assert rows_of_files(table, [made]) == rows_of_files(table, [rewritten])


@pytest.mark.parametrize("mode", ["none", "counts", "truncate(2)", "truncate(16)", "full"])
def test_metrics_are_in_the_modes_of_the_table(catalog: SqlCatalog, mode: str) -> None:
    table = create_table(catalog, FEW)
    for first in (0, 1000):
        append(table, [{"id": n, "text": f"ab{n:020}", "kind": n} for n in range(first, first + 50)])
    with_set(table, {"write.metadata.metrics.column.text": mode})

    (made,), (rewritten,) = merge(table), rewrite(table)

    for name in ("value_counts", "null_value_counts", "lower_bounds", "upper_bounds"):
        assert getattr(made, name) == getattr(rewritten, name), name


def test_statistics_of_row_groups_are_those_of_all_values(catalog: SqlCatalog) -> None:
    table = create_table(catalog, SCHEMA)
    for first, count in ((5000, 300), (-400, 300)):
        append(
            table, [row(number) if number >= 0 else {**row(7), "id": number} for number in range(first, first + count)]
        )

    (made,), (rewritten,) = merge(table), rewrite(table)

    mine, theirs = (pq.ParquetFile(path_of(each.file_path)).metadata.row_group(0) for each in (made, rewritten))
    for place in range(mine.num_columns):
        ours, arrows = mine.column(place).statistics, theirs.column(place).statistics
        assert (ours.null_count, ours.has_min_max) == (arrows.null_count, arrows.has_min_max), mine.column(place)
        if ours.has_min_max:
            assert (ours.min, ours.max) == (arrows.min, arrows.max), mine.column(place)


def test_row_groups_and_files_are_no_larger_than_they_may_be(catalog: SqlCatalog) -> None:
    table = with_set(create_table(catalog, FEW), {"write.parquet.row-group-limit": "1000"})
    for first in range(0, 20_000, 400):
        append(table, [{"id": n, "text": f"text {n}", "kind": n} for n in range(first, first + 400)])
    size = sum(task.file.file_size_in_bytes for task in tasks_of(table))

    made = merge(table, outputs=3, target_bytes=size // 3)

    assert len(made) <= 3
    assert max(file.file_size_in_bytes for file in made) <= 1.1 * size / 3
    groups = [pq.ParquetFile(path_of(file.file_path)).metadata for file in made]
    sizes = [each.row_group(n).num_rows for each in groups for n in range(each.num_row_groups)]
    # A file that is the last one for where it goes may be alone.
    assert set(sizes) <= {800, 400}
    assert sizes.count(400) <= 3
    assert sum(file.record_count for file in made) == 20_000
    assert rows_of_files(table, made) == rows_of_files(table, [task.file for task in tasks_of(table)])


def test_files_are_no_larger_than_they_may_be_where_one_row_group_could_have_all_rows(catalog: SqlCatalog) -> None:
    table = create_table(catalog, FEW)
    for first in range(0, 24_000, 2000):
        append(
            table, [{"id": n, "text": f"{n} {UUID(int=n**20 % 2**128)}", "kind": n} for n in range(first, first + 2000)]
        )
    size = sum(task.file.file_size_in_bytes for task in tasks_of(table))

    made = merge(table, outputs=3, target_bytes=size // 3)

    assert len(made) == 3
    assert max(file.file_size_in_bytes for file in made) <= 1.1 * size / 3
    assert {file.record_count for file in made} == {8000}
    assert rows_of_files(table, made) == rows_of_files(table, [task.file for task in tasks_of(table)])


def test_a_file_that_is_larger_than_the_target_does_not_stay_so(catalog: SqlCatalog) -> None:
    table = create_table(catalog, FEW)
    append(table, [{"id": n, "text": f"text {n}", "kind": n} for n in range(1000)])
    (source,) = tasks_of(table)

    with pytest.raises(UnmergeableError, match="larger than a row group"):
        merge(table, outputs=2, target_bytes=source.file.file_size_in_bytes // 2)


@pytest.mark.parametrize(
    ("case", "properties", "words"),
    [
        ("Bloom filters", {"write.parquet.bloom-filter-enabled.column.id": "true"}, "Bloom filters"),
        ("a level", {"write.parquet.compression-level": "9"}, "level"),
        ("few rows", {"write.parquet.row-group-limit": "10"}, "larger than a row group"),
        ("few bytes", {"write.parquet.row-group-size-bytes": "100"}, "larger than a row group"),
    ],
)
def test_what_pages_cannot_give_is_left_to_rewriting(
    catalog: SqlCatalog, case: str, properties: dict[str, str], words: str
) -> None:
    table = create_table(catalog, FEW)
    for first in (0, 100):
        append(table, [{"id": n, "text": f"text {n}", "kind": n} for n in range(first, first + 50)])
    with_set(table, properties)
    before = files_of(table)

    with pytest.raises(UnmergeableError, match=words):
        merge(table)

    assert files_of(table) == before


def test_files_of_a_schema_that_the_table_has_no_more_are_not_merged(catalog: SqlCatalog) -> None:
    table = create_table(catalog, FEW, [{"id": 1, "text": "x", "kind": 1}])
    with table.update_schema() as change:
        change.rename_column("text", "words")
    append(table, [{"id": 2, "words": "y", "kind": 1}])
    before = files_of(table)

    with pytest.raises(UnmergeableError, match="another schema than the table has now"):
        merge(table)

    assert files_of(table) == before


def required(field: pa.Field) -> pa.Field:
    """The field, and all that are in it, as one that is never null."""
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([required(one) for one in kind])
    elif pa.types.is_map(kind):
        kind = pa.map_(kind.key_field, required(kind.item_field))
    elif pa.types.is_large_list(kind) or pa.types.is_list(kind):
        made = pa.list_ if pa.types.is_list(kind) else pa.large_list
        kind = made(required(kind.value_field))
    return field.with_type(kind).with_nullable(False)


def with_required_columns(table: Table, number: int, columns: Sequence[str]) -> Path:
    """A file of the table's columns, of which these are required in it; as Spark writes what is never null."""
    few = [{**row(n), "name": f"name {n % 3}", "tags": ["a"], "counts": {"k": n}} for n in range(number, number + 50)]
    schema = pa.schema([required(f) if f.name in columns else f for f in schema_to_pyarrow(table.schema())])
    plain = pa.schema([f.with_type(pa.binary(16)) if f.name == "uuid" else f for f in schema])
    for one in few:
        one["uuid"] = one["uuid"].bytes
    path = path_of(f"{table.location()}/data/{number}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pa.Table.from_pylist(few, plain).cast(schema)
    pq.write_table(content, path, compression="zstd", store_decimal_as_integer=True, store_schema=False)
    return path


REQUIRED = ("small", "name", "ratio", "uuid", "tags", "counts", "place")


def test_columns_that_are_required_in_all_files_and_not_in_the_table_stay_so(catalog: SqlCatalog) -> None:
    table = create_table(catalog, SCHEMA)
    paths = [with_required_columns(table, number, REQUIRED) for number in (0, 100)]

    (made,) = merge_bin(as_lake_table(table), tasks_for(paths), terms())

    path = path_of(made.file_path)
    assert pq.read_schema(path).equals(pq.read_schema(paths[0]))
    assert encodings_of(path, "small") == [{"PLAIN", "RLE"}]
    for name, read in READERS.items():
        assert rows_of(read(path)) == rows_of(pa.concat_tables([read(one) for one in paths])), name
    (rewritten,) = rewrite(table, tasks_for(paths))
    assert rows_of_files(table, [made]) == rows_of_files(table, [rewritten])
    assert (made.lower_bounds, made.null_value_counts) == (rewritten.lower_bounds, rewritten.null_value_counts)


@pytest.mark.parametrize("columns", [((), REQUIRED), (REQUIRED, ()), (("tags",), ("place",))])
def test_columns_that_are_required_in_some_files_alone_are_left_to_rewriting(
    catalog: SqlCatalog, columns: tuple[Sequence[str], Sequence[str]]
) -> None:
    table = create_table(catalog, SCHEMA)
    paths = [with_required_columns(table, 100 * number, some) for number, some in enumerate(columns)]

    with pytest.raises(UnmergeableError, match="another schema"):
        merge_bin(as_lake_table(table), tasks_for(paths), terms())


def test_a_broken_page_is_told_with_its_file_and_nothing_is_left(catalog: SqlCatalog) -> None:
    # Given two files, one of which has other bytes where its first page begins
    table = create_table(catalog, FEW)
    for first in (0, 1000):
        append(table, [{"id": n, "text": f"text {n}", "kind": n} for n in range(first, first + 500)])
    broken = sources_of(table)[1]
    content = bytearray(broken.read_bytes())
    content[4:8] = b"\xff\xff\xff\xff"
    broken.write_bytes(content)
    before = files_of(table)

    with pytest.raises(UnreadableTableError, match=broken.name):
        merge(table)

    assert files_of(table) == before


def test_one_that_is_stopped_leaves_nothing(catalog: SqlCatalog) -> None:
    table = with_set(create_table(catalog, FEW), {"write.parquet.row-group-limit": "500"})
    for first in range(0, 4000, 500):
        append(table, [{"id": n, "text": f"text {n}", "kind": n} for n in range(first, first + 500)])
    before, asked = files_of(table), iter(range(100))

    with pytest.raises(RewriteStoppedError):
        merge(table, is_stopped=lambda: next(asked) > 6)

    assert files_of(table) == before


def test_lists_can_be_read_where_pages_are_to_be_tiny(catalog: SqlCatalog) -> None:
    # Given lists with values that come again, of which Arrow is given one by itself
    schema = Schema(NestedField(1, "tags", ListType(2, LongType(), element_required=False)))
    table = create_table(catalog, schema)
    rows = [{"tags": [number % 7, number % 6]} for number in range(501)]
    append(table, rows[:1])
    append(table, rows[1:])
    # And a size of pages that the one who wrote them was not asked for
    with_set(table, {"write.parquet.page-size-bytes": "1"})

    for merged_or_rewritten in (merge(table), rewrite(table)):
        # Then no page of theirs is without a value, which Arrow would take for the end
        (path,) = [path_of(file.file_path) for file in merged_or_rewritten]
        assert sorted(pq.read_table(path).to_pylist(), key=str) == sorted(rows, key=str)
