"""The graph that the lineage benchmarks walk and write to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from app.domain.lineage import ColumnLink, Edge, EdgeKind, EntityKind, Projection, Vertex

NOW = datetime(2026, 2, 15, 10, tzinfo=UTC)
# From how many versions before it one is made: with it ten hops reach about 4,000.
WINDOW = 800
PARENTS = 3
VERSIONS_PER_DATASET = 25
CHILDREN, COLUMNS, DIAMONDS = 10_000, 3_000, 20


def runs(numbers: random.Random, count: int) -> list[Projection]:
    """Runs as events tell them: three inputs, an output, the pipeline, and columns."""
    links = tuple(ColumnLink(from_column=f"c{at}", to_column=f"c{at}") for at in range(5))
    found = []
    for _ in range(count):
        owner = f"run:{numbers.randbytes(16).hex()}"
        output, pipeline = _vertex(f"out{numbers.randrange(300)}", numbers.randrange(2**62)), _pipeline(numbers)
        inputs = [_numbered(numbers.randrange(1000)) for _ in range(3)]
        edges = {
            edge.order: edge
            for source in inputs
            for edge in (
                _edge(output, EdgeKind.DERIVED_FROM, source, owner, links),
                _edge(pipeline, EdgeKind.CONSUMES, source, owner),
            )
        }
        edges |= {
            edge.order: edge
            for edge in (
                _edge(output, EdgeKind.GENERATED_BY, pipeline, owner),
                _edge(pipeline, EdgeKind.PRODUCES, output, owner),
            )
        }
        vertices = {vertex.vertex_id: vertex for vertex in (output, pipeline, *inputs)}
        found.append(Projection(owner=owner, vertices=vertices, edges=tuple(edges.values())))
    return found


def projections(size: int) -> Iterator[Projection]:
    """A random DAG of so many versions, a hub of children, a wide version, and stacked diamonds; one owner each."""
    numbers = random.Random(size)
    for at in range(1, size):
        vertex = _numbered(at)
        before = range(max(0, at - WINDOW), at)
        parents = [_numbered(parent) for parent in numbers.sample(before, min(PARENTS, len(before)))]
        yield _derived(f"run:{at}", [(vertex, parent) for parent in parents])
    hub = _vertex("hub", 1)
    yield _derived("hub", [(_vertex(f"child{at}", 1), hub) for at in range(CHILDREN)])
    links = tuple(ColumnLink(from_column=f"c{at}", to_column="key") for at in range(COLUMNS))
    yield _derived("wide", [(_vertex("wide", 1), _vertex("narrow", 1))], links)
    tops = [_vertex(f"top{layer}", 1) for layer in range(DIAMONDS + 1)]
    sides = [(_vertex(f"left{layer}", 1), _vertex(f"right{layer}", 1)) for layer in range(DIAMONDS)]
    yield _derived(
        "diamonds",
        [
            pair
            for layer, both in enumerate(sides)
            for side in both
            for pair in ((tops[layer], side), (side, tops[layer + 1]))
        ],
    )


def _derived(owner: str, pairs: list[tuple[Vertex, Vertex]], links: tuple[ColumnLink, ...] = ()) -> Projection:
    return Projection(
        owner=owner,
        vertices={vertex.vertex_id: vertex for pair in pairs for vertex in pair},
        edges=tuple(_edge(near, EdgeKind.DERIVED_FROM, far, owner, links) for near, far in pairs),
    )


def _edge(near: Vertex, kind: EdgeKind, far: Vertex, owner: str, links: tuple[ColumnLink, ...] = ()) -> Edge:
    return Edge(
        kind=kind,
        from_id=near.vertex_id,
        to_id=far.vertex_id,
        owner=owner,
        source="benchmark",
        recorded_at=NOW,
        columns=links,
    )


def _vertex(name: str, version: int) -> Vertex:
    return Vertex(entity=f"dataset:{name}", version=str(version), kind=EntityKind.DATASET, name=name)


def _pipeline(numbers: random.Random) -> Vertex:
    name = f"etl{numbers.randrange(100)}"
    return Vertex(entity=f"pipeline:{name}", version="1", kind=EntityKind.PIPELINE, name=name)


def _numbered(at: int) -> Vertex:
    # Versions of one dataset lie together, so that an entity is made from some twenty others.
    return _vertex(f"table{at // VERSIONS_PER_DATASET}", at)


def version_id(at: int) -> str:
    """The id of the version of that number in the random DAG."""
    return _numbered(at).vertex_id
