"""Writing a file that is put together of pieces of others, the fastest way that its storage has."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from app.lake.bulk import find_bulk_store, split_s3
from app.lake.compact.copying.local import write_local
from app.lake.compact.copying.multipart import write_multipart
from app.lake.compact.copying.pieces import Extent, IsStopped, Piece
from app.lake.compact.copying.streams import write_through


def write_pieces(io: FileIO, destination: str, pieces: Sequence[Piece], is_stopped: IsStopped) -> None:
    """Write a new file. Memory: at most 40 MiB. Where this fails, what was written is removed.

    On local disks the kernel copies, in S3 the store; what neither can goes through this process.

    Raises:
        AbsentFileError: a file that is copied from is not there.
        OSError: it is shorter than it should be, or cannot be read; its name is in the message.
        BackendUnavailableError: nothing more can be written, for want of room or for another reason.
        JoinStoppedError: `is_stopped`, asked every 64 MiB or more often, says so.
    """
    locations = [destination, *(piece.location for piece in pieces if isinstance(piece, Extent))]
    if all(_scheme(io, location) == "file" for location in locations):
        write_local(destination, pieces, lambda location: _path(io, location), is_stopped)
    elif all(split_s3(location) for location in locations) and (bulk := find_bulk_store(io)) is not None:
        write_multipart(io, bulk, destination, pieces, is_stopped)
    else:
        write_through(io, destination, pieces, is_stopped)


def _scheme(io: FileIO, location: str) -> str:
    return PyArrowFileIO.parse_location(location, io.properties)[0]


def _path(io: FileIO, location: str) -> str:
    return PyArrowFileIO.parse_location(location, io.properties)[2]
