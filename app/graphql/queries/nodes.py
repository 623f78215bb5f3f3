"""node and nodes: anything by its id."""

from __future__ import annotations

from collections.abc import Awaitable

import strawberry

from app.domain.pages import MAX_PAGE
from app.errors import InvalidArgumentError
from app.graphql.context import Info
from app.graphql.entities import get_node
from app.graphql.ids import decode_id
from app.graphql.types.interfaces import Node


async def node_of_id(info: Info, id: strawberry.ID) -> Node | None:  # noqa: A002  (Relay's name)
    """The thing of this id."""
    return await get_node(info, decode_id(id))


def list_nodes(info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
    """The things of these ids, in their order; one that cannot be had is null, with an error of its own."""
    if len(ids) > MAX_PAGE:
        raise InvalidArgumentError("ids", f"{len(ids)} are given, at most {MAX_PAGE} are answered")
    found: list[Awaitable[Node | None]] = [node_of_id(info, node_id) for node_id in ids]
    # Each item is awaited by itself, so that an error costs that item alone; the annotation says what comes of them.
    return found  # type: ignore[return-value]
