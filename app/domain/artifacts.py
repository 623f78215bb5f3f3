"""Model artifacts as values: where they are, what they hold, and the proof that one of them was copied.

A URI is judged by its text alone here, before anything is asked of a disk or a store; that no symbolic link leads out
of a root is for the store of local files to see.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_to_bytes

from app.errors import ArtifactForbiddenError, InvalidArgumentError, JsonValue

FILE = "file"
MAX_URI_CHARS = 2_000
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/]*)(/.*)?", re.DOTALL)
_SAME_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
# What one can read from, at best, but neither write to nor remove from.
_READ_ONLY = frozenset({"http", "https", "data", "models", "runs", "mlflow-artifacts", "local"})


class ArtifactKind(StrEnum):
    """Whether an artifact is one file or a folder of files."""

    FILE = "FILE"
    DIRECTORY = "DIRECTORY"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactFile:
    """One file of an artifact: its path below it ("" for an artifact that is a file) and its size."""

    path: str
    size_bytes: int
    # Changes whenever the file does, as far as the store tells: an ETag, a time of change.
    marker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What is at a URI: at least one file, in order of path. Folders that are empty are no part of it."""

    uri: str
    kind: ArtifactKind
    files: tuple[ArtifactFile, ...]

    @property
    def total_bytes(self) -> int:
        """The sizes of all files, added up."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedFile:
    """A file whose copy was read back and was what had been read from the source.

    `digest` is BLAKE2b (32 bytes, in hexadecimal) of the content; `marker` is the source's.
    """

    path: str
    size_bytes: int
    digest: str
    marker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyProof:
    """That an artifact was copied whole; removing the source takes it. Made of plain texts and numbers, to be kept."""

    source_uri: str
    copy_uri: str
    kind: ArtifactKind
    files: tuple[CopiedFile, ...]

    @property
    def total_bytes(self) -> int:
        """The sizes of all files, added up."""
        return sum(file.size_bytes for file in self.files)

    @property
    def digest(self) -> str:
        """BLAKE2b of all paths and contents, in hexadecimal: equal where the copied trees are equal."""
        tree = "".join(f"{file.digest} {file.size_bytes} {file.path}\0" for file in self.files)
        return hashlib.blake2b(tree.encode(), digest_size=32).hexdigest()

    def to_json(self) -> dict[str, JsonValue]:
        """The proof as JSON, from which `from_json` makes it again."""
        return {
            "source": self.source_uri,
            "copy": self.copy_uri,
            "kind": self.kind.value,
            "files": [[file.path, str(file.size_bytes), file.digest, file.marker] for file in self.files],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CopyProof:
        """The proof that `to_json` wrote."""
        return cls(
            source_uri=data["source"],
            copy_uri=data["copy"],
            kind=ArtifactKind(data["kind"]),
            files=tuple(
                CopiedFile(path=path, size_bytes=int(size_bytes), digest=digest, marker=marker)
                for path, size_bytes, digest, marker in data["files"]
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ArtifactLocation:
    """A URI taken apart: the scheme in small letters, the authority (bucket, host), the steps of the path.

    The path has no empty step, no `.` and no `..`.
    """

    scheme: str
    authority: str
    steps: tuple[str, ...]

    @property
    def path(self) -> str:
        """The path, with a slash before each step."""
        return "".join(f"/{step}" for step in self.steps)

    @property
    def uri(self) -> str:
        """The URI in one form: a local path as it is, without `file:`; anything else with its scheme."""
        return self.path or "/" if self.scheme == FILE else f"{self.scheme}://{self.authority}{self.path}"

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return self.scheme == FILE

    def is_within(self, other: ArtifactLocation) -> bool:
        """Whether it is the other place or below it."""
        same_store = (self.scheme, self.authority) == (other.scheme, other.authority)
        return same_store and self.steps[: len(other.steps)] == other.steps

    def joined(self, key: str) -> ArtifactLocation:
        """The place of that name below this one.

        Raises:
            InvalidArgumentError: the key is no relative path.
        """
        if not key or len(key) > MAX_URI_CHARS or key.startswith("/"):
            raise InvalidArgumentError("key", "it is no relative path")
        steps = (*self.steps, *_steps(key, "key", is_local=False))
        return ArtifactLocation(scheme=self.scheme, authority=self.authority, steps=steps)


def parse_location(uri: str, argument: str) -> ArtifactLocation:
    """Where a URI, or an absolute path of this machine, leads. `argument` names it in errors.

    In a `file:` URI `%20` is a blank (RFC 8089); in all others, and in paths, text is as it is, as in object stores.

    Raises:
        InvalidArgumentError: neither, or of a kind that nothing can be moved to or from.
    """
    if not uri or len(uri) > MAX_URI_CHARS:
        raise InvalidArgumentError(argument, f"write a URI or an absolute path of at most {MAX_URI_CHARS} characters")
    if "::" in uri:
        # fsspec would open one URI inside another.
        raise InvalidArgumentError(argument, "a URI within a URI is not taken")
    if uri.startswith("/"):
        return ArtifactLocation(scheme=FILE, authority="", steps=_steps(uri, argument, is_local=True))
    if re.match(r"file:", uri, re.IGNORECASE):
        return _parse_file_uri(uri[len("file:") :], argument)
    match = _URI.fullmatch(uri)
    if match is None:
        raise InvalidArgumentError(
            argument, "it is neither a URI with an authority (s3://bucket/…) nor an absolute path"
        )
    scheme = _SAME_SCHEMES.get(match[1].lower(), match[1].lower())
    if scheme in _READ_ONLY:
        raise InvalidArgumentError(argument, f"nothing can be moved from or to {scheme}: URIs")
    if not match[2]:
        raise InvalidArgumentError(argument, "the URI has no bucket or host")
    return ArtifactLocation(
        scheme=scheme, authority=match[2], steps=_steps((match[3] or "").rstrip("/"), argument, is_local=False)
    )


def check_relative(path: str, argument: str) -> None:
    """That the path of a file below an artifact leads nowhere else: keys of object stores may have any text.

    Raises:
        InvalidArgumentError: it has an empty step, `.`, `..`, a backslash or an unprintable character.
    """
    if path.startswith("/") or path.endswith("/"):
        raise InvalidArgumentError(argument, f"a file in it is named {path[:120]!r}, which could lead elsewhere")
    _steps(path, argument, is_local=False)


def check_within_roots(location: ArtifactLocation, roots: Iterable[ArtifactLocation], *, or_root: bool) -> None:
    """That the location is below one of the roots; `or_root` allows the root itself too.

    Raises:
        ArtifactForbiddenError: it is not.
    """
    for root in roots:
        if location.is_within(root) and (or_root or location != root):
            return
    raise ArtifactForbiddenError(location.uri)


def check_apart(source: ArtifactLocation, target: ArtifactLocation) -> None:
    """That neither place lies in the other.

    Raises:
        InvalidArgumentError: one does, or they are the same.
    """
    if source == target:
        raise InvalidArgumentError("targetFolder", "the target is where the artifact is already")
    if target.is_within(source):
        raise InvalidArgumentError("targetFolder", "the target lies inside the artifact")
    if source.is_within(target):
        raise InvalidArgumentError("targetFolder", "the artifact lies inside the target")


def _parse_file_uri(rest: str, argument: str) -> ArtifactLocation:
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            raise InvalidArgumentError(argument, "files of another host cannot be reached")
        rest = slash + path
    if not rest.startswith("/"):
        raise InvalidArgumentError(argument, "a file: URI has an absolute path, as file:///data/model")
    try:
        path = unquote_to_bytes(rest).decode()
    except UnicodeDecodeError:
        raise InvalidArgumentError(argument, "its path is no UTF-8") from None
    return ArtifactLocation(scheme=FILE, authority="", steps=_steps(path, argument, is_local=True))


def _steps(path: str, argument: str, *, is_local: bool) -> tuple[str, ...]:
    steps = tuple(path.removeprefix("/").rstrip("/").split("/")) if path.strip("/") else ()
    if is_local:
        # Slashes in a row say nothing to a file system; in an object store they are another key.
        steps = tuple(step for step in steps if step)
    return tuple(_step(step, argument) for step in steps)


def _step(step: str, argument: str) -> str:
    if step in ("", ".", ".."):
        raise InvalidArgumentError(argument, f"its path has a step {step!r}, which could lead elsewhere")
    if not step.isprintable() or "\\" in step:
        raise InvalidArgumentError(argument, "its path has an unprintable character or a backslash")
    return step


def missing_files(wanted: Sequence[CopiedFile], there: Sequence[ArtifactFile]) -> list[str]:
    """The paths of copied files that are not there, or not of their size."""
    sizes = {file.path: file.size_bytes for file in there}
    return [file.path for file in wanted if sizes.get(file.path) != file.size_bytes]
