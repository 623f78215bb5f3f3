"""Files that are read from beginning to end."""

from __future__ import annotations

import errno
import os

from pyiceberg.io import FileIO

from app.lake.bulk import find_bulk_store, split_s3
from app.lake.named_files import AbsentFileError


class WholeFiles:
    """Reads whole files of one table; may be used by several threads at once.

    In S3 by one request each: pyarrow's file system asks for the length of an object before it opens it, and cannot be
    told from Python the one that a manifest list knows. It is two where credentials come of a role, as only pyarrow
    knows how to get those.
    """

    def __init__(self, io: FileIO, location: str) -> None:
        """`location` is the table's: where that is in S3, files that are too are read as said."""
        self._io = io
        self._bulk = None if split_s3(location) is None else find_bulk_store(io)

    def read(self, path: str) -> bytes:
        """All of a file.

        Raises:
            AbsentFileError: there is none.
            OSError: storage does not give it.
        """
        inside = split_s3(path)
        if self._bulk is None or inside is None:
            with self._io.new_input(path).open() as stream:
                return stream.read()
        try:
            return self._bulk.read(*inside)
        except FileNotFoundError as error:
            raise AbsentFileError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
