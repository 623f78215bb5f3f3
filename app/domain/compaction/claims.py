"""Whose a snapshot is: runs of compaction, told apart by what they say of themselves before they begin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from app.domain.compaction.obstacles import CompactionEngine
from app.domain.history import History, Snapshot, SnapshotOperation

# In the summaries of snapshots that are made here.
RUN_ID = "stratigraph.compaction-id"
# In those that Spark makes, of Iceberg's own.
_ENGINE_NAME, _APPLICATION = "engine-name", "app-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClaim:
    """A run that is about to begin, on a table whose head is `base_id`.

    Iceberg's procedures do not let a caller put anything into the snapshots that they make. What tells those of a run
    in Spark is that they came of its base, and the id of the Spark `application`, None where that is not known.
    """

    run_id: UUID
    engine: CompactionEngine
    base_id: int | None
    application: str | None = None


def snapshots_of(
    claim: RunClaim, history: History, others: Iterable[int] = (), *, later: RunClaim | None = None
) -> list[Snapshot]:
    """The snapshots that a run made, the oldest first.

    `others` are known to be of other runs, and `later` is the next run of the table, if it has been claimed.

    Spark's are those that the same application made since and nobody signed, as far as the head that the later run
    began from: what came after that is of others. What is left is that another compaction of the same table by the same
    application, by hand, is taken for this one: at the same time, and where the run died also after it, until a sweep
    or the next run of the table writes it down. Where the snapshot that the later run began from has been expired,
    nothing but what is signed can be told to be of before, and is taken.
    """
    known = history.snapshots.values()
    found = {snapshot.snapshot_id for snapshot in known if snapshot.summary.get(RUN_ID) == str(claim.run_id)}
    if claim.engine is CompactionEngine.SPARK:
        since = (each for each in _descendants(claim.base_id, known) if _is_by_application(each, claim.application))
        before = None if later is None else _line_of(later.base_id, history)
        found |= {each.snapshot_id for each in since if before is None or each.snapshot_id in before}
    made = (snapshot for snapshot in known if snapshot.snapshot_id in found.difference(others))
    # By sequence numbers first: the clocks of two engines may differ.
    return sorted(made, key=lambda snapshot: (snapshot.sequence_number or 0, snapshot.order))


def _is_by_application(snapshot: Snapshot, application: str | None) -> bool:
    summary = snapshot.summary
    if snapshot.operation is not SnapshotOperation.REPLACE or RUN_ID in summary:
        return False
    if summary.get(_ENGINE_NAME) != CompactionEngine.SPARK.value:
        return False
    return application is None or summary.get(_APPLICATION, application) == application


def _descendants(base_id: int | None, snapshots: Iterable[Snapshot]) -> Iterator[Snapshot]:
    by_parent: dict[int, list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        if snapshot.parent_id is not None:
            by_parent[snapshot.parent_id].append(snapshot)
    left = [] if base_id is None else by_parent.pop(base_id, [])
    while left:
        snapshot = left.pop()
        left += by_parent.pop(snapshot.snapshot_id, [])
        yield snapshot


def _line_of(snapshot_id: int | None, history: History) -> set[int]:
    """The snapshot with its ancestors, as far as they are known."""
    found: set[int] = set()
    while snapshot_id is not None and snapshot_id not in found and snapshot_id in history.snapshots:
        found.add(snapshot_id)
        snapshot_id = history.snapshots[snapshot_id].parent_id
    return found
