"""OpenLineage events for tests: a plain one, which each test changes where it matters."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from app.domain.events import DatasetId, DatasetRole, DatasetUse, EventType, JobId, ParsedEvent, RunEvent
from app.lineage.openlineage.parse import parse_events

FIXTURES = Path(__file__).parent / "fixtures" / "openlineage"
RUN_ID = "01a2076b-76c6-7158-ae23-cab8e1352b0d"
AT = "2026-02-15T10:00:00.000Z"
NOW = datetime(2026, 2, 15, 12, tzinfo=UTC)
PRODUCER = "https://example.com/our-scheduler/1.0"


def event_json(event_type: str | None = "COMPLETE", **changes: Any) -> dict[str, Any]:
    """A run event without datasets; a change of None removes the member."""
    event = {
        "eventType": event_type,
        "eventTime": AT,
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": RUN_ID},
        "job": {"namespace": "nightly", "name": "load"},
        **changes,
    }
    return {name: value for name, value in event.items() if value is not None}


def dataset_json(name: str, version: Any = None, /, **facets: Any) -> dict[str, Any]:
    """A dataset with these facets."""
    if version is not None:
        facets["version"] = {"datasetVersion": version}
    return {"namespace": "file", "name": name, "facets": facets}


def parse(event: Any) -> ParsedEvent:
    """The event of this JSON value."""
    (parsed,) = parse_events(orjson.dumps(event), now=NOW)
    return parsed


def parse_run(event: Any) -> RunEvent:
    """The run event of this JSON value."""
    parsed = parse(event).event
    assert isinstance(parsed, RunEvent)
    return parsed


def run_event(event_type: EventType, second: int, *, body_hash: bytes | None = None, **facts: Any) -> RunEvent:
    """An event of one run, `second` seconds after ten."""
    return RunEvent(
        **{
            "run_id": UUID(RUN_ID),
            "type": event_type,
            "event_time": datetime(2026, 2, 15, 10, 0, second, tzinfo=UTC),
            "body_hash": body_hash or f"{event_type} {second} {facts}".encode(),
            "job": JobId(namespace="nightly", name="load"),
            **facts,
        }
    )


def use(name: str, version: str | None = None, role: DatasetRole = DatasetRole.INPUT, **facts: Any) -> DatasetUse:
    """A dataset as it was used."""
    return DatasetUse(dataset=DatasetId(namespace="file", name=name), role=role, version=version, **facts)


def output(name: str, version: str | None = None, **facts: Any) -> DatasetUse:
    """A dataset as it was written."""
    return use(name, version, DatasetRole.OUTPUT, **facts)
