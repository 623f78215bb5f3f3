import csv
import datetime as dt
import io
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import InvalidArgumentError
from app.lake.encoding import (
    ROW_GROUP_BYTES,
    SLICE_BYTES,
    Encoder,
    RowFormat,
    encoder_for,
    media_types,
    slices,
    to_table,
)

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("price", pa.decimal128(12, 2)),
        ("name", pa.string()),
        ("day", pa.date32()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("ratio", pa.float64()),
        ("ok", pa.bool_()),
    ]
)
AT = dt.datetime(2026, 2, 15, 10, 0, 0, 5, tzinfo=dt.UTC)
# As microseconds, because DuckDB's Python objects of instants need a package that is not here.
AS_ASKED = '* REPLACE (epoch_us("at") AS "at")'
ROWS = [
    {"id": 2**62, "price": Decimal("1.50"), "name": 'a"b,c\r\nd', "day": AT.date(), "at": AT, "ratio": 0.1, "ok": True},
    {"id": None, "price": None, "name": None, "day": None, "at": None, "ratio": None, "ok": None},
    {"id": -1, "price": Decimal("-0.01"), "name": "", "day": AT.date(), "at": AT, "ratio": float("inf"), "ok": False},
]


def encoded(
    encoder: Encoder, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, truncated: bool = False
) -> bytes:
    parts = [encoder.start(schema)]
    parts += [encoder.write(piece) for batch in batches for piece in slices(batch)]
    parts.append(encoder.finish(truncated=truncated))
    return b"".join(parts)


def batches_of(table: pa.Table, rows: int) -> list[pa.RecordBatch]:
    return table.combine_chunks().to_batches(max_chunksize=rows)


@pytest.mark.parametrize("row_format", RowFormat)
@pytest.mark.parametrize("rows_per_batch", [1, 2, 100])
def test_duckdb_reads_back_what_was_written(row_format: RowFormat, rows_per_batch: int, tmp_path: Path) -> None:
    table = pa.Table.from_pylist(ROWS, SCHEMA)
    data = encoded(encoder_for(row_format), SCHEMA, batches_of(table, rows_per_batch))
    path = tmp_path / "rows"

    path.write_bytes(json.dumps(json.loads(data)["rows"]).encode() if row_format is RowFormat.JSON else data)

    types = (
        "{'id': 'BIGINT', 'price': 'DECIMAL(12,2)', 'name': 'VARCHAR', 'day': 'DATE', "
        "'at': 'TIMESTAMPTZ', 'ratio': 'DOUBLE', 'ok': 'BOOLEAN'}"
    )
    with duckdb.connect() as judge:
        if row_format is RowFormat.ARROW:
            arrived = pa.ipc.open_stream(data).read_all()
            judge.register("arrived", arrived)
            source = "arrived"
        else:
            source = {
                RowFormat.JSON: f"read_json('{path}', columns={types})",
                RowFormat.CSV: f"read_csv('{path}', columns={types}, header=true, quote='\"', escape='\"', "
                "allow_quoted_nulls=false)",
                RowFormat.PARQUET: f"read_parquet('{path}')",
            }[row_format]
        found = judge.execute(f"SELECT {AS_ASKED} FROM {source} ORDER BY id NULLS LAST").fetchall()
        judge.register("original", table)
        expected = judge.execute(f"SELECT {AS_ASKED} FROM original ORDER BY id NULLS LAST").fetchall()
    assert found == expected


def test_csv_is_rfc_4180() -> None:
    table = pa.table({"a,b": ["x", 'say "hi"', "two\r\nlines", "", None], "n": [1, 2, 3, 4, None]})

    data = encoded(encoder_for("csv"), table.schema, table.to_batches())

    assert data == b'"a,b",n\r\nx,1\r\n"say ""hi""",2\r\n"two\r\nlines",3\r\n"",4\r\n,\r\n'


def test_csv_of_one_column_has_no_empty_lines() -> None:
    table = pa.table({"a": [1, None, 3]})

    assert encoded(encoder_for("csv"), table.schema, table.to_batches()) == b'a\r\n1\r\n""\r\n3\r\n'


def test_csv_holds_nested_values_as_json() -> None:
    table = pa.table({"s": [{"a": [1, None], "b": 'x"'}, None], "n": [1, 2]})

    data = encoded(encoder_for("csv"), table.schema, table.to_batches())

    (header, first, second) = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert header == ["s", "n"]
    assert json.loads(first[0]) == {"a": [1, None], "b": 'x"'}
    assert second == ["", "2"]


def test_csv_writes_numbers_that_are_none() -> None:
    table = pa.table({"x": [float("nan"), float("inf"), float("-inf")], "b": [b"", b"\x00", None]})

    data = encoded(encoder_for("csv"), table.schema, table.to_batches())

    assert data == b'x,b\r\nNaN,""\r\nInfinity,AA==\r\n-Infinity,\r\n'


@pytest.mark.parametrize("truncated", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_json_says_at_its_end_whether_it_is_cut(rows: int, truncated: bool) -> None:
    table = pa.table({"id": pa.array(range(rows), pa.int64())})

    data = encoded(encoder_for("json"), table.schema, batches_of(table, 2), truncated=truncated)

    assert json.loads(data) == {"columns": ["id"], "rows": [{"id": n} for n in range(rows)], "truncated": truncated}
    assert list(json.loads(data)) == ["columns", "rows", "truncated"]


def test_json_without_its_end_is_no_document() -> None:
    table = pa.table({"id": [1]})
    encoder = encoder_for("json")

    data = encoder.start(table.schema) + encoder.write(table.to_batches()[0])

    with pytest.raises(json.JSONDecodeError):
        json.loads(data)


@pytest.mark.parametrize("row_format", RowFormat)
def test_no_rows_still_make_a_document_with_the_columns(row_format: RowFormat) -> None:
    data = encoded(encoder_for(row_format), SCHEMA, [])

    names = {
        RowFormat.JSON: lambda: json.loads(data)["columns"],
        RowFormat.CSV: lambda: data.decode().rstrip("\r\n").split(","),
        RowFormat.ARROW: lambda: pa.ipc.open_stream(data).read_all().schema.names,
        RowFormat.PARQUET: lambda: pq.read_table(io.BytesIO(data)).schema.names,
    }[row_format]()
    assert names == SCHEMA.names


def test_parquet_is_written_by_row_groups_and_says_whether_it_is_cut() -> None:
    rows = 3 * ROW_GROUP_BYTES // 8
    table = pa.table({"n": pa.array(range(rows), pa.int64())})
    encoder = encoder_for("parquet")

    parts = [encoder.start(table.schema)]
    parts += [encoder.write(piece) for batch in batches_of(table, 100_000) for piece in slices(batch)]
    sent_before_the_end = len(b"".join(parts))
    parts.append(encoder.finish(truncated=True))

    file = pq.ParquetFile(io.BytesIO(b"".join(parts)))
    assert file.metadata.num_row_groups >= 2
    assert file.metadata.metadata[b"stratigraph.truncated"] == b"true"
    assert sent_before_the_end > 4
    assert file.read().equals(table)


def test_slices_are_small_and_complete() -> None:
    batch = pa.record_batch({"text": ["x" * 10_000] * 1_000, "n": list(range(1_000))})

    pieces = list(slices(batch))

    assert len(pieces) > 5
    assert all(piece.nbytes <= SLICE_BYTES * 1.1 for piece in pieces)
    assert pa.Table.from_batches(pieces).equals(pa.Table.from_batches([batch]))


def test_one_row_larger_than_a_slice_is_a_slice() -> None:
    batch = pa.record_batch({"text": ["x" * (2 * SLICE_BYTES)] * 2})

    assert [piece.num_rows for piece in slices(batch)] == [1, 1]


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgumentError, match="json, csv, arrow, parquet"):
        encoder_for("xml")


def test_every_format_has_a_media_type_of_its_own() -> None:
    assert set(media_types()) == set(RowFormat)
    assert len(set(media_types().values())) == len(RowFormat)


def test_a_table_of_no_batches_keeps_the_schema() -> None:
    assert to_table(SCHEMA, []).schema == SCHEMA


texts = st.one_of(
    st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.sampled_from(['"', ",", "\r\n"])
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(texts, texts), max_size=8), st.integers(1, 3))
def test_any_text_survives_csv(rows: list[tuple[str | None, str | None]], rows_per_batch: int) -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    table = pa.Table.from_pylist([{"a": a, "b": b} for a, b in rows], schema)

    data = encoded(encoder_for("csv"), schema, batches_of(table, rows_per_batch))

    found = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))[1:]
    assert found == [[a or "", b or ""] for a, b in rows]
