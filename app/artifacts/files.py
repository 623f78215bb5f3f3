"""What a place that holds artifacts can do; all of it blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from app.domain.artifacts import Artifact, ArtifactLocation

CHUNK_BYTES = 8 * 1024 * 1024
# The proof of a copy names each file, and is kept in a row of a database.
MAX_FILES = 10_000
_PART_PREFIX, _PART_SUFFIX = ".", ".stratigraph-part"


def part_name(name: str) -> str:
    """What a file is called, beside its place, while it is written."""
    return f"{_PART_PREFIX}{name}{_PART_SUFFIX}"


def is_part(path: str) -> bool:
    """Whether a file is one that was being written, and so no part of an artifact."""
    name = path.rpartition("/")[2]
    return name.startswith(_PART_PREFIX) and name.endswith(_PART_SUFFIX)


class ArtifactFiles(Protocol):
    """Files below locations; `path` is relative to one, and "" where the artifact is itself a file.

    Errors are typed, but for FileExistsError where that is said.
    """

    def find(self, location: ArtifactLocation) -> Artifact | None:
        """What is there; None for nothing, or folders without a file."""
        ...

    def read(self, location: ArtifactLocation, path: str) -> Iterator[bytes]:
        """The content of a file in chunks of at most `CHUNK_BYTES`."""
        ...

    def write(
        self,
        location: ArtifactLocation,
        path: str,
        chunks: Iterator[bytes],
        size_bytes: int,
        check: Callable[[Iterator[bytes]], None],
    ) -> None:
        """Make a new file, which is seen whole or not at all.

        `check` is given what was written, read back, and raises where it is not as it should be; then nothing is left.

        Raises:
            FileExistsError: there is a file already, which stays as it is.
        """
        ...

    def settle(self, location: ArtifactLocation, path: str) -> None:
        """Take away what a writer that was killed has left beside a file that is there."""
        ...

    def remove(self, location: ArtifactLocation, path: str) -> None:
        """Remove a file; one that is gone already is fine."""
        ...

    def remove_folders(self, location: ArtifactLocation) -> None:
        """Remove the folder that is left without files, where the place has such; one that is gone already is fine."""
        ...
