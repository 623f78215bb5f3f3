"""What differs between two versions of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.code_diff import CodeDiff, diff_code
from app.domain.dag_diff import DagDiff, diff_dags
from app.domain.dags import parse_dag
from app.domain.numbered import relation_of_numbers
from app.domain.pipelines import PipelineVersion
from app.domain.version_relation import VersionRelation


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDiff:
    """What their digests tell at once; what exactly differs is worked out by `dag` and `code`, which take time."""

    before: PipelineVersion
    after: PipelineVersion

    @property
    def relation(self) -> VersionRelation:
        """What `before` is to `after`."""
        return relation_of_numbers(self.before.number, self.after.number)

    @property
    def is_dag_changed(self) -> bool:
        """Whether the DAGs differ as graphs."""
        return self.before.dag_digest != self.after.dag_digest

    @property
    def is_code_changed(self) -> bool:
        """Whether the code differs, by its hash; code that only one of them has does."""
        return self.before.code_hash != self.after.code_hash

    @property
    def is_identical(self) -> bool:
        """Whether DAG, code and commit are the same."""
        same_commit = self.before.git_commit == self.after.git_commit
        return same_commit and not self.is_dag_changed and not self.is_code_changed

    def dag(self) -> DagDiff:
        """What differs between the DAGs; a second or two for the largest."""
        if not self.is_dag_changed:
            return DagDiff()
        return diff_dags(parse_dag(self.before.dag), parse_dag(self.after.dag))

    def code(self) -> CodeDiff | None:
        """What differs between the code, None where one of them has none stored; a second or two at most."""
        if self.before.code is None or self.after.code is None:
            return None
        names = (f"{version.pipeline_id} {version.label}" for version in (self.before, self.after))
        before_name, after_name = names
        return diff_code(self.before.code, self.after.code, before_name=before_name, after_name=after_name)
