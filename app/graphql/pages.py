"""Connections after the Relay cursor specification, from pages as the domain cuts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Generic, TypeVar

import strawberry
from strawberry.federation.schema_directives import ListSize

from app.domain.pages import DEFAULT_PAGE, Item, Page, PageRequest

NodeType = TypeVar("NodeType")

First = Annotated[
    int | None,
    strawberry.argument(description="At most so many items from the start, 1 to 100; 20 without `first` and `last`."),
]
After = Annotated[str | None, strawberry.argument(description="Only items that follow this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="At most so many items from the end, 1 to 100.")]
Before = Annotated[str | None, strawberry.argument(description="Only items ahead of this cursor.")]

FORWARD_PAGE = ListSize(
    assumed_size=DEFAULT_PAGE,
    slicing_arguments=["first"],
    sized_fields=["edges", "nodes"],
    require_one_slicing_argument=False,
)
PAGE = ListSize(
    assumed_size=DEFAULT_PAGE,
    slicing_arguments=["first", "last"],
    sized_fields=["edges", "nodes"],
    require_one_slicing_argument=False,
)


@strawberry.federation.type(shareable=True, description="Where a page lies in its list.")
class PageInfo:
    """Where a page lies in its list."""

    has_next_page: bool = strawberry.field(description="Whether items follow the page.")
    has_previous_page: bool = strawberry.field(description="Whether items come ahead of the page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the page's first item.")
    end_cursor: str | None = strawberry.field(description="Cursor of the page's last item.")


@strawberry.type(description="An item of a list, and its place there.")
class Edge(Generic[NodeType]):
    """An item of a list, and its place there."""

    cursor: str = strawberry.field(
        description="Opaque place of the item; it stays valid whatever is added or removed around it."
    )
    node: NodeType = strawberry.field(description="The item.")


@strawberry.type(description="One page of a list, in the list's own order whichever end was asked for.")
class Connection(Generic[NodeType]):
    """One page of a list."""

    edges: list[Edge[NodeType]] = strawberry.field(description="The items with their cursors.")
    nodes: list[NodeType] = strawberry.field(description="The items alone.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in the list.")
    total_count: int = strawberry.field(description="Number of items on all pages.")


def connect(page: Page[Item], wrap: Callable[[Item], NodeType]) -> Connection[NodeType]:
    """The connection that shows a page, each item wrapped."""
    nodes = [wrap(item) for item in page.items]
    return Connection(
        edges=[Edge(cursor=cursor, node=node) for cursor, node in zip(page.cursors, nodes, strict=True)],
        nodes=nodes,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursors[0] if page.cursors else None,
            end_cursor=page.cursors[-1] if page.cursors else None,
        ),
        total_count=page.total,
    )


def connect_nothing() -> Connection[NodeType]:
    """The connection of a list that cannot be had; report why beside it."""
    page_info = PageInfo(has_next_page=False, has_previous_page=False, start_cursor=None, end_cursor=None)
    return Connection(edges=[], nodes=[], page_info=page_info, total_count=0)


def page_request(
    first: int | None, after: str | None, last: int | None = None, before: str | None = None
) -> PageRequest:
    """The page that the arguments ask for. Raises InvalidPageError."""
    return PageRequest(first=first, after=after, last=last, before=before)
