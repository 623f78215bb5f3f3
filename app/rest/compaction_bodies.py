"""The JSON bodies that `…/compaction/runs` takes."""

from __future__ import annotations

from app.rest.bodies import Body
from app.rest.registry_bodies import Dataset
from app.services.compaction.operations import CompactionOverrides


class CompactionPolicyBody(Body):
    """How large files are to be, in MB of 1,048,576 bytes; what is left out is as the server has it."""

    target_file_size_mb: int | None = None
    min_file_size_mb: int | None = None
    max_concurrent_files: int | None = None
    rewrite_all: bool | None = None

    def overrides(self) -> CompactionOverrides:
        """What of the policy is asked for, as the services take it."""
        return CompactionOverrides(
            target_file_size_mb=self.target_file_size_mb,
            min_file_size_mb=self.min_file_size_mb,
            max_concurrent_files=self.max_concurrent_files,
            rewrite_all=self.rewrite_all,
        )


class RunCompactionBody(Body):
    """What is to be done; a dry run unless `dry_run` is false."""

    policy: CompactionPolicyBody | None = None
    dry_run: bool | None = None
    budget: str | None = None
    due_only: bool | None = None
    skip_active: str | None = None
    reason: str | None = None


class CompactionSweepBody(RunCompactionBody):
    """The same, and of which datasets."""

    dataset: Dataset | None = None
    namespace: str | None = None
    all: bool | None = None
