"""Artifacts in object stores and other file systems that fsspec or pyarrow know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import fsspec
from botocore.exceptions import BotoCoreError, ClientError
from fsspec.spec import AbstractBufferedFile

from app.artifacts.files import CHUNK_BYTES, MAX_FILES, is_part, part_name
from app.artifacts.local import BACKEND
from app.domain.artifacts import Artifact, ArtifactFile, ArtifactKind, ArtifactLocation, check_relative
from app.errors import ArtifactNotFoundError, BackendUnavailableError, InvalidArgumentError

_PART_BYTES = 16 * 1024 * 1024
# S3 takes 10,000 parts of an upload.
_MAX_PARTS = 9_000
# Where a file that is being written is not there before its end. Others show it as it grows.
_WHOLE_OR_NOT = frozenset({"s3", "gs", "abfs", "abfss", "az"})
# The lake's properties of S3, by their names in pyiceberg, and what s3fs calls them.
_S3_NAMES = {
    "s3.access-key-id": "key",
    "s3.secret-access-key": "secret",
    "s3.session-token": "token",
    "s3.endpoint": "endpoint_url",
}
# What tells one content from another, best first; each store has some of them.
_MARKERS = ("ETag", "etag", "generation", "md5Hash", "mtime", "last_modified", "LastModified", "updated", "created")


class RemoteFiles:
    """Files of one store. A new one is written by one request, or by an upload in parts that the last one completes.

    Where a file can be seen while it is written, it is written beside its place and then moved there.
    """

    def __init__(self, location: ArtifactLocation, properties: Mapping[str, str]) -> None:
        """Open the store that the location is in; nothing is asked of it yet.

        Raises:
            InvalidArgumentError: neither fsspec nor pyarrow know such URIs.
        """
        self._scheme = location.scheme
        self._fs = _open(location, properties)

    def find(self, location: ArtifactLocation) -> Artifact | None:
        """See `ArtifactFiles`.

        Raises:
            InvalidArgumentError: it has more than `MAX_FILES` files, or one whose name leads elsewhere.
        """
        top = self._path(location)
        with _translated(location):
            try:
                info = self._fs.info(top)
            except FileNotFoundError:
                return None
            if info["type"] == "file":
                files: tuple[ArtifactFile, ...] = (_file("", info),)
                return Artifact(uri=location.uri, kind=ArtifactKind.FILE, files=files)
            found = {path: info for path, info in self._fs.find(top, detail=True).items() if not is_part(path)}
        if len(found) > MAX_FILES:
            raise InvalidArgumentError("artifact", f"it has more than {MAX_FILES} files")
        files = tuple(
            sorted((self._below(top, path, info) for path, info in found.items()), key=lambda file: file.path)
        )
        return Artifact(uri=location.uri, kind=ArtifactKind.DIRECTORY, files=files) if files else None

    def read(self, location: ArtifactLocation, path: str) -> Iterator[bytes]:
        """See `ArtifactFiles`. One request a chunk."""
        with (
            _translated(location),
            self._fs.open(self._path(location, path), "rb", block_size=CHUNK_BYTES, cache_type="none") as file,
        ):
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def write(
        self,
        location: ArtifactLocation,
        path: str,
        chunks: Iterator[bytes],
        size_bytes: int,
        check: Callable[[Iterator[bytes]], None],
    ) -> None:
        """See `ArtifactFiles`.

        S3 itself refuses to replace what came meanwhile; of other stores that is asked beforehand.
        """
        place = self._path(location, path)
        with _translated(location):
            if self._fs.exists(place):
                raise FileExistsError(place)
            self._write(place, chunks, size_bytes)
        try:
            check(self.read(location, path))
        except BaseException:
            # It was made just now, by us: nobody relies on it.
            self.remove(location, path)
            raise

    def settle(self, location: ArtifactLocation, path: str) -> None:
        """See `ArtifactFiles`. What is left of a cut off upload to S3 is for a lifecycle rule of the bucket to end."""

    def remove(self, location: ArtifactLocation, path: str) -> None:
        """See `ArtifactFiles`."""
        with _translated(location), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(location, path))

    def remove_folders(self, location: ArtifactLocation) -> None:
        """See `ArtifactFiles`. Object stores have no folders, and others none that would be in the way."""

    def _write(self, place: str, chunks: Iterator[bytes], size_bytes: int) -> None:
        is_s3 = self._scheme == "s3"
        if is_s3 and size_bytes == 0:
            # As an open file it would be made without the condition that nothing is there.
            for _ in chunks:
                raise FileNotFoundError(place)
            self._fs.pipe_file(place, b"", mode="create")
            return
        if self._scheme not in _WHOLE_OR_NOT:
            folder, _, name = place.rpartition("/")
            self._fs.makedirs(folder, exist_ok=True)
            part = f"{folder}/{part_name(name)}"
            self._stream(part, "wb", chunks, size_bytes)
            self._fs.mv(part, place)
            return
        self._stream(place, "xb" if is_s3 else "wb", chunks, size_bytes)

    def _stream(self, place: str, mode: str, chunks: Iterator[bytes], size_bytes: int) -> None:
        part_bytes = max(_PART_BYTES, size_bytes // _MAX_PARTS)
        file = self._fs.open(place, mode, block_size=part_bytes)
        try:
            for chunk in chunks:
                file.write(chunk)
            file.close()
        except BaseException:
            self._discard(file, place)
            raise

    def _discard(self, file: Any, place: str) -> None:
        if isinstance(file, AbstractBufferedFile):
            # Closing would complete the upload.
            file.discard()
            file.closed = True
        elif not file.closed:
            file.close()
            self._fs.rm_file(place)

    def _path(self, location: ArtifactLocation, path: str = "") -> str:
        stripped: str = self._fs._strip_protocol(location.uri)  # noqa: SLF001 (its documented way to take a URI apart)
        return f"{stripped}/{path}" if path else stripped

    def _below(self, top: str, path: str, info: Mapping[str, Any]) -> ArtifactFile:
        below = path.removeprefix(top).removeprefix("/")
        check_relative(below, "artifact")
        return _file(below, info)


def _open(location: ArtifactLocation, properties: Mapping[str, str]) -> Any:
    if location.scheme == "s3":
        named = {name: properties[key] for key, name in _S3_NAMES.items() if properties.get(key)}
        client = {"region_name": properties["s3.region"]} if properties.get("s3.region") else {}
        is_anonymous = properties.get("s3.anonymous", "").lower() == "true"
        return fsspec.filesystem(
            "s3", **named, anon=is_anonymous, client_kwargs=client, use_listings_cache=False, skip_instance_cache=True
        )
    uri = f"{location.scheme}://{location.authority}/"
    if location.scheme in fsspec.available_protocols():
        try:
            return fsspec.core.url_to_fs(uri, use_listings_cache=False)[0]
        except ImportError:
            # Its package is not installed; pyarrow has some of the same without one.
            pass
    return _open_with_pyarrow(uri, location.scheme)


def _open_with_pyarrow(uri: str, scheme: str) -> Any:
    import pyarrow as pa
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow import fs

    try:
        return ArrowFSWrapper(fs.FileSystem.from_uri(uri)[0])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidArgumentError("uri", f"nothing here can reach {scheme}: URIs") from error
    except OSError as error:
        raise BackendUnavailableError(BACKEND, str(error)) from error


def _file(path: str, info: Mapping[str, Any]) -> ArtifactFile:
    marker = next((f"{name}={info[name]}" for name in _MARKERS if info.get(name) is not None), "")
    return ArtifactFile(path=path, size_bytes=int(info["size"]), marker=marker)


@contextmanager
def _translated(location: ArtifactLocation) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(location.uri, "it, or its bucket, is not there") from error
    except (OSError, BotoCoreError, ClientError, TimeoutError) as error:
        if _is_precondition(error):
            raise FileExistsError(location.uri) from error
        raise BackendUnavailableError(BACKEND, f"{location.uri}: {error}") from error


def _is_precondition(error: BaseException) -> bool:
    """Whether S3 refused to replace something: s3fs has no error of its own for it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ClientError) and cause.response.get("Error", {}).get("Code") == "PreconditionFailed":
            return True
        cause = cause.__cause__
    return False
