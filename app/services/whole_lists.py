"""Whole lists, page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from app.domain.pages import MAX_PAGE, Page, PageRequest

Entry = TypeVar("Entry")


async def all_entries(
    fetch: Callable[[PageRequest], Awaitable[tuple[Page[Any], Sequence[Entry]]]], *, limit: int | None = None
) -> list[Entry]:
    """The entries of all pages in order; with `limit`, at most so many."""
    return (await counted_entries(fetch, limit=limit))[0]


async def counted_entries(
    fetch: Callable[[PageRequest], Awaitable[tuple[Page[Any], Sequence[Entry]]]], *, limit: int | None = None
) -> tuple[list[Entry], int]:
    """As `all_entries`, and how many there are in all."""
    found: list[Entry] = []
    after: str | None = None
    while True:
        size = MAX_PAGE if limit is None else min(MAX_PAGE, limit - len(found))
        page, entries = await fetch(PageRequest(first=size, after=after))
        found += entries
        if not page.has_next or len(found) == limit:
            return found, page.total
        after = page.cursors[-1]
