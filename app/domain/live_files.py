"""Which files two versions of a table differ in, when what only rewrote files is taken back.

A version's rows are those of its live files: pairs of a data file and the delete files that apply to it. A pair that
both versions have has the same rows in both. A `replace` snapshot (Iceberg spec, "Snapshots") has the rows of its
parent in other files, so that on either side the ones may stand for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True, slots=True, order=True)
class LiveFile:
    """A data file, and the delete files that apply to it; all by their paths.

    A file that a version has more than once, as `add_files` without its check makes it, has its rows that often: the
    second time it is `copy` 1, and so on.
    """

    path: str
    deletes: frozenset[str] = frozenset()
    copy: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDelta:
    """The live files that one version has and the other has not, each way."""

    from_only: frozenset[LiveFile]
    to_only: frozenset[LiveFile]

    @property
    def is_empty(self) -> bool:
        """Whether both have the same live files."""
        return not self.from_only and not self.to_only

    @property
    def mirrored(self) -> FileDelta:
        """The same, looked at from the other version."""
        return FileDelta(from_only=self.to_only, to_only=self.from_only)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What a `replace` snapshot did: the rows of `removed` are those of `added`."""

    removed: frozenset[LiveFile]
    added: frozenset[LiveFile]

    @property
    def reversed(self) -> Rewrite:
        """The same rewrite, taken back."""
        return Rewrite(removed=self.added, added=self.removed)


def cancel_rewrites(
    delta: FileDelta,
    from_rewrites: Sequence[Rewrite],
    to_rewrites: Sequence[Rewrite],
    size_of: Callable[[LiveFile], int],
) -> FileDelta:
    """The files with the same difference in rows that are least to read, by `size_of`.

    The rewrites are those on the way from the two versions' merge base to each of them, oldest first. On either side
    they may be taken back, or be done on the other side too; of the ways to do that the cheapest is taken. Costs time
    linear in the rewrites' files.
    """
    best, best_size = delta, _size(delta, size_of)
    if best_size == 0:
        return best
    for back_first, forth_first in product((False, True), repeat=2):
        found = delta
        steps = (
            (back_first, _undo, from_rewrites, to_rewrites),
            (forth_first, _redo, from_rewrites, to_rewrites),
        )
        for is_taken, step, ours, theirs in steps:
            if is_taken:
                found = step(found, theirs)
                found = step(found.mirrored, ours).mirrored
        size = _size(found, size_of)
        if size < best_size:
            best, best_size = found, size
    return best


def _undo(delta: FileDelta, rewrites: Sequence[Rewrite]) -> FileDelta:
    """On the `to` side, whose rewrites they are, from the last one back."""
    files = _applied(delta.to_only, [rewrite.reversed for rewrite in reversed(rewrites)])
    return _without_common(delta.from_only, files)


def _redo(delta: FileDelta, rewrites: Sequence[Rewrite]) -> FileDelta:
    """On the `from` side, what was rewritten on the way to the other."""
    return _without_common(_applied(delta.from_only, rewrites), delta.to_only)


def _applied(files: frozenset[LiveFile], rewrites: Iterable[Rewrite]) -> frozenset[LiveFile]:
    for rewrite in rewrites:
        rest = files - rewrite.removed
        # A set holds a file once: rows of one that is there already would be lost.
        if rewrite.removed and rewrite.removed <= files and rest.isdisjoint(rewrite.added):
            files = rest | rewrite.added
    return files


def _without_common(from_files: frozenset[LiveFile], to_files: frozenset[LiveFile]) -> FileDelta:
    return FileDelta(from_only=from_files - to_files, to_only=to_files - from_files)


def _size(delta: FileDelta, size_of: Callable[[LiveFile], int]) -> int:
    return sum(map(size_of, delta.from_only)) + sum(map(size_of, delta.to_only))
