"""How joining files ends before its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import BackendUnavailableError
from app.lake.named_files import BrokenFileError

BACKEND = "storage"


class BrokenParquetError(BrokenFileError):
    """A file is no Parquet file, or not all of it is there."""


class JoinStoppedError(Exception):
    """Joining was stopped by its caller; what had been written is removed."""


@contextmanager
def writing(location: str) -> Iterator[None]:
    """For what only writes: where that fails, storage is full or away, and nothing is wrong with the table."""
    try:
        yield
    except OSError as error:
        raise refused(location, error) from error


def refused(location: str, error: OSError) -> BackendUnavailableError:
    """What is told of a file that could not be written."""
    return BackendUnavailableError(BACKEND, f"{location} could not be written: {error.strerror or error}")
