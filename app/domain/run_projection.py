"""What a run amounts to in the lineage graph, once it is known which versions it read and wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from app.domain.events import DatasetId, JobEvent, run_key
from app.domain.lineage import (
    ROWS,
    ColumnLink,
    Edge,
    EdgeKind,
    Projection,
    Vertex,
    external_vertex,
    pipeline_vertex,
)
from app.domain.pipelines import PipelineRun, RunDataset, pipeline_id_of
from app.domain.run_state import ResolvableUse, RunState, RunStatus

OPENLINEAGE = "openlineage"
# Of a run that reads and writes more than this, an output is derived from those inputs alone of which columns are told:
# every output from every input would be millions of edges, of which none says anything.
MAX_PAIRS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Which vertex a use of a dataset is about; inferred where no event told the version."""

    vertex: Vertex
    is_inferred: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundUse:
    """A use of a dataset and its binding."""

    use: ResolvableUse
    binding: Binding


def outputs_to_bind(state: RunState) -> tuple[ResolvableUse, ...]:
    """The outputs that the run has really written, as far as is known.

    One whose version no event told is what was current when the run ended, if it ended well; a run that goes on, or
    failed, may have written nothing.
    """
    if state.status is RunStatus.SUCCESS:
        return state.outputs
    return tuple(output for output in state.outputs if not output.is_inferred)


def project_run(
    state: RunState,
    inputs: Sequence[BoundUse],
    outputs: Sequence[BoundUse],
    *,
    version_number: int | None = None,
    models: Sequence[Vertex] = (),
) -> Projection:
    """The edges of a run: outputs from inputs, and what its pipeline's version consumed and produced.

    `models` are the model versions that say that this run made them.
    """
    return _project(
        owner=run_key(state.run_id),
        pipeline=pipeline_vertex(pipeline_id_of(state.job), "" if version_number is None else str(version_number)),
        models=models,
        run_id=state.run_id,
        at=state.ended_at or state.started_at,
        inputs=inputs,
        outputs=outputs,
    )


def project_job(owner: str, event: JobEvent, inputs: Sequence[BoundUse], outputs: Sequence[BoundUse]) -> Projection:
    """The edges of a job that tells what it reads and writes without a run: as of the time of its event."""
    return _project(
        owner=owner,
        pipeline=pipeline_vertex(pipeline_id_of(event.job), ""),
        run_id=None,
        at=event.event_time,
        inputs=inputs,
        outputs=outputs,
    )


def pipeline_version_of(state: RunState, versions: Sequence[tuple[int, datetime, str | None]]) -> int | None:
    """Which version of its pipeline a run was of, from number, time and git commit of each, oldest first.

    The one that the run told by its number or its commit; else the newest that was registered when the run began.
    """
    numbers = {number for number, _, _ in versions}
    if state.pipeline_version is not None:
        return state.pipeline_version if state.pipeline_version in numbers else None
    commit = git_commit_of(state)
    found = [number for number, _, of_version in versions if commit is not None and of_version == commit]
    found = found or [number for number, created_at, _ in versions if created_at <= state.started_at]
    return max(found, default=None)


def git_commit_of(state: RunState) -> str | None:
    """The commit of a run's code, where it told one."""
    return state.facts.location.version if state.facts.location else None


def describe_run(
    state: RunState, inputs: Sequence[BoundUse], outputs: Sequence[BoundUse], version_number: int | None
) -> PipelineRun:
    """The run as it is shown."""
    location = state.facts.location
    return PipelineRun(
        run_id=state.run_id,
        pipeline_id=pipeline_id_of(state.job),
        version_number=version_number,
        status=state.status,
        started_at=state.started_at,
        is_start_inferred=state.is_start_inferred,
        ended_at=state.ended_at,
        error=state.failure.message if state.failure and state.status is not RunStatus.SUCCESS else None,
        producer=state.producer,
        recorded_by=state.recorded_by,
        parent_run_id=state.parent.run_id if state.parent else None,
        sql=state.facts.sql,
        source_url=location.url if location else None,
        git_commit=git_commit_of(state),
        owners=state.facts.owners,
        inputs=tuple(_to_run_dataset(bound) for bound in inputs),
        outputs=tuple(_to_run_dataset(bound) for bound in outputs),
        event_count=state.event_count,
    )


def _to_run_dataset(bound: BoundUse) -> RunDataset:
    return RunDataset(vertex=bound.binding.vertex, role=bound.use.use.purpose, is_inferred=bound.binding.is_inferred)


def with_renames(
    projection: Projection,
    renames: Mapping[tuple[DatasetId, DatasetId], datetime],
) -> Projection:
    """The projection, and that the datasets under their new names are what they were under their old ones.

    `renames` are pairs of new and old name of datasets that are in no catalog of ours, with the time of each. What is
    not known is which versions they had: both ends are without.
    """
    run_id = next((edge.run_id for edge in projection.edges), None)
    vertices, edges = dict(projection.vertices), {edge.order: edge for edge in projection.edges}
    for (new, old), at in renames.items():
        ends = [external_vertex(name.namespace, name.name, "") for name in (new, old)]
        edge = Edge(
            kind=EdgeKind.DERIVED_FROM,
            from_id=ends[0].vertex_id,
            to_id=ends[1].vertex_id,
            owner=projection.owner,
            source=OPENLINEAGE,
            recorded_at=at,
            run_id=run_id,
        )
        for vertex in ends:
            vertices.setdefault(vertex.vertex_id, vertex)
        # A run that copies the one into the other says so with its columns.
        edges.setdefault(edge.order, edge)
    return replace(projection, vertices=vertices, edges=tuple(edges[order] for order in sorted(edges)))


def _project(
    *,
    owner: str,
    pipeline: Vertex,
    run_id: UUID | None,
    at: datetime,
    inputs: Sequence[BoundUse],
    outputs: Sequence[BoundUse],
    models: Sequence[Vertex] = (),
) -> Projection:
    vertices: dict[str, Vertex] = {}
    edges: dict[tuple[EdgeKind, str, str], Edge] = {}

    def state(
        kind: EdgeKind, start: Vertex, end: Vertex, *, is_inferred: bool, columns: Iterable[ColumnLink] = ()
    ) -> None:
        if start.vertex_id == end.vertex_id:
            return  # a run that reads what it writes
        for vertex in (start, end):
            vertices.setdefault(vertex.vertex_id, vertex)
        key = (kind, start.vertex_id, end.vertex_id)
        known = edges.get(key)
        # Two names of one table, or a replace snapshot beside its ancestor: one edge says it all.
        links = {*columns, *(known.columns if known else ())}
        edges[key] = Edge(
            kind=kind,
            from_id=start.vertex_id,
            to_id=end.vertex_id,
            owner=owner,
            source=OPENLINEAGE,
            recorded_at=at,
            run_id=run_id,
            is_inferred=is_inferred and (known is None or known.is_inferred),
            columns=tuple(sorted(links, key=_link_order)),
        )

    for read in inputs:
        state(EdgeKind.CONSUMES, pipeline, read.binding.vertex, is_inferred=read.binding.is_inferred)
    for written in outputs:
        made = written.binding
        state(EdgeKind.GENERATED_BY, made.vertex, pipeline, is_inferred=made.is_inferred)
        state(EdgeKind.PRODUCES, pipeline, made.vertex, is_inferred=made.is_inferred)
        links = _links_by_input(written)
        for read in inputs:
            if has_too_many_pairs(inputs, outputs) and read.use.use.dataset not in links:
                continue
            state(
                EdgeKind.DERIVED_FROM,
                made.vertex,
                read.binding.vertex,
                is_inferred=made.is_inferred or read.binding.is_inferred,
                columns=links.get(read.use.use.dataset, ()),
            )
    for model in models:
        state(EdgeKind.GENERATED_BY, model, pipeline, is_inferred=False)
        state(EdgeKind.PRODUCES, pipeline, model, is_inferred=False)
    return Projection(owner=owner, vertices=vertices, edges=tuple(sorted(edges.values(), key=lambda edge: edge.order)))


def has_too_many_pairs(inputs: Sized, outputs: Sized) -> bool:
    """Whether a run reads and writes so much that what was made from what is known by its columns alone."""
    return len(inputs) * len(outputs) > MAX_PAIRS


def _links_by_input(written: BoundUse) -> Mapping[DatasetId, list[ColumnLink]]:
    found: dict[DatasetId, list[ColumnLink]] = {}
    for use in written.use.use.columns:
        link = ColumnLink(
            from_column=ROWS if use.column is None else use.column,
            to_column=use.field,
            transformation=use.transformation,
            description=use.description,
        )
        found.setdefault(use.dataset, []).append(link)
    return found


def _link_order(link: ColumnLink) -> tuple[str, str, str, str]:
    return (link.from_column, link.to_column, link.transformation or "", link.description or "")
