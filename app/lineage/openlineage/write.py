"""A run that was recorded through this system, as the OpenLineage events that go to the log."""

from __future__ import annotations

from typing import Any

import orjson

from app.domain.events import EventType
from app.domain.pipelines import NATIVE_NAMESPACE, NewRun
from app.domain.roles import InputRole
from app.domain.run_state import RunStatus
from app.domain.uses import VersionUse
from app.lineage.openlineage.names import (
    EVENT_SCHEMA_URL,
    PIPELINE_FACET,
    PRODUCER,
    PURPOSE_FACET,
    RECORD_FACET,
    SCHEMA_URL,
)

_END = {
    RunStatus.SUCCESS: EventType.COMPLETE,
    RunStatus.FAILED: EventType.FAIL,
    RunStatus.ABORTED: EventType.ABORT,
}


def run_events(run: NewRun) -> bytes:
    """The events of the run, as a batch: its start where that is told, and its end where it is over.

    The same run gives the same bytes. What it read is told with its start, what it wrote with its end, as far as there
    are both.
    """
    inputs = [dataset_json(use, is_input=True) for use in run.inputs]
    outputs = [dataset_json(use, is_input=False) for use in run.outputs]
    events = []
    if run.status is RunStatus.RUNNING:
        events.append(_event(run, EventType.START, run.started_at, inputs, outputs))
    else:
        if run.started_at is not None:
            events.append(_event(run, EventType.START, run.started_at, inputs, []))
        told = [] if run.started_at is not None else inputs
        events.append(_event(run, _END[run.status], run.ended_at, told, outputs))
    return orjson.dumps(events)


def _event(
    run: NewRun, kind: EventType, at: Any, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]
) -> dict[str, Any]:
    facets: dict[str, Any] = {RECORD_FACET: facet_json(actor=run.recorded_by)}
    if run.version_number is not None:
        facets[PIPELINE_FACET] = facet_json(versionNumber=run.version_number)
    if run.error is not None and kind is not EventType.START:
        facets["errorMessage"] = facet_json(message=run.error, programmingLanguage="")
    return {
        "eventType": kind.value,
        "eventTime": at.isoformat(),
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA_URL,
        "run": {"runId": str(run.run_id), "facets": facets},
        "job": {"namespace": NATIVE_NAMESPACE, "name": run.pipeline_id},
        "inputs": inputs,
        "outputs": outputs,
    }


def dataset_json(use: VersionUse, *, is_input: bool) -> dict[str, Any]:
    """A snapshot of one of our tables, told by the table's id."""
    told: dict[str, Any] = {
        "namespace": NATIVE_NAMESPACE,
        "name": use.vertex.entity,
        "facets": {
            "version": facet_json(datasetVersion=str(use.snapshot_id)),
            "symlinks": facet_json(
                identifiers=[{"namespace": NATIVE_NAMESPACE, "name": str(use.dataset), "type": "TABLE"}]
            ),
        },
    }
    if is_input and use.role is not InputRole.INPUT:
        told["inputFacets"] = {PURPOSE_FACET: facet_json(purpose=use.role.value)}
    return told


def facet_json(**members: Any) -> dict[str, Any]:
    """A facet, with what the specification wants of each."""
    return {"_producer": PRODUCER, "_schemaURL": SCHEMA_URL, **members}
