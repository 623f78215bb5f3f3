"""Laws of what is known of external datasets: it is a function of the set of events, however they come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.events import (
    DatasetEvent,
    DatasetId,
    DatasetRole,
    EventField,
    EventType,
    Lifecycle,
    LifecycleChange,
    LineageEvent,
    Owner,
)
from app.domain.external import ExternalDataset, assemble, facts_of, latest
from app.postgres.pool import open_pool
from app.registry.externals import Externals
from tests.lineage_events import run_event, use

MODERATE = settings(max_examples=60, deadline=None)
NAMES = ["a", "b", "c"]
IDS = [DatasetId(namespace="file", name=name) for name in NAMES]

lifecycles = st.builds(
    lambda change, previous: Lifecycle(change=change, previous=previous),
    st.sampled_from(LifecycleChange),
    st.sampled_from([None, *IDS]),
)
uses = st.builds(
    lambda name, lifecycle, fields, owners, rows: use(
        name, None, DatasetRole.OUTPUT, lifecycle=lifecycle, fields=fields, owners=owners, row_count=rows
    ),
    st.sampled_from(NAMES),
    st.one_of(st.none(), lifecycles),
    st.sampled_from([(), (EventField(name="x", fields=(EventField(name="y", type="int"),)),), (EventField(name="z"),)]),
    st.sampled_from([(), (Owner(name="team"),), (Owner(name="team", type="M"), Owner(name="other"))]),
    st.one_of(st.none(), st.integers(0, 2)),
)


@st.composite
def event_lists(draw: st.DrawFn) -> list[LineageEvent]:
    """Events about few datasets in few seconds, so that many meet."""
    found: list[LineageEvent] = []
    for number in range(draw(st.integers(1, 6))):
        body_hash = bytes([draw(st.integers(0, 255)), number])
        second = draw(st.integers(0, 2))
        if draw(st.booleans()):
            at = datetime(2026, 2, 15, 10, 0, second, tzinfo=UTC)
            found.append(DatasetEvent(event_time=at, body_hash=body_hash, dataset=draw(uses)))
        else:
            outputs = tuple(draw(st.lists(uses, max_size=3)))
            kind = draw(st.sampled_from(EventType))
            found.append(run_event(kind, second, body_hash=body_hash, outputs=outputs))
    return found


def known(events: list[LineageEvent]) -> list[ExternalDataset]:
    facts = facts_of(events)
    return [assemble(dataset, facts) for dataset in IDS]


@MODERATE
@given(events=event_lists(), data=st.data())
def test_neither_order_nor_repetition_shows(events: list[LineageEvent], data: st.DataObject) -> None:
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=4))

    assert known(data.draw(st.permutations(repeated))) == known(events)


@MODERATE
@given(events=event_lists(), data=st.data())
def test_what_parts_tell_makes_the_whole(events: list[LineageEvent], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))

    parts = [*facts_of(events[cut:]), *facts_of(events[:cut])]

    assert latest(parts) == facts_of(events)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=event_lists(), data=st.data())
def test_the_database_keeps_the_same_in_whatever_parts_it_is_told(
    database_url: str, runner: asyncio.Runner, events: list[LineageEvent], data: st.DataObject
) -> None:
    parts = [[event] for event in data.draw(st.permutations(events))]
    parts += data.draw(st.lists(st.sampled_from(parts), max_size=2))

    async def tell() -> dict[DatasetId, ExternalDataset]:
        async with await open_pool(database_url, max_size=1) as pool:
            await pool.execute("TRUNCATE external_facts")
            externals = Externals(pool)
            for part in parts:
                await externals.tell(facts_of(part))
            return await externals.find(IDS)

    found = runner.run(tell())

    assert [found.get(dataset, ExternalDataset(dataset=dataset)) for dataset in IDS] == known(events)
