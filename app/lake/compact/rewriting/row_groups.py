"""Row groups as they are encoded: each by itself and in memory, so that several can be at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from app.errors import UnreadableTableError
from app.lake.compact.copying.footers import Footer, read_open_footer
from app.lake.compact.rewriting.layout import FileLayout
from app.lake.compact.rewriting.metrics import FileMetrics

Bytes: TypeAlias = bytes | memoryview | pa.Buffer

_IN_MEMORY = "a row group"
# Of a column chunk: some offsets, each of which may take a few bytes more further on in a file.
_LONGER_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedGroup:
    """A row group in memory: its bytes, one part behind the other, what says so of a file of it alone, and its metrics.

    `footer` is that of a file in which the parts are where `Footer.data` says. `chunks` is how many column chunks there
    are.
    """

    parts: Sequence[Bytes]
    footer: Footer
    chunks: int
    metrics: FileMetrics

    @property
    def size_bytes(self) -> int:
        """Bytes that it has in a file."""
        return sum(end - start for start, end in self.footer.data) + self.footer_bytes

    @property
    def footer_bytes(self) -> int:
        """Those of them that the footer has, and some more, for numbers that may become longer."""
        return sum(len(raw) for raw in self.footer.row_groups) + _LONGER_BYTES * self.chunks


def encode_group(rows: pa.Table, layout: FileLayout, dictionaries: Sequence[str]) -> EncodedGroup:
    """Encode and compress rows, those of the columns at `dictionaries` with one. Releases the GIL all but always.

    Memory: the encoded bytes, twice while they grow.

    Raises:
        UnreadableTableError: the rows are not such as the schema allows.
    """
    metrics = FileMetrics(layout.columns, layout.modes)
    sink = pa.BufferOutputStream()
    with _encoding(layout.dataset):
        with pq.ParquetWriter(
            sink, layout.arrow_schema, use_dictionary=list(dictionaries), **layout.options.arguments
        ) as writer:
            writer.write_table(rows, row_group_size=rows.num_rows)
        metrics.see(rows)
    metrics.read(writer.writer.metadata)
    content = sink.getvalue()
    footer = _footer_of(content)
    parts = [content.slice(start, end - start) for start, end in footer.data]
    return EncodedGroup(parts=parts, footer=footer, chunks=len(layout.columns), metrics=metrics)


def encode_columns(rows: pa.Table, layout: FileLayout, dictionaries: Sequence[str]) -> tuple[pa.Buffer, Footer]:
    """A Parquet file of these rows in one row group, in memory, and its footer; as `encode_group`, without metrics."""
    sink = pa.BufferOutputStream()
    with (
        _encoding(layout.dataset),
        pq.ParquetWriter(
            sink, layout.arrow_schema, use_dictionary=list(dictionaries), **layout.options.arguments
        ) as writer,
    ):
        writer.write_table(rows, row_group_size=max(1, rows.num_rows))
    content = sink.getvalue()
    return content, _footer_of(content)


def _footer_of(content: pa.Buffer) -> Footer:
    with pa.BufferReader(content) as stream:
        footer = read_open_footer(stream, _IN_MEMORY, content.size)
    if footer.obstacle is not None:
        raise RuntimeError(f"Arrow has written what cannot be put into a file: {footer.obstacle}")
    return footer


@contextlib.contextmanager
def _encoding(dataset: str) -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid as error:
        raise UnreadableTableError(dataset, f"rows of it cannot be written: {error}") from error
