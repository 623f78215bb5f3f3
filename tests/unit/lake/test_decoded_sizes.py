"""What a footer tells of how much rows are once they are decoded."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.lake.parquet.decoded_sizes import decoded_row_bytes

ROWS = 10_000
COLUMNS = {
    "flag": pa.array([True] * ROWS),
    "small": pa.array([7] * ROWS, pa.int32()),
    "same": pa.array([7] * ROWS, pa.int64()),
    "share": pa.array([0.5] * ROWS, pa.float64()),
    "fixed": pa.array([b"0123456789"] * ROWS, pa.binary(10)),
    "price": pa.array([Decimal("1.25")] * ROWS, pa.decimal128(9, 2)),
    "text": pa.array(["x" * 300] * ROWS),
    "bytes": pa.array([b"x" * 30] * ROWS, pa.large_binary()),
    "nulls": pa.array([None] * ROWS, pa.string()),
    "some": pa.array([None, "x" * 20] * (ROWS // 2)),
    "list": pa.array([[1, 2, 3]] * ROWS, pa.list_(pa.int64())),
    "texts": pa.array([["a" * 50, None]] * ROWS, pa.list_(pa.string())),
}


def write(path: Path, table: pa.Table, rows_a_group: int = ROWS) -> pq.FileMetaData:
    pq.write_table(table, path, row_group_size=rows_a_group)
    return pq.read_metadata(path)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_row_is_as_much_as_arrow_has_of_it_whatever_the_file_has(tmp_path: Path, name: str) -> None:
    metadata = write(tmp_path / "file.parquet", pa.table({name: COLUMNS[name]}))
    told = decoded_row_bytes(metadata, [0], range(metadata.num_columns))
    assert told is not None
    actual = COLUMNS[name].nbytes / ROWS
    assert actual <= told <= 1.2 * actual + 13 * metadata.num_columns * (3 if "list" in name else 1)


def test_only_the_columns_and_row_groups_that_are_read_count(tmp_path: Path) -> None:
    texts = ["x" * 10] * 50 + ["x" * 1000] * 50
    metadata = write(tmp_path / "file.parquet", pa.table({"id": range(100), "text": texts}), rows_a_group=50)
    assert decoded_row_bytes(metadata, [0, 1], [0]) == 9
    assert decoded_row_bytes(metadata, [0], [0, 1]) == 9 + 9 + 10
    assert decoded_row_bytes(metadata, [1, 0], [0, 1]) == 9 + 9 + 1000


def test_texts_of_writers_that_do_not_say_how_long_they_are_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    duckdb.sql(f"COPY (SELECT 1 AS id, repeat('x', 1000) AS text FROM range(100)) TO '{path}'")
    metadata = pq.read_metadata(path)
    assert decoded_row_bytes(metadata, [0], [0, 1]) is None
    assert decoded_row_bytes(metadata, [0], [0]) == 5
