"""The lineage graph in Postgres: the default, where no JanusGraph is configured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import asyncpg

from app.domain.lineage import ColumnEdge, Direction, Edge, Projection, Subgraph, Vertex, Walk
from app.errors import LineageUnavailableError
from app.lineage.postgres.applying import LOCK_KEY, apply_projections
from app.lineage.postgres.columns import find_column_edges
from app.lineage.postgres.errors import at_border
from app.lineage.postgres.reading import count_all, find_edges_of, find_neighbours, find_owners
from app.lineage.postgres.snapshots import reading
from app.lineage.postgres.walking import count_nodes, find_subgraph
from app.postgres.pool import advisory_key
from app.telemetry.tracing import span

_TABLES = "lineage_entities, lineage_vertices, lineage_owners, lineage_edges, lineage_entity_edges, lineage_columns"


class PostgresLineage:
    """A LineageStore on tables of migration 3, through a pool of the caller's."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @property
    def kind(self) -> str:
        """`postgres`."""
        return "postgres"

    async def prepare(self) -> None:
        """See that the tables are there; they come with the migrations.

        Raises:
            LineageUnavailableError: they are not.
        """
        async with at_border():
            if await self._pool.fetchval("SELECT to_regclass('lineage_columns')") is None:
                raise LineageUnavailableError("its tables are missing: the database was not migrated")

    async def close(self) -> None:
        """Nothing: the pool is the caller's."""

    async def ping(self) -> str:
        """Postgres' version."""
        async with at_border():
            return str(await self._pool.fetchval("SHOW server_version"))

    async def apply(self, projections: Sequence[Projection]) -> None:
        """Replace what these owners said, all in one transaction; other calls wait meanwhile."""
        if not projections:
            return
        with span("lineage.apply", owners=len(projections)):
            async with at_border(), self._pool.acquire() as connection, connection.transaction():
                await apply_projections(connection, projections)

    async def walk(self, walk: Walk) -> Subgraph:
        """The nodes and edges that a walk meets; three statements each way, as of one moment."""
        with span("lineage.walk", **_attributes(walk)):
            async with at_border():
                return await find_subgraph(self._pool, walk)

    async def count(self, walk: Walk) -> int:
        """How many nodes it would show without limit, the root not counted; one statement each way."""
        with span("lineage.count", **_attributes(walk)):
            async with at_border():
                return await count_nodes(self._pool, walk)

    async def neighbours(
        self, vertex_ids: Sequence[str], direction: Direction, *, limit: int, with_columns: bool = False
    ) -> tuple[list[Edge], dict[str, Vertex]]:
        """The edges one hop from these versions, in order; one statement, and one for their columns."""
        with span("lineage.neighbours", count=len(vertex_ids), direction=direction.value):
            async with at_border(), reading(self._pool) as connection:
                return await find_neighbours(connection, vertex_ids, direction, limit=limit, with_columns=with_columns)

    async def column_edges(
        self, root: str, column: str, direction: Direction, *, depth: int, limit: int
    ) -> tuple[list[ColumnEdge], bool]:
        """Column lineage, a statement each hop, as of one moment."""
        with span("lineage.column_edges", direction=direction.value, depth=depth):
            async with at_border(), reading(self._pool) as connection:
                return await find_column_edges(connection, root, column, direction, depth=depth, limit=limit)

    async def owners(self) -> AsyncIterator[str]:
        """All owners in order, by pages: one that comes or goes meanwhile may be missed."""
        after = ""
        while True:
            with span("lineage.owners"):
                async with at_border():
                    page = await find_owners(self._pool, after)
            if not page:
                return
            for owner in page:
                yield owner
            after = page[-1]

    async def edges_of(self, owner: str) -> tuple[list[Edge], dict[str, Vertex]]:
        """All that one owner says, with its columns."""
        with span("lineage.edges_of"):
            async with at_border(), reading(self._pool) as connection:
                return await find_edges_of(connection, owner)

    async def totals(self) -> tuple[dict[str, int], dict[str, int]]:
        """Numbers by label; reads the tables whole."""
        with span("lineage.totals"):
            async with at_border():
                return await count_all(self._pool)

    async def drop(self) -> None:
        """Empty all tables, once no call writes any more."""
        with span("lineage.drop"):
            async with at_border(), self._pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", advisory_key(LOCK_KEY))
                await connection.execute(f"TRUNCATE {_TABLES}")


def _attributes(walk: Walk) -> dict[str, str | int | bool]:
    return {
        "direction": walk.direction.value,
        "grain": walk.grain.value,
        "depth": walk.depth,
        "max_nodes": walk.max_nodes,
    }
