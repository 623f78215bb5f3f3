"""What position deletes and deletion vectors name: rows of data files, by their positions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import _read_deletes
from pyiceberg.manifest import DataFile, FileFormat

_BATCH_ROWS = 65_536
_BUFFER_BYTES = 1024 * 1024
# Each column has a buffer, and there are two (Iceberg spec, "Position Delete Files").
_PATH, _POSITION = "file_path", "pos"

Positions = npt.NDArray[np.int64]


def read_positions(io: FileIO, file: DataFile) -> Iterator[tuple[str, Positions]]:
    """The paths and positions in a delete file, in the order of the file: mostly sorted by both.

    A path may come again, and so may a position. Costs reading the file once. Memory: about five megabytes; of one that
    is no Parquet file all that it has.

    Raises:
        OSError, ValueError: it is missing or broken, as far as that can be told; some of it may have come before.
    """
    if file.file_format == FileFormat.PARQUET:
        yield from _read_parquet(io, file)
        return
    for path, array in _read_deletes(io, file).items():
        for chunk in array.chunks:
            yield path, chunk.cast(pa.int64()).to_numpy(zero_copy_only=False)


def _read_parquet(io: FileIO, file: DataFile) -> Iterator[tuple[str, Positions]]:
    with io.new_input(file.file_path).open() as stream:
        # A small one by one request; of others, whose row groups may be as large as they are, a part at a time.
        is_small = file.file_size_in_bytes <= _BUFFER_BYTES
        parquet = pq.ParquetFile(
            pa.BufferReader(stream.read()) if is_small else stream,
            read_dictionary=[_PATH],
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
        )
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=[_PATH, _POSITION]):
            yield from _by_path(batch)


def _by_path(batch: pa.RecordBatch) -> Iterator[tuple[str, Positions]]:
    paths: Any = batch.column(_PATH)
    positions = batch.column(_POSITION).cast(pa.int64())
    if paths.null_count or positions.null_count:
        raise ValueError("paths or positions are null")
    places, numbers = paths.indices.to_numpy(), positions.to_numpy()
    edges = np.flatnonzero(np.diff(places)) + 1
    if len(edges) >= len(paths.dictionary):
        # Paths that come again: it is not sorted, although the specification asks for it.
        order = np.argsort(places, kind="stable")
        places, numbers = places[order], numbers[order]
        edges = np.flatnonzero(np.diff(places)) + 1
    for start, end in zip([0, *edges], [*edges, len(places)], strict=True):
        if start < end:
            yield paths.dictionary[int(places[start])].as_py(), numbers[start:end]
