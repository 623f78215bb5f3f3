"""Why two versions of a dataset differ: the snapshots between them, each with the run that made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.history import Snapshot
from app.domain.pipelines import PipelineRun, PipelineVersion
from app.domain.version_relation import DiffSide
from app.services.comparing import ComparedVersions
from app.services.lineage import Lineage
from app.services.pipelines import Pipelines
from app.services.runs import Runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A snapshot that leads to one of the two versions, and not to the other.

    `run` is the one that made it, or the rows of a `replace` snapshot; None where none was reported. `version` is that
    of its pipeline, None where none is known.
    """

    side: DiffSide
    snapshot: Snapshot
    run: PipelineRun | None
    version: PipelineVersion | None


class ComparingCommits:
    """Who made the snapshots between two versions."""

    def __init__(self, lineage: Lineage, runs: Runs, pipelines: Pipelines) -> None:
        self._lineage = lineage
        self._runs = runs
        self._pipelines = pipelines

    async def explain(self, compared: ComparedVersions, snapshots: Sequence[tuple[DiffSide, Snapshot]]) -> list[Commit]:
        """These of the snapshots between two versions (`Kinship.commits`) with who made them; two statements for all.

        Raises:
            BackendUnavailableError: Postgres is away.
        """
        table = compared.after.table
        roots = [self._lineage.snapshot_root(table, snapshot.snapshot_id) for _, snapshot in snapshots]
        made = await self._runs.producers(roots) if roots else {}
        keys = {(run.pipeline_id, run.version_number) for run in made.values() if run.version_number is not None}
        versions = await self._pipelines.find_versions(sorted(keys)) if keys else {}
        commits = []
        for (side, snapshot), root in zip(snapshots, roots, strict=True):
            run = made.get(root.vertex_id)
            number = None if run is None else run.version_number
            version = None if run is None or number is None else versions.get((run.pipeline_id, number))
            commits.append(Commit(side=side, snapshot=snapshot, run=run, version=version))
        return commits
