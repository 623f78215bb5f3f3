"""Artifacts on the disks of this machine. Symbolic links are never followed below a root."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from app.artifacts.files import CHUNK_BYTES, MAX_FILES, is_part, part_name
from app.domain.artifacts import Artifact, ArtifactFile, ArtifactKind, ArtifactLocation, check_relative
from app.errors import (
    ArtifactExistsError,
    ArtifactForbiddenError,
    ArtifactNotFoundError,
    BackendUnavailableError,
    InvalidArgumentError,
)

BACKEND = "artifact store"
_NEW_MODE = 0o644


class LocalFiles:
    """Files below the roots. A new one is written beside its place and moved there once it was read back."""

    def __init__(self, roots: Sequence[ArtifactLocation]) -> None:
        self._roots = tuple(root for root in roots if root.is_local)

    def find(self, location: ArtifactLocation) -> Artifact | None:
        """See `ArtifactFiles`.

        Raises:
            InvalidArgumentError: it holds something that is neither a file nor a folder, or more than `MAX_FILES`.
        """
        with _translated(location):
            place = self._resolve(location)
            try:
                status = place.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            if stat.S_ISDIR(status.st_mode):
                files = tuple(sorted(_walk(place), key=lambda file: file.path))
                kind = ArtifactKind.DIRECTORY
            else:
                files, kind = (_file("", place, status),), ArtifactKind.FILE
        return Artifact(uri=location.uri, kind=kind, files=files) if files else None

    def read(self, location: ArtifactLocation, path: str) -> Iterator[bytes]:
        """See `ArtifactFiles`."""
        with _translated(location):
            yield from _read(self._resolve(location) / path)

    def write(
        self,
        location: ArtifactLocation,
        path: str,
        chunks: Iterator[bytes],
        size_bytes: int,
        check: Callable[[Iterator[bytes]], None],
    ) -> None:
        """See `ArtifactFiles`."""
        del size_bytes
        with _translated(location):
            place = self._resolve(location) / path
            _make_folders(place.parent)
            # Only now it is known that no link leads away: what was not there before may have been made by others.
            place = self._resolve(location) / path
            if place.parent.resolve() != place.parent:
                raise ArtifactForbiddenError(str(place))
            part = _part_of(place)
            with _locked(part) as descriptor:
                if os.fstat(descriptor).st_nlink > 1:
                    # Finished by one that was killed before it could take this name away.
                    raise FileExistsError(errno.EEXIST, "finished", str(part), None, str(place))
                os.truncate(descriptor, 0)
                for chunk in chunks:
                    _write_all(descriptor, chunk)
                os.fsync(descriptor)
                check(_read(part))
                _publish(part, place)
            _sync_folder(place.parent)

    def settle(self, location: ArtifactLocation, path: str) -> None:
        """See `ArtifactFiles`."""
        with _translated(location):
            place = self._resolve(location) / path
            part = _part_of(place)
            if part.exists():
                with _locked(part):
                    _sync_folder(place.parent)

    def remove(self, location: ArtifactLocation, path: str) -> None:
        """See `ArtifactFiles`."""
        with _translated(location), suppress(FileNotFoundError):
            (self._resolve(location) / path).unlink()

    def remove_folders(self, location: ArtifactLocation) -> None:
        """See `ArtifactFiles`. Folders that hold something stay."""
        with _translated(location):
            place = self._resolve(location)
            if not place.is_dir():
                return
            for folder, _, _ in os.walk(place, topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                        raise

    def is_same_place(self, one: ArtifactLocation, other: ArtifactLocation) -> bool:
        """Whether one of two places is the other one, or lies in it, by another name: of a root, or a mount."""
        with _translated(one):
            first, second = self._resolve(one), self._resolve(other)
            if first.is_relative_to(second) or second.is_relative_to(first):
                return True
            return first.exists() and second.exists() and first.samefile(second)

    def _resolve(self, location: ArtifactLocation) -> Path:
        """The path itself, with the root's own links resolved.

        Raises:
            ArtifactForbiddenError: a link below the root leads elsewhere.
        """
        for root in self._roots:
            if location.is_within(root):
                below = location.steps[len(root.steps) :]
                place = Path(root.uri).resolve().joinpath(*below)
                if place.resolve() == place:
                    return place
        raise ArtifactForbiddenError(location.uri)


def _walk(top: Path) -> Iterator[ArtifactFile]:
    count = 0
    for folder, folders, names in os.walk(top, onerror=_raise):
        for name in folders:
            if (Path(folder) / name).is_symlink():
                raise InvalidArgumentError(
                    "artifact", f"it holds a symbolic link, {name[:120]!r}; links cannot be moved"
                )
        for name in names:
            if is_part(name):
                continue
            place = Path(folder) / name
            count += 1
            if count > MAX_FILES:
                raise InvalidArgumentError("artifact", f"it has more than {MAX_FILES} files")
            yield _file(place.relative_to(top).as_posix(), place, place.lstat())


def _raise(error: OSError) -> None:
    raise error


def _file(path: str, place: Path, status: os.stat_result) -> ArtifactFile:
    if not stat.S_ISREG(status.st_mode):
        raise InvalidArgumentError("artifact", f"{place.name[:120]!r} is neither a file nor a folder (a link, perhaps)")
    if path:
        check_relative(path, "artifact")
    return ArtifactFile(path=path, size_bytes=status.st_size, marker=f"{status.st_mtime_ns}-{status.st_ino}")


def _read(place: Path) -> Iterator[bytes]:
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _part_of(place: Path) -> Path:
    return place.with_name(part_name(place.name))


def _publish(part: Path, place: Path) -> None:
    try:
        # Unlike a rename, a link never replaces what is there.
        os.link(part, place, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        # A file system without hard links.
        if place.exists():
            raise FileExistsError(errno.EEXIST, "there", str(part), None, str(place)) from error
        part.rename(place)


@contextmanager
def _locked(part: Path) -> Iterator[int]:
    """The unfinished file, for one writer at a time, and removed in the end.

    A writer that was killed leaves it without its lock, and the next one goes on with it.
    """
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _NEW_MODE)
    try:
        is_mine = _is_lockable(descriptor) and _is_named(part, descriptor)
        if not is_mine:
            raise BackendUnavailableError(BACKEND, f"{part.name} is being written by somebody else")
        try:
            yield descriptor
        finally:
            part.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _is_lockable(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(part: Path, descriptor: int) -> bool:
    """Whether the open file still has its name: the one before may have finished since it was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), part.stat())
    except FileNotFoundError:
        return False


def _make_folders(folder: Path) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        _sync_folder(one.parent)


def _sync_folder(folder: Path) -> None:
    """Make names in it last beyond a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(location: ArtifactLocation) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        if error.filename2 is not None:  # of the link: this is for the caller to judge
            raise
        raise ArtifactExistsError(location.uri, "a file is where a folder has to be") from error
    except NotADirectoryError as error:
        raise ArtifactExistsError(location.uri, "a file is where a folder has to be") from error
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(location.uri, "it went away meanwhile") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidArgumentError("artifact", "a name is longer than the file system takes") from error
        raise BackendUnavailableError(BACKEND, f"{location.uri}: {error.strerror or error}") from error
