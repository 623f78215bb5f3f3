"""Pages of what is recorded of a dataset, which may be known of one that cannot be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

from app.domain.pages import Item, Page, PageRequest
from app.errors import AppError, Invalid
from app.graphql.context import Info
from app.lake.table import LakeTable


class DatasetSource(Protocol):
    """The dataset whose fields these are."""

    async def find_table(self, info: Info) -> LakeTable | None:
        """The table; None, and an error beside the answer, where it cannot be read."""

    async def find_uuid(self, info: Info) -> UUID | None:
        """The table's id, also where it cannot be read, if it was ever seen."""


async def find_page(
    dataset: DatasetSource,
    info: Info,
    request: PageRequest,
    find: Callable[[UUID, PageRequest], Awaitable[Page[Item]]],
) -> Page[Item] | None:
    """The page; None, and an error beside the answer, where the dataset was never seen or the record is away.

    Raises:
        InvalidPageError: as `find`.
    """
    uuid = await dataset.find_uuid(info)
    if uuid is None:
        return None
    try:
        return await find(uuid, request)
    except Invalid:
        raise
    except AppError as error:  # the record's backend is away: that costs this field alone
        info.context.report(error, info.path)
        return None
