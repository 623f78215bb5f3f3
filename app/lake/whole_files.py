"""Files that are read from beginning to end."""

from __future__ import annotations

import re
from io import FileIO as LocalFile

from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from app.lake.bulk import find_bulk_store, split_s3
from app.lake.named_files import telling_absence

_LOCAL = "file:///"
# What ends the path in a URI, or would be taken out of it.
_PARTED = re.compile(r"[?#;\s]")


class WholeFiles:
    """Reads whole files of one table; may be used by several threads at once.

    On local disks without pyarrow, which takes as long to open a file as to read 100 KB of it. In S3 by one request
    each: pyarrow's file system asks for the length of an object before it opens it, and cannot be told from Python the
    one that a manifest list knows. It is two where credentials come of a role, as only pyarrow knows how to get those.
    """

    def __init__(self, io: FileIO, location: str) -> None:
        """`location` is the table's: where that is local or in S3, files that are too are read as said."""
        self._io = io
        self.is_local = self._local_path(location) is not None
        self._bulk = None if split_s3(location) is None else find_bulk_store(io)

    def read(self, path: str) -> bytes:
        """All of a file.

        Raises:
            AbsentFileError: there is none.
            OSError: storage does not give it.
        """
        if self.is_local and (local := self._local_path(path)) is not None:
            with telling_absence(path), LocalFile(local) as file:
                return file.readall()
        inside = split_s3(path)
        if self._bulk is None or inside is None:
            with self._io.new_input(path).open() as stream:
                return stream.read()
        with telling_absence(path):
            return self._bulk.read(*inside)

    def _local_path(self, location: str) -> str | None:
        if location.startswith(_LOCAL) and not _PARTED.search(location):
            # Most are so, and taking one apart takes as long as opening it.
            return location[len(_LOCAL) - 1 :]
        scheme, _, path = PyArrowFileIO.parse_location(location, self._io.properties)
        return path if scheme == "file" else None
