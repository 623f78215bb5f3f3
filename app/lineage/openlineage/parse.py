"""From the bytes of a request to events: each is taken, or the whole batch is refused with the place of what is wrong.

Facts about the format: spec/OpenLineage.json 2-0-2 and spec/facets of github.com/OpenLineage/OpenLineage.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from app.domain.events import (
    DatasetEvent,
    DatasetRole,
    EventType,
    JobEvent,
    JobId,
    LineageEvent,
    ParsedEvent,
    RunEvent,
)
from app.domain.run_projection import has_too_many_pairs
from app.errors import InvalidEventError
from app.lineage.openlineage.body import canonical_bytes, read_json
from app.lineage.openlineage.datasets import read_use, read_uses
from app.lineage.openlineage.facets import (
    facets_of,
    read_facet,
    read_failure,
    read_job_facts,
    read_parent,
    read_pipeline_version,
    read_recorder,
)
from app.lineage.openlineage.names import PIPELINE_FACET, RECORD_FACET
from app.lineage.openlineage.nodes import FaultError, Node, Warnings, shortened
from app.lineage.openlineage.times import read_time


def parse_events(body: bytes, *, now: datetime | None = None) -> list[ParsedEvent]:
    """The events of a body: one, or a batch in a JSON array. Those dated a day after `now` are warned of.

    Pointers are into the event; `index` says which one of a batch.

    Raises:
        InvalidEventError: the body, or any event of it, cannot be taken.
    """
    value = read_json(body)
    if isinstance(value, list):
        return [_parse(event, index, now) for index, event in enumerate(value)]
    return [_parse(value, None, now)]


def _parse(value: Any, index: int | None, now: datetime | None) -> ParsedEvent:
    body = canonical_bytes(value, index)
    root = Node(value, Warnings())
    try:
        event = _read(root, hashlib.sha256(body).digest(), now)
    except FaultError as fault:
        raise InvalidEventError(fault.node.pointer, fault.reason, index) from fault
    return ParsedEvent(event=event, body=body)


def _read(root: Node, body_hash: bytes, now: datetime | None) -> LineageEvent:
    run, job, dataset = root.child("run"), root.child("job"), root.child("dataset")
    if dataset.is_given and (run.is_given or job.is_given):
        dataset.fail("an event is about a run, a job or a dataset, and this one is about several")
    if run.is_given or root.child("eventType").is_given:
        return _run_event(root, body_hash, now)
    if job.is_given:
        return _job_event(root, body_hash, now)
    if dataset.is_given:
        return _dataset_event(root, body_hash, now)
    return root.fail("an event has a run, a job or a dataset, and this has none")


def _run_event(root: Node, body_hash: bytes, now: datetime | None) -> RunEvent:
    run, job = root.child("run"), root.child("job")
    run_id = run.child("runId").run_id()
    event_type = _event_type(root.child("eventType"))
    event_time = read_time(root.child("eventTime"), now)
    job_id, facts = _job_id(job), read_job_facts(job)
    run_facets = facets_of(run)
    inputs = read_uses(root.child("inputs"), DatasetRole.INPUT)
    outputs = read_uses(root.child("outputs"), DatasetRole.OUTPUT)
    if has_too_many_pairs(inputs, outputs):
        root.warn(
            f"{len(inputs)} inputs and {len(outputs)} outputs are too many to join each with each: an output counts as "
            "derived from those inputs alone of which columnLineage tells"
        )
    return RunEvent(
        run_id=run_id,
        type=event_type,
        event_time=event_time,
        body_hash=body_hash,
        job=job_id,
        producer=_producer(root),
        facts=facts,
        parent=read_facet(run_facets, "parent", read_parent),
        failure=read_facet(run_facets, "errorMessage", read_failure),
        recorded_by=read_facet(run_facets, RECORD_FACET, read_recorder),
        pipeline_version=read_facet(run_facets, PIPELINE_FACET, read_pipeline_version),
        inputs=inputs,
        outputs=outputs,
        warnings=root.warnings.all,
    )


def _job_event(root: Node, body_hash: bytes, now: datetime | None) -> JobEvent:
    job = root.child("job")
    event_time = read_time(root.child("eventTime"), now)
    job_id, facts = _job_id(job), read_job_facts(job)
    inputs = read_uses(root.child("inputs"), DatasetRole.INPUT)
    outputs = read_uses(root.child("outputs"), DatasetRole.OUTPUT)
    return JobEvent(
        event_time=event_time,
        body_hash=body_hash,
        job=job_id,
        producer=_producer(root),
        facts=facts,
        inputs=inputs,
        outputs=outputs,
        warnings=root.warnings.all,
    )


def _dataset_event(root: Node, body_hash: bytes, now: datetime | None) -> DatasetEvent:
    event_time = read_time(root.child("eventTime"), now)
    dataset = read_use(root.child("dataset"), DatasetRole.OUTPUT)
    return DatasetEvent(
        event_time=event_time,
        body_hash=body_hash,
        dataset=dataset,
        producer=_producer(root),
        warnings=root.warnings.all,
    )


def _event_type(node: Node) -> EventType:
    if not node.is_given:
        # The specification does not require it.
        node.warn("it is missing; the event was taken as OTHER")
        return EventType.OTHER
    text = node.filled_in()
    if text not in tuple(EventType):
        node.fail(f"{shortened(text)} is no type of event; there are {', '.join(EventType)}")
    return EventType(text)


def _job_id(job: Node) -> JobId:
    return JobId(namespace=job.child("namespace").name(), name=job.child("name").name())


def _producer(root: Node) -> str | None:
    node = root.child("producer")
    if not node.is_given:
        node.warn("it is missing; the specification requires it")
        return None
    return root.optional_text("producer")
