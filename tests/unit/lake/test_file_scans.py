"""Rows as they are in a file: in which order, and in how much memory."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from app.lake.file_scans import scan_file

MB = 1024 * 1024


def scan(path: Path, columns: list[str], only: list[int] | None = None) -> list[tuple[int, pa.RecordBatch]]:
    with pa.OSFile(str(path)) as stream:
        fragment = ds.ParquetFileFormat().make_fragment(stream)
        return list(scan_file(stream, fragment, columns, None, None if only is None else pa.array(only, pa.int64())))


def peak_bytes(path: Path, columns: list[str], *, is_bulk: bool = False) -> tuple[int, int]:
    """The most that Arrow held while a file was scanned and nothing kept of it, and the rows of the largest batch."""
    before, peak, rows = pa.total_allocated_bytes(), 0, 0
    with pa.OSFile(str(path)) as stream:
        fragment = ds.ParquetFileFormat().make_fragment(stream)
        for _, batch in scan_file(stream, fragment, columns, None, None, is_bulk=is_bulk):
            peak, rows = max(peak, pa.total_allocated_bytes() - before), max(rows, batch.num_rows)
    return peak, rows


def test_a_text_that_is_kept_once_is_not_decoded_for_all_rows_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x" * 2000]))
    pq.write_table(pa.table({"text": texts}), path, row_group_size=200_000, store_schema=False)
    assert path.stat().st_size < MB
    peak, batch_rows = peak_bytes(path, ["text"])
    assert peak < 64 * MB
    assert batch_rows == 16_384


def test_batches_of_long_texts_have_few_rows(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    texts = pa.array([f"{number:06}" + "x" * 100_000 for number in range(2000)])
    # A page is decoded at once, and Arrow looks at its size only after so many values.
    pq.write_table(pa.table({"text": texts}), path, row_group_size=2000, write_batch_size=10, use_dictionary=False)
    del texts
    peak, batch_rows = peak_bytes(path, ["text"])
    assert peak < 64 * MB
    assert 50 < batch_rows < 100


def test_who_reads_all_gets_larger_batches_of_rows_that_are_known_to_be_small(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"id": range(200_000), "text": ["abc"] * 200_000}), path, row_group_size=200_000)
    assert peak_bytes(path, ["id", "text"], is_bulk=True)[1] == 131_072
    assert peak_bytes(path, ["id", "text"])[1] == 16_384


@pytest.mark.parametrize("length", [400, 4_000, 400_000])
def test_who_reads_all_gets_no_more_than_16_mb_of_a_text_that_is_kept_once(tmp_path: Path, length: int) -> None:
    path = tmp_path / "file.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x" * length]))
    pq.write_table(pa.table({"text": texts}), path, row_group_size=200_000, store_schema=False)
    assert path.stat().st_size < MB
    peak, batch_rows = peak_bytes(path, ["text"], is_bulk=True)
    assert batch_rows * length <= 16 * MB < 2 * batch_rows * length
    assert peak < 64 * MB


def test_who_reads_all_gets_small_batches_where_nothing_tells_how_long_texts_are(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    duckdb.sql(f"COPY (SELECT repeat('x', 2000) AS text FROM range(200000)) TO '{path}' (ROW_GROUP_SIZE 200000)")
    peak, batch_rows = peak_bytes(path, ["text"], is_bulk=True)
    assert batch_rows == 16_384
    assert peak < 64 * MB


@pytest.mark.parametrize("only", [None, [0], [3, 4], [0, 5, 11], [12], []])
def test_positions_are_those_of_the_file_whatever_is_read_of_it(tmp_path: Path, only: list[int] | None) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"at": range(13), "text": ["x"] * 13}), path, row_group_size=3)
    found = scan(path, ["at"], only)
    for first, batch in found:
        assert batch.column("at").to_pylist() == list(range(first, first + batch.num_rows))
    read = {first // 3 for first, batch in found for first in range(first, first + batch.num_rows)}
    assert read == (set(range(5)) if only is None else {position // 3 for position in only})


def test_columns_with_dots_and_parts_of_columns_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"a": [{"b": 1}], "a.c": [2], "d": [3]}), path)
    ((_, batch),) = scan(path, ["a.c"])
    assert batch.column("a.c").to_pylist() == [2]
    ((_, batch),) = scan(path, ["a", "d"])
    assert batch.column("a").to_pylist() == [{"b": 1}]
    assert batch.column("d").to_pylist() == [3]
