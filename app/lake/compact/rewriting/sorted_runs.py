"""Rows with what they are sorted by beside them: sorted in memory, put on disk, and read from there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from app.lake.compact.rewriting.sort_keys import Order, SortKeys

# Of each run there is one in memory while runs are merged.
_CHUNK_BYTES = 256 * 1024


class Keyed:
    """Adds to rows their keys, and as the last one their number: equal ones stay in order."""

    def __init__(self, keys: SortKeys) -> None:
        self._keys = keys
        self._names = [f"key {place}" for place in range(len(keys.keys))] + ["number"]
        self._next = 0

    def add_keys(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with their keys, each batch numbered on from the one before."""
        columns = [key.values(batch) for key in self._keys.keys]
        columns.append(pa.arange(self._next, self._next + batch.num_rows))
        self._next += batch.num_rows
        schema = pa.schema([pa.field(name, column.type) for name, column in zip(self._names, columns, strict=True)])
        return pa.RecordBatch.from_arrays(
            [*batch.columns, *columns], schema=pa.schema([*batch.schema, *schema], batch.schema.metadata)
        )

    def drop_keys(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows alone."""
        return batch.select(range(batch.num_columns - len(self._names)))

    def order_at(self, batch: pa.RecordBatch, row: int) -> Order:
        """What Python sorts the row by."""
        *values, number = (batch.column(-len(self._names) + place)[row].as_py() for place in range(len(self._names)))
        return (*(key.order_of(value) for key, value in zip(self._keys.keys, values, strict=True)), (1, number))

    def sort(self, batches: Sequence[pa.RecordBatch]) -> tuple[pa.RecordBatch, pa.Array]:
        """The batches as one, and its places in their order."""
        # By place, because a column of the table may have any name.
        rows = pa.concat_batches(batches)
        first = rows.num_columns - len(self._names)
        keys = pa.Table.from_arrays(rows.columns[first:], names=self._names)
        by = [
            (
                name,
                "descending" if key.is_descending else "ascending",
                "at_start" if key.are_nulls_first else "at_end",
            )
            for name, key in zip(self._names[:-1], self._keys.keys, strict=True)
        ]
        return rows, pc.sort_indices(keys, sort_keys=[*by, ("number", "ascending", "at_end")])


@dataclass(slots=True)
class Chunk:
    """A batch of a run: what its last row is sorted by, and its size in memory."""

    last: Order
    memory_bytes: int


@dataclass(slots=True)
class SortedRun:
    """Sorted rows on disk, of which those up to a place were read."""

    path: Path
    chunks: list[Chunk] = field(default_factory=list)
    _reader: pa.RecordBatchFileReader | None = None
    _chunk: int = 0
    _row: int = 0

    def up_to(self, order: Order | None, keyed: Keyed) -> list[pa.RecordBatch]:
        """The rows from where the last answer ended to this order and with it; all that are left for None."""
        if self._reader is None:
            self._reader = pa.ipc.open_file(pa.OSFile(str(self.path)))
        found = []
        while self._chunk < len(self.chunks):
            batch = self._reader.get_batch(self._chunk)
            if order is None or self.chunks[self._chunk].last <= order:
                found.append(batch.slice(self._row))
                self._chunk, self._row = self._chunk + 1, 0
                continue
            end = bisect_right(range(batch.num_rows), order, lo=self._row, key=lambda row: keyed.order_at(batch, row))
            found.append(batch.slice(self._row, end - self._row))
            self._row = end
            break
        return found


def write_run(path: Path, batches: Sequence[pa.RecordBatch], keyed: Keyed) -> SortedRun:
    """Sort these rows and put them on disk. Raises OSError."""
    rows, places = keyed.sort(batches)
    run = SortedRun(path)
    step = max(1, rows.num_rows * _CHUNK_BYTES // max(1, rows.nbytes))
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema, options=options) as writer:
        for first in range(0, rows.num_rows, step):
            chunk = rows.take(places.slice(first, step))
            writer.write_batch(chunk)
            run.chunks.append(Chunk(keyed.order_at(chunk, chunk.num_rows - 1), chunk.nbytes))
    return run
