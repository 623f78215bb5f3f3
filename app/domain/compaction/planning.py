"""Whether a table needs compaction, why, and what would be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.compaction.files import FileCounts, TableFile, count_files
from app.domain.compaction.obstacles import CompactionEngine, Obstacle
from app.domain.compaction.packing import Bin, pack
from app.domain.compaction.policy import MIB, CompactionPolicy

# More small files than this are too many; fewer matter where all files are small.
FEW_SMALL_FILES = 10
# What a scan asks an object store for of each file at least: its footer, and its rows.
REQUESTS_PER_FILE = 2


class Verdict(StrEnum):
    """What a plan found."""

    NEEDED = "NEEDED"
    # Nothing is wrong with its files.
    FINE = "FINE"
    # It has small files, and bringing files together would not make them fewer.
    IN_VAIN = "IN_VAIN"
    EMPTY = "EMPTY"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionPlan:
    """What compaction would do to a table, from its manifests alone. Without need there are no bins.

    `obstacles` say which engines cannot carry it out, and why; it is the same plan for all of them.
    """

    policy: CompactionPolicy
    counts: FileCounts
    verdict: Verdict
    reason: str
    bins: tuple[Bin, ...]
    obstacles: Mapping[CompactionEngine, Obstacle] = field(default_factory=dict)

    @property
    def needs_compaction(self) -> bool:
        """Whether there is anything to do."""
        return self.verdict is Verdict.NEEDED

    @property
    def files_after(self) -> int:
        """How many data files there would be."""
        return self.counts.files - sum(some.files_saved for some in self.bins)

    @property
    def bytes_to_rewrite(self) -> int:
        """Bytes of the files that would be read and written anew."""
        return sum(some.size_bytes for some in self.bins)

    @property
    def requests_saved(self) -> int:
        """How many requests fewer a scan of the whole table would make of an object store, at least."""
        return REQUESTS_PER_FILE * (self.counts.files - self.files_after)

    def obstacle(self, engine: CompactionEngine) -> Obstacle | None:
        """What keeps an engine from carrying it out; None where nothing does."""
        return self.obstacles.get(engine)


def plan_compaction(
    files: Sequence[TableFile],
    policy: CompactionPolicy,
    obstacles: Mapping[CompactionEngine, Obstacle] | None = None,
) -> CompactionPlan:
    """The plan for a table of these live files; the same for the same files, in whatever order.

    Candidates are files under three quarters of the target, those with deletes to apply, and those that are asked for;
    the latter alone where nothing is wrong with the others.
    """
    counts = count_files(files, policy.min_bytes)
    usable = [file for file in files if file.is_left_alone is None]
    asked_for = [file for file in usable if file.is_asked_for]
    # Told once: it is a fraction of the target, and there may be hundreds of thousands of files.
    least = policy.candidate_bytes
    candidates = [
        file
        for file in usable
        if policy.rewrite_all or file.has_deletes or file.is_asked_for or file.size_bytes < least
    ]
    need = _need(counts, policy)
    if need is None and asked_for:
        need, candidates = f"{counted(len(asked_for), 'file')} yet to be rewritten", asked_for
    bins = pack(candidates, policy) if need else []
    verdict, reason = _judge(files, counts, need, bins, policy)
    return CompactionPlan(
        policy=policy, counts=counts, verdict=verdict, reason=reason, bins=tuple(bins), obstacles=obstacles or {}
    )


def _need(counts: FileCounts, policy: CompactionPolicy) -> str | None:
    """What is wrong with the files, whether or not anything can be done about it."""
    if counts.files == 0:
        return None
    if counts.small_files > FEW_SMALL_FILES:
        return f"{counts.small_files:,} files are smaller than {policy.min_file_size_mb} MB"
    if counts.files > 1 and counts.average_bytes < policy.min_bytes:
        return f"the average file of {megabytes(counts.average_bytes)} MB is smaller than {policy.min_file_size_mb} MB"
    if counts.files_with_deletes:
        return (
            f"readers have to apply {counted(counts.delete_files, 'delete file')} to "
            f"{counted(counts.files_with_deletes, 'data file')}"
        )
    return "all files are to be rewritten" if policy.rewrite_all else None


def _judge(
    files: Sequence[TableFile], counts: FileCounts, need: str | None, bins: Sequence[Bin], policy: CompactionPolicy
) -> tuple[Verdict, str]:
    if not files:
        return Verdict.EMPTY, "it has no files"
    if need is None:
        return Verdict.FINE, _fine(counts, policy)
    if bins:
        return Verdict.NEEDED, need
    return Verdict.IN_VAIN, f"{need}, but {_in_vain(files, policy)}"


def _fine(counts: FileCounts, policy: CompactionPolicy) -> str:
    if counts.files == 1:
        return "it has one file"
    if counts.small_files:
        return (
            f"{counted(counts.small_files, 'file')} of {counts.files:,} smaller than {policy.min_file_size_mb} MB "
            f"{'is' if counts.small_files == 1 else 'are'} too few to matter: more than {FEW_SMALL_FILES} would be"
        )
    return f"no file is smaller than {policy.min_file_size_mb} MB, and there are no deletes to apply"


def _in_vain(files: Sequence[TableFile], policy: CompactionPolicy) -> str:
    left_alone = [file.is_left_alone for file in files if file.is_left_alone is not None]
    if left_alone:
        return f"{counted(len(left_alone), 'file')} cannot be rewritten ({', '.join(sorted(set(left_alone)))})"
    places = len({file.place for file in files})
    if places > 1:
        return (
            f"they are spread over {places:,} partitions, and no partition would have fewer files than it has: only "
            "coarser partitions would"
        )
    return f"files of {policy.target_file_size_mb} MB would not be fewer"


def counted(number: int, noun: str) -> str:
    """A number of things, as it is told."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def megabytes(size_bytes: object) -> str:
    """A size in MB of 1,048,576 bytes, as it is told."""
    return f"{float(size_bytes) / MIB:,.2f}"  # type: ignore[arg-type]
