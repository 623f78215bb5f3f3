"""Putting a file together in any storage that pyiceberg writes to: what is copied goes through this process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa
from pyiceberg.io import FileIO, OutputStream

from app.lake.compact.copying.errors import writing
from app.lake.compact.copying.pieces import IsStopped, Piece
from app.lake.compact.copying.reading import read_extent


def write_through(io: FileIO, destination: str, pieces: Sequence[Piece], is_stopped: IsStopped) -> None:
    """Write a file. Memory: 8 MiB, and what pyiceberg's stream takes.

    Raises:
        AbsentFileError, OSError, BackendUnavailableError, JoinStoppedError: see `write_pieces`.
    """
    with writing(destination):
        output = io.new_output(destination).create()
    try:
        for piece in pieces:
            for content in [piece] if isinstance(piece, bytes) else read_extent(io, piece, is_stopped):
                with writing(destination):
                    output.write(content)
        with writing(destination):
            output.close()
    except BaseException:
        remove(io, destination, output)
        raise


def remove(io: FileIO, destination: str, output: OutputStream | None = None) -> None:
    """Remove a file that was not finished. Where storage does not let us, it stays, and nothing names it."""
    # What went wrong before is what is told.
    with suppress(OSError, pa.ArrowException):
        if output is not None:
            output.close()
    with suppress(OSError, pa.ArrowException):
        io.delete(destination)
