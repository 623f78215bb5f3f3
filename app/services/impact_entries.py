"""An impact as plain data: the shape that REST, the command line and Python answer with."""

from __future__ import annotations

from typing import TypedDict

from app.domain.impact import Impact, Impacted
from app.domain.lineage import Vertex


class VertexEntry(TypedDict):
    """A vertex; `version` is a snapshot id or number in decimal, null for an entity or where it is not known."""

    id: str
    kind: str
    name: str
    version: str | None


class ImpactedEntry(VertexEntry):
    """Something affected; `path` leads from what is changed to it."""

    depth: int
    severity: str
    reason: str
    path: list[VertexEntry]


class ImpactEntry(TypedDict):
    """What a change affects; `reasons` say why it is not `complete`."""

    dataset: str
    kind: str
    total_affected: int
    severity: str
    datasets: list[ImpactedEntry]
    models: list[ImpactedEntry]
    pipelines: list[ImpactedEntry]
    complete: bool
    reasons: list[str]


def impact_entry(dataset: str, impact: Impact) -> ImpactEntry:
    """The impact of a change of a dataset as plain data."""
    return ImpactEntry(
        dataset=dataset,
        kind=impact.kind.value,
        total_affected=impact.total_affected,
        severity=impact.severity.value,
        datasets=[_impacted(one) for one in impact.datasets],
        models=[_impacted(one) for one in impact.models],
        pipelines=[_impacted(one) for one in impact.pipelines],
        complete=impact.is_complete,
        reasons=sorted(reason.value for reason in impact.truncated),
    )


def _impacted(one: Impacted) -> ImpactedEntry:
    return ImpactedEntry(
        **_vertex(one.vertex),
        depth=one.depth,
        severity=one.severity.value,
        reason=one.reason,
        path=[_vertex(step) for step in one.path],
    )


def _vertex(vertex: Vertex) -> VertexEntry:
    return VertexEntry(id=vertex.vertex_id, kind=vertex.kind.value, name=vertex.name, version=vertex.version or None)
