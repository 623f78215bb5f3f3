"""The rows of data files that position deletes and deletion vectors name."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.exceptions import ResolveError
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask
from pyiceberg.utils.concurrent import ExecutorFactory

from app.errors import AppError
from app.lake.named_files import AbsentFileError, BrokenFileError
from app.lake.position_deletes import Positions, read_positions


class DeletedPositions:
    """The positions that position deletes and deletion vectors name, each delete file read once and held.

    `bytes_read` are the sizes of the delete files read. Not to be shared between threads.
    """

    def __init__(self, io: FileIO) -> None:
        self._io = io
        self._found: dict[str, Mapping[str, Sequence[Positions]]] = {}
        self.bytes_read = 0

    def read(self, tasks: Iterable[FileScanTask]) -> None:
        """Read the delete files of these tasks that were not read before, several at once."""
        files = {file.file_path: file for task in tasks for file in task.delete_files}
        missing = [file for path, file in files.items() if path not in self._found]
        executor = ExecutorFactory.get_or_create()
        for file, found in zip(missing, executor.map(self._read, missing), strict=True):
            self._found[file.file_path] = found
            self.bytes_read += file.file_size_in_bytes

    def of(self, task: FileScanTask) -> pa.Array:
        """The deleted positions of a file, sorted, each once, and none that the file has not."""
        self.read([task])
        path = task.file.file_path
        chunks = [part for file in task.delete_files for part in self._found[file.file_path].get(path, ())]
        distinct = np.unique(np.concatenate(chunks)) if chunks else np.empty(0, np.int64)
        return positions_within(pa.array(distinct, pa.int64()), 0, task.file.record_count)

    def _read(self, file: DataFile) -> Mapping[str, Sequence[Positions]]:
        found: defaultdict[str, list[Positions]] = defaultdict(list)
        with naming_file(file.file_path):
            for path, positions in read_positions(self._io, file):
                found[path].append(positions)
        return found


class NamingFile:
    """A context in which what goes wrong names the file of this path, which may be another one as work goes on."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not isinstance(error, Exception) or isinstance(error, (ResolveError, AppError)):
            return
        if isinstance(error, (AbsentFileError, BrokenFileError)):
            # They name a file: where it is another one, that was read for the sake of this one.
            return
        raise BrokenFileError(self.path, f"{type(error).__name__}: {error}") from error


def naming_file(path: str) -> NamingFile:
    """Have what goes wrong name the file: decoders do not know what they decode."""
    return NamingFile(path)


def positions_within(positions: pa.Array, first: int, end: int) -> pa.Array:
    """Those of the sorted positions from `first` to before `end`, counted from `first`."""
    low, high = (bisect_left(_Positions(positions), limit) for limit in (first, end))
    return pc.subtract(positions.slice(low, high - low), first)


class _Positions(Sequence[int]):
    """Arrow's numbers for the standard library's bisection."""

    def __init__(self, positions: pa.Array) -> None:
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: Any) -> Any:
        return self._positions[index].as_py()
