"""The snapshots between two versions as plain data: the shape that REST, the command line and Python answer with.

Snapshot ids are texts, so that no JSON reader rounds them; times are RFC 3339 in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from app.domain.datasets import TableState
from app.domain.pipelines import PipelineRun, PipelineVersion
from app.domain.version_relation import Kinship
from app.domain.versions import LATEST
from app.services.comparing_commits import Commit
from app.services.listings import snapshot_entries, to_utc_text


class MadeByVersionEntry(TypedDict):
    """The version of the pipeline that ran."""

    number: int
    git_commit: str | None
    created_at: str
    created_by: str


class MadeByEntry(TypedDict):
    """The run that made a snapshot; `recorded_by` is None where OpenLineage alone told of it."""

    run_id: str
    pipeline_id: str
    version: MadeByVersionEntry | None
    status: str
    started_at: str
    ended_at: str | None
    git_commit: str | None
    recorded_by: str | None


class CommitEntry(TypedDict):
    """A snapshot between two versions; `side` is the version that it leads to, `from` or `to`."""

    snapshot_id: str
    parent_snapshot_id: str | None
    timestamp_ms: int
    operation: str
    summary: dict[str, str]
    tags: list[str]
    side: str
    produced_by: MadeByEntry | None


class CommitsEntry(TypedDict):
    """The snapshots between two versions, newest first; the versions are as they were asked for.

    `complete` is False where older ones have expired before a common one was found. `total` is how many there are.
    """

    from_version: str
    to_version: str
    relation: str
    merge_base: str | None
    complete: bool
    commits: list[CommitEntry]
    total: int


def commits_entry(
    from_version: str | None,
    to_version: str | None,
    kinship: Kinship,
    state: TableState,
    commits: Sequence[Commit],
    total: int,
) -> CommitsEntry:
    """Some of the snapshots between two versions; a version that was not named is `latest`."""
    return CommitsEntry(
        from_version=from_version or LATEST,
        to_version=to_version or LATEST,
        relation=kinship.relation.value,
        merge_base=None if kinship.merge_base_id is None else str(kinship.merge_base_id),
        complete=not kinship.is_cut,
        commits=_commits(state, commits),
        total=total,
    )


def _commits(state: TableState, commits: Sequence[Commit]) -> list[CommitEntry]:
    shown = snapshot_entries(state, (commit.snapshot for commit in commits))
    return [
        CommitEntry(
            snapshot_id=str(entry["snapshot_id"]),
            parent_snapshot_id=None if entry["parent_snapshot_id"] is None else str(entry["parent_snapshot_id"]),
            timestamp_ms=entry["timestamp_ms"],
            operation=entry["operation"],
            summary=entry["summary"],
            tags=entry["tags"],
            side=commit.side.value.lower(),
            produced_by=None if commit.run is None else _made_by(commit.run, commit.version),
        )
        for commit, entry in zip(commits, shown, strict=True)
    ]


def _made_by(run: PipelineRun, version: PipelineVersion | None) -> MadeByEntry:
    return MadeByEntry(
        run_id=str(run.run_id),
        pipeline_id=run.pipeline_id,
        version=None
        if version is None
        else MadeByVersionEntry(
            number=version.number,
            git_commit=version.git_commit,
            created_at=to_utc_text(version.created_at),
            created_by=version.created_by.subject,
        ),
        status=run.status.value,
        started_at=to_utc_text(run.started_at),
        ended_at=None if run.ended_at is None else to_utc_text(run.ended_at),
        git_commit=run.git_commit,
        recorded_by=run.recorded_by,
    )
