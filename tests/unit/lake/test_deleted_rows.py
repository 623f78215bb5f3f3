"""Positions in delete files as bits: what they delete, whatever their order, and what they are in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import orc
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask

from app.lake import position_deletes
from app.lake.deleted_rows import DeletedRows, read_deleted_rows

ONE, OTHER = "s3://bucket/one.parquet", "s3://bucket/other.parquet"
Row = tuple[str, int]


def deletes(path: Path, rows: Sequence[Row], file_format: FileFormat = FileFormat.PARQUET, **how: object) -> DataFile:
    columns = [pa.array([path for path, _ in rows], pa.string()), pa.array([pos for _, pos in rows], pa.int64())]
    table = pa.table(columns, ["file_path", "pos"])
    if file_format is FileFormat.ORC:
        orc.write_table(table, path)
    else:
        pq.write_table(table, path, **how)
    return DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=f"file://{path}",
        file_format=file_format,
        record_count=len(rows),
        file_size_in_bytes=path.stat().st_size,
    )


def task(path: str, rows: int, *deletes: DataFile) -> FileScanTask:
    file = DataFile.from_args(
        content=DataFileContent.DATA, file_path=path, file_format=FileFormat.PARQUET, record_count=rows
    )
    return FileScanTask(file, delete_files=set(deletes))


def read(*tasks: FileScanTask) -> list[list[int] | None]:
    """The positions that are deleted of each."""
    found = read_deleted_rows(PyArrowFileIO(), tasks)
    return [
        None if rows is None else positions(rows, some.file.record_count)
        for rows, some in zip(found, tasks, strict=True)
    ]


def positions(rows: DeletedRows, end: int) -> list[int]:
    live = rows.live_within(0, end)
    gone = [] if live is None else np.flatnonzero(~live.to_numpy(zero_copy_only=False)).tolist()
    assert rows.count == len(gone)
    return gone


@pytest.mark.parametrize("file_format", [FileFormat.PARQUET, FileFormat.ORC])
def test_each_row_is_deleted_once_and_none_that_the_file_has_not(tmp_path: Path, file_format: FileFormat) -> None:
    # Given positions out of order, twice, beyond the file, and of a file that is not asked about
    rows = [(OTHER, 3), (ONE, 8), (ONE, 0), ("s3://bucket/third.parquet", 1), (ONE, 8), (ONE, 9), (OTHER, 0), (ONE, -1)]
    file = deletes(tmp_path / "deletes", rows, file_format)
    assert read(task(ONE, 9, file), task(OTHER, 4, file), task(OTHER, 4)) == [[0, 8], [0, 3], None]


def test_only_delete_files_of_the_task_count(tmp_path: Path) -> None:
    # As where a file is there twice, of different ages
    first = deletes(tmp_path / "first", [(ONE, 1)])
    second = deletes(tmp_path / "second", [(ONE, 2), (ONE, 1)])
    assert read(task(ONE, 4, first), task(ONE, 4, first, second), task(ONE, 4, second)) == [[1], [1, 2], [1, 2]]


def test_a_row_group_is_read_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position_deletes, "_BATCH_ROWS", 7)
    rows = [(path, pos) for path in (ONE, OTHER) for pos in range(0, 100, 3)]
    expected = list(range(0, 100, 3))
    for how in ({}, {"use_dictionary": False}, {"row_group_size": 10}):
        file = deletes(tmp_path / "deletes", rows, **how)
        assert read(task(ONE, 100, file), task(OTHER, 100, file)) == [expected, expected]


def test_what_is_live_is_told_by_rows_also_beyond_what_the_manifest_says() -> None:
    rows = DeletedRows(10)
    rows.add(np.array([3, 9], np.int64))
    assert rows.live_within(4, 9) is None
    assert rows.live_within(10, 12) is None
    assert pa.array(rows.live_within(2, 5)).to_pylist() == [True, False, True]
    assert pa.array(rows.live_within(8, 13)).to_pylist() == [True, False, True, True, True]


def test_a_file_without_rows_has_none_deleted(tmp_path: Path) -> None:
    file = deletes(tmp_path / "deletes", [(ONE, 0)])
    assert read(task(ONE, 0, file)) == [[]]


@pytest.mark.parametrize("many", [False, True], ids=["one", "several"])
def test_a_broken_delete_file_is_named(tmp_path: Path, many: bool) -> None:
    path = tmp_path / "broken.parquet"
    nulls = pa.table({"file_path": [ONE, ONE], "pos": pa.array([1, None], pa.int64())})
    file = deletes(path, [(ONE, 0)])
    files = [file, *([deletes(tmp_path / "whole", [(ONE, 1)])] if many else [])]
    for write in (
        lambda: pq.write_table(nulls, path),
        lambda: pq.write_table(nulls.select(["pos"]), path),
        lambda: path.write_bytes(b"PAR1"),
        path.unlink,
    ):
        write()
        with pytest.raises(OSError, match=r"broken\.parquet"):
            read(task(ONE, 4, *files))


@given(st.lists(st.lists(st.integers(-3, 70)), max_size=4), st.integers(0, 70), st.data())
def test_bits_are_a_set_of_positions(parts: list[list[int]], rows: int, data: st.DataObject) -> None:
    found = DeletedRows(rows)
    for part in parts:
        found.add(np.array(part, np.int64))
    expected = {pos for part in parts for pos in part if 0 <= pos < rows}
    assert positions(found, rows) == sorted(expected)
    first = data.draw(st.integers(0, 80))
    end = data.draw(st.integers(first, 80))
    live = found.live_within(first, end)
    told = [True] * (end - first) if live is None else live.to_pylist()
    assert told == [pos not in expected for pos in range(first, end)]
