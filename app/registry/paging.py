"""Pages of rows that are ordered by one column without equals: by text, or by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import asyncpg

from app.domain.names import is_storable
from app.domain.pages import CursorKey, Page, PageRequest, decode_cursor, encode_cursor
from app.errors import InvalidPageError
from app.postgres.pool import translated

Item = TypeVar("Item")


async def find_page(
    pool: asyncpg.Pool,
    request: PageRequest,
    *,
    cursor_kind: str,
    select: str,
    count: str,
    arguments: Sequence[Any],
    key: str,
    to_item: Callable[[asyncpg.Record], Item],
    is_descending: bool = False,
) -> Page[Item]:
    """The page of what `select` finds, in the order of its column `key`; two statements.

    `select` and `count` end in a WHERE clause, and use `arguments` as $1 and so on.

    Raises:
        InvalidPageError: a cursor of another list.
    """
    values, conditions = list(arguments), []
    for cursor, argument, is_after in ((request.after, "after", True), (request.before, "before", False)):
        if cursor is not None:
            values.append(_key_of(cursor_kind, cursor, argument, is_number=is_descending))
            conditions.append(f"{key} {'>' if is_after != is_descending else '<'} ${len(values)}")
    is_from_end = request.last is not None
    order = "DESC" if is_descending != is_from_end else "ASC"
    where = "".join(f" AND {condition}" for condition in conditions)
    async with translated(), pool.acquire() as connection:
        rows = await connection.fetch(f"{select}{where} ORDER BY {key} {order} LIMIT {request.size + 1}", *values)
        total = await connection.fetchval(count, *arguments)
    has_more = len(rows) > request.size
    shown = rows[: request.size]
    if is_from_end:
        shown.reverse()
    return Page(
        items=[to_item(row) for row in shown],
        cursors=[encode_cursor(cursor_kind, (row[key],)) for row in shown],
        has_next=request.before is not None if is_from_end else has_more,
        has_previous=has_more if is_from_end else request.after is not None,
        total=total,
    )


def _key_of(kind: str, cursor: str, argument: str, *, is_number: bool) -> int | str:
    found: CursorKey = decode_cursor(kind, cursor, argument)
    value = found[0]
    if len(found) != 1 or isinstance(value, int) != is_number:
        raise InvalidPageError(argument, "it is no cursor of this API")
    if (isinstance(value, int) and not -(2**31) <= value < 2**31) or (
        isinstance(value, str) and not is_storable(value)
    ):
        raise InvalidPageError(argument, "it is no cursor of this API")
    return value
