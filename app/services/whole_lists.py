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
    found: list[Entry] = []
    after: str | None = None
    while True:
        size = MAX_PAGE if limit is None else min(MAX_PAGE, limit - len(found))
        page, entries = await fetch(PageRequest(first=size, after=after))
        found += entries
        if not page.has_next or len(found) == limit:
            return found
        after = page.cursors[-1]
