"""Reading extents of files in any storage."""

from __future__ import annotations

from collections.abc import Iterator

from pyiceberg.io import FileIO

from app.lake.compact.copying.errors import JoinStoppedError
from app.lake.compact.copying.footers import read_exactly
from app.lake.compact.copying.pieces import Extent, IsStopped
from app.lake.deleted_positions import naming_file

READ_BYTES = 8 * 2**20


def read_extent(io: FileIO, extent: Extent, is_stopped: IsStopped) -> Iterator[bytes]:
    """The bytes of an extent, 8 MiB at a time.

    Raises:
        AbsentFileError: the file is not there.
        OSError: it is shorter than that, or storage is away; the file's name is in the message.
        JoinStoppedError: so it was asked for.
    """
    with naming_file(extent.location):
        stream = io.new_input(extent.location).open()
    with stream:
        for part in extent.cut(READ_BYTES):
            if is_stopped():
                raise JoinStoppedError
            with naming_file(extent.location):
                content = read_exactly(stream, part.location, part.start, part.length)
            yield content
