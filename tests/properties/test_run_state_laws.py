"""Laws of merging a run's events: neither their order nor their repetition can be seen in the outcome."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.events import Alias, ColumnUse, DatasetId, DatasetRole, EventType, JobFacts, RunEvent, RunFailure
from app.domain.run_state import RunStatus, merge
from tests.lineage_events import run_event, use

MODERATE = settings(max_examples=60, deadline=None)

versions = st.one_of(st.none(), st.sampled_from(["1", "2", "9007199254740993"]))
columns = st.lists(
    st.builds(
        ColumnUse,
        column=st.sampled_from(["x", None]),
        dataset=st.just(DatasetId(namespace="file", name="in")),
        field=st.sampled_from(["p", "q"]),
    ),
    max_size=2,
).map(tuple)
aliases = st.lists(
    st.builds(Alias, namespace=st.just("c"), name=st.sampled_from(["t", "u"]), type=st.just("TABLE")), max_size=2
).map(tuple)


def uses(role: DatasetRole) -> st.SearchStrategy:
    one = st.builds(
        lambda name, version, columns, aliases, rows: use(
            name, version, role, columns=columns, aliases=aliases, row_count=rows
        ),
        st.sampled_from(["a", "b"]),
        versions,
        columns,
        aliases,
        st.one_of(st.none(), st.integers(0, 3)),
    )
    return st.lists(one, max_size=3).map(tuple)


@st.composite
def run_events(draw: st.DrawFn) -> list[RunEvent]:
    """Events of one run; few seconds, so that many fall on the same one."""
    return [
        run_event(
            draw(st.sampled_from(EventType)),
            draw(st.integers(0, 3)),
            # What the same hash is, is the same event.
            body_hash=bytes([draw(st.integers(0, 255)), number]),
            inputs=draw(uses(DatasetRole.INPUT)),
            outputs=draw(uses(DatasetRole.OUTPUT)),
            facts=JobFacts(sql=draw(st.sampled_from([None, "select 1", "select 2"]))),
            failure=draw(st.sampled_from([None, RunFailure(message="no")])),
        )
        for number in range(draw(st.integers(1, 6)))
    ]


@MODERATE
@given(events=run_events(), data=st.data())
def test_any_shuffle_and_any_repetition_is_the_same_run(events: list[RunEvent], data: st.DataObject) -> None:
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=5))
    shuffled = data.draw(st.permutations(repeated))

    assert merge(shuffled) == merge(events)


@MODERATE
@given(events=run_events(), data=st.data())
def test_halves_that_overlap_make_the_whole(events: list[RunEvent], data: st.DataObject) -> None:
    cut, back = data.draw(st.integers(0, len(events))), data.draw(st.integers(0, 2))
    head, tail = events[:cut], events[max(0, cut - back) :]

    assert merge(tail + head) == merge(head + tail) == merge(events)


@MODERATE
@given(events=run_events())
def test_nothing_that_was_told_is_lost_and_nothing_is_made_up(events: list[RunEvent]) -> None:
    state = merge(events)

    for found, told in (
        (state.inputs, [each for event in events for each in event.inputs]),
        (state.outputs, [each for event in events for each in event.outputs]),
    ):
        assert {each.use.dataset for each in found} == {each.dataset for each in told}
        for dataset in {each.dataset for each in told}:
            mine = [each for each in told if each.dataset == dataset]
            versions_told = {each.version for each in mine} - {None}
            versions_found = {each.use.version for each in found if each.use.dataset == dataset}
            assert versions_found <= versions_told if versions_told else versions_found == {None}
            assert {alias for each in found if each.use.dataset == dataset for alias in each.use.aliases} == {
                alias for each in mine for alias in each.aliases
            }


@MODERATE
@given(events=run_events())
def test_a_run_has_ended_exactly_if_some_event_says_so(events: list[RunEvent]) -> None:
    state = merge(events)
    has_ended = any(event.type.is_terminal for event in events)

    assert (state.status is not RunStatus.RUNNING) == has_ended == (state.ended_at is not None)
    assert state.is_start_inferred == all(event.type is not EventType.START for event in events)
    assert state.started_at in {event.event_time for event in events}
