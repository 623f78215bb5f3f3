"""Where tables are, written one way, so that what one engine calls a location is found as another one wrote it."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_SAME_SCHEMES = {"s3a": "s3", "s3n": "s3"}


def normalise_location(location: str) -> str:
    """`file:/x`, `file:///x` and `/x` are one place, and so are `s3a://b/x` and `s3://b/x/`; all else is as it is."""
    match = _SCHEME.match(location)
    if match is None:
        return "file:" + _path(location)
    scheme, rest = match[1].lower(), location[match.end() :]
    scheme = _SAME_SCHEMES.get(scheme, scheme)
    if scheme == "file":
        return "file:" + _path(rest)
    return f"{scheme}:{rest.rstrip('/')}"


def location_of_dataset(namespace: str, name: str) -> str | None:
    """The location that a dataset named by its place has (OpenLineage's naming: the store, and the path in it).

    None where the namespace is no store of files, but a database, a broker or a catalog.
    """
    if namespace == "file" or namespace.startswith("file:"):
        return normalise_location("file:" + name)
    match = _SCHEME.match(namespace)
    if match is None or not namespace[match.end() :].startswith("//"):
        return None
    return normalise_location(f"{namespace.rstrip('/')}/{name.lstrip('/')}")


def _path(text: str) -> str:
    # An empty authority, and slashes at the end or in a row, say nothing.
    return "/" + re.sub(r"/+", "/", text).strip("/")
