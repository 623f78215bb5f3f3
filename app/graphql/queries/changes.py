"""changes: who did what, when and why."""

from __future__ import annotations

from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.pages import After, Connection, First, connect, page_request
from app.graphql.types.change import Change
from app.graphql.types.enums import ChangeKind


async def list_changes(
    info: Info,
    first: First = None,
    after: After = None,
    kind: Annotated[ChangeKind | None, strawberry.argument(description="Only changes of this kind.")] = None,
) -> Connection[Change]:
    """What was done to datasets, models and pipelines, newest first."""
    page = await info.context.datasets.changes_page(page_request(first, after), kind=kind)
    return connect(page, lambda change: Change(change=change))
