"""Opening the services for synchronous callers, and closing them again."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from app.bootstrap import Services, open_services
from app.client.arguments import text
from app.domain.changes import Actor, Command
from app.services.argument_names import arguments_named, snake_case
from app.services.os_user import os_user
from app.settings import Settings, load_settings

Answer = TypeVar("Answer")


class Opening:
    """Services on an event loop of their own, in a thread of its own; what the catalog is made of works on them."""

    def __init__(
        self, catalog: str | None = None, *, settings: Settings | None = None, actor: str | None = None
    ) -> None:
        """Nothing is opened yet.

        `catalog` names one of pyiceberg's configuration; without it, and without `settings`, the environment decides.
        `actor` is whom changes are recorded under, the user of the operating system unless given.

        Raises:
            InvalidSettingError: a setting is wrong.
            InvalidArgumentError: `actor` is no name.
        """
        if settings is None:
            settings = load_settings(catalog=catalog)
        elif catalog is not None:
            settings = settings.model_copy(update={"catalog": catalog})
        self._settings = settings
        self._actor = Actor.checked(os_user() if actor is None else text("actor", actor))
        self._lock = threading.Lock()
        self._is_closed = False
        self._resources: ExitStack | None = None
        self._portal: BlockingPortal | None = None
        self._services: Services | None = None

    def close(self) -> None:
        """Close what was opened; further calls are refused. Closing twice is fine."""
        with self._lock:
            self._is_closed = True
            resources, self._resources = self._resources, None
            self._portal = self._services = None
        _open_catalogs.discard(self)
        if resources is not None:
            resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _command(self, reason: str | None, idempotency_key: str | None = None) -> Command:
        with arguments_named(snake_case):
            return Command(
                actor=self._actor,
                reason=None if reason is None else text("reason", reason),
                idempotency_key=None if idempotency_key is None else text("idempotency_key", idempotency_key),
            )

    def _call(self, run: Callable[[Services], Awaitable[Answer]]) -> Answer:
        portal, services = self._opened()
        ended = threading.Event()

        async def work() -> Answer:
            try:
                return await run(services)
            finally:
                ended.set()

        with arguments_named(snake_case):
            future = portal.start_task_soon(work)
            try:
                return future.result()
            except KeyboardInterrupt:
                # Nothing goes on behind the back of who gives up; whoever is not even patient with that, does so again.
                if future.cancel():
                    ended.wait()
                raise

    def submitter(self) -> Callable[[Callable[[Services], Awaitable[Answer]]], Future[Answer]]:
        """Open the services, and answer what takes work to their event loop; for `app.client.helpers`."""
        portal, services = self._opened()

        async def named(run: Callable[[Services], Awaitable[Answer]]) -> Answer:
            with arguments_named(snake_case):
                return await run(services)

        return lambda run: portal.start_task_soon(named, run)

    def _opened(self) -> tuple[BlockingPortal, Services]:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("this IcebergCatalog is closed")
            if self._portal is None or self._services is None:
                with ExitStack() as stack:
                    portal = stack.enter_context(start_blocking_portal(name="stratigraph"))
                    opening: AbstractContextManager[Services] = portal.wrap_async_context_manager(
                        open_services(self._settings)
                    )
                    self._services, self._portal = stack.enter_context(opening), portal
                    self._resources = stack.pop_all()
                _open_catalogs.add(self)
            return self._portal, self._services


_open_catalogs: set[Opening] = set()


def _close_all() -> None:
    for catalog in list(_open_catalogs):
        catalog.close()


# atexit is too late: before it, the interpreter waits for the thread of the event loop, which has no end of its own.
threading._register_atexit(_close_all)  # type: ignore[attr-defined]  # noqa: SLF001
