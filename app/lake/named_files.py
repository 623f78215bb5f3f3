"""Files whose absence, or whose being broken, is told by their location, whatever kind of storage they are in."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile


class AbsentFileError(FileNotFoundError):
    """Storage has answered that there is no such file; `filename` is its location as the table's metadata has it."""


class BrokenFileError(OSError):
    """A file is not what it should be, or storage did not give all of it; `location` as the table's metadata has it."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(f"{location}: {reason}")
        self.location = location
        self.reason = reason


@contextmanager
def telling_absence(location: str) -> Iterator[None]:
    """Have storage's word for a file that is not there be an AbsentFileError."""
    try:
        yield
    except FileNotFoundError as error:
        raise AbsentFileError(errno.ENOENT, os.strerror(errno.ENOENT), location) from error


class NamedFiles(FileIO):
    """Access to files as another one gives it.

    Each kind of storage has words of its own for a file that is not there; here it is an AbsentFileError.
    """

    def __init__(self, io: FileIO) -> None:
        super().__init__(io.properties)
        self._io = io

    def new_input(self, location: str) -> InputFile:
        """A file to read."""
        return _NamedFile(self._io.new_input(location))

    def new_output(self, location: str) -> OutputFile:
        """A file to write."""
        return self._io.new_output(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Remove a file."""
        self._io.delete(location)


class _NamedFile(InputFile):
    def __init__(self, file: InputFile) -> None:
        super().__init__(file.location)
        self._file = file

    def __len__(self) -> int:
        return len(self._file)

    def exists(self) -> bool:
        """Whether it is there."""
        return self._file.exists()

    def open(self, seekable: bool = True) -> InputStream:
        """Its bytes. Raises AbsentFileError."""
        with telling_absence(self.location):
            return self._file.open(seekable)
