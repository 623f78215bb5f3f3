"""Whose the snapshots of a table are."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from app.domain.compaction.claims import RUN_ID, RunClaim, snapshots_of
from app.domain.compaction.obstacles import CompactionEngine
from app.domain.history import MAIN, History, RefKind, Snapshot, SnapshotOperation
from tests.strategies import START_MS, make_ref, make_snapshot

OURS, OTHERS = UUID(int=1), UUID(int=2)


def made(number: int, parent: int | None, *, late_ms: int = 0, is_append: bool = False, **summary: str) -> Snapshot:
    """A snapshot of this sequence number, by Spark's application `app-1` unless its summary says otherwise."""
    told = {"engine_name": "spark", "app_id": "app-1", **summary}
    return replace(
        make_snapshot(number, parent, timestamp_ms=START_MS + number + late_ms, sequence_number=number),
        operation=SnapshotOperation.APPEND if is_append else SnapshotOperation.REPLACE,
        summary={name.replace("_", "-").replace("run", RUN_ID): value for name, value in told.items()},
    )


def history(*snapshots: Snapshot) -> History:
    head = make_ref(MAIN, snapshots[-1].snapshot_id, RefKind.BRANCH)
    return History(snapshots={each.snapshot_id: each for each in snapshots}, refs={MAIN: head})


def found(claim: RunClaim, *snapshots: Snapshot, others: tuple[int, ...] = ()) -> list[int]:
    return [snapshot.snapshot_id for snapshot in snapshots_of(claim, history(*snapshots), others)]


def in_spark(base_id: int | None = 1, application: str | None = "app-1") -> RunClaim:
    return RunClaim(run_id=OURS, engine=CompactionEngine.SPARK, base_id=base_id, application=application)


def test_snapshots_that_are_made_here_are_signed() -> None:
    claim = RunClaim(run_id=OURS, engine=CompactionEngine.LOCAL, base_id=1)
    signed = [
        made(1, None),
        made(2, 1, run=str(OURS)),
        made(3, 2, run=str(OTHERS)),
        made(4, 3),
        made(5, 4, run=str(OURS)),
    ]
    assert found(claim, *signed) == [2, 5]


def test_those_of_spark_are_what_its_application_made_of_the_base() -> None:
    snapshots = [
        made(1, None),
        made(2, 1),
        made(3, 2, is_append=True),
        made(4, 3, app_id="app-2"),
        made(5, 4, run=str(OTHERS)),
        made(6, 5, engine_name="flink"),
        made(7, 6, run=str(OURS), engine_name="", app_id=""),
        made(8, 7),
        # Of another branch, that does not come of the base.
        made(9, None),
    ]
    assert found(in_spark(), *snapshots) == [2, 7, 8]
    assert found(in_spark(), *snapshots, others=(8,)) == [2, 7]
    assert found(in_spark(base_id=3), *snapshots) == [7, 8]
    # Where Spark did not tell what it is, any Spark may have been it.
    assert found(in_spark(application=None), *snapshots) == [2, 4, 7, 8]


def test_the_order_is_that_of_the_commits_whatever_clocks_say() -> None:
    assert found(in_spark(), made(1, None), made(2, 1, late_ms=-5000), made(3, 2, late_ms=-9000)) == [2, 3]


def test_a_snapshot_that_is_its_own_ancestor_ends_the_search() -> None:
    assert found(in_spark(), made(1, 3), made(2, 1), made(3, 2)) == [1, 2, 3]


def test_what_came_after_the_next_run_had_begun_is_not_of_this_one() -> None:
    # Given what the run made before it died, what somebody asked of the same application then, and what came later
    snapshots = [made(1, None), made(2, 1), made(3, 2, is_append=True), made(4, 3), made(5, 4, run=str(OURS))]
    later = replace(in_spark(base_id=3), run_id=OTHERS)
    # Then all that nobody signed is the run's for as long as there is no later one, and what is signed always
    assert told(snapshots) == [2, 4, 5]
    assert told(snapshots, later=later) == [2, 5]
    assert told(snapshots, later=replace(later, base_id=2)) == [2, 5]
    assert told(snapshots, later=replace(later, base_id=1)) == [5]
    # And where nobody knows the snapshot any more that the later run began from, nothing can be told to be before it
    assert told(snapshots, later=replace(later, base_id=99)) == [5]
    # Whatever engine did the later one
    assert told(snapshots, later=replace(later, engine=CompactionEngine.LOCAL)) == [2, 5]
    # And a snapshot that is its own ancestor ends the search
    assert told([made(1, 3), made(2, 1), made(3, 2)], later=later) == [1, 2, 3]


def told(snapshots: list[Snapshot], later: RunClaim | None = None) -> list[int]:
    return [snapshot.snapshot_id for snapshot in snapshots_of(in_spark(), history(*snapshots), later=later)]
