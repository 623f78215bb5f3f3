"""What this system itself writes to the log of lineage: models that were registered, and promotions.

They stand beside the events of others, so that the graph can be made from the log alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.domain.lineage import (
    Edge,
    EdgeKind,
    EntityKind,
    Projection,
    Vertex,
    model_vertex,
    pipeline_vertex,
)
from app.domain.names import escape_key

MODEL_PREFIX, PROMOTION_PREFIX = "model:", "promotion:"
SOURCE = "stratigraph"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A model version was registered, trained on these versions of datasets."""

    model: str
    number: int
    at: datetime
    trained_on: tuple[Vertex, ...]

    @property
    def run_key(self) -> str:
        """What owns its edges."""
        return f"{MODEL_PREFIX}{escape_key(self.model)}@{self.number}"

    def to_body(self) -> bytes:
        """The record as it lies in the log."""
        return _to_bytes(
            {
                "model": self.model,
                "number": self.number,
                "at": self.at.isoformat(),
                "trainedOn": [_vertex_to_json(vertex) for vertex in self.trained_on],
            }
        )

    def project(self) -> Projection:
        """The edges that it amounts to."""
        model = model_vertex(self.model, self.number)
        vertices = {vertex.vertex_id: vertex for vertex in (model, *self.trained_on)}
        edges = [
            _edge(EdgeKind.TRAINED_ON, model, vertex, self.run_key, self.at)
            for vertex in {vertex.vertex_id: vertex for vertex in self.trained_on}.values()
        ]
        return _projection(self.run_key, vertices if edges else {}, edges)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRecord:
    """A version of a dataset was made from a version of another one, by a promotion that nobody reported as a run."""

    source: Vertex
    target: Vertex
    pipeline_id: str | None
    at: datetime

    @property
    def run_key(self) -> str:
        """What owns its edges: the same promotion, told again, is the same."""
        parts = json.dumps([self.source.vertex_id, self.target.vertex_id, self.pipeline_id])
        return f"{PROMOTION_PREFIX}{hashlib.sha256(parts.encode()).hexdigest()[:32]}"

    def to_body(self) -> bytes:
        """The record as it lies in the log."""
        return _to_bytes(
            {
                "source": _vertex_to_json(self.source),
                "target": _vertex_to_json(self.target),
                "pipelineId": self.pipeline_id,
                "at": self.at.isoformat(),
            }
        )

    def project(self) -> Projection:
        """The edges that it amounts to."""
        vertices = {vertex.vertex_id: vertex for vertex in (self.source, self.target)}
        edges = [_edge(EdgeKind.DERIVED_FROM, self.target, self.source, self.run_key, self.at)]
        if self.pipeline_id is not None:
            pipeline = pipeline_vertex(self.pipeline_id, "")
            vertices[pipeline.vertex_id] = pipeline
            edges += [
                _edge(EdgeKind.CONSUMES, pipeline, self.source, self.run_key, self.at),
                _edge(EdgeKind.PRODUCES, pipeline, self.target, self.run_key, self.at),
                _edge(EdgeKind.GENERATED_BY, self.target, pipeline, self.run_key, self.at),
            ]
        return _projection(self.run_key, vertices, edges)


Record = ModelRecord | PromotionRecord


def is_record(run_key: str) -> bool:
    """Whether what is logged under this key is one of these records."""
    return run_key.startswith((MODEL_PREFIX, PROMOTION_PREFIX))


def read_record(run_key: str, body: bytes) -> Record:
    """The record that `to_body` wrote."""
    data: Mapping[str, Any] = json.loads(body)
    at = datetime.fromisoformat(data["at"]).astimezone(UTC)
    if run_key.startswith(MODEL_PREFIX):
        return ModelRecord(
            model=data["model"],
            number=data["number"],
            at=at,
            trained_on=tuple(_vertex_from_json(each) for each in data["trainedOn"]),
        )
    return PromotionRecord(
        source=_vertex_from_json(data["source"]),
        target=_vertex_from_json(data["target"]),
        pipeline_id=data["pipelineId"],
        at=at,
    )


def model_run_key(model: str, number: int) -> str:
    """The key under which a model version is logged."""
    return f"{MODEL_PREFIX}{escape_key(model)}@{number}"


def _edge(kind: EdgeKind, start: Vertex, end: Vertex, owner: str, at: datetime) -> Edge:
    return Edge(kind=kind, from_id=start.vertex_id, to_id=end.vertex_id, owner=owner, source=SOURCE, recorded_at=at)


def _projection(owner: str, vertices: Mapping[str, Vertex], edges: list[Edge]) -> Projection:
    return Projection(owner=owner, vertices=vertices, edges=tuple(sorted(edges, key=lambda edge: edge.order)))


def _to_bytes(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _vertex_to_json(vertex: Vertex) -> dict[str, Any]:
    return {"entity": vertex.entity, "version": vertex.version, "name": vertex.name}


def _vertex_from_json(data: Mapping[str, Any]) -> Vertex:
    return Vertex(entity=data["entity"], version=data["version"], kind=EntityKind.DATASET, name=data["name"])
