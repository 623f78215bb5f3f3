"""What every command needs: settings, open services, and a command with an actor."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from app.bootstrap import Services
    from app.domain.changes import Command
    from app.settings import Settings

Answer = TypeVar("Answer")


def with_services(work: Callable[[Services], Awaitable[Answer]]) -> Answer:
    """What `work` answers on services that are open for as long as it takes.

    The embedded Postgres is shared with a server that runs on the same home, and is started where none does.
    """
    import anyio

    from app.cli.interrupting import woken_by_signals
    from app.lake.configuration import check_configuration
    from app.settings import load_settings

    settings = load_settings()
    check_configuration()
    from app.bootstrap import open_services

    async def run() -> Answer:
        with woken_by_signals():
            async with open_services(settings) as services:
                return await work(services)

    return anyio.run(run)


def log_to_stderr(settings: Settings) -> None:
    """Let a process that lives on say what happens: to stderr, from the level on that is set."""
    logging.basicConfig(
        stream=sys.stderr, level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def make_command(actor: str | None, reason: str | None, idempotency_key: str | None) -> Command:
    """Who, why, and under which key.

    Raises:
        InvalidArgumentError: one of them is malformed.
    """
    from app.domain.changes import Actor, Command
    from app.services.os_user import os_user

    return Command(
        actor=Actor.checked(os_user() if actor is None else actor), reason=reason, idempotency_key=idempotency_key
    )


def parse_expected(text: str | None) -> int | None:
    """A snapshot id given to --expected-head or --expected-target.

    Raises:
        InvalidReferenceError: it is none.
    """
    from app.domain.versions import parse_snapshot_id

    return None if text is None else parse_snapshot_id(text)
