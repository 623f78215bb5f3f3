"""What files there are below a location, in bounded memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from pyarrow.fs import FileSelector, FileType
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from app.lake.bulk import BulkStore, find_bulk_store, split_s3


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file; `below` is its path from the location on. What is neither file nor folder is no `is_regular` one."""

    path: str
    below: str
    size_bytes: int
    modified_ms: int
    is_regular: bool = True


def list_files(io: FileIO, location: str) -> Iterator[FoundFile]:
    """All files below a location, itself a folder; nothing where it is not there.

    S3: a request for each 1,000 files. Elsewhere one for each folder. Memory: a page, or a folder. Symbolic links are
    told as what they are, and never followed.

    Raises:
        OSError: a folder cannot be read.
    """
    location = location.rstrip("/")
    if (inside := split_s3(location)) is not None and (bulk := find_bulk_store(io)) is not None:
        return _list_s3(bulk, location, *inside)
    scheme, _, path = PyArrowFileIO.parse_location(location, io.properties)
    if scheme == "file":
        return _list_local(location, path)
    return _list_arrow(io, location)


def _list_s3(bulk: BulkStore, location: str, bucket: str, key: str) -> Iterator[FoundFile]:
    prefix = key + "/"
    for page in bulk.pages(bucket, prefix):
        for item in page:
            below = item.key.removeprefix(prefix)
            # A key that ends with a slash is what some programs make for a folder.
            is_regular = bool(below) and not below.endswith("/")
            yield FoundFile(f"{location}/{below}", below, item.size_bytes, item.modified_ms, is_regular)


def _list_local(location: str, top: str) -> Iterator[FoundFile]:
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            entries = os.scandir(os.path.join(top, folder))  # noqa: PTH118 - a Path for each file is what costs here
        except FileNotFoundError:
            continue  # nothing was written yet, or it was removed meanwhile
        with entries:
            for entry in entries:
                below = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(below)
                    continue
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                modified_ms, is_regular = found.st_mtime_ns // 1_000_000, stat.S_ISREG(found.st_mode)
                yield FoundFile(f"{location}/{below}", below, found.st_size, modified_ms, is_regular)


def _list_arrow(io: FileIO, location: str) -> Iterator[FoundFile]:
    arrow = io if isinstance(io, PyArrowFileIO) else PyArrowFileIO(io.properties)
    scheme, netloc, top = arrow.parse_location(location, io.properties)
    store = arrow.fs_by_scheme(scheme, netloc)
    folders = [top]
    while folders:
        folder = folders.pop()
        for found in store.get_file_info(FileSelector(folder, allow_not_found=True)):
            if found.type is FileType.Directory:
                folders.append(found.path)
                continue
            below = found.path.removeprefix(top).lstrip("/")
            modified_ms = int(found.mtime.timestamp() * 1000) if found.mtime else 0
            is_regular = found.type is FileType.File
            yield FoundFile(f"{location}/{below}", below, found.size or 0, modified_ms, is_regular)
