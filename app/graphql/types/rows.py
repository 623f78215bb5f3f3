"""Rows of a dataset, a few at a time."""

from __future__ import annotations

import strawberry

from app.graphql.scalars import JSON, BigInt


@strawberry.type(description="The first rows of a version.")
class RowPage:
    """The first rows of a version."""

    columns: list[str] = strawberry.field(description="The columns read, in the order of the schema.")
    rows: list[JSON] = strawberry.field(description="One object a row, its keys the columns.")
    truncated: bool = strawberry.field(description="Whether there are more rows than were asked for.")
    bytes_read: BigInt = strawberry.field(description="Bytes of data files that were read.")
