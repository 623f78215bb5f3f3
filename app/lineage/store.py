"""What a store of the lineage graph does; there are two, and one suite of tests for both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from app.domain.lineage import ColumnEdge, Direction, Edge, Projection, Subgraph, Vertex, Walk


class LineageStore(Protocol):
    """The graph. Every method may raise LineageUnavailableError: the store is away, or did not answer in time."""

    @property
    def kind(self) -> str:
        """`janusgraph` or `postgres`."""

    async def prepare(self) -> None:
        """Make what the store needs (schema, indexes); any number of processes may do so at once, and repeatedly."""

    async def close(self) -> None:
        """Give connections back."""

    async def ping(self) -> str:
        """A version, as proof that it answers."""

    async def apply(self, projections: Sequence[Projection]) -> None:
        """Replace all that these owners said by what they say now; an owner without edges says nothing more.

        All or nothing for each owner. Vertices are made with their first edge and go with their last. Repeating it
        changes nothing. Concurrent calls for one owner end in one of the two; of two projections of one owner in one
        call the last counts.
        """

    async def walk(self, walk: Walk) -> Subgraph:
        """The nodes and edges that a walk meets; no node, where the graph does not know the root.

        Costs one statement or traversal where the shape allows, one a hop at the most.
        """

    async def count(self, walk: Walk) -> int:
        """How many nodes a walk would show without its limit of nodes, the root not counted.

        Raises:
            LineageUnavailableError: also where the time of the walk is over before all are met.
        """

    async def neighbours(
        self, vertex_ids: Sequence[str], direction: Direction, *, limit: int, with_columns: bool = False
    ) -> tuple[list[Edge], dict[str, Vertex]]:
        """The edges that one hop passes from these versions, in order, at most `limit`, and the vertices at their ends.

        For walks that also follow what the store does not know (Iceberg's parent snapshots, columns that a change is
        about). The id of an entity stands for all of its versions. Each of these versions is a root: who walks on
        leaves pipelines out. Edges come without their columns, unless they are asked for.
        """

    async def column_edges(
        self, root: str, column: str, direction: Direction, *, depth: int, limit: int
    ) -> tuple[list[ColumnEdge], bool]:
        """Column lineage from one column of a version or entity; whether that is all of it.

        Follows the columns of DERIVED_FROM. In the order of (depth, ends, columns), each step once for each way in
        which it is described, at its least depth; the first `limit` of them.
        """

    def owners(self) -> AsyncIterator[str]:
        """All owners that have edges, in order; for comparing the graph with the log."""

    async def edges_of(self, owner: str) -> tuple[list[Edge], dict[str, Vertex]]:
        """All that one owner says, in order, with its columns."""

    async def totals(self) -> tuple[dict[str, int], dict[str, int]]:
        """Number of vertices and of edges by label, of those labels that occur.

        Vertices: `Dataset`, `Model` … for entities and `DatasetVersion` … for versions. Edges: by `EdgeKind`, each
        owner's for itself, and `VERSION_OF`, one for each version.
        """

    async def drop(self) -> None:
        """Remove the whole graph; `prepare` comes next."""
