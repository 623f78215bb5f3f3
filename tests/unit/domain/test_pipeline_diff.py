"""What two versions of a pipeline are to each other, and when they are the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.domain.changes import Actor
from app.domain.dags import code_hash, parse_dag
from app.domain.pipeline_diff import PipelineDiff
from app.domain.pipelines import PipelineVersion
from app.domain.version_relation import VersionRelation

DAG = {"tasks": [{"id": "a"}, {"id": "b"}], "edges": [["a", "b"]]}
PIPELINE = PipelineVersion(
    pipeline_id="spark://x/daily",
    number=1,
    created_at=datetime(2026, 2, 15, tzinfo=UTC),
    created_by=Actor(subject="ada"),
    reason=None,
    dag=DAG,
    dag_digest=parse_dag(DAG).digest,
    code="print(1)\n",
    code_hash=code_hash("print(1)\n"),
    git_commit="abc",
)


@pytest.mark.parametrize(
    ("before", "after", "relation"),
    [(1, 1, VersionRelation.SAME), (1, 3, VersionRelation.ANCESTOR), (3, 1, VersionRelation.DESCENDANT)],
)
def test_what_the_one_is_to_the_other(before: int, after: int, relation: VersionRelation):
    assert (
        PipelineDiff(before=replace(PIPELINE, number=before), after=replace(PIPELINE, number=after)).relation
        is relation
    )


def test_pipelines_are_compared_by_graph_code_and_commit():
    reordered = {"tasks": [{"id": "b"}, {"id": "a"}], "edges": [["a", "b"]]}
    other_dag = {"tasks": [{"id": "a"}]}
    same = PipelineDiff(before=PIPELINE, after=replace(PIPELINE, dag=reordered, dag_digest=parse_dag(reordered).digest))
    other = PipelineDiff(
        before=PIPELINE,
        after=replace(
            PIPELINE,
            number=2,
            dag=other_dag,
            dag_digest=parse_dag(other_dag).digest,
            code="print(2)\n",
            code_hash=code_hash("print(2)\n"),
        ),
    )

    assert same.is_identical and same.dag().is_empty
    assert (other.is_dag_changed, other.is_code_changed, other.is_identical) == (True, True, False)
    assert other.dag().tasks_removed == ("b",)
    code = other.code()
    assert code is not None
    assert code.text == "--- spark://x/daily v1\n+++ spark://x/daily v2\n@@ -1 +1 @@\n-print(1)\n+print(2)\n"


def test_code_that_only_one_has_is_a_change_and_has_no_diff():
    diff = PipelineDiff(before=PIPELINE, after=replace(PIPELINE, code=None, code_hash=None))

    assert diff.is_code_changed and diff.code() is None and not diff.is_identical


def test_another_commit_is_a_difference():
    diff = PipelineDiff(before=PIPELINE, after=replace(PIPELINE, git_commit="def"))

    assert not (diff.is_identical or diff.is_dag_changed or diff.is_code_changed)
