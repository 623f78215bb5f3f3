"""Looking for tables by their ids, for which no catalog has a way of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from cachetools import TTLCache

from app.domain.names import DatasetName
from app.errors import (
    AppError,
    DatasetForbiddenError,
    DatasetNotFoundError,
    NamespaceForbiddenError,
    UnreadableTableError,
)
from app.lake.store import Lake
from app.registry.datasets import DatasetNames

logger = logging.getLogger(__name__)

# Tables that a search looks into at once; each is a catalog call.
SEARCH_BATCH = 32
NOWHERE_TTL_S = 10
MAX_NOWHERE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nowhere:
    """Of a table that was looked for in vain: whether all others were looked at, and the first namespace, with the
    catalog's words, in which nobody may look.
    """

    is_certain: bool
    hidden: tuple[str, str] | None


class TableSearch:
    """Finds the present names of tables: where they were last seen, else by a walk through the lake."""

    def __init__(self, lake: Lake, names: DatasetNames) -> None:
        self._lake = lake
        self._names = names
        self._nowhere: TTLCache[UUID, _Nowhere] = TTLCache(MAX_NOWHERE, NOWHERE_TTL_S)

    async def find(self, table_uuids: Sequence[UUID], *, is_certain: bool = False) -> dict[UUID, DatasetName]:
        """As `Datasets.find_names`; with `is_certain` those that are not told are gone.

        Raises:
            NamespaceForbiddenError, BackendUnavailableError: as `Datasets.find_names`.
            DatasetForbiddenError, UnreadableTableError, DatasetNotFoundError: only with `is_certain`; a table could not
                be looked at that may be one of those that were not found.
        """
        hints = await self._names.find_names(table_uuids)
        found, _ = await self._present(list(hints.values()), set(hints))
        missing: set[UUID] = set()
        for uuid in (uuid for uuid in table_uuids if uuid not in found):
            known = self._nowhere.get(uuid)
            if known is None or (is_certain and not known.is_certain):
                missing.add(uuid)
            elif known.hidden is not None:
                raise NamespaceForbiddenError(*known.hidden)
        return found | await self._look_everywhere(missing, is_certain=is_certain) if missing else found

    async def _look_everywhere(self, missing: set[UUID], *, is_certain: bool) -> dict[UUID, DatasetName]:
        found: dict[UUID, DatasetName] = {}
        unseen: AppError | None = None
        listing = await self._lake.list_visible()
        for start in range(0, len(listing.names), SEARCH_BATCH):
            present, failure = await self._present(listing.names[start : start + SEARCH_BATCH], missing)
            found |= present
            unseen = unseen or failure
            if missing <= found.keys():
                break
        await self._names.remember((uuid, name) for uuid, name in found.items())
        if lost := missing - found.keys():
            hidden = next(iter(listing.hidden), None)
            told = None if hidden is None else (str(hidden.fields["namespace"]), str(hidden.fields["reason"]))
            known = _Nowhere(is_certain=unseen is None and hidden is None, hidden=told)
            self._nowhere.update(dict.fromkeys(lost, known))
            if hidden is not None:
                raise hidden
            if is_certain and unseen is not None:
                raise unseen
        return found

    async def _present(
        self, names: Sequence[DatasetName], wanted: Collection[UUID]
    ) -> tuple[dict[UUID, DatasetName], AppError | None]:
        """Those of the wanted tables that are under these names, and why one of the names could not be looked at."""
        found: dict[UUID, DatasetName] = {}
        unseen: AppError | None = None
        answers = await asyncio.gather(*map(self._lake.load, names), return_exceptions=True)
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, (DatasetForbiddenError, UnreadableTableError)):
                logger.warning("%s is passed over in the search for a table id: %s", name, answer.message)
                unseen = answer
            elif isinstance(answer, DatasetNotFoundError):
                logger.info("%s is not there any more", name)
                # Since it was listed it may have got another name, under which nobody looks.
                unseen = answer
            elif isinstance(answer, BaseException):
                raise answer
            elif answer.state.table_uuid in wanted:
                found[answer.state.table_uuid] = name
        return found, unseen
