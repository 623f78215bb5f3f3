"""A plan of compaction in sentences: whether it would help, why small files stay, what else reads may be slow by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from app.domain.compaction.files import TableFile
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.compaction.packing import Bin
from app.domain.compaction.planning import CompactionPlan, Verdict, counted, megabytes
from app.domain.compaction.policy import MIB
from app.domain.compaction.ranking import benefit_of

# Below this people wonder about files, whatever the policy calls small.
WONDERED_AT_BYTES = 100 * MIB
_SHOWN_PARTITIONS = 3


def explain_plan(plan: CompactionPlan, files: Sequence[TableFile]) -> list[str]:
    """Sentences about the table of this plan, of which these are the live files; the most telling first."""
    counts = plan.counts
    if plan.verdict is Verdict.EMPTY:
        return ["The table has no files, and nothing to compact."]
    sentences = [
        (
            f"The table has {counted(counts.files, 'data file')} of {megabytes(counts.average_bytes)} MB on average, "
            f"{megabytes(counts.size_bytes)} MB in all; {counts.small_files:,} of them "
            f"{'is' if counts.small_files == 1 else 'are'} smaller than {plan.policy.min_file_size_mb} MB."
        )
    ]
    sentences += _help(plan)
    sentences += _obstacles(plan)
    sentences += _left_alone(files)
    sentences += _lonely(plan, files)
    sentences += _under_100(plan, files)
    sentences.append(
        "Compaction does not help a query that reads few rows of one file anyway: of a file whole row groups are read, "
        "for the columns that are asked for. Sorting the table by what queries filter by does."
    )
    return sentences


def _help(plan: CompactionPlan) -> list[str]:
    if plan.verdict is not Verdict.NEEDED:
        return [f"Compaction would not help: {plan.reason}."]
    benefit = benefit_of(plan.bins)
    sentences = [
        (
            f"Compaction would help: {plan.reason}. It would make {plan.files_after:,} of {plan.counts.files:,} files, "
            f"rewriting {megabytes(benefit.bytes_to_touch)} MB, and save a scan of the whole table at least "
            f"{counted(plan.requests_saved, 'request')} of an object store."
        )
    ]
    if benefit.files_freed_of_deletes:
        sentences.append(
            f"Readers would no longer have to apply deletes to {counted(benefit.files_freed_of_deletes, 'data file')}."
        )
    best = sorted(plan.bins, key=lambda some: (-some.files_saved, some.place))
    shown = [each for each in _by_partition(best) if each[0]][:_SHOWN_PARTITIONS]
    if shown:
        told = ", ".join(f"{partition} ({before:,} files to {after:,})" for partition, before, after in shown)
        sentences.append(f"Most is gained in {told}.")
    return sentences


def _obstacles(plan: CompactionPlan) -> list[str]:
    """Who could not do it."""
    told = {CompactionEngine.LOCAL: "It cannot be compacted here", CompactionEngine.SPARK: "Spark cannot compact it"}
    if plan.verdict is not Verdict.NEEDED:
        return []
    return [f"{told[engine]}: {found.feature}: {found.reason}." for engine, found in sorted(plan.obstacles.items())]


def _by_partition(bins: Sequence[Bin]) -> list[tuple[str, int, int]]:
    before, after = Counter[str](), Counter[str]()
    for some in bins:
        before[some.place.partition] += len(some.files)
        after[some.place.partition] += some.outputs
    order = sorted(before, key=lambda partition: (after[partition] - before[partition], partition))
    return [(partition, before[partition], after[partition]) for partition in order]


def _left_alone(files: Sequence[TableFile]) -> list[str]:
    reasons = Counter(file.is_left_alone for file in files if file.is_left_alone is not None)
    return [f"{counted(count, 'file')} cannot be rewritten: {reason}." for reason, count in sorted(reasons.items())]


def _lonely(plan: CompactionPlan, files: Sequence[TableFile]) -> list[str]:
    in_place = Counter(file.place for file in files)
    alone = sum(in_place[file.place] == 1 and file.size_bytes < plan.policy.candidate_bytes for file in files)
    if not alone or len(in_place) == 1:
        return []
    who = (
        f"{counted(alone, 'file')} {'is the only one of its' if alone == 1 else 'are the only one of their'} partition"
    )
    return [f"{who}, and files of two partitions cannot be one: coarser partitions would make fewer files."]


def _under_100(plan: CompactionPlan, files: Sequence[TableFile]) -> list[str]:
    """Why files that people take for small stay as they are."""
    rewritten = {file.file for some in plan.bins for file in some.files}
    left = [file for file in files if file.size_bytes < WONDERED_AT_BYTES and file.file not in rewritten]
    if not left:
        return []
    limit = megabytes(WONDERED_AT_BYTES).removesuffix(".00")
    if plan.policy.candidate_bytes <= WONDERED_AT_BYTES:
        why = (
            f"files from {megabytes(plan.policy.candidate_bytes)} MB on are large enough for the target of "
            f"{plan.policy.target_file_size_mb} MB"
        )
    elif plan.verdict is Verdict.FINE:
        why = "the table as a whole is fine, and rewriting them would cost more than it gains"
    else:
        why = "those of their partition would not make fewer files"
    return [f"{counted(len(left), 'file')} under {limit} MB would stay: {why}."]
