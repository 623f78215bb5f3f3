"""The rows of one data file as they are in it, batch by batch, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyiceberg.io import InputStream

from app.lake.deleted_positions import positions_within
from app.lake.parquet.decoded_sizes import decoded_row_bytes

READ_BUFFER_BYTES = 8 * 1024 * 1024
# Timestamps of 96 bits, which Hive, Impala and older Sparks wrote, are nanoseconds to Arrow unless told otherwise:
# those before 1677 and after 2262, as 9999-12-31 for the end of time, would be others, unnoticed.
INT96_UNIT = "us"
_LEAST_BUFFER_BYTES = 64 * 1024
# Row groups scanned at once, in decoded bytes of the columns read: enough for object stores to be read in large ranges.
_RUN_BYTES = 64 * 1024 * 1024
# Of one batch: decoded bytes as far as can be told, and rows for what cannot, as values that are kept once in the file.
_BATCH_BYTES = 8 * 1024 * 1024
_MAX_BATCH_ROWS = 16_384
# Of one batch where all rows are read, by somebody who has threads of his own, and what they decode to is known: what
# is done once a batch takes longer than decoding a few thousand rows.
_BULK_BATCH_BYTES = 16 * 1024 * 1024
_BULK_BATCH_ROWS = 131_072


def scan_file(
    stream: InputStream,
    fragment: ds.Fragment,
    columns: list[str],
    pushed: pc.Expression | None,
    only: pa.Array | None,
    *,
    is_bulk: bool = False,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of the file in their order, run by run: Arrow holds what it read ahead until a scan ends.

    Each batch comes with the position of its first row. Where something is pushed down, rows that do not meet it may be
    left out, and of ORC files positions are wrong then. `is_bulk` is for who reads all of many files, several at once:
    batches are larger, and decoded in the caller's thread.
    """
    if not isinstance(fragment, ds.ParquetFileFragment):
        yield from _numbered(0, _scan_orc(fragment, columns, pushed))
        return
    # Not by a scanner, which decodes whole row groups: four megabytes of a repeated text may be gigabytes of it.
    for run in _runs(fragment, columns, pushed, only):
        # Read ahead in large ranges, unless one row group alone is too much to be held, or all is in memory.
        is_ahead = run.size_bytes <= _RUN_BYTES and not isinstance(stream, pa.BufferReader)
        file = pq.ParquetFile(
            stream,
            metadata=fragment.metadata,
            pre_buffer=is_ahead,
            buffer_size=run.buffer_bytes,
            page_checksum_verification=True,
            coerce_int96_timestamp_unit=INT96_UNIT,
        )
        # Handing a small file's columns to threads takes longer than decoding them.
        is_alone = not is_bulk and not isinstance(stream, pa.BufferReader)
        rows = _bulk_rows(stream, fragment, run) if is_bulk else run.batch_rows
        batches = file.iter_batches(batch_size=rows, row_groups=run.groups, columns=columns, use_threads=is_alone)
        yield from _numbered(run.first, batches)


def _numbered(first: int, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    position = first
    for batch in batches:
        yield position, batch
        position += batch.num_rows


def _scan_orc(fragment: ds.Fragment, columns: list[str], pushed: pc.Expression | None) -> Iterator[pa.RecordBatch]:
    scanner = ds.Scanner.from_fragment(
        fragment=fragment, schema=fragment.physical_schema, filter=pushed, columns=columns
    )
    yield from scanner.to_batches()


@dataclass(slots=True, kw_only=True)
class _Run:
    """Row groups that are read at once, and the position of their first row."""

    first: int
    columns: Sequence[int]
    groups: list[int] = field(default_factory=list)
    rows: int = 0
    size_bytes: int = 0

    @property
    def buffer_bytes(self) -> int:
        """Each column has one."""
        return max(_LEAST_BUFFER_BYTES, min(READ_BUFFER_BYTES, _RUN_BYTES // max(1, len(self.columns))))

    @property
    def batch_rows(self) -> int:
        return max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES * self.rows // max(1, self.size_bytes)))


def _bulk_rows(stream: InputStream, fragment: ds.ParquetFileFragment, run: _Run) -> int:
    """Rows of a batch where all are wanted: as many as are known not to be too much, where asking is worth it."""
    if run.rows <= run.batch_rows or run.rows < 2 * _MAX_BATCH_ROWS * len(run.groups):
        return run.batch_rows
    row_bytes = decoded_row_bytes(stream, fragment.metadata, run.groups, run.columns)
    if row_bytes is None:
        return run.batch_rows
    return max(1, min(_BULK_BATCH_ROWS, int(_BULK_BATCH_BYTES / max(1, row_bytes))))


def _runs(
    fragment: ds.ParquetFileFragment, columns: list[str], pushed: pc.Expression | None, only: pa.Array | None
) -> Iterator[_Run]:
    metadata = fragment.metadata
    paths = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    wanted = set(columns)
    read = [number for number, path in enumerate(paths) if path in wanted or path.partition(".")[0] in wanted]
    met = fragment if pushed is None else fragment.subset(filter=pushed, schema=fragment.physical_schema)
    may_have_rows = {group.id for group in met.row_groups}
    position = 0
    run = _Run(first=0, columns=read)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        size_bytes = sum(group.column(column).total_uncompressed_size for column in read)
        end = position + group.num_rows
        is_wanted = number in may_have_rows and (only is None or len(positions_within(only, position, end)) > 0)
        if run.groups and (run.size_bytes + size_bytes > _RUN_BYTES or not is_wanted):
            yield run
            run = _Run(first=0, columns=read)
        if is_wanted:
            run.first = run.first if run.groups else position
            run.groups.append(number)
            run.rows, run.size_bytes = run.rows + group.num_rows, run.size_bytes + size_bytes
        position = end
    if run.groups:
        yield run
