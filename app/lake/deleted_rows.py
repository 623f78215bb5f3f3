"""Which rows of data files are deleted, in a bit for each row: however many positions delete files name, and twice."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.table import FileScanTask

from app.lake.deleted_positions import naming_file
from app.lake.position_deletes import Positions, read_positions

# Delete files are mostly small, and many: it is waiting for them that takes time.
_READERS = 8


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
    # What is no Parquet file is held whole.
    with nullcontext() if file.file_format == FileFormat.PARQUET else whole:
        for path, positions in read_positions(io, file):
            for rows in about.get(path, ()):
                rows.add(positions)
