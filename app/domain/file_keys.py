"""What makes two paths of a table's metadata one file, and which paths are not to be compared at all."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from hashlib import blake2b

from app.errors import UnsupportedTableError

# The schemes that tables are known to lie in, each with the name that it is compared by.
_SCHEMES = {
    "file": "file",
    "s3": "s3",
    "s3a": "s3",
    "s3n": "s3",
    "gs": "gs",
    "gcs": "gs",
    "abfs": "abfs",
    "abfss": "abfs",
    "wasb": "wasb",
    "wasbs": "wasb",
    "hdfs": "hdfs",
    "viewfs": "viewfs",
    "oss": "oss",
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_FILE = "file://"
DIGEST_BYTES = 16


def digest(key: str) -> bytes:
    """A short name of a key: two of them are the same for a million files once in 10^26 times."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


class FileKeys:
    """Paths of one table, written one way.

    `file:/x`, `file:///x` and `/x` are one file, and so are `s3a://b/x` and `s3://b/x`. Whether files of two stores, or
    of two authorities of one (hosts, buckets, accounts), are the same nobody can tell from their paths. So what lies
    elsewhere than the table itself is refused, as Iceberg's own removal of orphans does by default
    (`prefix-mismatch-mode=ERROR`).
    """

    def __init__(self, dataset: str, locations: Iterable[str]) -> None:
        """`locations` are the table's own: its location, and those that its properties set.

        Raises:
            UnsupportedTableError: one of them is of a scheme that is not known here.
        """
        self._dataset = dataset
        self._stores: dict[tuple[str, str], str] = {}
        self._known = {self._split(location)[0] for location in locations}

    def key(self, path: str) -> str:
        """The path as it is compared. About a microsecond.

        Raises:
            UnsupportedTableError: it is of an unknown scheme, or of another store or authority than the table.
        """
        scheme, separator, rest = path.partition("://")
        if separator:
            authority, slash, inner = rest.partition("/")
            store = self._stores.get((scheme, authority))
            if store is not None:
                return store + slash + (_tidy(inner) if store == _FILE else inner)
        store, inner = self._split(path)
        if store not in self._known:
            raise UnsupportedTableError(
                self._dataset,
                "files in another place",
                f"{path!r} is in another store than the table, where it cannot be told what else is the same file",
            )
        if separator:
            self._stores[(scheme, authority)] = store
        return store + inner

    def digest(self, path: str) -> bytes:
        """The digest of the path's key; raises as `key`."""
        return digest(self.key(path))

    def _split(self, path: str) -> tuple[str, str]:
        """The store with its authority, and the path in it with its first slash."""
        match = _SCHEME.match(path)
        name = match[1].lower() if match else "file"
        scheme = _SCHEMES.get(name)
        if scheme is None:
            raise UnsupportedTableError(self._dataset, f"scheme {name!r}", f"it is not known where {path!r} is")
        rest = path[match.end() :] if match else path
        authority = ""
        if rest.startswith("//") and match:
            authority, slash, inner = rest[2:].partition("/")
            rest = slash + inner
        if scheme == "file":
            if authority.lower() not in ("", "localhost"):
                raise UnsupportedTableError(self._dataset, "files of another host", f"{path!r} cannot be reached")
            return _FILE, "/" + _tidy(rest.lstrip("/"))
        return f"{scheme}://{authority}", rest


def _tidy(path: str) -> str:
    # Slashes in a row and dots say nothing to a file system. In an object store they are another key.
    if "//" in path or "/." in path or path.startswith((".", "/")):
        return posixpath.normpath("/" + path).lstrip("/")
    return path.rstrip("/")
