"""Rows as bytes, for answers that are streamed: JSON, CSV, Arrow IPC and Parquet, one slice of rows at a time.

An encoder is pushed: `start`, then `write` for each batch, then `finish`; each answers bytes to send on. It holds no
more than one slice of rows, for Parquet one row group. All of it is CPU work: call it from a worker thread.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.errors import InvalidArgumentError
from app.lake.json_rows import is_bytes_like, is_text_like, to_json_rows, to_json_values, to_text

# Decoded bytes of one slice: JSON and CSV of it, and the Python objects on the way, are a small multiple of this.
SLICE_BYTES = 1024 * 1024
MAX_SLICE_ROWS = 8192
# Decoded bytes of one Parquet row group, which has to be whole before it is written.
ROW_GROUP_BYTES = 8 * 1024 * 1024

# What `time_travel` answers; named here so that no module outside the lake imports pyarrow for it.
ArrowTable: TypeAlias = pa.Table
ArrowBatch: TypeAlias = pa.RecordBatch
ArrowSchema: TypeAlias = pa.Schema


class RowFormat(StrEnum):
    """The formats in which rows are streamed."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


class Encoder(ABC):
    """Turns one stream of batches into bytes; good for one answer."""

    media_type: ClassVar[str]
    suffix: ClassVar[str]

    @abstractmethod
    def start(self, schema: ArrowSchema) -> bytes:
        """What comes before the first row; may be empty."""

    @abstractmethod
    def write(self, batch: ArrowBatch) -> bytes:
        """The bytes that are ready once these rows are added; may be empty. Give it slices, see `slices`."""

    @abstractmethod
    def finish(self, *, truncated: bool) -> bytes:
        """What comes after the last row. Without it, the document is not valid in JSON, Arrow and Parquet."""


def encoder_for(row_format: str) -> Encoder:
    """A fresh encoder.

    Raises:
        InvalidArgumentError: there is no such format.
    """
    if row_format not in _ENCODERS:
        known = ", ".join(_ENCODERS)
        raise InvalidArgumentError("format", f"{row_format[:40]!r} is not one of {known}")
    return _ENCODERS[RowFormat(row_format)]()


def media_types() -> dict[RowFormat, str]:
    """The media type of each format, in the order of preference."""
    return {row_format: encoder.media_type for row_format, encoder in _ENCODERS.items()}


def slices(batch: ArrowBatch) -> Iterator[ArrowBatch]:
    """The batch in pieces of at most about `SLICE_BYTES`, without copying."""
    if batch.num_rows == 0:
        return
    row_bytes = max(1, batch.nbytes // batch.num_rows)
    rows = max(1, min(MAX_SLICE_ROWS, SLICE_BYTES // row_bytes))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def to_table(schema: ArrowSchema, batches: Iterable[ArrowBatch]) -> ArrowTable:
    """All the batches as one table, in memory."""
    return pa.Table.from_batches(list(batches), schema)


class JsonEncoder(Encoder):
    """One document `{"columns": […], "rows": […], "truncated": bool}`; `truncated` is last because it is known last."""

    media_type = "application/json"
    suffix = "json"

    def __init__(self) -> None:
        self._has_rows = False

    def start(self, schema: ArrowSchema) -> bytes:
        """Names of the columns, and the beginning of the rows."""
        return b'{"columns":' + orjson.dumps(schema.names) + b',"rows":['

    def write(self, batch: ArrowBatch) -> bytes:
        """The rows, by the table of `app.lake.json_rows`."""
        if batch.num_rows == 0:
            return b""
        rows = orjson.dumps(to_json_rows(batch))[1:-1]
        comma = b"," if self._has_rows else b""
        self._has_rows = True
        return comma + rows

    def finish(self, *, truncated: bool) -> bytes:
        """The end of the document."""
        return b'],"truncated":' + (b"true" if truncated else b"false") + b"}"


class CsvEncoder(Encoder):
    """RFC 4180 with a header, UTF-8 and CRLF.

    Null is nothing (`""` where there is one column only), the empty string is `""`, nested values are JSON.
    """

    media_type = "text/csv; charset=utf-8; header=present"
    suffix = "csv"

    def start(self, schema: ArrowSchema) -> bytes:
        """The header."""
        names = _quoted(pa.array(schema.names, pa.string())).to_pylist()
        return (",".join(names) + "\r\n").encode()

    def write(self, batch: ArrowBatch) -> bytes:
        """The rows."""
        if batch.num_rows == 0:
            return b""
        # The null of a lone column would be an empty line, which readers skip: a row lost.
        null = '""' if batch.num_columns == 1 else ""
        columns = [pc.fill_null(_csv_text(column), null) for column in batch.columns]
        # Joined by Arrow, whole columns at a time: there is no Python object per value.
        lines = pc.binary_join_element_wise(*columns, pa.scalar(","))
        document = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines), "\r\n")
        return bytes(document[0].as_buffer()) + b"\r\n"

    def finish(self, *, truncated: bool) -> bytes:
        """Nothing: CSV has no place to say that rows are missing."""
        del truncated
        return b""


class ArrowEncoder(Encoder):
    """Arrow's IPC streaming format."""

    media_type = "application/vnd.apache.arrow.stream"
    suffix = "arrows"

    def __init__(self) -> None:
        self._sink = _Sink()
        self._writer: Any = None

    def start(self, schema: ArrowSchema) -> bytes:
        """The schema message."""
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._sink, mode="w"), schema)
        return self._sink.taken()

    def write(self, batch: ArrowBatch) -> bytes:
        """One record batch message."""
        self._writer.write_batch(batch)
        return self._sink.taken()

    def finish(self, *, truncated: bool) -> bytes:
        """The end-of-stream marker, which readers that were cut off will miss."""
        del truncated
        self._writer.close()
        return self._sink.taken()


class ParquetEncoder(Encoder):
    """Parquet, zstd; its footer's metadata has `stratigraph.truncated`."""

    media_type = "application/vnd.apache.parquet"
    suffix = "parquet"

    def __init__(self) -> None:
        self._sink = _Sink()
        self._writer: Any = None
        self._schema: ArrowSchema | None = None
        self._pending: list[ArrowBatch] = []
        self._pending_bytes = 0

    def start(self, schema: ArrowSchema) -> bytes:
        """The magic number."""
        self._schema = schema
        self._writer = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), schema, compression="zstd")
        return self._sink.taken()

    def write(self, batch: ArrowBatch) -> bytes:
        """Nothing until a row group is full."""
        if batch.num_rows:
            self._pending.append(batch)
            self._pending_bytes += batch.nbytes
        return self._flush() if self._pending_bytes >= ROW_GROUP_BYTES else b""

    def finish(self, *, truncated: bool) -> bytes:
        """The last row group and the footer."""
        last = self._flush() if self._pending else b""
        self._writer.add_key_value_metadata({"stratigraph.truncated": "true" if truncated else "false"})
        self._writer.close()
        return last + self._sink.taken()

    def _flush(self) -> bytes:
        table = pa.Table.from_batches(self._pending, self._schema)
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._pending, self._pending_bytes = [], 0
        return self._sink.taken()


_ENCODERS: dict[RowFormat, type[Encoder]] = {
    RowFormat.JSON: JsonEncoder,
    RowFormat.CSV: CsvEncoder,
    RowFormat.ARROW: ArrowEncoder,
    RowFormat.PARQUET: ParquetEncoder,
}


class _Sink(io.RawIOBase):
    """A file that is written from the front and emptied as it goes; its position counts all that was ever written."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        chunk = bytes(data)
        self._chunks.append(chunk)
        self._position += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        return self._position

    def taken(self) -> bytes:
        """What was written since the last call."""
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)


def _csv_text(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _quoted(array.cast(pa.string()))
    if is_text_like(kind):
        text = to_text(array)
        # Base64 has no character that CSV minds, but its empty string has to differ from null.
        return _quoted(text) if is_bytes_like(kind) else text
    if pa.types.is_floating(kind):
        text = array.cast(pa.string())
        for arrows, ours in (("nan", "NaN"), ("inf", "Infinity")):
            text = pc.replace_substring(text, arrows, ours)
        return text
    if pa.types.is_nested(kind):
        values = to_json_values(array)
        texts = [None if value is None else orjson.dumps(value).decode() for value in values]
        return _quoted(pa.array(texts, pa.string()))
    return array.cast(pa.string())


def _quoted(text: pa.Array) -> pa.Array:
    needs = pc.or_(pc.match_substring_regex(text, '[",\r\n]'), pc.equal(pc.binary_length(text), 0))
    if not pc.any(needs).as_py():
        return text
    doubled = pc.replace_substring(text, '"', '""')
    quote = pa.scalar('"')
    return pc.if_else(needs, pc.binary_join_element_wise(quote, doubled, quote, pa.scalar("")), text)
