"""Compaction: whether the files of a dataset had better be brought together, and what that would change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.domain.compaction import policy
from app.graphql.fields import field
from app.graphql.scalars import BigInt
from app.graphql.types.enums import CompactionVerdict
from app.lake.table import LakeTable
from app.services.compaction.entries import MAX_LISTED, PlannedBinEntry, planned_bin_entries
from app.services.compaction.operations import CompactionOverrides
from app.services.compaction.planning import ExplainedPlan

if TYPE_CHECKING:
    from app.graphql.types.dataset import Dataset


@strawberry.input(
    description="How large files are to be, in MB of 1,048,576 bytes. What is left out is as the server has it."
)
class CompactionPolicyInput:
    """How large files are to be."""

    target_file_size_mb: int | None = strawberry.field(
        default=None, description="The size of the files that are written, 1 to 1,048,576; 512 by default."
    )
    min_file_size_mb: int | None = strawberry.field(
        default=None,
        description="Below this size a file is small; 1 up to `targetFileSizeMb`, 10 by default.",
    )
    max_concurrent_files: int | None = strawberry.field(
        default=None, description="At most so many files are brought together at once, 2 to 10,000; 100 by default."
    )
    rewrite_all: bool | None = strawberry.field(
        default=None, description="Whether all files are written anew, whatever their size; false by default."
    )

    def overrides(self) -> CompactionOverrides:
        """What of the policy is asked for, as the services take it."""
        return CompactionOverrides(
            target_file_size_mb=self.target_file_size_mb,
            min_file_size_mb=self.min_file_size_mb,
            max_concurrent_files=self.max_concurrent_files,
            rewrite_all=self.rewrite_all,
        )


@strawberry.type(description="How large files are to be, in MB of 1,048,576 bytes.")
class CompactionPolicy:
    """How large files are to be."""

    target_file_size_mb: int = strawberry.field(description="The size of the files that are written.")
    min_file_size_mb: int = strawberry.field(description="Below this size a file is small.")
    max_concurrent_files: int = strawberry.field(description="At most so many files are brought together at once.")
    rewrite_all: bool = strawberry.field(description="Whether all files are written anew, whatever their size.")

    @classmethod
    def of(cls, asked: policy.CompactionPolicy) -> CompactionPolicy:
        """The policy as GraphQL shows it."""
        return cls(
            target_file_size_mb=asked.target_file_size_mb,
            min_file_size_mb=asked.min_file_size_mb,
            max_concurrent_files=asked.max_concurrent_files,
            rewrite_all=asked.rewrite_all,
        )


@strawberry.type(description="Files of one partition that would be brought together, at once.")
class PlannedBin:
    """Files that would be brought together."""

    partition: str = strawberry.field(
        description="The partition as Iceberg writes its path; empty in a table without any."
    )
    files: int = strawberry.field(description="How many data files it has.")
    files_after: int = strawberry.field(description="How many would be made of them.")
    bytes: BigInt = strawberry.field(description="Bytes of its data files.")

    @classmethod
    def of(cls, entry: PlannedBinEntry) -> PlannedBin:
        """The bin as GraphQL shows it."""
        return cls(
            partition=entry["partition"],
            files=entry["files"],
            files_after=entry["files_after"],
            bytes=BigInt(entry["bytes"]),
        )


@strawberry.type(
    description="What compaction would do to the head of `main`, from its manifests alone; nothing is changed. Without "
    "need there are no bins."
)
class CompactionPlan:
    """What compaction would do to a dataset."""

    table: strawberry.Private[LakeTable]
    policy: CompactionPolicy = strawberry.field(description="The policy that it was made by.")
    needs_compaction: bool = strawberry.field(description="Whether there is anything to do: the verdict is NEEDED.")
    verdict: CompactionVerdict = strawberry.field(description="What was found.")
    reason: str = strawberry.field(description="The verdict in words.")
    total_files: BigInt = strawberry.field(description="How many data files there are.")
    total_bytes: BigInt = strawberry.field(description="Bytes of all data files.")
    average_file_bytes: BigInt = strawberry.field(description="Bytes of a data file on average, rounded down.")
    small_files: BigInt = strawberry.field(description="How many data files are smaller than `policy.minFileSizeMb`.")
    delete_files: BigInt = strawberry.field(description="How many delete files readers have to apply.")
    files_with_deletes: BigInt = strawberry.field(description="To how many data files readers have to apply deletes.")
    estimated_files_after: BigInt = strawberry.field(description="How many data files there would be.")
    bins: int = strawberry.field(
        description="How many bins there are: files of one partition that are brought together, at once."
    )
    planned_bins: list[PlannedBin] = strawberry.field(
        description="The bins, those that make most files fewer first; 100 at most."
    )
    planned_bins_truncated: bool = strawberry.field(description="Whether there are more bins than are listed.")
    bytes_to_rewrite: BigInt = strawberry.field(description="Bytes of the data files that would be written anew.")
    requests_saved: BigInt = strawberry.field(
        description="How many requests fewer a scan of all rows would make of an object store, at least."
    )
    explanation: list[str] = strawberry.field(
        description="The same in sentences: whether it would help, where most, why small files stay small, and what "
        "else reads may be slow by."
    )

    @field(description="The dataset.")
    def dataset(self) -> Annotated[Dataset, strawberry.lazy("app.graphql.types.dataset")]:
        """The dataset."""
        from app.graphql.types.dataset import dataset_of

        return dataset_of(self.table)

    @classmethod
    def of(cls, found: ExplainedPlan) -> CompactionPlan:
        """The plan as GraphQL shows it."""
        plan, counts = found.plan, found.plan.counts
        return cls(
            table=found.table,
            policy=CompactionPolicy.of(plan.policy),
            needs_compaction=plan.needs_compaction,
            verdict=plan.verdict,
            reason=plan.reason,
            total_files=BigInt(counts.files),
            total_bytes=BigInt(counts.size_bytes),
            average_file_bytes=BigInt(int(counts.average_bytes)),
            small_files=BigInt(counts.small_files),
            delete_files=BigInt(counts.delete_files),
            files_with_deletes=BigInt(counts.files_with_deletes),
            estimated_files_after=BigInt(plan.files_after),
            bins=len(plan.bins),
            planned_bins=[PlannedBin.of(entry) for entry in planned_bin_entries(plan.bins)],
            planned_bins_truncated=len(plan.bins) > MAX_LISTED,
            bytes_to_rewrite=BigInt(plan.bytes_to_rewrite),
            requests_saved=BigInt(plan.requests_saved),
            explanation=found.explanation,
        )
