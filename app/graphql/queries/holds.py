"""holds: what somebody wants kept until further notice."""

from __future__ import annotations

from app.graphql.context import Info
from app.graphql.pages import After, Connection, First, connect, page_request
from app.graphql.types.dataset_retention import KeepingOnly
from app.graphql.types.hold import Hold


async def list_all_holds(
    info: Info, first: First = None, after: After = None, keeping_only: KeepingOnly = False
) -> Connection[Hold]:
    """The holds on all datasets, those placed last first."""
    page = await info.context.holding.page(page_request(first, after), keeping_only=keeping_only)
    return connect(page, lambda hold: Hold(hold=hold))
