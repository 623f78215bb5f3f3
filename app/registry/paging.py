"""Pages of rows that are ordered by one column without equals: by text, or by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg

from app.domain.names import is_storable
from app.domain.pages import CursorKey, Page, PageRequest, decode_cursor, encode_cursor
from app.errors import InvalidPageError
from app.postgres.pool import translated

Item = TypeVar("Item")

# No name has an unprintable character.
IMPOSSIBLE_PREFIX = "\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[Item]):
    """Rows in the order of their column `key`, which has no equals within the list of one owner.

    `owner` are the columns that say whose list a row is in; with none all rows are one list. A `key` that descends is a
    number, one that ascends a text.
    """

    cursor_kind: str
    columns: str
    table: str
    key: str
    to_item: Callable[[asyncpg.Record], Item]
    owner: tuple[str, ...] = ()
    is_descending: bool = False


async def find_page(
    pool: asyncpg.Pool, listing: Listing[Item], request: PageRequest, *, where: str = "true", arguments: Sequence[Any]
) -> Page[Item]:
    """The page of a listing that has no owners; two statements. `where` uses the arguments as $1 and so on.

    Raises:
        InvalidPageError: a cursor of another list.
    """
    cut = _Cut.of(listing, request, first_argument=len(arguments) + 1)
    async with translated(), pool.acquire() as connection:
        rows = await connection.fetch(
            f"SELECT {listing.columns} FROM {listing.table} WHERE {where} {cut.sql}", *arguments, *cut.arguments
        )
        total = await connection.fetchval(f"SELECT count(*) FROM {listing.table} WHERE {where}", *arguments)
    return _to_page(listing, request, rows, total)


async def find_pages(
    pool: asyncpg.Pool, listing: Listing[Item], owners: Sequence[tuple[str, ...]], request: PageRequest
) -> dict[tuple[str, ...], Page[Item]]:
    """The same page of the lists of several owners; two statements for all of them.

    Raises:
        InvalidPageError: a cursor of another list.
    """
    known = list(dict.fromkeys(owner for owner in owners if all(map(is_storable, owner))))
    columns = [list(column) for column in zip(*known, strict=True)] or [[] for _ in listing.owner]
    names = [f"o{place}" for place in range(len(listing.owner))]
    arrays = ", ".join(f"${place}::text[]" for place in range(1, len(columns) + 1))
    wanted = f"unnest({arrays}) WITH ORDINALITY AS wanted ({', '.join(names)}, place)"
    of_owner = " AND ".join(f"{column} = wanted.{name}" for column, name in zip(listing.owner, names, strict=True))
    cut = _Cut.of(listing, request, first_argument=len(columns) + 1)
    async with translated(), pool.acquire() as connection:
        rows = await connection.fetch(
            f"""
            SELECT wanted.place AS owner_place, found.* FROM {wanted}
            CROSS JOIN LATERAL (
                SELECT {listing.columns} FROM {listing.table} WHERE {of_owner} {cut.sql}
            ) found
            ORDER BY wanted.place, found.{listing.key} {cut.order}
            """,
            *columns,
            *cut.arguments,
        )
        counts = await connection.fetch(
            f"SELECT wanted.place, count(*) FROM {wanted} JOIN {listing.table} ON {of_owner} GROUP BY wanted.place",
            *columns,
        )
    totals = {row["place"]: row["count"] for row in counts}
    by_place: dict[int, list[asyncpg.Record]] = {}
    for row in rows:
        by_place.setdefault(row["owner_place"], []).append(row)
    places = {owner: place for place, owner in enumerate(known, start=1)}
    return {
        owner: _to_page(listing, request, by_place.get(places.get(owner, 0), []), totals.get(places.get(owner, 0), 0))
        for owner in owners
    }


def storable_prefix(prefix: str) -> str:
    """The prefix as a statement takes it; one that no name can begin with stands for no name at all."""
    return prefix if is_storable(prefix) else IMPOSSIBLE_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """What follows a WHERE clause that a page begins with."""

    sql: str
    order: str
    arguments: list[int | str]

    @classmethod
    def of(cls, listing: Listing[Any], request: PageRequest, *, first_argument: int) -> _Cut:
        arguments: list[int | str] = []
        conditions = ""
        for cursor, argument, is_after in ((request.after, "after", True), (request.before, "before", False)):
            if cursor is not None:
                compared = ">" if is_after != listing.is_descending else "<"
                conditions += f" AND {listing.key} {compared} ${first_argument + len(arguments)}"
                arguments.append(_key_of(listing.cursor_kind, cursor, argument, is_number=listing.is_descending))
        # From the end the rows are met in the opposite order.
        order = "DESC" if listing.is_descending != (request.last is not None) else "ASC"
        sql = f"{conditions} ORDER BY {listing.key} {order} LIMIT {request.size + 1}"
        return cls(sql=sql, order=order, arguments=arguments)


def _to_page(listing: Listing[Item], request: PageRequest, rows: Sequence[asyncpg.Record], total: int) -> Page[Item]:
    has_more = len(rows) > request.size
    shown = list(rows[: request.size])
    is_from_end = request.last is not None
    if is_from_end:
        shown.reverse()
    return Page(
        items=[listing.to_item(row) for row in shown],
        cursors=[encode_cursor(listing.cursor_kind, (row[listing.key],)) for row in shown],
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
