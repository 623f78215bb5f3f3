"""Requests to S3 that are about many objects at once, or a whole one: deleting them, listing them, reading it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pyiceberg.io import FileIO

# What S3 takes, and gives, with one request.
MAX_KEYS = 1_000
_SCHEMES = ("s3", "s3a", "s3n")
# Where credentials come of a role, only pyarrow's file system knows how to get them from pyiceberg's properties.
_ROLE_PROPERTIES = ("s3.role-arn", "client.role-arn")


class _S3(Protocol):
    def call_s3(self, method: str, **arguments: Any) -> Mapping[str, Any]: ...

    def cat_file(self, path: str, **arguments: Any) -> bytes: ...


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a listing."""

    key: str
    size_bytes: int
    modified_ms: int


class BulkStore:
    """S3 as pyiceberg's properties describe it; may be used by several threads at once.

    pyarrow's file system deletes object by object, and asks for the length of each that it reads, so this is s3fs's.
    """

    def __init__(self, io: FileIO) -> None:
        # Imported where it is needed: it brings a client of S3, which takes a while.
        from pyiceberg.io.fsspec import FsspecFileIO

        # One for all threads, since each has a client and connections of its own; its requests all run in one loop.
        # s3fs keeps it for the next store that this thread makes.
        self._s3 = cast("_S3", FsspecFileIO(io.properties).get_fs("s3"))

    def delete(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        """Delete up to `MAX_KEYS` objects; answers those that are still there, with S3's reason. One request.

        Objects that are not there count as deleted, as S3 has it.

        Raises:
            OSError: the request as a whole failed.
        """
        objects = [{"Key": key} for key in keys]
        answer = self.call("delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        return {
            str(error["Key"]): f"{error.get('Code', 'Error')}: {error.get('Message', '')}"
            for error in answer.get("Errors", ())
            if error.get("Code") not in ("NoSuchKey", "NoSuchVersion")
        }

    def pages(self, bucket: str, prefix: str, page_keys: int = MAX_KEYS) -> Iterator[list[StoredObject]]:
        """The objects whose keys begin so, up to 1,000 with each request.

        Raises:
            OSError: a request failed.
        """
        more: dict[str, str] = {}
        while True:
            answer = self.call("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=page_keys, **more)
            yield [
                StoredObject(str(item["Key"]), int(item["Size"]), int(item["LastModified"].timestamp() * 1000))
                for item in answer.get("Contents", ())
            ]
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": str(answer["NextContinuationToken"])}

    def read(self, bucket: str, key: str) -> bytes:
        """A whole object. One request.

        Raises:
            FileNotFoundError: there is none.
            OSError: the request failed.
        """
        with _told_as_os_errors():
            # In several parts at once it would first be asked how many.
            return self._s3.cat_file(f"{bucket}/{key}", max_concurrency=1)

    def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Make one request, named as botocore names it.

        Raises:
            OSError: it failed.
        """
        with _told_as_os_errors():
            return self._s3.call_s3(method, **arguments)


@contextmanager
def _told_as_os_errors() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except BotoCoreError as error:
        raise OSError(str(error)) from error


def find_bulk_store(io: FileIO) -> BulkStore | None:
    """S3's requests for many objects, None where its credentials come in a way that only pyarrow knows."""
    return None if any(io.properties.get(name) for name in _ROLE_PROPERTIES) else BulkStore(io)


def split_s3(path: str) -> tuple[str, str] | None:
    """Bucket and key of a path in S3, None for any other path."""
    scheme, separator, rest = path.partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        return None
    bucket, _, key = rest.partition("/")
    return bucket, key
