"""Putting a file together in S3, which copies on its own side what is large enough."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pyiceberg.io import FileIO

from app.lake.bulk import BulkStore, split_s3
from app.lake.compact.copying.errors import BrokenParquetError, JoinStoppedError, refused, writing
from app.lake.compact.copying.pieces import Extent, IsStopped, Piece
from app.lake.compact.copying.reading import read_extent
from app.lake.compact.copying.streams import remove

# Of all parts but the last, copied or not: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
_MIN_PART_BYTES = 5 * 2**20
_UPLOADED_PART_BYTES = 8 * 2**20
# Up to 5 GiB could be copied with one request, which then takes minutes, and longer than clients wait.
_COPIED_PART_BYTES = 256 * 2**20


def write_multipart(
    io: FileIO, bulk: BulkStore, destination: str, pieces: Sequence[Piece], is_stopped: IsStopped
) -> None:
    """Write an object of pieces of others. Memory: 40 MiB.

    Costs a request a file where files have 10 MiB or more, and the store copies. Where it does not, and of what is
    smaller, bytes are read and sent.

    Raises:
        AbsentFileError, OSError, BackendUnavailableError, JoinStoppedError: see `write_pieces`.
    """
    upload = _Upload(io, bulk, destination, is_stopped)
    try:
        for piece in pieces:
            upload.add(piece)
        upload.complete()
        _check_size(io, bulk, destination, pieces)
    except BaseException:
        upload.abort()
        raise


class _Upload:
    def __init__(self, io: FileIO, bulk: BulkStore, destination: str, is_stopped: IsStopped) -> None:
        self._io = io
        self._bulk = bulk
        self._destination = destination
        self._is_stopped = is_stopped
        self._where = _object(destination)
        self._buffer = bytearray()
        self._parts: list[dict[str, Any]] = []
        self._is_copying = True
        self._may_be_there = False
        with writing(destination):
            self._upload = {"UploadId": bulk.call("create_multipart_upload", **self._where)["UploadId"]}

    def add(self, piece: Piece) -> None:
        if isinstance(piece, bytes):
            self._take(piece)
        elif self._is_copying and piece.length >= 2 * _MIN_PART_BYTES:
            self._copy(piece)
        else:
            self._read(piece)

    def complete(self) -> None:
        if self._buffer:
            self._send()
        self._may_be_there = True
        with writing(self._destination):
            self._bulk.call(
                "complete_multipart_upload", **self._where, **self._upload, MultipartUpload={"Parts": self._parts}
            )

    def abort(self) -> None:
        # What went wrong before is what is told.
        with suppress(OSError):
            self._bulk.call("abort_multipart_upload", **self._where, **self._upload)
        if self._may_be_there:
            # Also where the store completed it, and the answer was lost.
            remove(self._io, self._destination)

    def _copy(self, extent: Extent) -> None:
        if 0 < len(self._buffer) < _MIN_PART_BYTES:
            # The part before has to be large enough.
            head = _MIN_PART_BYTES - len(self._buffer)
            self._read(Extent(extent.location, extent.start, head))
            extent = Extent(extent.location, extent.start + head, extent.length - head)
        if self._buffer:
            self._send()
        count = -(-extent.length // _COPIED_PART_BYTES)
        for part in extent.cut(-(-extent.length // count)):
            if not self._copy_part(part):
                self._read(part)

    def _copy_part(self, part: Extent) -> bool:
        """Whether the store copied it itself."""
        if self._is_stopped():
            raise JoinStoppedError
        if not self._is_copying or self._buffer:
            return False
        try:
            answer = self._bulk.call(
                "upload_part_copy",
                **self._where,
                **self._upload,
                PartNumber=len(self._parts) + 1,
                CopySource=_object(part.location),
                CopySourceRange=f"bytes={part.start}-{part.start + part.length - 1}",
            )
        except OSError:
            # Not every store can, nor lets everybody: reading tells what is wrong with the file, if anything is.
            self._is_copying = False
            return False
        self._parts.append({"PartNumber": len(self._parts) + 1, "ETag": answer["CopyPartResult"]["ETag"]})
        return True

    def _read(self, extent: Extent) -> None:
        for content in read_extent(self._io, extent, self._is_stopped):
            self._take(content)

    def _take(self, content: bytes) -> None:
        self._buffer += content
        if len(self._buffer) >= _UPLOADED_PART_BYTES:
            self._send()

    def _send(self) -> None:
        with writing(self._destination):
            answer = self._bulk.call(
                "upload_part",
                **self._where,
                **self._upload,
                PartNumber=len(self._parts) + 1,
                Body=bytes(self._buffer),
            )
        self._parts.append({"PartNumber": len(self._parts) + 1, "ETag": answer["ETag"]})
        self._buffer.clear()


def _check_size(io: FileIO, bulk: BulkStore, destination: str, pieces: Sequence[Piece]) -> None:
    """Not every store minds when it is to copy more of an object than there is."""
    expected = sum(len(piece) if isinstance(piece, bytes) else piece.length for piece in pieces)
    with writing(destination):
        size = int(bulk.call("head_object", **_object(destination))["ContentLength"])
    if size == expected:
        return
    for piece in pieces:
        if isinstance(piece, Extent) and (end := len(io.new_input(piece.location))) < piece.start + piece.length:
            raise BrokenParquetError(piece.location, f"it ends at byte {end}, which is too early")
    raise refused(destination, OSError(f"the store made {size} bytes of {expected}"))


def _object(location: str) -> dict[str, str]:
    found = split_s3(location)
    if found is None:
        raise ValueError(f"{location} is not in S3")
    return {"Bucket": found[0], "Key": found[1]}
