"""Runs that are recorded here go to the log as OpenLineage, and come back as they were told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.domain.events import EventType, RunEvent
from app.domain.names import DatasetName
from app.domain.pipelines import NewRun, pipeline_id_of
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus, merge
from app.domain.uses import VersionUse
from app.lineage.openlineage.parse import parse_events
from app.lineage.openlineage.write import run_events

TEN = datetime(2026, 2, 15, 10, tzinfo=UTC)
TABLE = UUID("44444444-4444-4444-8444-444444444444")

uses = st.builds(
    VersionUse,
    dataset=st.builds(
        DatasetName, namespace=st.sampled_from(["silver", "a.b"]), name=st.sampled_from(["sales", "x y"])
    ),
    table_uuid=st.uuids(),
    snapshot_id=st.integers(-(2**63), 2**63 - 1),
    role=st.sampled_from(InputRole),
)


def events_of(run: NewRun) -> list[RunEvent]:
    parsed = [each.event for each in parse_events(run_events(run))]
    found = [event for event in parsed if isinstance(event, RunEvent)]
    assert len(found) == len(parsed)
    assert all(not event.warnings for event in found)
    return found


@given(
    pipeline_id=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=50),
    version=st.none() | st.integers(1, 2**31 - 1),
    status=st.sampled_from(RunStatus),
    took_us=st.none() | st.integers(0, 10**12),
    inputs=st.lists(uses, max_size=4, unique_by=lambda use: use.table_uuid),
    outputs=st.lists(uses, max_size=3, unique_by=lambda use: use.table_uuid),
)
def test_a_recorded_run_comes_back_as_it_was_told(
    pipeline_id: str,
    version: int | None,
    status: RunStatus,
    took_us: int | None,
    inputs: list[VersionUse],
    outputs: list[VersionUse],
) -> None:
    is_over = status is not RunStatus.RUNNING
    ended = TEN + timedelta(microseconds=took_us or 0) if is_over else None
    run = NewRun(
        run_id=UUID(int=7),
        pipeline_id=pipeline_id,
        version_number=version,
        status=status,
        started_at=None if is_over and took_us is None else TEN,
        ended_at=ended,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        error="it broke" if status in (RunStatus.FAILED, RunStatus.ABORTED) else None,
        recorded_by="ada",
    )

    state = merge(events_of(run))

    assert run_events(run) == run_events(run)
    assert (state.status, state.recorded_by, state.pipeline_version) == (status, "ada", version)
    assert pipeline_id_of(state.job) == pipeline_id
    assert (state.started_at, state.ended_at) == (run.started_at or ended, ended)
    assert state.is_start_inferred is (run.started_at is None)
    told = {(use.use.dataset.name, use.use.version, use.use.purpose) for use in state.inputs}
    assert told == {(use.vertex.entity, str(use.snapshot_id), use.role) for use in inputs}
    assert {(use.use.dataset.name, use.use.version) for use in state.outputs} == {
        (use.vertex.entity, str(use.snapshot_id)) for use in outputs
    }


def test_our_facets_are_read_from_others_too_and_nonsense_is_warned_of() -> None:
    facets = {
        "stratigraph_pipeline": {"versionNumber": "three"},
        "stratigraph_record": {"actor": 5},
    }
    event = {
        "eventType": "START",
        "eventTime": "2026-02-15T10:00:00Z",
        "producer": "https://example.org",
        "schemaURL": "https://example.org",
        "run": {"runId": str(UUID(int=7)), "facets": facets},
        "job": {"namespace": "n", "name": "j"},
        "inputs": [
            {"namespace": "file", "name": "/x", "inputFacets": {"stratigraph_purpose": {"purpose": "FUN"}}},
            {"namespace": "file", "name": "/y", "inputFacets": {"stratigraph_purpose": {"purpose": "TEST"}}},
        ],
    }

    parsed = parse_events(orjson.dumps(event))[0].event

    assert isinstance(parsed, RunEvent)
    assert parsed.type is EventType.START
    assert (parsed.pipeline_version, parsed.recorded_by) == (None, None)
    assert [use.purpose for use in parsed.inputs] == [InputRole.INPUT, InputRole.TEST]
    assert sorted(warning.pointer for warning in parsed.warnings) == [
        "/inputs/0/inputFacets/stratigraph_purpose/purpose",
        "/run/facets/stratigraph_pipeline/versionNumber",
        "/run/facets/stratigraph_record/actor",
    ]
    for number in (0, -1, 1.5, True, 2**31, 2**70):
        event["run"]["facets"]["stratigraph_pipeline"]["versionNumber"] = number
        again = parse_events(json.dumps(event).encode())[0].event
        assert isinstance(again, RunEvent) and again.pipeline_version is None
