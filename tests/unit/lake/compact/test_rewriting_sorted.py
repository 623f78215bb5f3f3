"""Rewriting tables with a sort order: through disk and in memory, and over several files."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.conversions import from_bytes
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import NullOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform, TruncateTransform, VoidTransform
from pyiceberg.types import BinaryType, DoubleType, LongType, NestedField, StringType, StructType

from app.lake.compact.rewriting import sorted_runs
from app.lake.internals import CachingSqlCatalog
from tests.unit.lake.compact.rewriting import rewrite, rows_of_files
from tests.unit.lake.local_tables import append, create_table

SCHEMA = Schema(
    NestedField(1, "n", LongType()),
    NestedField(2, "x", DoubleType()),
    NestedField(3, "s", StructType(NestedField(4, "text", StringType()))),
    NestedField(5, "bytes", BinaryType()),
)


def filled(catalog: CachingSqlCatalog, files: int = 3, rows: int = 2000) -> Table:
    table = create_table(catalog, SCHEMA)
    rng = random.Random(0)
    for _ in range(files):
        append(
            table,
            [
                {
                    "n": rng.choice([None, rng.randrange(10)]),
                    "x": rng.choice([None, math.nan, 0.0, -0.0, rng.gauss(0, 1), -math.inf]),
                    "s": rng.choice([None, {"text": rng.choice(["", "abc", "abd", "ü"])}]),
                    "bytes": rng.randbytes(2),
                }
                for _ in range(rows)
            ],
        )
    return table


@pytest.mark.parametrize("memory_bytes", [20_000, 100_000_000])
def test_rows_are_in_order_and_equal_ones_stay_as_they_were(
    catalog: CachingSqlCatalog, monkeypatch: pytest.MonkeyPatch, memory_bytes: int
) -> None:
    monkeypatch.setattr(sorted_runs, "_CHUNK_BYTES", 1000)
    table = filled(catalog)
    unsorted = rows_of_files(table, rewrite(table))
    with table.update_sort_order() as update:
        update.desc("s.text", IdentityTransform(), NullOrder.NULLS_FIRST)
        update.asc("x", IdentityTransform(), NullOrder.NULLS_LAST)
    files = rewrite(table, memory_bytes=memory_bytes)

    def text_of(row: dict[str, Any]) -> str | None:
        return None if row["s"] is None else row["s"]["text"]

    def of_x(row: dict[str, Any]) -> tuple[int, float, float]:
        value = row["x"]
        if value is None or math.isnan(value):
            return (2 if value is None else 1), 0.0, 0.0
        return 0, value, math.copysign(1, value)

    by_x = sorted(unsorted, key=of_x)
    by_text = sorted(by_x, key=lambda row: text_of(row) or "", reverse=True)
    expected = sorted(by_text, key=lambda row: text_of(row) is not None)
    assert list(map(repr, rows_of_files(table, files))) == list(map(repr, expected))
    assert {file.sort_order_id for file in files} == {table.sort_order().order_id}


def test_ranges_of_files_do_not_overlap(catalog: CachingSqlCatalog) -> None:
    table = filled(catalog)
    with table.update_sort_order() as update:
        update.asc("bytes", IdentityTransform(), NullOrder.NULLS_LAST)
    files = rewrite(table, target_bytes=12_000, memory_bytes=30_000, outputs=5)
    assert len(files) > 2
    place = table.schema().find_field("bytes").field_id
    ranges = [
        [from_bytes(BinaryType(), bounds[place]) for bounds in (file.lower_bounds, file.upper_bounds)] for file in files
    ]
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(ranges))


def test_one_value_in_all_rows_is_sorted_in_little_memory(
    catalog: CachingSqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given ranges that no value tells apart
    monkeypatch.setattr(sorted_runs, "_CHUNK_BYTES", 1000)
    table = create_table(catalog, SCHEMA)
    for first in (0, 3000):
        append(table, [{"n": 1, "x": float(first + row)} for row in range(3000)])
    unsorted = rows_of_files(table, rewrite(table))
    with table.update_sort_order() as update:
        update.desc("n", IdentityTransform(), NullOrder.NULLS_LAST)
    assert rows_of_files(table, rewrite(table, memory_bytes=100_000)) == unsorted


def test_transforms_are_sorted_by(catalog: CachingSqlCatalog) -> None:
    table = filled(catalog, files=2, rows=200)
    with table.update_sort_order() as update:
        update.asc("n", BucketTransform(3), NullOrder.NULLS_FIRST)
        update.desc("bytes", TruncateTransform(1), NullOrder.NULLS_FIRST)
    bucket = BucketTransform(3).transform(LongType())
    found = rows_of_files(table, rewrite(table))
    keys = [(-1 if row["n"] is None else bucket(row["n"]), -row["bytes"][0]) for row in found]
    assert keys == sorted(keys)  # type: ignore[type-var]


def test_an_order_by_nothing_is_none(catalog: CachingSqlCatalog, tmp_path: Path) -> None:
    table = filled(catalog, files=1, rows=10)
    with table.update_sort_order() as update:
        update.asc("n", VoidTransform(), NullOrder.NULLS_FIRST)
    (file,) = rewrite(table)
    assert file.sort_order_id == 0
