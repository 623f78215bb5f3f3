"""Putting a file together on this machine's disks, in the kernel where that can be."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from app.lake.compact.copying.errors import BrokenParquetError, JoinStoppedError, refused, writing
from app.lake.compact.copying.pieces import Extent, IsStopped, Piece
from app.lake.deleted_positions import naming_file
from app.lake.named_files import AbsentFileError

_STEP_BYTES = 64 * 2**20
_READ_BYTES = 2**20
# What says that there is no room for what is written: nothing to be tried in another way.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_local(
    destination: str, pieces: Sequence[Piece], to_path: Callable[[str], str], is_stopped: IsStopped
) -> None:
    """Write a file; `to_path` tells where on the disk a location is. Memory: 1 MiB.

    Raises:
        AbsentFileError, OSError, BackendUnavailableError, JoinStoppedError: see `write_pieces`.
    """
    path = Path(to_path(destination))
    with writing(destination):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never one that is there: it would be removed if anything went wrong.
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            _Writer(destination, target, to_path, is_stopped).write(pieces)
        finally:
            with writing(destination):
                os.close(target)
    except BaseException:
        # What went wrong before is what is told; a file that stays is one that nothing names.
        with suppress(OSError):
            path.unlink()
        raise


class _Writer:
    def __init__(self, destination: str, target: int, to_path: Callable[[str], str], is_stopped: IsStopped) -> None:
        self._destination = destination
        self._target = target
        self._to_path = to_path
        self._is_stopped = is_stopped
        self._in_kernel = hasattr(os, "copy_file_range")

    def write(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                self._put(piece)
            else:
                self._copy(piece)

    def _copy(self, extent: Extent) -> None:
        with naming_file(extent.location):
            try:
                source = os.open(self._to_path(extent.location), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise AbsentFileError(errno.ENOENT, os.strerror(errno.ENOENT), extent.location) from error
        try:
            for step in extent.cut(_STEP_BYTES):
                if self._is_stopped():
                    raise JoinStoppedError
                self._copy_step(source, step)
        finally:
            os.close(source)

    def _copy_step(self, source: int, step: Extent) -> None:
        position, end = step.start, step.start + step.length
        while position < end:
            copied = self._copy_in_kernel(source, position, end - position) if self._in_kernel else 0
            if copied == 0:
                # Some file systems say 0 for what they cannot copy: only reading tells of the end of a file.
                copied = self._copy_through(source, step.location, position, min(_READ_BYTES, end - position))
            position += copied

    def _copy_in_kernel(self, source: int, position: int, length: int) -> int:
        try:
            return os.copy_file_range(source, self._target, length, position)
        except OSError as error:
            if error.errno in _FULL:
                raise refused(self._destination, error) from error
            # EXDEV, ENOSYS, EOPNOTSUPP, EINVAL: not between these two. Of any other, reading or writing tells which
            # file it is about.
            self._in_kernel = False
            return 0

    def _copy_through(self, source: int, location: str, position: int, length: int) -> int:
        with naming_file(location):
            content = os.pread(source, length, position)
        if not content:
            raise BrokenParquetError(location, f"it ends at byte {position}, which is too early")
        self._put(content)
        return len(content)

    def _put(self, content: bytes) -> None:
        rest = memoryview(content)
        with writing(self._destination):
            while rest:
                rest = rest[os.write(self._target, rest) :]
