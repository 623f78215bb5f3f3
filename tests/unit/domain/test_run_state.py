"""What the events of a run amount to, fact by fact; the laws are in tests/properties/test_run_state_laws.py."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from app.domain.events import (
    Alias,
    ColumnUse,
    DatasetId,
    EventType,
    JobFacts,
    JobId,
    Lifecycle,
    LifecycleChange,
    ParentRun,
    RunEvent,
    RunFailure,
    merge_repeated,
    unite,
)
from app.domain.run_state import RunStatus, merge
from tests.lineage_events import output, run_event, use

START, RUNNING, COMPLETE = EventType.START, EventType.RUNNING, EventType.COMPLETE
ABORT, FAIL, OTHER = EventType.ABORT, EventType.FAIL, EventType.OTHER


def seconds(*events: RunEvent) -> tuple[int, int | None]:
    state = merge(events)
    return state.started_at.second, state.ended_at.second if state.ended_at else None


@pytest.mark.parametrize(
    ("case", "types", "expected"),
    [
        ("started", [START], RunStatus.RUNNING),
        ("reported on", [OTHER], RunStatus.RUNNING),
        ("running", [START, RUNNING], RunStatus.RUNNING),
        ("done", [START, COMPLETE], RunStatus.SUCCESS),
        ("failed", [START, FAIL], RunStatus.FAILED),
        ("aborted", [START, ABORT], RunStatus.ABORTED),
        ("told on after its end", [START, COMPLETE, OTHER, RUNNING], RunStatus.SUCCESS),
        ("failed after all", [COMPLETE, FAIL], RunStatus.FAILED),
        ("succeeded after all", [FAIL, COMPLETE], RunStatus.SUCCESS),
        ("late START", [COMPLETE, START], RunStatus.SUCCESS),
    ],
)
def test_status(case: str, types: list[EventType], expected: RunStatus) -> None:
    assert merge(run_event(kind, second) for second, kind in enumerate(types)).status is expected, case


def test_of_two_ends_at_one_moment_the_hash_decides() -> None:
    failed = run_event(FAIL, 5, body_hash=b"b")

    assert merge([failed, run_event(COMPLETE, 5, body_hash=b"a")]).status is RunStatus.FAILED
    assert merge([failed, run_event(COMPLETE, 5, body_hash=b"c")]).status is RunStatus.SUCCESS


def test_a_run_lasts_from_its_first_start_to_its_last_end() -> None:
    assert seconds(run_event(START, 2), run_event(START, 1), run_event(RUNNING, 3), run_event(COMPLETE, 4)) == (1, 4)
    assert seconds(run_event(START, 2), run_event(RUNNING, 3)) == (2, None)


def test_without_start_the_earliest_event_stands_in_until_a_late_start_comes() -> None:
    running, complete = run_event(RUNNING, 3), run_event(COMPLETE, 4)

    before, after = merge([complete, running]), merge([complete, running, run_event(START, 1)])

    assert (before.started_at.second, before.is_start_inferred) == (3, True)
    assert (after.started_at.second, after.is_start_inferred) == (1, False)


@pytest.mark.parametrize(
    ("case", "told", "expected"),
    [
        ("START", {START: "1", RUNNING: "2", COMPLETE: "3"}, "1"),
        ("RUNNING where START is silent", {START: None, RUNNING: "2", COMPLETE: "3"}, "2"),
        ("RUNNING where there is no START", {RUNNING: "2", COMPLETE: "3"}, "2"),
        ("COMPLETE alone", {START: None, COMPLETE: "3"}, "3"),
        ("none", {START: None, COMPLETE: None}, None),
    ],
)
def test_input_version_is_what_was_there_first(
    case: str, told: dict[EventType, str | None], expected: str | None
) -> None:
    events = [run_event(kind, n, inputs=(use("a", version),)) for n, (kind, version) in enumerate(told.items(), 1)]

    (found,) = merge(events).inputs

    assert found.use.version == expected, case
    assert found.is_inferred == (expected is None)
    assert found.at.second == 1


@pytest.mark.parametrize(
    ("case", "told", "expected"),
    [
        ("COMPLETE", {START: "1", RUNNING: "2", COMPLETE: "3"}, "3"),
        ("COMPLETE also before FAIL", {COMPLETE: "3", FAIL: "4"}, "3"),
        ("the end, however it is", {RUNNING: "2", ABORT: "3"}, "3"),
        ("RUNNING where COMPLETE is silent", {START: "1", RUNNING: "2", COMPLETE: None}, "2"),
        ("none", {START: None, COMPLETE: None}, None),
    ],
)
def test_output_version_is_what_was_there_last(
    case: str, told: dict[EventType, str | None], expected: str | None
) -> None:
    events = [run_event(kind, n, outputs=(output("a", version),)) for n, (kind, version) in enumerate(told.items(), 1)]

    (found,) = merge(events).outputs

    assert found.use.version == expected, case
    assert found.at.second == len(told)


def test_the_output_of_a_run_that_goes_on_is_what_is_there_at_its_last_event() -> None:
    (found,) = merge([run_event(START, 1, outputs=(output("a"),)), run_event(RUNNING, 3)]).outputs

    assert (found.is_inferred, found.at.second) == (True, 3)


def test_a_late_start_replaces_what_was_inferred() -> None:
    complete = run_event(COMPLETE, 5, inputs=(use("a"),))
    assert merge([complete]).inputs[0].is_inferred

    (found,) = merge([complete, run_event(START, 1, inputs=(use("a", "7"),))]).inputs

    assert found.use.version == "7"


def test_a_table_read_at_two_versions_is_two_inputs() -> None:
    both = (use("a", "1"), use("a", "2"))

    state = merge([run_event(START, 1, inputs=both), run_event(COMPLETE, 2, inputs=(use("a", "3"),))])

    assert [found.use.version for found in state.inputs] == ["1", "2"]


def test_partial_events_add_to_one_another() -> None:
    facts = JobFacts(sql="select 1")
    parent = ParentRun(run_id=uuid4())
    state = merge(
        [
            run_event(START, 1, inputs=(use("a", "1"),), facts=facts, parent=parent),
            run_event(RUNNING, 2, outputs=(output("b", row_count=3),)),
            run_event(FAIL, 3, outputs=(output("b", size_bytes=9), output("c")), failure=RunFailure(message="no")),
        ]
    )

    assert [found.use.dataset.name for found in (*state.inputs, *state.outputs)] == ["a", "b", "c"]
    assert (state.outputs[0].use.row_count, state.outputs[0].use.size_bytes) == (3, 9)
    assert (state.facts, state.parent, state.failure) == (facts, parent, RunFailure(message="no"))


def test_the_last_word_counts_and_aliases_are_united() -> None:
    table, path = Alias(namespace="c", name="a.b", type="TABLE"), Alias(namespace="f", name="/a", type="LOCATION")
    first, second = (
        (ColumnUse(column="x", dataset=DatasetId(namespace="file", name="in"), field=name),) for name in ("p", "q")
    )
    rename = Lifecycle(change=LifecycleChange.RENAME, previous=DatasetId(namespace="file", name="old"))

    (found,) = merge(
        [
            run_event(START, 1, outputs=(output("a", aliases=(table,), columns=first, lifecycle=rename),)),
            run_event(RUNNING, 2, outputs=(output("a", aliases=(path, table), columns=second),)),
            run_event(COMPLETE, 3, outputs=(output("a"),)),
        ]
    ).outputs

    assert found.use == output("a", aliases=(table, path), columns=second, lifecycle=rename)


def test_the_job_is_called_what_it_was_called_last() -> None:
    # Spark learns what a query writes, and so what to call it, only after its START.
    longer = JobId(namespace="nightly", name="load.silver_sales")

    assert merge([run_event(START, 1), run_event(COMPLETE, 2, job=longer)]).job == longer


def test_start_counts_as_earlier_than_what_has_the_same_time() -> None:
    for hashes in ((b"a", b"b"), (b"b", b"a")):
        start = run_event(START, 1, body_hash=hashes[0], producer="first")
        end = run_event(COMPLETE, 1, body_hash=hashes[1], producer="last")
        assert merge([end, start]).producer == "last"


def test_merging_takes_one_run() -> None:
    event = run_event(START, 1)

    with pytest.raises(ValueError, match="exactly one run"):
        merge([])
    with pytest.raises(ValueError, match="exactly one run"):
        merge([event, replace(event, run_id=uuid4(), body_hash=b"other")])


def test_repeated_uses_are_merged_by_version() -> None:
    uses = [use("a"), use("b", "1"), use("a", "5", fields=()), use("b", "2"), use("b", "1")]

    assert merge_repeated(uses) == (use("a", "5"), use("b", "1"), use("b", "2"))


def test_only_uses_of_one_dataset_are_united() -> None:
    with pytest.raises(ValueError, match="other datasets"):
        unite([use("a"), use("b")])
