"""What the asynchronous helpers share: services that are opened once for all of them, off the caller's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from threading import Lock
from typing import TypeVar

from app.bootstrap import Services
from app.client.catalog import IcebergCatalog
from app.errors import InvalidArgumentError
from app.settings import Settings, load_settings

Answer = TypeVar("Answer")

# Settings with the catalog that was opened for them; closed by the end of the program, as every catalog is.
_catalogs: dict[Settings, IcebergCatalog] = {}
_lock = Lock()


async def ask(run: Callable[[Services], Awaitable[Answer]], catalog: IcebergCatalog | None) -> Answer:
    """What `run` answers on the services of a catalog; without one, on those that the environment's settings lead to.

    The services have an event loop of their own, so that a helper may be awaited on any loop, and on another one the
    next time. The first call without a catalog opens them, which may start the embedded Postgres; all later ones are
    quick. A caller that is cancelled cancels the work.

    Raises:
        InvalidArgumentError: `catalog` is none.
        InvalidSettingError, BackendUnavailableError: what cannot be opened.
        As `run`, with the names of arguments as Python spells them.
    """
    if catalog is not None and not isinstance(catalog, IcebergCatalog):
        raise InvalidArgumentError("catalog", f"an IcebergCatalog is needed, not {type(catalog).__name__}")
    opened = _catalog_of_environment() if catalog is None else catalog
    # Opening takes its time, and is not to stop the caller's loop.
    submit = await asyncio.to_thread(opened.submitter)
    return await asyncio.wrap_future(submit(run))


def _catalog_of_environment() -> IcebergCatalog:
    settings = load_settings()
    with _lock:
        if settings not in _catalogs:
            _catalogs[settings] = IcebergCatalog(settings=settings)
        return _catalogs[settings]
