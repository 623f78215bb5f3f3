"""Which rows of data files are deleted, in a bit for each row: however many positions delete files name, and twice."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import _read_deletes
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.table import FileScanTask

from app.lake.deleted_positions import naming_file

# Delete files are mostly small, and many: it is waiting for them that takes time.
_READERS = 8
_BATCH_ROWS = 65_536
_BUFFER_BYTES = 1024 * 1024
# Each column has a buffer, and there are two (Iceberg spec, "Position Delete Files").
_PATH, _POSITION = "file_path", "pos"

Positions = npt.NDArray[np.int64]


class DeletedRows:
    """The deleted rows of one data file of so many rows. Memory: a bit for each of its rows."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._bits = np.zeros(-(-rows // 8), np.uint8)
        self._lock = threading.Lock()

    def add(self, positions: Positions) -> None:
        """Rows at these positions; those that the file has not are none. From any thread."""
        known = positions[(positions >= 0) & (positions < self._rows)]
        with self._lock:
            np.bitwise_or.at(self._bits, known >> 3, np.left_shift(1, known & 7).astype(np.uint8))

    @property
    def count(self) -> int:
        """How many rows are deleted."""
        return int(self._array().true_count)

    def live_within(self, first: int, end: int) -> pa.BooleanArray | None:
        """For each row from `first` to before `end`, whether it is there still; None where all of them are."""
        gone = self._array().slice(first, end - first)
        if not gone.true_count:
            return None
        # A file may have more rows than its manifest says.
        missing = end - first - len(gone)
        return pc.invert(pa.concat_arrays([gone, pa.repeat(pa.scalar(False), missing)]) if missing else gone)

    def _array(self) -> pa.BooleanArray:
        return pa.BooleanArray.from_buffers(pa.bool_(), self._rows, [None, pa.py_buffer(self._bits)])


def read_deleted_rows(io: FileIO, tasks: Sequence[FileScanTask]) -> list[DeletedRows | None]:
    """What the delete files of each task delete; None for those without.

    Costs reading each of the delete files once, up to eight at once. Memory: a bit for each row of the data files with
    deletes, and about five megabytes for each of those that are being read; of one that is no Parquet file all
    positions, which are read one such file after the other.

    Raises:
        OSError: a delete file is missing or broken; its name is in the message.
    """
    found = [DeletedRows(task.file.record_count) if task.delete_files else None for task in tasks]
    files: dict[str, DataFile] = {}
    about: dict[str, dict[str, list[DeletedRows]]] = defaultdict(lambda: defaultdict(list))
    for task, rows in zip(tasks, found, strict=True):
        if rows is None:
            continue
        for file in task.delete_files:
            files[file.file_path] = file
            about[file.file_path][task.file.file_path].append(rows)
    whole = threading.Lock()

    def read(file: DataFile) -> None:
        with naming_file(file.file_path):
            _read(io, file, about[file.file_path], whole)

    if len(files) == 1:
        for file in files.values():
            read(file)
    elif files:
        with ThreadPoolExecutor(min(_READERS, len(files)), thread_name_prefix="deletes-") as readers:
            list(readers.map(read, files.values()))
    return found


def _read(io: FileIO, file: DataFile, about: Mapping[str, Sequence[DeletedRows]], whole: threading.Lock) -> None:
    if file.file_format == FileFormat.PARQUET:
        for path, positions in _positions(io, file.file_path):
            for rows in about.get(path, ()):
                rows.add(positions)
        return
    with whole:
        for path, array in _read_deletes(io, file).items():
            for rows in about.get(path, ()):
                for chunk in array.chunks:
                    rows.add(chunk.cast(pa.int64()).to_numpy(zero_copy_only=False))


def _positions(io: FileIO, location: str) -> Iterator[tuple[str, Positions]]:
    """The paths and positions in a Parquet file, in the order of the file: mostly sorted by both."""
    with io.new_input(location).open() as stream:
        # By buffers of a fixed size: a row group may be as large as the file.
        file = pq.ParquetFile(stream, read_dictionary=[_PATH], buffer_size=_BUFFER_BYTES, pre_buffer=False)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[_PATH, _POSITION]):
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
