"""Processes that are killed while they register or archive a model version, at a point of their own choosing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from app.bootstrap import Services, open_services
from app.services import model_registration
from app.settings import Settings
from tests.integration.races.dying import die
from tests.integration.races.workers import CONTEXT
from tests.integration.registry.lake import CUSTOMERS, SALES, by_ada, churn, trained_on

KEY = "mortal"


def _die_after(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any, **named: Any) -> Any:
        await function(*arguments, **named)
        die()

    return call


def _after_the_intention(services: Services) -> None:
    services.pinning.pin = die  # type: ignore[method-assign]


def _after_the_pin_is_written(services: Services) -> None:
    pins = services.pinning._pins
    pins.want = _die_after(pins.want)  # type: ignore[method-assign]


def _after_the_tag(services: Services) -> None:
    versioning = services.pinning._versioning
    versioning.create_tag = _die_after(versioning.create_tag)  # type: ignore[method-assign]


def _after_the_last_tag(services: Services) -> None:
    model_registration.settle_fact = die


def _in_the_transaction(services: Services) -> None:
    model_registration.append_records = _die_after(model_registration.append_records)


def _after_the_record(services: Services) -> None:
    services.registration._store.find_versions = die  # type: ignore[method-assign]


REGISTERING: dict[str, Callable[[Services], None]] = {
    "after the intention": _after_the_intention,
    "after the pin is written": _after_the_pin_is_written,
    "after the tag": _after_the_tag,
    "after the last tag": _after_the_last_tag,
    "in the transaction": _in_the_transaction,
    "after the record": _after_the_record,
}


def _in_the_archiving(services: Services) -> None:
    model_registration.start_release = _die_after(model_registration.start_release)


def _before_the_release(services: Services) -> None:
    services.pinning.release = die  # type: ignore[method-assign]


def _after_the_first_removal(services: Services) -> None:
    versioning = services.pinning._versioning
    versioning.delete_tag = _die_after(versioning.delete_tag)  # type: ignore[method-assign]


ARCHIVING: dict[str, Callable[[Services], None]] = {
    "in the transaction": _in_the_archiving,
    "before the release": _before_the_release,
    "after the first removal": _after_the_first_removal,
}


def kill_registering(settings: Settings, point: str, snapshots: tuple[int, int]) -> None:
    """Begin to register a version in a process of its own that does not survive that point of it."""
    _kill(_register, settings, point, snapshots)


def kill_archiving(settings: Settings, point: str) -> None:
    """Begin to archive version 1 in a process of its own that does not survive that point of it."""
    _kill(_archive, settings, point)


def _kill(target: Callable[..., None], *arguments: Any) -> None:
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL


def _register(settings: Settings, point: str, snapshots: tuple[int, int]) -> None:
    async def run() -> None:
        async with open_services(settings) as services:
            REGISTERING[point](services)
            training = [trained_on(SALES, snapshots[0]), trained_on(CUSTOMERS, snapshots[1])]
            await services.registration.register(churn(), training, by_ada(key=KEY))

    asyncio.run(run())


def _archive(settings: Settings, point: str) -> None:
    async def run() -> None:
        async with open_services(settings) as services:
            ARCHIVING[point](services)
            await services.registration.archive("churn", 1, by_ada(key=KEY))

    asyncio.run(run())
