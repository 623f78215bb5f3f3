"""Column lineage of datasets."""

from __future__ import annotations

from app.domain.lineage import Direction
from app.domain.versions import closest
from app.errors import UnknownColumnError
from app.graphql.context import Info
from app.graphql.types.inputs import VersionSelector
from app.graphql.types.lineage import ColumnEdge
from app.lake.table import LakeTable


async def trace_column(
    info: Info, table: LakeTable, column: str, at: VersionSelector | None, direction: Direction, depth: int
) -> list[ColumnEdge]:
    """The edges of column lineage from a column of a version, or of all versions; nearest first.

    Raises:
        UnknownColumnError: neither lineage nor the table knows it.
        As `Datasets.resolve_with_record` and `Lineage.column_lineage`.
    """
    name = str(table.state.name)
    if at is None:
        root = info.context.lineage.dataset_root(table.state.table_uuid, name)
    else:
        found = await info.context.datasets.resolve_with_record(table, at.to_domain(table.state))
        root = info.context.lineage.snapshot_root(table, found.snapshot_id)
    edges = await info.context.lineage.column_lineage(root, column, direction, depth=depth)
    if not edges:
        # Lineage may know a column that the table has no more; what neither knows is a slip of the pen.
        known = {field.path for schema in table.state.schemas.values() for field in schema.walk()}
        if column not in known:
            raise UnknownColumnError(name, column[:120], closest(column, sorted(known)))
    return [ColumnEdge(edge=edge) for edge in edges]
