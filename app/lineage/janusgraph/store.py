"""The lineage graph in JanusGraph."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence

from app.domain.lineage import (
    ColumnEdge,
    Direction,
    Edge,
    Projection,
    Subgraph,
    TruncationReason,
    Vertex,
    Walk,
)
from app.errors import LineageUnavailableError
from app.lineage.janusgraph import traversals
from app.lineage.janusgraph.breaker import CircuitBreaker
from app.lineage.janusgraph.client import GremlinClient, ScriptTimeoutError
from app.lineage.janusgraph.schema import make_schema
from app.lineage.janusgraph.values import to_column_edges, to_edges, to_subgraph, to_vertices
from app.telemetry.tracing import span

# What reads or writes all of the graph takes as long as the graph is large.
_WHOLE_GRAPH_TIMEOUT_S = 120.0
_SCHEMA_TIMEOUT_S = 60.0
_DROP_TIMEOUT_S = 20.0
_OWNERS_AT_ONCE = 8


async def open_janusgraph(
    url: str,
    *,
    connections: int = 8,
    connect_timeout_s: float = 3.0,
    read_timeout_s: float = 10.0,
    write_timeout_s: float = 30.0,
    failures: int = 5,
    pause_s: float = 5.0,
) -> JanusGraphLineage:
    """A store on the Gremlin Server at `url` (`ws://host:port/gremlin`, with `user:password@` where it wants them).

    Nothing is connected yet, so that it opens also while the server is away. After so many `failures` in a row calls
    fail at once, for `pause_s` seconds.
    """
    client = GremlinClient(
        url,
        connections=connections,
        connect_timeout_s=connect_timeout_s,
        breaker=CircuitBreaker(failures=failures, pause_s=pause_s),
    )
    return JanusGraphLineage(client, read_timeout_s=read_timeout_s, write_timeout_s=write_timeout_s)


class JanusGraphLineage:
    """A LineageStore whose every read is one script on the server."""

    def __init__(self, client: GremlinClient, *, read_timeout_s: float, write_timeout_s: float) -> None:
        self._client = client
        self._read_timeout_s = read_timeout_s
        self._write_timeout_s = write_timeout_s
        self._writing = asyncio.Lock()

    @property
    def kind(self) -> str:
        """`janusgraph`."""
        return "janusgraph"

    async def prepare(self) -> None:
        """Make the schema, where something of it is missing."""
        with span("lineage.prepare"), _answering():
            await make_schema(self._client, timeout_s=_SCHEMA_TIMEOUT_S)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def ping(self) -> str:
        """JanusGraph's version."""
        with _answering():
            return str(await self._client.run(traversals.PING, {}, timeout_s=self._read_timeout_s))

    async def apply(self, projections: Sequence[Projection]) -> None:
        """Replace what these owners said; about 1,000 edges in one transaction."""
        with span("lineage.apply", owners=len(projections)), _answering():
            # One after the other: transactions of one process would mostly fail for each other's sake.
            async with self._writing:
                for request in traversals.apply_requests(projections):
                    await self._client.run_until_committed(traversals.APPLY, request, timeout_s=self._write_timeout_s)

    async def walk(self, walk: Walk) -> Subgraph:
        """The nodes and edges that a walk meets; one script."""
        with span("lineage.walk", **_attributes(walk)), _answering():
            try:
                answer = await self._client.run(
                    traversals.WALK, traversals.walk_request(walk), timeout_s=walk.timeout_s
                )
            except ScriptTimeoutError:
                return Subgraph(nodes=(), edges=(), truncated=frozenset({TruncationReason.TIMEOUT}))
        return to_subgraph(answer)

    async def count(self, walk: Walk) -> int:
        """How many nodes it would show without limit, the root not counted; one script."""
        with span("lineage.count", **_attributes(walk)), _answering():
            answer = await self._client.run(
                traversals.WALK, traversals.walk_request(walk, is_count=True), timeout_s=walk.timeout_s
            )
        if answer["truncated"] == [TruncationReason.TIMEOUT]:
            raise LineageUnavailableError(f"the nodes could not be counted within {walk.timeout_s:g} s")
        return int(answer["count"])

    async def neighbours(
        self, vertex_ids: Sequence[str], direction: Direction, *, limit: int, with_columns: bool = False
    ) -> tuple[list[Edge], dict[str, Vertex]]:
        """The edges one hop from these versions, in order; one script."""
        with span("lineage.neighbours", count=len(vertex_ids), direction=direction.value), _answering():
            request = traversals.neighbours_request(
                vertex_ids, direction, limit=limit, with_columns=with_columns, timeout_s=self._read_timeout_s
            )
            answer = await self._client.run(traversals.NEIGHBOURS, request, timeout_s=self._read_timeout_s)
        vertices = to_vertices(answer)
        return to_edges(answer, vertices), {vertex.vertex_id: vertex for vertex in vertices}

    async def column_edges(
        self, root: str, column: str, direction: Direction, *, depth: int, limit: int
    ) -> tuple[list[ColumnEdge], bool]:
        """Column lineage; one script."""
        if "\0" in column:
            # No column that could be written: the index of columns cannot have one, and refuses to be asked.
            return [], True
        with span("lineage.column_edges", direction=direction.value, depth=depth), _answering():
            request = traversals.columns_request(
                root, column, direction, depth=depth, limit=limit, timeout_s=self._read_timeout_s
            )
            answer = await self._client.run(traversals.COLUMNS, request, timeout_s=self._read_timeout_s)
        edges = to_column_edges(answer)
        return edges[:limit], answer["is_complete"] and len(edges) <= limit

    async def owners(self) -> AsyncIterator[str]:
        """All owners in order; holds their names, because JanusGraph's index has none."""
        found: list[str] = []
        for first in range(0, traversals.BUCKETS, _OWNERS_AT_ONCE):
            with span("lineage.owners"), _answering():
                request = {"buckets": list(range(first, first + _OWNERS_AT_ONCE))}
                found += await self._client.run(traversals.OWNERS, request, timeout_s=self._write_timeout_s)
        for owner in sorted(found):
            yield owner

    async def edges_of(self, owner: str) -> tuple[list[Edge], dict[str, Vertex]]:
        """All that one owner says, with its columns; one script."""
        with span("lineage.edges_of"), _answering():
            request = {"owner": owner, "budget_ms": traversals.budget_ms(self._read_timeout_s)}
            answer = await self._client.run(traversals.OWNER, request, timeout_s=self._read_timeout_s)
        vertices = to_vertices(answer)
        return to_edges(answer, vertices), {vertex.vertex_id: vertex for vertex in vertices}

    async def totals(self) -> tuple[dict[str, int], dict[str, int]]:
        """Numbers by label; reads the whole graph."""
        with span("lineage.totals"), _answering():
            request = {"budget_ms": traversals.budget_ms(_WHOLE_GRAPH_TIMEOUT_S)}
            answer = await self._client.run(traversals.TOTALS, request, timeout_s=_WHOLE_GRAPH_TIMEOUT_S)
        return answer["vertices"], answer["edges"]

    async def drop(self) -> None:
        """Remove all vertices and edges; the schema stays."""
        with span("lineage.drop"), _answering():
            async with self._writing:
                request = {"budget_ms": traversals.budget_ms(_DROP_TIMEOUT_S / 2)}
                while (await self._client.run_until_committed(traversals.DROP, request, timeout_s=_DROP_TIMEOUT_S))[
                    "left"
                ]:
                    pass


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """What is too slow is away, where no part of an answer can be told."""
    try:
        yield
    except ScriptTimeoutError as error:
        raise LineageUnavailableError("the server ended the query at its limit of time") from error


def _attributes(walk: Walk) -> dict[str, str | int | bool]:
    return {
        "direction": walk.direction.value,
        "grain": walk.grain.value,
        "depth": walk.depth,
        "max_nodes": walk.max_nodes,
    }
