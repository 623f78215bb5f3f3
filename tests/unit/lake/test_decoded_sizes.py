"""What a footer tells of how much rows are once they are decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.lake.parquet.decoded_sizes import decoded_row_bytes
from app.lake.parquet.fields import ColumnFields, FileFields, SizeStatisticsFields
from app.lake.parquet.row_groups import read_row_group, write_row_group
from app.lake.parquet.thrift import Struct, of_int, read_list, read_struct, write_list, write_struct
from app.lake.parquet.wire import I64, STRUCT

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


def told(path: Path, groups: Sequence[int] = (0,), columns: Sequence[int] | None = None) -> float | None:
    metadata = pq.read_metadata(path)
    with pa.OSFile(str(path)) as stream:
        return decoded_row_bytes(stream, metadata, groups, range(metadata.num_columns) if columns is None else columns)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_row_is_as_much_as_arrow_has_of_it_whatever_the_file_has(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({name: COLUMNS[name]}), path, row_group_size=ROWS)
    row_bytes = told(path)
    assert row_bytes is not None
    actual = COLUMNS[name].nbytes / ROWS
    assert actual <= row_bytes <= 1.2 * actual + 13 * (3 if "list" in name else 1)


def test_only_the_columns_and_row_groups_that_are_read_count(tmp_path: Path) -> None:
    texts = ["x" * 10] * 50 + ["x" * 1000] * 50
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"id": range(100), "text": texts}), path, row_group_size=50)
    assert told(path, [0, 1], [0]) == 9
    assert told(path, [0], [0, 1]) == 9 + 9 + 10
    assert told(path, [1, 0], [0, 1]) == 9 + 9 + 1000


def test_texts_of_writers_that_do_not_say_how_long_they_are_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    duckdb.sql(f"COPY (SELECT 1 AS id, repeat('x', 1000) AS text FROM range(100)) TO '{path}'")
    assert told(path) is None
    assert told(path, columns=[0]) == 5


def test_texts_of_which_arrow_tells_the_wrong_length_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    texts = pa.array(["x" * 1000 + str(number) for number in range(100)])
    pq.write_table(pa.table({"t": texts}), path, use_dictionary=False, column_encoding={"t": "DELTA_BYTE_ARRAY"})
    assert told(path) is None


def test_encrypted_files_are_unknown_and_do_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"text": ["x"] * 10}), path)
    rewrite_footer(path, lambda footer: footer | {FileFields.ENCRYPTION_ALGORITHM: union_of(1)})
    assert pq.read_metadata(path).num_rows == 10
    assert told(path) is None


@pytest.mark.parametrize("length", [-1, 2**62])
def test_lengths_that_cannot_be_are_unknown(tmp_path: Path, length: int) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"text": ["x"] * 10}), path)

    def lie(footer: Struct) -> Struct:
        (raw,) = read_list(footer[FileFields.ROW_GROUPS])[1]
        group = read_row_group(raw)
        size = (STRUCT, write_struct({SizeStatisticsFields.UNENCODED_BYTES: of_int(I64, length)}))
        group.chunks[0].column[ColumnFields.SIZE_STATISTICS] = size
        return footer | {FileFields.ROW_GROUPS: write_list(STRUCT, [write_row_group(group)])}

    assert told(path) == 9 + 1
    rewrite_footer(path, lie)
    assert pq.read_table(path).num_rows == 10
    assert told(path) is None


def test_footers_that_take_long_to_read_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    table = pa.table({f"c{number}": ["x"] * 11 for number in range(100)})
    pq.write_table(table, path, row_group_size=1)
    assert told(path, columns=[0]) is None
    pq.write_table(table.slice(0, 10), path, row_group_size=1)
    assert told(path, columns=[0]) == 9 + 1


def union_of(field_id: int) -> tuple[int, bytes]:
    return STRUCT, write_struct({field_id: (STRUCT, write_struct({}))})


def rewrite_footer(path: Path, change: Callable[[Struct], Struct]) -> None:
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = write_struct(change(read_struct(content, start)[0]))
    path.write_bytes(content[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
