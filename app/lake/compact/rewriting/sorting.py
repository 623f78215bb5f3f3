"""Rows in the sort order of their table, in bounded memory: sorted runs on disk, merged range by range.

Not by DuckDB, which has no order of Iceberg's for floats and transforms, and would take rows out of Arrow and back.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pyarrow as pa

from app.errors import BackendUnavailableError
from app.lake.compact.rewriting.sort_keys import Order, SortKeys
from app.lake.compact.rewriting.sorted_runs import Keyed, SortedRun, write_run
from app.lake.scratch import make_scratch

_BATCH_BYTES = 8 * 1024 * 1024
_MAX_BATCH_ROWS = 16_384


def sorted_batches(
    batches: Iterable[pa.RecordBatch], keys: SortKeys, *, scratch: Path, memory_bytes: int
) -> Iterator[pa.RecordBatch]:
    """These rows, sorted; equal ones stay in the order in which they came.

    Memory: `memory_bytes` twice, of rows and of what is made of them. What is above that is put in a folder in
    `scratch`, compressed, and removed at the end.

    Raises:
        BackendUnavailableError: `scratch` cannot be written or read.
    """
    keyed = Keyed(keys)
    runs: list[SortedRun] = []
    folder: Path | None = None
    numbers = count()
    try:
        buffer: list[pa.RecordBatch] = []
        size = 0
        for batch in batches:
            if size + batch.nbytes > memory_bytes and buffer:
                with _on_disk(scratch):
                    folder = folder or make_scratch(scratch, "sort")
                    runs.append(write_run(folder / f"{next(numbers)}.arrow", buffer, keyed))
                buffer, size = [], 0
            buffer.append(keyed.add_keys(batch))
            size += buffer[-1].nbytes
        if folder is None:
            yield from _sorted_in_memory(buffer, keyed)
            return
        with _on_disk(scratch):
            runs.append(write_run(folder / f"{next(numbers)}.arrow", buffer, keyed))
        del buffer
        for limit in _limits(runs, memory_bytes):
            with _on_disk(scratch):
                found = [part for run in runs for part in run.up_to(limit, keyed)]
            yield from _sorted_in_memory(found, keyed)
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _sorted_in_memory(batches: Sequence[pa.RecordBatch], keyed: Keyed) -> Iterator[pa.RecordBatch]:
    if not any(batch.num_rows for batch in batches):
        return
    rows, places = keyed.sort(batches)
    step = max(1, min(_MAX_BATCH_ROWS, rows.num_rows * _BATCH_BYTES // max(1, rows.nbytes)))
    for first in range(0, rows.num_rows, step):
        yield keyed.drop_keys(rows.take(places.slice(first, step)))


def _limits(runs: Sequence[SortedRun], memory_bytes: int) -> Iterator[Order | None]:
    """Orders between which there are about so many bytes in all runs, but for a chunk of each; None at the end."""
    size = 0
    for chunk in sorted((chunk for run in runs for chunk in run.chunks), key=lambda chunk: chunk.last):
        size += chunk.memory_bytes
        if size >= memory_bytes:
            yield chunk.last
            size = 0
    yield None


@contextmanager
def _on_disk(scratch: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendUnavailableError("disk", f"rows cannot be sorted in {scratch}: {error}") from error
