"""Writing rows to files of about the target's size, row group by row group, in bounded memory."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile

from app.domain.compaction.rolling import Rolling
from app.lake.compact.rewriting.destinations import Destination
from app.lake.compact.rewriting.dictionaries import with_dictionaries
from app.lake.compact.rewriting.layout import FileLayout
from app.lake.compact.rewriting.live_rows import WeighedRows
from app.lake.compact.rewriting.parquet_file import ParquetFile
from app.lake.compact.rewriting.row_groups import EncodedGroup, encode_group

# What a footer says of a column chunk, with the bounds of short values.
_CHUNK_OVERHEAD_BYTES = 200

logger = logging.getLogger(__name__)


def group_extra_bytes(layout: FileLayout) -> int:
    """About what a row group has in its file beside its rows."""
    return len(layout.columns) * _CHUNK_OVERHEAD_BYTES + layout.options.bloom_bytes


def file_overhead_bytes(layout: FileLayout) -> int:
    """What is at the end of each file: the schema, twice, as Parquet's and as Arrow's, which is base64."""
    return len(layout.columns) * _CHUNK_OVERHEAD_BYTES + 2 * int(layout.arrow_schema.serialize().size)


class RollingWriter:
    """Rows are added one batch after the other; `finish` answers the files. On an error all that was written goes.

    Row groups are encoded in so many threads beside the caller's, and as many wait to be; one more is collected.
    """

    def __init__(
        self, io: FileIO, destination: Destination, layout: FileLayout, rolling: Rolling, *, threads: int
    ) -> None:
        self._io = io
        self._destination = destination
        self._layout = layout
        self._rolling = rolling
        self._buffer: list[pa.RecordBatch] = []
        self._buffered = (0, 0, 0.0)
        self._threads = threads
        self._encoders = ThreadPoolExecutor(threads, thread_name_prefix="encoder-")
        self._encoding: deque[Future[EncodedGroup]] = deque()
        self._dictionaries: Sequence[str] | None = None
        self._open: ParquetFile | None = None
        self._locations: list[str] = []
        self._files: list[DataFile] = []
        self.rows_written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._encoders.shutdown(cancel_futures=True)
        if kind is not None:
            self._discard()

    def add(self, rows: WeighedRows) -> None:
        """More rows; begins a row group where they are enough for one."""
        batch, weight = self._layout.relabelled(rows.batch), rows.weight
        while batch.num_rows:
            share = self._share_for(batch, weight)
            taken = int(batch.num_rows * share)
            if taken == 0 and not self._buffer:
                taken = 1
            part = weight * taken / batch.num_rows
            self._take(batch.slice(0, taken), part)
            batch, weight = batch.slice(taken), weight - part
            if batch.num_rows:
                self._flush()

    def add_group(self, make: Callable[[], EncodedGroup], weight: float) -> None:
        """A whole row group of this weight, which `make` answers: it is called in a thread beside the caller's."""
        self._flush()
        self._write_begun(but=self._threads - 1)
        self._begin(make, weight)

    def finish(self) -> tuple[DataFile, ...]:
        """Write what is left, and answer the files; none where there were no rows."""
        self._flush()
        self._write_begun()
        self._close()
        return tuple(self._files)

    def _share_for(self, batch: pa.RecordBatch, weight: float) -> float:
        share = self._rolling.share_for(batch.num_rows, batch.nbytes, weight, buffered=self._buffered)
        if share < 1 and self._rolling.needs_what_was_begun:
            self._write_begun()
            share = self._rolling.share_for(batch.num_rows, batch.nbytes, weight, buffered=self._buffered)
        return share

    def _discard(self) -> None:
        """Remove all that was written. Storage that refuses is logged: what is left is an orphan."""
        if self._open is not None:
            self._open.abandon()
            self._open = None
        while self._locations:
            location = self._locations.pop()
            try:
                with contextlib.suppress(FileNotFoundError):
                    self._io.delete(location)
            except Exception as error:  # noqa: BLE001 - each kind of storage has its own; the cause is to be told
                logger.warning("%s was written in vain and cannot be removed: %s", location, error)

    def _take(self, batch: pa.RecordBatch, weight: float) -> None:
        if batch.num_rows:
            rows, memory_bytes, before = self._buffered
            self._buffer.append(batch)
            self._buffered = (rows + batch.num_rows, memory_bytes + batch.nbytes, before + weight)

    def _flush(self) -> None:
        """Begin a row group of what is collected."""
        if not self._buffer:
            return
        rows = pa.Table.from_batches(self._buffer)
        weight = self._buffered[2]
        self._buffer, self._buffered = [], (0, 0, 0.0)
        self._write_begun(but=self._threads - 1)
        # Only now: it may be that a file was closed.
        if self._dictionaries is None:
            self._dictionaries = with_dictionaries(rows, self._layout.columns)
        dictionaries = self._dictionaries
        self._begin(lambda: encode_group(rows, self._layout, dictionaries), weight)

    def _begin(self, make: Callable[[], EncodedGroup], weight: float) -> None:
        self._rolling.group_begun(weight)
        self._encoding.append(self._encoders.submit(make))
        if self._rolling.is_full:
            # That may be an estimate.
            self._write_begun()
            if self._rolling.is_full:
                self._close()

    def _write_begun(self, *, but: int = 0) -> None:
        """Write the row groups that are being encoded, the first ones first, until no more than `but` are left."""
        while len(self._encoding) > but:
            group = self._encoding.popleft().result()
            if self._open is not None and not self._rolling.has_room_for(group.size_bytes):
                # It has become larger than was to be foreseen.
                self._close()
            if self._open is None:
                location = self._destination.location(len(self._locations))
                self._locations.append(location)
                self._open = ParquetFile(self._io, location, self._layout)
            self._open.add(group)
            self.rows_written += group.footer.rows
            self._rolling.group_written(self._open.size_bytes + self._open.footer_bytes)

    def _close(self) -> None:
        if self._open is not None:
            self._files.append(self._open.close(self._destination))
            self._open = None
            self._dictionaries = None
            self._rolling.file_closed()
