"""Moving an artifact in steps that can be repeated: copy, read back, acknowledge; then, by another call, remove."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import anyio
from anyio.from_thread import check_cancelled

from app.artifacts.files import ArtifactFiles
from app.artifacts.local import BACKEND, LocalFiles
from app.artifacts.remote import RemoteFiles
from app.domain.artifacts import (
    Artifact,
    ArtifactFile,
    ArtifactKind,
    ArtifactLocation,
    CopiedFile,
    CopyProof,
    check_apart,
    check_within_roots,
    missing_files,
    parse_location,
)
from app.errors import (
    ArtifactChangedError,
    ArtifactExistsError,
    ArtifactNotFoundError,
    BackendUnavailableError,
    InvalidArgumentError,
    InvalidSettingError,
)

Answer = TypeVar("Answer")

DEFAULT_THREADS = 4


class ArtifactStore:
    """Artifacts below the roots: on local disks, in S3, and wherever else fsspec or pyarrow reach.

    What blocks runs in threads, a few at a time; a call that is cancelled ends at the next chunk. Memory is bounded by
    a few chunks of 8 MiB a call, whatever the sizes (parts of an upload grow above 140 GiB a file).
    """

    def __init__(
        self, roots: Sequence[str], *, properties: Mapping[str, str] | None = None, max_threads: int = DEFAULT_THREADS
    ) -> None:
        """A store of what is below the roots (URIs or absolute paths); nothing is opened yet.

        `properties` are those of the lake's catalog; `s3.endpoint`, `s3.access-key-id`, `s3.secret-access-key`,
        `s3.session-token`, `s3.region` and `s3.anonymous` count. What they do not say is taken from the environment
        (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and so on).

        Raises:
            InvalidSettingError: a root is neither.
        """
        try:
            self._roots = tuple(parse_location(root, "root") for root in roots)
        except InvalidArgumentError as error:
            raise InvalidSettingError("STRATIGRAPH_ARTIFACT_ROOTS", error.message) from error
        self._properties = dict(properties or {})
        self._limiter = anyio.CapacityLimiter(max_threads)
        self._local = LocalFiles(self._roots)
        self._remotes: dict[tuple[str, str], RemoteFiles] = {}
        self._opening = threading.Lock()

    async def describe(self, uri: str) -> Artifact:
        """What is at the URI. One listing.

        Raises:
            ArtifactNotFoundError: nothing, or folders without a file.
            ArtifactForbiddenError: the URI is outside the roots, or a link leads out of them.
            InvalidArgumentError: it is no URI that anything can be moved from, or what is there cannot be moved.
            BackendUnavailableError: the store does not answer.
        """
        location = self._checked(uri, "uri")
        return await self._run(lambda: self._describe(location))

    async def copy(self, source_uri: str, target_folder_uri: str, key: str) -> CopyProof:
        """Copy an artifact to `key` below the folder, and the proof once all of it was read back.

        Files that are there already with the same content are read and left as they are, so that a copy that was cut
        off anywhere can be repeated, and one that was not changes nothing. Everything is read once from the source and
        once from the copy.

        Raises:
            ArtifactExistsError: something else is at the target.
            ArtifactChangedError: the source was written to meanwhile.
            BackendUnavailableError: a store does not answer, or what it gives back is not what it was given.
            As `describe`.
        """
        source = self._checked(source_uri, "source")
        target = parse_location(target_folder_uri, "targetFolder").joined(key)
        check_within_roots(target, self._roots, or_root=False)
        return await self._run(lambda: self._copy(source, target))

    async def remove(self, uri: str, proof: CopyProof) -> None:
        """Remove an artifact that was copied. Files that are gone already are fine, so that it can be repeated.

        All is looked at before anything is removed: each file of the copy is there and of its size, and each file of
        the source is the one that was copied.

        Raises:
            ArtifactNotFoundError: the copy is gone.
            ArtifactChangedError: the copy is not whole, or the source was written to since it was copied.
            InvalidArgumentError: the proof is of another artifact.
            As `describe`.
        """
        source, copy = self._checked(uri, "uri"), self._checked(proof.copy_uri, "proof")
        if source != parse_location(proof.source_uri, "proof"):
            raise InvalidArgumentError("proof", "it is of another artifact")
        await self._run(lambda: self._remove(source, copy, proof))

    def _describe(self, location: ArtifactLocation) -> Artifact:
        found = self._files(location).find(location)
        if found is None:
            raise ArtifactNotFoundError(location.uri, "nothing is there, or only folders without a file")
        return found

    def _copy(self, source: ArtifactLocation, target: ArtifactLocation) -> CopyProof:
        self._check_apart(source, target)
        artifact = self._describe(source)
        there = self._files(target).find(target)
        _check_target(artifact, there)
        existing = {file.path: file for file in there.files} if there else {}
        copied = tuple(self._copy_file(source, target, file, existing.get(file.path)) for file in artifact.files)
        if self._describe(source).files != artifact.files:
            raise ArtifactChangedError(source.uri, "it was written to while it was copied")
        # Once more as a whole: somebody may have put a file beside ours.
        if there := self._files(target).find(target):
            _check_target(artifact, there)
        if there is None or missing_files(copied, there.files):
            raise ArtifactChangedError(target.uri, "the copy went away while it was made")
        return CopyProof(source_uri=source.uri, copy_uri=target.uri, kind=artifact.kind, files=copied)

    def _copy_file(
        self, source: ArtifactLocation, target: ArtifactLocation, file: ArtifactFile, existing: ArtifactFile | None
    ) -> CopiedFile:
        digest = self._write_file(source, target, file) if existing is None else None
        if digest is None:
            # It is there already: from a copy that was cut off, or by another one that was faster.
            digest = self._compare_file(source, target, file, existing)
            self._files(target).settle(target, file.path)
        return CopiedFile(path=file.path, size_bytes=file.size_bytes, digest=digest, marker=file.marker)

    def _write_file(self, source: ArtifactLocation, target: ArtifactLocation, file: ArtifactFile) -> str | None:
        """The digest of what was copied; None where something is there."""
        read = _Hashed(self._files(source).read(source, file.path))

        def check(chunks: Iterator[bytes]) -> None:
            back = _Hashed(chunks).exhaust()
            if read.size_bytes != file.size_bytes:
                raise ArtifactChangedError(source.uri, f"{file.path or 'it'} was written to while it was copied")
            if (back.size_bytes, back.digest) != (read.size_bytes, read.digest):
                raise BackendUnavailableError(BACKEND, f"{target.uri} gave back something else than it was given")

        try:
            self._files(target).write(target, file.path, iter(read), file.size_bytes, check)
        except FileExistsError:
            return None
        return read.digest

    def _compare_file(
        self, source: ArtifactLocation, target: ArtifactLocation, file: ArtifactFile, existing: ArtifactFile | None
    ) -> str:
        if existing is None or existing.size_bytes == file.size_bytes:
            one = _Hashed(self._files(source).read(source, file.path)).exhaust()
            other = _Hashed(self._files(target).read(target, file.path)).exhaust()
            if (one.size_bytes, one.digest) == (other.size_bytes, other.digest):
                return one.digest
        raise ArtifactExistsError(target.uri, f"{file.path or 'it'} has other content")

    def _remove(self, source: ArtifactLocation, copy: ArtifactLocation, proof: CopyProof) -> None:
        self._check_apart(source, copy)
        there = self._files(copy).find(copy)
        if there is None:
            raise ArtifactNotFoundError(copy.uri, "the copy is gone")
        if there.kind != proof.kind or (missing := missing_files(proof.files, there.files)):
            what = missing[0] if there.kind == proof.kind and missing[0] else "it"
            raise ArtifactChangedError(copy.uri, f"{what} is not what was copied")
        files = self._files(source)
        left = files.find(source)
        if left is not None:
            _check_unchanged(left, proof)
            for file in left.files:
                files.remove(source, file.path)
        if proof.kind is ArtifactKind.DIRECTORY:
            files.remove_folders(source)

    def _check_apart(self, source: ArtifactLocation, target: ArtifactLocation) -> None:
        check_apart(source, target)
        if source.is_local and target.is_local and self._local.is_same_place(source, target):
            raise InvalidArgumentError("targetFolder", "it is where the artifact is already, by another name")

    def _checked(self, uri: str, argument: str) -> ArtifactLocation:
        location = parse_location(uri, argument)
        check_within_roots(location, self._roots, or_root=False)
        return location

    def _files(self, location: ArtifactLocation) -> ArtifactFiles:
        if location.is_local:
            return self._local
        with self._opening:
            store = (location.scheme, location.authority)
            if store not in self._remotes:
                self._remotes[store] = RemoteFiles(location, self._properties)
            return self._remotes[store]

    async def _run(self, function: Callable[[], Answer]) -> Answer:
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)


class _Hashed:
    """Chunks on their way, and what passed: its size and BLAKE2b. Iterated once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._hash = hashlib.blake2b(digest_size=32)
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            check_cancelled()
            self._hash.update(chunk)
            self.size_bytes += len(chunk)
            yield chunk

    def exhaust(self) -> _Hashed:
        """Itself, when all has passed."""
        for _ in self:
            pass
        return self

    @property
    def digest(self) -> str:
        """Of what has passed so far, in hexadecimal."""
        return self._hash.hexdigest()


def _check_target(artifact: Artifact, there: Artifact | None) -> None:
    """That what is at the target can be a part of the copy."""
    if there is None:
        return
    if there.kind != artifact.kind:
        raise ArtifactExistsError(there.uri, f"a {there.kind.value.lower()} is there")
    if more := {file.path for file in there.files} - {file.path for file in artifact.files}:
        raise ArtifactExistsError(there.uri, f"{min(more)} is there, which is no part of the artifact")


def _check_unchanged(left: Artifact, proof: CopyProof) -> None:
    copied = {file.path: (file.size_bytes, file.marker) for file in proof.files}
    for file in left.files:
        if left.kind != proof.kind or copied.get(file.path) != (file.size_bytes, file.marker):
            raise ArtifactChangedError(left.uri, f"{file.path or 'it'} is not what was copied")
